"""The values that travel: root, request, outcome, candidate, verdict.

Token ids travel as int32 arrays, so that they cross processes as buffers and are hashed without
copying. Dataclasses that hold arrays compare by identity; compare them through their tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int32]
Role = Literal["system", "user", "assistant", "text"]
"""Who speaks; `text` is plain text, without a template."""
Kind = Literal["turn", "judge", "draft", "critique", "rewrite"]
Origin = Literal["sampled", "given", "rewritten"]


def to_ids(values: "list[int] | tuple[int, ...] | Ids") -> Ids:
    """Token ids in the one form in which they travel."""
    return np.asarray(values, dtype=np.int32)


class Message(NamedTuple):
    """One message that is given, not sampled."""

    role: Role
    text: str


Frame = tuple[Message, ...]
"""What stands before a tree's own turns; () is the template's own beginning. A `text` message
stands alone, after the id that begins a text, and without a template."""


@dataclass(frozen=True, slots=True)
class RootRow:
    """Something to grow from, as a list or a data set has it."""

    text: str = ""
    """The topic, the lead-in or the prompt, as the recipe reads it."""
    system: str = ""
    messages: Frame = ()
    """A whole conversation instead of `text` and `system`; it ends with a user's message."""
    reference: str | None = None
    """An answer that somebody else gave."""
    source: str = ""
    """Where it stands: a file and a row, or a node's id."""


@dataclass(frozen=True, slots=True, eq=False)
class Opening:
    """A frame as one model's ids, down to the last of its texts."""

    ids: Ids
    last: Role
    """Who speaks last in it; `system` where only the template has spoken."""


@dataclass(frozen=True, slots=True, eq=False)
class Root:
    """What one tree grows from, spelled in the ids of all models that write it."""

    tree_id: int
    frame: Frame
    """What readers of the tree see before its turns."""
    openings: Mapping[tuple[int, int], Opening]
    """By level and tongue, what stands before the turns while the children of that level are asked
    for; level 0 is `frame`, and every level that is not there is asked for like it."""
    reference: str | None = None
    reference_ids: Ids | None = None
    """In the tongue of the first level's model, where a recipe may fall back to it."""
    source: str = ""

    def opening(self, level: int, tongue: int) -> Opening:
        """What stands before the turns while children of a level are asked for."""
        return self.openings.get((level, tongue)) or self.openings[0, tongue]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an engine samples one turn. All children of one request share it."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    """0 keeps the whole vocabulary."""
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    stop_ids: tuple[int, ...] = ()
    stop_strings: tuple[str, ...] = ()
    logprobs: Literal["none", "sum", "tokens"] = "sum"
    top_logprobs: int = 0
    """So many of the most likely tokens are wanted at every position."""
    ignore_eos: bool = False
    """Only `stop_ids` and `stop_strings` end the turn, not what else the model ends texts with."""


class TopLogprobs(NamedTuple):
    """The most likely tokens at each position of a turn, its terminator's included."""

    ids: npt.NDArray[np.int32]
    """A row a position, the most likely first."""
    logprobs: npt.NDArray[np.float32]
    tail: npt.NDArray[np.float32]
    """By position, the mass of all other tokens."""


class ChildKey(NamedTuple):
    """Names one thing an engine is asked for; known before its text exists."""

    parent_id: str
    kind: Kind
    child_index: int


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """Ask for children `first_child .. first_child + n - 1` of one parent.

    The pool may cut the range; ids and seeds stay, because child i samples with `seed + i`.
    """

    wave: str
    """The name of the wave it belongs to: the unit of affinity to an engine."""
    parent_id: str
    first_child: int
    n: int
    prompt: Ids
    sampling: Sampling
    seed: int | None = None
    """base(parent); None lets the engine draw its own."""
    kind: Kind = "turn"
    group: str = "main"
    """The engine group that answers."""

    @property
    def keys(self) -> list[ChildKey]:
        """The children asked for, each of which gets exactly one outcome."""
        last = self.first_child + self.n
        return [ChildKey(self.parent_id, self.kind, i) for i in range(self.first_child, last)]

    def cut(self, head: int) -> "tuple[Request, Request]":
        """The same children as two requests, the first with `head` of them."""
        assert 0 < head < self.n
        tail_first = self.first_child + head
        return replace(self, n=head), replace(self, first_child=tail_first, n=self.n - head)

    def only(self, child_index: int) -> "Request":
        """The request for one of its children."""
        return replace(self, first_child=child_index, n=1)


@dataclass(frozen=True, slots=True, eq=False)
class Completion:
    """One child as it was sampled. `token_ids` exclude the terminator; text is their decoding."""

    key: ChildKey
    token_ids: Ids
    text: str
    finish_reason: str
    """`stop`, `length`, or what else the engine calls its end."""
    stop_id: int | None = None
    logprob_sum: float | None = None
    token_logprobs: npt.NDArray[np.float32] | None = None
    top: TopLogprobs | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """One child that was not made, and why. It is data: counted, and a row with this reason."""

    key: ChildKey
    reason: str
    """A short kind: `invalid`, `engine`, `poison`."""
    message: str


Outcome = Completion | Failure


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One row of the node table before its verdict."""

    tree_id: int
    node_id: str
    parent_id: str | None
    path: tuple[int, ...]
    """Child indices from the root down to this node; () for a root."""
    role: Role
    token_ids: Ids
    text: str
    kind: Kind = "turn"
    origin: Origin = "sampled"
    model_index: int = 0
    stop_id: int | None = None
    reasoning_tokens: int = 0
    """How many leading token ids are reasoning that the template strips from history."""
    finish_reason: str = ""
    failure: str | None = None
    """The failure's reason where no text was made."""
    logprob_sum: float | None = None
    token_logprobs: npt.NDArray[np.float32] | None = None
    prompt_hash: str | None = None
    top: TopLogprobs | None = None
    """Lies in a table of its own."""

    @property
    def level(self) -> int:
        """Distance from the root."""
        return len(self.path)

    @property
    def child_index(self) -> int:
        """Which candidate of its parent this is; -1 for a root."""
        return self.path[-1] if self.path else -1


@dataclass(frozen=True, slots=True)
class Verdict:
    """Keep (`drop_reason` is None), or drop for a reason, with the evidence."""

    drop_reason: str | None = None
    keeper_id: str | None = None
    """The kept node that it repeats, or that it is closest to."""
    similarity: float | None = None
    """To its keeper: Jaccard of shingles, or cosine of vectors, as the reason says."""
    mmr_rank: int | None = None
    """Among its siblings: in which place it was chosen, from 0."""

    @property
    def kept(self) -> bool:
        """Whether the node stays in the tree."""
        return self.drop_reason is None


KEEP = Verdict()


class Node(NamedTuple):
    """A candidate and what was decided about it: one row."""

    candidate: Candidate
    verdict: Verdict


class EngineReport(NamedTuple):
    """What an engine says it is, once it has loaded. Manifests carry it."""

    backend: str
    backend_version: str
    weights: str
    """Digest of the weights it loaded; must equal the run's."""
    device: str
    dtype: str
    torch: str = ""
    sampler: str = ""


class EngineStats(NamedTuple):
    """An engine's counters. The pool calls an engine alive while `steps` or `tokens` advance."""

    running: int = 0
    waiting: int = 0
    kv_use: float = 0.0
    """Share of the KV cache in use, 0..1."""
    steps: int = 0
    tokens: int = 0
    """Tokens sampled so far."""
    prompt_tokens: int = 0
    """Prompt tokens asked for so far, computed or served from cache."""
    cached_tokens: int = 0
    """Those of them served from the prefix cache."""
