"""The files that make rows real: the run file, a wave's manifest, a snapshot.

A manifest's existence is the commit of its wave. Each file carries a digest of its own content,
so that an edited or damaged one is found.
"""

import json
import re
import reprlib
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from schemas.curation_spec import Strict
from schemas.dialect import Dialect, Ids
from schemas.errors import CorruptData, EnvironmentMismatch, NewerSchema
from schemas.fingerprint import Identity, canonical, digest
from schemas.generation_spec import GenerationSpec
from schemas.node_table import TABLE_VERSION
from schemas.refine_spec import RefineSpec
from schemas.wave_id import WaveId

FORMAT_VERSION = 4

_HALF_A_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")
_SHOWN = 3

Amount = Annotated[int, Field(ge=0, le=2**63 - 1)]
Moment = Annotated[float, Field(ge=0, le=1e12)]
"""Seconds since 1970."""
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256."""
Word = Annotated[str, Field(pattern=r"^[0-9A-Za-z_-]{1,64}$")]
"""A part of a file's name."""


Epoch = Annotated[int, Field(ge=0, le=2**31 - 1)]
"""The number of the last repair that retired a wave; 0 while none did."""


def _canonical(wave: str) -> str:
    if WaveId.parse(wave).name != wave:
        raise ValueError(f"found {wave}, expected {WaveId.parse(wave).name}")
    return wave


Wave = Annotated[
    str,
    Field(pattern=r"^[0-9]{6,10}(\.[0-9]{1,10})*$", max_length=2048),
    AfterValidator(_canonical),
]


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
            _check_characters(payload, content)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CorruptData(
                f"{name}: not a sealed JSON file, it was damaged: {_told(error)}."
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
            raise CorruptData(f"{name}: unexpected content: {_in_short(error)}.") from error


def _check_characters(payload: bytes, content: Any) -> None:
    """Halves of surrogate pairs can be spelled in JSON and written nowhere else."""
    if _HALF_A_PAIR.search(payload):
        json.dumps(content, ensure_ascii=False).encode()


def _told(error: Exception) -> str:
    """Without the bytes that could not be read, of which there may be megabytes."""
    if isinstance(error, UnicodeError):
        return f"no text of {error.args[0]}"
    return reprlib.repr(str(error) or type(error).__name__)


def _in_short(error: ValidationError) -> str:
    found = [
        f"{'.'.join(map(str, one['loc']))[:200]}: {one['msg'][:300]}, "
        f"found {reprlib.repr(one['input'])[:100]}"
        for one in error.errors(include_url=False)
    ]
    more = f" and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else ""
    return "; ".join(found[:_SHOWN]) + more


class BadRow(Strict):
    """A row of a data set that nothing can grow from."""

    where: str
    """File and row."""
    why: str


class RowCount(Strict):
    """What a list or data set has to grow from."""

    good: Amount
    bad: Amount = 0
    examples: tuple[BadRow, ...] = ()
    """The first of the bad ones."""


class RunFile(Sealed):
    """`run.json`: what the run was asked for, written once before the first wave."""

    run_id: Word
    table_version: int = TABLE_VERSION
    arborist: str
    generation: GenerationSpec
    identity: Identity
    rows: RowCount
    """What its trees grow from."""
    tongues: tuple[int, ...]
    """By model index, which dialect the model speaks."""
    dialects: tuple[Dialect, ...]
    phrases: tuple[dict[str, Ids], ...]
    """By tongue, the ids of each text that the run itself says between turns."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        models, tongues = 1 + len(self.generation.models), len(self.dialects)
        if not (len(self.tongues) == len(self.identity.models) == models):
            raise ValueError(f"tongues, identity.models: expected one for each of {models} models")
        if sorted(set(self.tongues)) != list(range(tongues)) or len(self.phrases) != tongues:
            raise ValueError(
                f"tongues, phrases: expected to be of the {tongues} dialects, found the tongues "
                f"{self.tongues} and phrases of {len(self.phrases)}"
            )
        return self


Table = Literal["nodes", "dropped", "asides", "features", "logprobs", "roots", "drops"]
"""Kept rows, dropped rows, what was said about rows (judgements, critiques, drafts), numbers about
them, the most likely tokens at each of their positions, what trees grow from; and what a snapshot
leaves out of the kept rows."""


_SHARD = re.compile(r"[a-z]+/[0-9]{5,10}(\.[0-9]{1,10})*-[0-9A-Za-z_-]{1,64}\.parquet")


class ShardEntry(Strict):
    """One immutable Parquet file."""

    name: Annotated[str, Field(max_length=4096)]
    rows: Annotated[int, Field(ge=0, le=2**31 - 1)]
    bytes: Amount
    sha256: Digest
    table: Table
    """What its rows are, and the folder it lies in."""

    @model_validator(mode="after")
    def _lies_in_its_folder(self) -> Self:
        if not _SHARD.fullmatch(self.name) or not self.name.startswith(f"{self.table}/"):
            raise ValueError(
                f"name: found {self.name[:200]!r}, expected {self.table}/<wave>-<attempt>.parquet"
            )
        return self

    @property
    def stem(self) -> str:
        """Wave and attempt, which the shards of a wave share."""
        return self.name.rpartition("/")[2].removesuffix(".parquet")

    @property
    def wave(self) -> WaveId:
        """The wave that it is named after; a drop list is of none."""
        return WaveId.parse(self.stem.partition("-")[0])


class Counts(Strict):
    """What a wave was asked for and what became of it; the sums must agree."""

    asked: Amount
    kept: Amount
    dropped: dict[str, Amount] = {}
    """By reason; failed requests are among them, as `failed:<kind>`."""
    prompt_tokens: Amount = 0
    output_tokens: Amount = 0
    asides: dict[str, Amount] = {}
    """Rows beside the candidates, by kind, failed ones apart: judgements, critiques, drafts that
    were written again, and rewrites that did not take their draft's place."""
    aside_tokens: Amount = 0
    """Sampled for them."""
    unused_tokens: Amount = 0
    """Sampled ahead for turns that were not kept; which of them, is known by the time of a commit.
    No rows hold them."""
    given: Amount = 0
    """Rows below the roots that were not sampled: references that stand in for an answer."""

    @property
    def sampled_tokens(self) -> int:
        """All, whatever became of them."""
        return self.output_tokens + self.aside_tokens + self.unused_tokens

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
    """`ledger/<wave>.json`, after a repair `ledger/<wave>-<epoch>.json`: a wave that happened."""

    run_id: Word
    wave: Wave
    attempt: Word
    """The process that won the wave."""
    epoch: Epoch = 0
    """The number of the last repair that retired the wave; 0 while none did."""
    shards: tuple[ShardEntry, ...]
    counts: Counts
    frontier: Amount
    """Kept nodes that will be expanded: how many parents its child waves have."""
    started_at: Moment
    finished_at: Moment
    software: tuple[Software, ...] = ()
    gpus: Annotated[float, Field(ge=0, le=1e9)] = 0.0
    """Held by the engines of the attempt."""


class Repair(Sealed):
    """`repairs/<number>.json`: what counts no more, because something in it was damaged."""

    run_id: Word
    number: Annotated[int, Field(ge=1, le=2**31 - 1)]
    waves: tuple[Wave, ...]
    """The topmost; all waves below grew from them and are retired with them."""
    snapshots: tuple[int, ...] = ()
    """Those that are damaged themselves; who names a retired wave need not be listed."""
    withdrawn: tuple[str, ...] = ()
    """Nodes that snapshots before it left out by hand."""
    reasons: tuple[str, ...]
    """The first defects that were found."""


class ManifestEntry(Strict):
    """A manifest as a snapshot names it."""

    wave: Wave
    epoch: Epoch = 0
    digest: Digest
    """Of the manifest's bytes."""


class EarlierRun(Strict):
    """A run whose kept rows came first."""

    run_id: Word
    snapshot: Annotated[int, Field(ge=1, le=2**31 - 1)]


class Refinement(Strict):
    """What a drop list was made by."""

    round: Annotated[int, Field(ge=1, le=2**15 - 1)]
    """How many refinements led here, this one counted; those before left their drops."""
    spec: RefineSpec
    against: tuple[EarlierRun, ...] = ()
    dropped: dict[str, Amount] = {}
    """Rows of the whole drop list by reason."""


class Snapshot(Sealed):
    """`snapshots/<number>.json`: what may be read together. Immutable."""

    run_id: Word
    number: Annotated[int, Field(ge=1, le=2**31 - 1)]
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
    refined_from: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    """The number of the snapshot whose rows were compared."""
    refinement: Refinement | None = None

    @model_validator(mode="after")
    def _names_all_once(self) -> Self:
        _check_once("manifests", [entry.wave for entry in self.manifests])
        _check_once("shards", [entry.name for entry in self.shards])
        strange = [entry.name for entry in self.shards if entry.table == "drops"]
        if strange or (self.drops is not None and self.drops.table != "drops"):
            raise ValueError("shards, drops: expected the drop list, and nothing else, in `drops`")
        if self.refined_from is not None and self.refined_from >= self.number:
            raise ValueError(f"refined_from: expected one before {self.number}")
        return self


def _check_once(what: str, names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        doubled = Counter(names).most_common(1)[0][0]
        raise ValueError(f"{what}: found {doubled} twice, so its rows would be read twice")
