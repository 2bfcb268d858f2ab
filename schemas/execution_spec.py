"""ExecutionSpec: where things lie and how the work is run. Never hashed; change it at any time."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from schemas.bounds import A_YEAR_S, MANY, Count, Seconds
from schemas.curation_spec import Strict
from schemas.engine_group_spec import EngineGroupSpec
from schemas.generation_spec import GenerationSpec
from schemas.launch_spec import LaunchSpec
from schemas.secrets import BELONG, holds_secret, secret_options


class BudgetSpec(Strict):
    """Where a run stops early, whichever comes first; over all attempts at it together, without
    what the waves took that `arborist repair` retired.

    No further cohort is begun then, those begun are finished, and what is sealed is a partial
    snapshot. The same file with a larger budget continues the run.
    """

    nodes: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    """Candidates sampled, kept or not."""
    tokens: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    """Tokens sampled, those about candidates among them."""
    hours: Annotated[float, Field(gt=0, le=1e9)] | None = None
    """In which waves were in flight, and in which the engines of the attempt that is going on load;
    what earlier attempts took to load is not known."""
    gpu_hours: Annotated[float, Field(gt=0, le=1e12)] | None = None
    """The same times the GPUs that engines held."""


class ExecutionSpec(Strict):
    """How a run is executed."""

    location: Annotated[str, Field(min_length=1)]
    """URI or path under which the run's folder lies: file://, s3://, memory://."""
    storage_options: dict[str, Any] = {}
    """Passed on to the filesystem of `location`, and of roots and benchmarks in the same kind of
    store. Secrets belong into the environment, and are refused here."""
    pool: Literal["local", "ray"] = "ray"
    """Engines in this process, or one Ray actor each."""
    ray_address: str | None = None
    """None starts Ray on this machine; `auto` joins the cluster this machine belongs to."""
    drivers: Annotated[int, Field(ge=1, le=MANY)] = 1
    """Processes that share the run, each with engines of its own: `arborist submit` starts so many.
    More may join at any time, since each takes what nobody else has claimed."""
    claim_s: Annotated[float, Field(ge=1, le=A_YEAR_S)] = 60.0
    """A driver of which nothing was heard for so long is taken for dead, and what it claimed is
    taken over by others."""
    cache: str | None = None
    """A folder on the disk of each engine's machine: for models that come from a store, and for
    what engines compile; so that a replaced engine is back fast. None: below the user's cache
    folder."""
    engines: dict[str, EngineGroupSpec] = {"main": EngineGroupSpec()}
    roots: str | tuple[str, ...] = ()
    """Where the rows of `generation.roots.data` lie: files (.jsonl, .json, .parquet, .arrow, .txt,
    also .gz), patterns with `*`, a folder as data sets come in, or a sealed run. Their content
    joins the run's identity."""
    budget: BudgetSpec = BudgetSpec()
    gpu_hour_price: Annotated[float, Field(ge=0, le=1e9)] | None = None
    """What a GPU costs an hour, in any currency; for estimates."""
    embedder: str = "packaged"
    """What makes the vectors that siblings are chosen by: `packaged`, made once by `arborist
    prepare-model`; `hashing`, which needs nothing; or the directory of a static or
    sentence-transformers model, at the same place on the driver's and every worker's machine. Its
    content joins the run's identity."""
    benchmarks: tuple[str, ...] = ()
    """Files whose texts the `decontaminate` filter looks for: .jsonl, .json, .parquet, .txt. Their
    content joins the run's identity."""
    workers: Annotated[int, Field(ge=0, le=MANY)] | None = None
    """Processes that measure turns beside the engines; 0: this process; None: one an engine."""
    waves_in_flight: Count | None = None
    """At most; None: as many as keep every engine's lease full, twice over."""
    ask_ahead: Annotated[float, Field(ge=0, le=1)] | None = None
    """Engines that would idle until a wave is whole write children of those of its turns that are
    there, where by what was kept so far at least this share of them will be wanted; 1: where
    nothing was dropped. The tokens of the others are counted as unused. None: 0.5 where all engines
    have GPUs, on which sequences beside others cost next to nothing; else 0.9."""
    attempts: Count = 3
    """Engine losses a request may live through before it is set aside as poison."""
    restarts: Annotated[int, Field(ge=0, le=2**31 - 1)] = 8
    """Engines replaced in one attempt at the run, over all engines, because they raised or stalled:
    failures of the work."""
    machine_restarts: Annotated[int, Field(ge=0, le=2**31 - 1)] = 100
    """Engines replaced in one attempt at the run because their process was killed or their node
    lost: failures of machines. An announced preemption is not counted."""
    wait_s: Seconds = 1800.0
    """How long a group of which no engine has loaded waits for a place before the run stops,
    resumable."""
    start_s: Seconds = 900.0
    """An engine or worker that has not loaded by then is given up; an engine's time begins with
    its place."""
    stall_s: Seconds = 180.0
    """An engine whose steps and tokens stand still for so long while it has work is replaced; so is
    a worker that takes so long over one part of a wave."""
    grace_s: Annotated[float, Field(ge=0, le=A_YEAR_S)] = 20.0
    """What SIGTERM leaves for waves in flight to become whole; then the rest is dropped, and the
    run stops, resumable. What comes on top: commits that are going on, with the store's retries,
    and what it takes to close, of which engines get 2 s. Schedulers usually kill after 30 s."""
    launch: LaunchSpec = LaunchSpec()
    """How `arborist submit` starts it elsewhere."""
    max_failed_share: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Beyond this share of failed requests (and at least 100 asked) the run stops, resumable."""

    def options_at(self, locations: Sequence[str]) -> dict[str, Any]:
        """`storage_options`, unless they were meant for the run's store and these lie elsewhere."""
        own, *others = (uri.partition("://")[::2] for uri in (self.location, *locations))
        in_folder = not own[1] or own[0] == "file"
        return self.storage_options if in_folder or any(o[0] == own[0] for o in others) else {}

    @model_validator(mode="after")
    def _tells_no_secret(self) -> Self:
        roots = (self.roots,) if isinstance(self.roots, str) else self.roots
        places = {"location": (self.location,), "roots": roots, "benchmarks": self.benchmarks}
        for name, group in self.engines.items():
            places[f"engines.{name}.model"] = (group.model or "",)
            places[f"engines.{name}.server.urls"] = group.server.urls if group.server else ()
        found = [name for name, uris in places.items() if any(map(holds_secret, uris))]
        found += [f"storage_options.{name}" for name in secret_options(self.storage_options)]
        if found:
            raise ValueError(f"{', '.join(found)}: found a secret, expected none. {BELONG}")
        return self


class RunSpec(Strict):
    """One YAML file: the two sections."""

    generation: GenerationSpec
    execution: ExecutionSpec

    @model_validator(mode="after")
    def _groups_exist(self) -> Self:
        known = sorted(self.execution.engines)
        for where, group in self.generation.named_groups():
            if group not in known:
                raise ValueError(
                    f"generation.{where}: found {group}, "
                    f"expected one of execution.engines: {', '.join(known)}"
                )
        if self.generation.roots.data is not None and not self.execution.roots:
            raise ValueError(
                "execution.roots: empty, but generation.roots.data reads rows; expected files, a "
                "folder or a run"
            )
        return self
