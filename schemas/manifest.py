"""The files that make rows real: the run file, a wave's manifest, a snapshot.

A manifest's existence is the commit of its wave. Each file carries a digest of its own content,
so that an edited or damaged one is found.
"""

import json
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError

from schemas.curation_spec import Strict
from schemas.dialect import Dialect
from schemas.errors import CorruptData, EnvironmentMismatch, NewerSchema
from schemas.fingerprint import Identity, canonical, digest
from schemas.generation_spec import GenerationSpec
from schemas.node_table import TABLE_VERSION
from schemas.refine_spec import RefineSpec

FORMAT_VERSION = 2


class Sealed(Strict):
    """A JSON file with its format version and its own digest."""

    format: int = FORMAT_VERSION

    def to_bytes(self) -> bytes:
        """As it is stored."""
        content = self.model_dump(mode="json")
        return json.dumps(content | {"digest": digest(canonical(content))}, indent=1).encode()

    @classmethod
    def from_bytes(cls, payload: bytes, *, name: str) -> Self:
        """As it was stored, or an error that names what is wrong with it."""
        try:
            content: dict[str, Any] = json.loads(payload)
            stored = content.pop("digest")
            found = content["format"]
            own = digest(canonical(content))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CorruptData(
                f"{name}: not a sealed JSON file, it was damaged: {error!r}"
            ) from error
        if isinstance(found, int) and found > FORMAT_VERSION:
            raise NewerSchema(
                f"{name}: written in format {found}, this version reads up to {FORMAT_VERSION}; "
                "use the newer version of arborist that wrote it."
            )
        if isinstance(found, int) and found < FORMAT_VERSION:
            raise EnvironmentMismatch(
                f"{name}: written in format {found}, this version reads format {FORMAT_VERSION}; "
                "use the older version of arborist that wrote it, or begin the run again."
            )
        if own != stored:
            raise CorruptData(
                f"{name}: its digest does not match its content; it was edited or damaged."
            )
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise CorruptData(f"{name}: unexpected content: {error}") from error


class BadRow(Strict):
    """A row of a data set that nothing can grow from."""

    where: str
    """File and row."""
    why: str


class RowCount(Strict):
    """What a list or data set has to grow from."""

    good: int
    bad: int = 0
    examples: tuple[BadRow, ...] = ()
    """The first of the bad ones."""


class RunFile(Sealed):
    """`run.json`: what the run was asked for, written once before the first wave."""

    run_id: str
    table_version: int = TABLE_VERSION
    arborist: str
    generation: GenerationSpec
    identity: Identity
    rows: RowCount
    """What its trees grow from."""
    tongues: tuple[int, ...]
    """By model index, which dialect the model speaks."""
    dialects: tuple[Dialect, ...]
    phrases: tuple[dict[str, tuple[int, ...]], ...]
    """By tongue, the ids of each text that the run itself says between turns."""


Table = Literal["nodes", "dropped", "asides", "features", "logprobs", "roots", "drops"]
"""Kept rows, dropped rows, what was said about rows (judgements, critiques, drafts), numbers about
them, the most likely tokens at each of their positions, what trees grow from; and what a snapshot
leaves out of the kept rows."""


class ShardEntry(Strict):
    """One immutable Parquet file."""

    name: str
    rows: int
    bytes: int
    sha256: str
    table: Table
    """What its rows are, and the folder it lies in."""


class Counts(Strict):
    """What a wave was asked for and what became of it; the sums must agree."""

    asked: int
    kept: int
    dropped: dict[str, int] = {}
    """By reason; failed requests are among them, as `failed:<kind>`."""
    prompt_tokens: int = 0
    output_tokens: int = 0
    asides: dict[str, int] = {}
    """Rows beside the candidates, by kind, failed ones apart: judgements, critiques, drafts that
    were written again, and rewrites that did not take their draft's place."""
    aside_tokens: int = 0
    """Sampled for them."""
    given: int = 0
    """Rows below the roots that were not sampled: references that stand in for an answer."""

    @property
    def num_dropped(self) -> int:
        """All drops, failures included."""
        return sum(self.dropped.values())

    @property
    def num_failed(self) -> int:
        """Requests that gave no text."""
        return sum(n for reason, n in self.dropped.items() if reason.startswith("failed:"))


class Software(Strict):
    """What made a wave."""

    backend: str
    backend_version: str
    torch: str = ""
    device: str
    dtype: str
    sampler: str = ""


class Manifest(Sealed):
    """`ledger/<wave>.json`: a wave that happened."""

    run_id: str
    wave: str
    attempt: str
    """The process that won the wave."""
    epoch: int = 0
    shards: tuple[ShardEntry, ...]
    counts: Counts
    frontier: Annotated[int, Field(ge=0)]
    """Kept nodes that will be expanded: how many parents its child waves have."""
    started_at: float
    finished_at: float
    software: tuple[Software, ...] = ()
    gpus: float = 0.0
    """Held by the engines of the attempt."""


class ManifestEntry(Strict):
    """A manifest as a snapshot names it."""

    wave: str
    digest: str
    """SHA-256 of the manifest's bytes."""


class EarlierRun(Strict):
    """A run whose kept rows came first."""

    run_id: str
    snapshot: int


class Refinement(Strict):
    """What a drop list was made by."""

    round: Annotated[int, Field(ge=1)]
    """How many refinements led here, this one counted; those before left their drops."""
    spec: RefineSpec
    against: tuple[EarlierRun, ...] = ()
    dropped: dict[str, int] = {}
    """Rows of the whole drop list by reason."""


class Snapshot(Sealed):
    """`snapshots/<number>.json`: what may be read together. Immutable."""

    run_id: str
    number: int
    complete: bool
    """False where it is the longest prefix of complete cohorts only."""
    guarantee: Literal["none", "seeded", "batch-invariant"]
    biases: tuple[str, ...] | None = None
    """Settings by which its rows are no unbiased sample of what the model writes; () where they
    are one; None where the recipe does not claim it."""
    manifests: tuple[ManifestEntry, ...]
    shards: tuple[ShardEntry, ...]
    counts: Counts
    software: tuple[Software, ...]
    """Every combination that made its rows; more than one after a resume elsewhere."""
    drops: ShardEntry | None = None
    """The kept rows that it leaves out after all."""
    refined_from: int | None = None
    """The number of the snapshot whose rows were compared."""
    refinement: Refinement | None = None
