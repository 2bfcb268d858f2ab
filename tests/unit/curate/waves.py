"""Waves with their measures, and the selection as a person would do it by hand."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from pipeline.curate.shingles import shingles
from pipeline.curate.signature import signatures
from schemas.curation_spec import CurationSpec, DiversitySpec
from schemas.measures import Measures
from schemas.records import Candidate, Verdict
from tests.unit.samples import make_candidate

ROWS_PER_BAND = 5

SAID = [
    "What is the capital of France, and why is it so large?",
    "What is the capital of France, and why is it so large?!",
    "What is the capital of France, and why is it so great?",
    "what is the  capital of france, and why is it so large",
    "How do bees find their way home in the evening?",
    "How do bees find their way home in the morning?",
    " How do bees find their way home in the morning?\n",
    "Wie finden Bienen abends nach Hause zurück, und wozu?",
    "どうしてミツバチは夕方に巣へ帰ることができるのですか。",
    "どうしてミツバチは夕方に巣へ帰ることができるのですか",
    "لماذا تعود النحل إلى خليتها في المساء؟",
    "\N{HONEYBEE}\N{HONEYBEE}\N{HONEYBEE}",
    "\x00\x1b[31m\u202e",
    "a",
    "",
]

TEXTS = st.one_of(st.sampled_from(SAID), st.text(max_size=12))


class Wave(NamedTuple):
    """What `curate` is given."""

    candidates: list[Candidate]
    measures: Measures

    def take(self, rows: Sequence[int]) -> "Wave":
        """Some of its rows."""
        picked = np.array(rows, dtype=np.intp)
        return Wave([self.candidates[row] for row in rows], self.measures.take(picked))


def measured(candidates: list[Candidate], vectors: np.ndarray, relevance: Sequence[float]) -> Wave:
    """A wave with its own signatures; failures have none."""
    shingled = [shingles(row.text, row.role) for row in candidates if row.failure is None]
    signed = signatures(shingled)
    measures = Measures(
        ("relevance", "finished"),
        np.array(
            [
                [value, row.finish_reason == "stop"]
                for row, value in zip(candidates, relevance, strict=True)
            ],
            dtype=np.float32,
        ).reshape(len(candidates), 2),
        np.zeros((len(candidates), signed.shape[1]), dtype=np.uint32),
        vectors.astype(np.int8),
    )
    known = [row for row, candidate in enumerate(candidates) if candidate.failure is None]
    measures.signatures[known] = signed
    measures.scores[[row for row in range(len(candidates)) if row not in set(known)]] = np.nan
    return Wave(candidates, measures)


@st.composite
def waves(draw: st.DrawFn, texts: st.SearchStrategy[str] = TEXTS) -> Wave:
    """Some families of any texts, some failures, numbers that often tie."""
    level = draw(st.integers(1, 3))
    rows = [
        (family, child)
        for family in range(draw(st.integers(0, 3)))
        for child in range(draw(st.integers(0, 6)))
    ]
    candidates = []
    for family, child in rows:
        failure = draw(st.sampled_from([None, None, None, None, "engine"]))
        path = (*(family,) * (level - 1), child)
        candidates.append(
            make_candidate(
                path,
                "" if failure else draw(texts),
                tree_id=family,
                node_id=f"{family}/{path}",
                parent_id=f"{family}/{path[:-1]}",
                failure=failure,
            )
        )
    width = draw(st.sampled_from([0, 2, 3]))
    numbers = st.lists(st.integers(-2, 2), min_size=width, max_size=width)
    vectors = [draw(numbers) for _ in rows]
    values = st.sampled_from([0.0, 0.25, 0.5, 1.0, -0.5, float("nan")])
    return measured(
        candidates,
        np.array(vectors, dtype=np.int8).reshape(len(rows), width),
        [draw(values) for _ in rows],
    )


@st.composite
def specs(draw: st.DrawFn) -> CurationSpec:
    """Selections of every kind, without filters."""
    diversity = st.builds(
        DiversitySpec,
        weight=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
        max_cosine=st.sampled_from([None, None, 0.0, 0.5, 0.9, 1.0]),
    )
    return CurationSpec(
        filters=(),
        duplicates=draw(st.sampled_from(["near", "exact", "keep"])),
        near_threshold=draw(st.sampled_from([0.7, 0.8, 1.0])),
        diversity=draw(st.none() | diversity),
    )


def cosine(wave: Wave, a: int, b: int) -> float:
    """By integers."""
    left, right = (list(map(int, wave.measures.vectors[row])) for row in (a, b))
    squares = sum(x * x for x in left) * sum(y * y for y in right)
    dot = sum(x * y for x, y in zip(left, right, strict=True))
    return dot / np.sqrt(float(squares)) if squares else 0.0


def jaccard_of_sets(wave: Wave, a: int, b: int) -> float:
    """By sets."""
    row, other = (wave.candidates[index] for index in (a, b))
    left, right = (set(shingles(c.text, c.role).tolist()) for c in (row, other))
    return len(left & right) / len(left | right) if left | right else 1.0


def share_a_band(wave: Wave, a: int, b: int) -> bool:
    """Whether five numbers of a band are all equal."""
    left, right = (wave.measures.signatures[row].reshape(-1, ROWS_PER_BAND) for row in (a, b))
    return bool((left == right).all(axis=1).any())


def scope(wave: Wave, row: int) -> object:
    """Where a row's repeats are looked for."""
    candidate = wave.candidates[row]
    return candidate.parent_id if candidate.level > 1 else "the cohort"


def repeats(wave: Wave, spec: CurationSpec, row: int, keeper: int) -> tuple[str, float] | None:
    """Why a row goes when another is kept."""
    same_family = wave.candidates[row].parent_id == wave.candidates[keeper].parent_id
    if spec.duplicates != "keep" and scope(wave, row) == scope(wave, keeper):
        if wave.candidates[row].text.strip() == wave.candidates[keeper].text.strip():
            return "duplicate", 1.0
        if spec.duplicates == "near" and share_a_band(wave, row, keeper):
            similarity = jaccard_of_sets(wave, row, keeper)
            if similarity >= spec.near_threshold:
                return "near_duplicate", similarity
    if same_family and spec.diversity and spec.diversity.max_cosine is not None:
        has_vectors = wave.measures.vectors.shape[1] > 0
        if has_vectors and cosine(wave, row, keeper) >= spec.diversity.max_cosine:
            return "similar", cosine(wave, row, keeper)
    return None


def by_hand(wave: Wave, fanout: int, spec: CurationSpec) -> list[Verdict]:
    """The verdicts without filters, slowly and obviously."""
    verdicts = {
        row: Verdict(f"failed:{candidate.failure}")
        for row, candidate in enumerate(wave.candidates)
        if candidate.failure
    }
    for parent in dict.fromkeys(candidate.parent_id for candidate in wave.candidates):
        family = [r for r, c in enumerate(wave.candidates) if c.parent_id == parent]
        kept: list[int] = []
        while len(kept) < fanout and (left := [row for row in family if row not in verdicts]):
            best = max(left, key=lambda row: (marginal_relevance(wave, spec, row, kept), -row))
            verdicts[best] = Verdict(mmr_rank=len(kept) if spec.diversity else None)
            kept.append(best)
            drop_repeats(wave, spec, best, verdicts)
        for row in family:
            if row not in verdicts:
                verdicts[row] = surplus(wave, row, kept)
    return [verdicts[row] for row in range(len(wave.candidates))]


def drop_repeats(wave: Wave, spec: CurationSpec, keeper: int, verdicts: dict[int, Verdict]) -> None:
    """Judge all that is not judged yet and repeats a row."""
    for row in range(len(wave.candidates)):
        why = repeats(wave, spec, row, keeper)
        if row not in verdicts and why:
            verdicts[row] = dropped(wave, why[0], keeper, why[1])


def marginal_relevance(wave: Wave, spec: CurationSpec, row: int, kept: list[int]) -> float:
    """The value that the next one kept has most of."""
    if spec.diversity is None:
        return 0.0
    weight = spec.diversity.weight
    relevance = float(wave.measures.column("relevance")[row])
    nearest = max((cosine(wave, row, other) for other in kept), default=0.0)
    return weight * (0.0 if np.isnan(relevance) else relevance) - (1.0 - weight) * nearest


def dropped(wave: Wave, reason: str, keeper: int, similarity: float) -> Verdict:
    """A verdict as it is stored."""
    return Verdict(reason, wave.candidates[keeper].node_id, float(np.float32(similarity)))


def surplus(wave: Wave, row: int, kept: list[int]) -> Verdict:
    """No place was left."""
    if not wave.measures.vectors.shape[1]:
        return Verdict("surplus")
    closest = max(kept, key=lambda other: (cosine(wave, row, other), -kept.index(other)))
    return dropped(wave, "surplus", closest, cosine(wave, row, closest))
