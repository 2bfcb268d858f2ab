"""Trees with planted repeats, and the dedup of a whole run as a person would do it by hand."""

from collections.abc import Sequence
from hashlib import shake_128
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from pipeline.curate.shingles import jaccard, shingles
from pipeline.curate.signature import DESCRIPTION, signatures
from pipeline.curate.versions import TEXT
from pipeline.storage.ledger import Ledger
from pipeline.storage.runs import create_run
from pipeline.storage.shards import ShardPlace, WaveRows, write_shards
from pipeline.storage.snapshots import build_snapshot, seal_snapshot
from pipeline.storage.store import Store
from pipeline.tree.identity import node_id
from schemas.manifest import RunFile, Snapshot
from schemas.measures import Measures, no_measures
from schemas.records import KEEP, Candidate, Frame, Message, Node, Role, Root, to_ids
from schemas.wave_id import WaveId
from tests.stored import make_manifest, make_run_file

QUESTIONS = [
    "What is the capital of France, and why did it become so large over time?",
    "What is the capital of France, and why did it become so large over times?",
    "what is the capital of France, and  why did it become so large over time",
    "What is the capital of Spain, and why did it become so large over time?",
    "How do bees find their way home in the evening, when the light is low?",
    "How do bees find their way home in the evening, when the lights are low?",
    " How do bees find their way home in the evening, when the light is low?\n",
    "どうしてミツバチは夕方に巣へ帰ることができるのですか。教えてください。",
    "a",
    "",
]
ANSWERS = [
    "Paris is the capital. It grew since it lies on a river where roads meet, and kings lived.",
    "Paris is the capital. It grew since it lies on a river where roads met, and kings lived.",
    "Bees look at the sun and at landmarks, and they remember how far they flew on their way out.",
    "Bees look at the sun and at landmarks, and they recall how far they flew on their way out.",
    "That is hard to say.",
    "",
]


PROMPTS = [
    "Does that follow? Answer yes or no, and nothing else, whatever you may have said before.",
    "Does that follow? Answer yes or no, and nothing else, whatever you may have heard before.",
    " Does that follow? Answer yes or no, and nothing else, whatever you may have said before.\n",
]
BEFORE: list[Frame] = [
    (),
    (Message("system", "Be brief."),),
    (Message("user", "Two is even, so four is."), Message("assistant", "So it is said.")),
]
REPLIES = ["Yes.", "yes", "No.", "", *(f"{answer} {ANSWERS[2]}" for answer in ANSWERS[:2])]


class Turn(NamedTuple):
    """A kept row."""

    tree: int
    path: tuple[int, ...]
    text: str
    speaker: Role | None = None
    """None: below a system prompt, user and assistant speak by turns."""
    stands_in: bool = False
    """Whether it was given in place of an answer."""
    before: Frame = ()
    """Of a root, the messages before its own."""

    @property
    def role(self) -> Role:
        if self.speaker is not None:
            return self.speaker
        if not self.path:
            return "system"
        return "user" if len(self.path) % 2 else "assistant"

    @property
    def answers(self) -> bool:
        """Whether a conversation may end with it."""
        return bool(self.path) and self.role != "user"


@st.composite
def forests(draw: st.DrawFn, most_trees: int = 3) -> list[Turn]:
    """Trees of up to four levels in row order, made of few texts that are often alike."""
    rows = []
    for tree in range(draw(st.integers(1, most_trees))):
        rows.append(Turn(tree, (), "On things."))
        above: list[tuple[int, ...]] = [()]
        for level in range(1, 5):
            texts = st.sampled_from(QUESTIONS if level % 2 else ANSWERS)
            grown = []
            for parent in above:
                for child in range(draw(st.integers(0, 3 if level < 3 else 2))):
                    # Kept rows have gaps between their indices.
                    grown.append((*parent, 2 * child + 1))
                    rows.append(Turn(tree, grown[-1], draw(texts)))
            above = grown
    return sorted(rows, key=lambda turn: (turn.tree, turn.path))


@st.composite
def prompted_forests(draw: st.DrawFn, most_trees: int = 4) -> list[Turn]:
    """Trees that answer one of few prompts, of which two say the same and three nearly so."""
    rows = []
    for tree in range(draw(st.integers(1, most_trees))):
        before = draw(st.sampled_from(BEFORE))
        rows.append(Turn(tree, (), draw(st.sampled_from(PROMPTS)), "user", before=before))
        above: list[tuple[int, ...]] = [()]
        for level in range(1, 4):
            said = st.sampled_from(REPLIES if level % 2 else QUESTIONS[:3])
            grown = []
            for parent in above:
                for child in range(draw(st.integers(0, 3 if level == 1 else 2))):
                    grown.append((*parent, child))
                    speaker: Role = "assistant" if level % 2 else "user"
                    stands_in = level == 1 and draw(st.booleans())
                    rows.append(Turn(tree, grown[-1], draw(said), speaker, stands_in))
            above = grown
    return sorted(rows, key=lambda turn: (turn.tree, turn.path))


@st.composite
def continued_texts(draw: st.DrawFn, most_trees: int = 3) -> list[Turn]:
    """Trees of plain text below a lead-in, up to three levels."""
    rows = []
    for tree in range(draw(st.integers(1, most_trees))):
        rows.append(Turn(tree, (), "Here are some facts:", "text"))
        above: list[tuple[int, ...]] = [()]
        for _ in range(3):
            grown = []
            for parent in above:
                for child in range(draw(st.integers(0, 2))):
                    grown.append((*parent, child))
                    said = draw(st.sampled_from([*REPLIES, ANSWERS[0], "Paris is"]))
                    rows.append(Turn(tree, grown[-1], said, "text"))
            above = grown
    return sorted(rows, key=lambda turn: (turn.tree, turn.path))


def likeness(a: Sequence[Turn], b: Sequence[Turn]) -> float:
    """Exact Jaccard similarity of all that some turns say; 1.0 where they say the very same."""
    if same(a, b):
        return 1.0
    sets = [{int(h) for t in turns for h in shingles(t.text, t.role)} for turns in (a, b)]
    if len(a) == len(b) == 1:
        return jaccard(shingles(a[0].text, a[0].role), shingles(b[0].text, b[0].role))
    either = sets[0] | sets[1]
    return len(sets[0] & sets[1]) / len(either) if either else 1.0


def same(a: Sequence[Turn], b: Sequence[Turn]) -> bool:
    """Whether some turns say the very same."""
    return [t.text.strip() for t in a] == [t.text.strip() for t in b]


def kept_turns(rows: Sequence[Turn], scope: str, threshold: float) -> list[Turn]:
    """All pairs, in row order: openings, or all user turns; none of them answers a prompt."""
    kept: list[Turn] = []
    for row in rows:
        if row.path and not _is_there(kept, row.tree, row.path[:-1]):
            continue
        compared = len(row.path) == 1 if scope == "openings" else row.role == "user"
        earlier = [
            k for k in kept if (len(k.path) == 1 if scope == "openings" else k.role == "user")
        ]
        if compared and any(likeness([row], [k]) >= threshold for k in earlier):
            continue
        kept.append(row)
    return kept


def kept_conversations(
    rows: Sequence[Turn], threshold: float, pinned: Sequence[Turn] = ()
) -> list[Turn]:
    """All pairs of conversations that answer the same prompt, or none, until nothing more falls."""
    frames = {row.tree: frame_of(row) for row in rows if not row.path}
    kept = list(rows)
    openings = [row for row in rows if len(row.path) == 1]
    for opening in openings:
        changed = True
        while changed:
            changed = False
            for row in [row for row in kept if _is_last(row, opening, kept)]:
                subtree = [k for k in kept if _is_below(k, row)]
                if set(pinned) & set(subtree):
                    continue
                others = [
                    _path(k, kept)
                    for k in kept
                    if k.answers
                    and _place(k) < _place(opening)
                    and _prompt(frames[k.tree]) == _prompt(frames[row.tree])
                ]
                own = _path(row, kept)
                near = any(likeness(own, other) >= threshold for other in others)
                if any(same(own, other) for other in others) or (near and not row.stands_in):
                    kept = [k for k in kept if k not in subtree]
                    changed = True
    return kept


def _is_there(rows: Sequence[Turn], tree: int, path: tuple[int, ...]) -> bool:
    return any((row.tree, row.path) == (tree, path) for row in rows)


def _is_below(row: Turn, above: Turn) -> bool:
    return row.tree == above.tree and row.path[: len(above.path)] == above.path


def _is_last(row: Turn, opening: Turn, kept: Sequence[Turn]) -> bool:
    below = [k for k in kept if _is_below(k, row) and k.answers]
    return row.answers and _is_below(row, opening) and below == [row]


def frame_of(root: Turn) -> Frame:
    """All messages that a tree grows from."""
    return (*root.before, Message(root.role, root.text))


def _prompt(frame: Frame) -> Frame:
    """What a tree answers; nothing where it is no prompt."""
    return tuple(Message(r, t.strip()) for r, t in frame) if frame[-1].role == "user" else ()


def _place(row: Turn) -> tuple[int, int]:
    return row.tree, row.path[0]


def _path(row: Turn, kept: Sequence[Turn]) -> list[Turn]:
    return sorted((k for k in kept if k.path and _is_below(row, k)), key=lambda k: k.path)


def store_run(
    store: Store, rows: Sequence[Turn], *, seed: int = 0, signed: bool = True
) -> tuple[RunFile, Snapshot]:
    """A sealed run with these kept rows: a cohort a tree, a wave a level."""
    plain = make_run_file(seed=seed)
    curation = {"text": TEXT} | ({"signature": DESCRIPTION} if signed else {})
    identity = plain.identity.model_copy(update={"curation": curation})
    run_file = create_run(store, plain.model_copy(update={"identity": identity}))
    manifests = []
    for cohort, level in sorted({(row.tree, max(1, len(row.path))) for row in rows}):
        some = [r for r in rows if r.tree == cohort and max(1, len(r.path)) == level]
        wave = WaveId((cohort,) + (0,) * (level - 1)).name
        place = ShardPlace(run_file.run_id, wave, "a")
        shards = write_shards(store, place, _wave_rows(run_file.run_id, some, signed), {})
        manifest = make_manifest(wave, "a", shards=shards, run=run_file.run_id)
        manifests.append(Ledger(store).commit(manifest))
    snapshot = build_snapshot(run_file, manifests, number=1, complete=True)
    seal_snapshot(store, snapshot)
    return run_file, snapshot


def _wave_rows(run: str, rows: Sequence[Turn], signed: bool) -> WaveRows:
    nodes = [Node(_candidate(run, row), KEEP) for row in rows]
    measures = no_measures(len(rows))
    if signed:
        found = signatures([shingles(row.text, row.role) for row in rows])
        # Roots and references that stand in were never measured.
        vectors = np.array([_vector(row.text) for row in rows])
        unknown = [not row.path or row.stands_in for row in rows]
        found[unknown], vectors[unknown] = 0, 0
        measures = Measures(measures.names, measures.scores, found, vectors)
    roots = [Root(row.tree, frame_of(row), {}) for row in rows if not row.path]
    return WaveRows(nodes, measures, roots=roots)


def _vector(text: str) -> npt.NDArray[np.int8]:
    """Equal for equal texts, and far from others."""
    return np.frombuffer(shake_128(text.encode()).digest(32), dtype=np.int8)


def _candidate(run: str, row: Turn) -> Candidate:
    return Candidate(
        tree_id=row.tree,
        node_id=id_of(run, row),
        parent_id=node_id(run, row.tree, row.path[:-1]) if row.path else None,
        path=row.path,
        role=row.role,
        token_ids=to_ids(list(row.text.encode())),
        text=row.text,
        origin="given" if not row.path or row.stands_in else "sampled",
        finish_reason="stop",
    )


def id_of(run: str, row: Turn) -> str:
    """The id of its node."""
    return node_id(run, row.tree, row.path)
