"""ExecutionSpec: where things lie and how the work is run. Never hashed; change it at any time."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from schemas.curation_spec import Strict
from schemas.generation_spec import GenerationSpec

DECIDE_ROWS = frozenset(
    {"model", "tokenizer", "dtype", "quantization", "hf_overrides", "generation_config"}
    | {"override_generation_config", "logits_processors", "logprobs_mode", "seed", "revision"}
)
"""Engine arguments that are not `execution`'s to say."""


class EngineGroupSpec(Strict):
    """The engines that share one model."""

    backend: Literal["vllm", "scripted"] = "vllm"
    model: str | None = None
    """Directory with weights, tokenizer and chat template, seen from driver and engines alike."""
    adapter: str | None = None
    """Directory of a LoRA adapter that the model writes with."""
    replicas: Annotated[int, Field(ge=1)] = 1
    gpus: Annotated[float, Field(ge=0)] = 0
    """Per engine."""
    cpus: Annotated[float, Field(ge=0)] = 1
    """Per engine."""
    max_num_seqs: Annotated[int, Field(ge=1)] = 256
    """Sequences an engine decodes at once."""
    max_num_batched_tokens: Annotated[int, Field(ge=1)] = 8192
    in_flight: Annotated[int, Field(ge=1)] | None = None
    """Children leased to one engine at once; None: twice max_num_seqs."""
    kv_cache_gib: Annotated[float, Field(gt=0)] | None = None
    """None: what the device has left (GPU), or 1 GiB (CPU)."""
    args: dict[str, Any] = {}
    """Further engine arguments, passed on as they are; none that decide rows."""
    scripted: dict[str, Any] = {}
    """Behaviour of a scripted engine: latency, length spread, faults."""

    @model_validator(mode="after")
    def _decides_no_rows(self) -> Self:
        for name in sorted(DECIDE_ROWS & self.args.keys()):
            raise ValueError(
                f"args.{name}: decides rows, so it is not this section's to say; dtype and "
                "quantization stand in generation.model, model and adapter beside args"
            )
        return self

    @property
    def lease(self) -> int:
        """Children leased to one engine at once."""
        return self.in_flight or 2 * self.max_num_seqs


class BudgetSpec(Strict):
    """Where a run stops early, whichever comes first; over all attempts at it together.

    No further cohort is begun then, those begun are finished, and what is sealed is a partial
    snapshot. The same file with a larger budget continues the run.
    """

    nodes: Annotated[int, Field(ge=1)] | None = None
    """Candidates sampled, kept or not."""
    tokens: Annotated[int, Field(ge=1)] | None = None
    """Tokens sampled, those about candidates among them."""
    hours: Annotated[float, Field(gt=0)] | None = None
    """In which waves were in flight, and in which the engines of the attempt that is going on load;
    what earlier attempts took to load is not known."""
    gpu_hours: Annotated[float, Field(gt=0)] | None = None
    """The same times the GPUs that engines held."""


class ExecutionSpec(Strict):
    """How a run is executed."""

    location: str
    """URI or path under which the run's folder lies: file://, s3://, memory://."""
    storage_options: dict[str, Any] = {}
    """Passed on to the filesystem. Secrets belong into the environment, not here."""
    pool: Literal["local", "ray"] = "ray"
    """Engines in this process, or one Ray actor each."""
    ray_address: str | None = None
    """None starts Ray on this machine; `auto` joins the cluster this machine belongs to."""
    engines: dict[str, EngineGroupSpec] = {"main": EngineGroupSpec()}
    roots: str | tuple[str, ...] = ()
    """Where the rows of `generation.roots.data` lie: files (.jsonl, .json, .parquet, .arrow, .txt,
    also .gz), patterns with `*`, a folder as data sets come in, or a sealed run. Their content
    joins the run's identity."""
    budget: BudgetSpec = BudgetSpec()
    gpu_hour_price: Annotated[float, Field(ge=0)] | None = None
    """What a GPU costs an hour, in any currency; for estimates."""
    embedder: str = "packaged"
    """What makes the vectors that siblings are chosen by: `packaged`, made once by `arborist
    prepare-model`; `hashing`, which needs nothing; or the directory of a static or
    sentence-transformers model, at the same place on the driver's and every worker's machine. Its
    content joins the run's identity."""
    benchmarks: tuple[str, ...] = ()
    """Files whose texts the `decontaminate` filter looks for: .jsonl, .json, .parquet, .txt. Their
    content joins the run's identity."""
    workers: Annotated[int, Field(ge=0)] | None = None
    """Processes that measure turns beside the engines; 0: this process; None: one an engine."""
    waves_in_flight: Annotated[int, Field(ge=1)] | None = None
    """At most; None: as many as keep every engine's lease full, twice over."""
    attempts: Annotated[int, Field(ge=1)] = 3
    """Engine losses a request may live through before it is set aside as poison."""
    restarts: Annotated[int, Field(ge=0)] = 8
    """Engines replaced in one attempt at the run, over all engines."""
    start_s: Annotated[float, Field(gt=0)] = 900.0
    """An engine or worker that has not loaded by then is given up."""
    stall_s: Annotated[float, Field(gt=0)] = 180.0
    """An engine whose steps and tokens stand still for so long while it has work is replaced; so is
    a worker that takes so long over one part of a wave."""
    max_failed_share: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Beyond this share of failed requests (and at least 100 asked) the run stops, resumable."""


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
