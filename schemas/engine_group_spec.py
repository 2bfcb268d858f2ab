"""EngineGroupSpec: the engines that share one model, and what each of them needs."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from schemas.bounds import MANY, Count, Seconds
from schemas.curation_spec import Strict

DECIDE_ROWS = frozenset(
    {"model", "tokenizer", "dtype", "quantization", "hf_overrides", "generation_config"}
    | {"override_generation_config", "logits_processors", "logprobs_mode", "seed", "revision"}
)
"""Engine arguments that are not `execution`'s to say."""

OWN_ARGS = {
    "tensor_parallel_size": "tensor_parallel",
    "pipeline_parallel_size": "pipeline_parallel",
}
"""Engine arguments that places are found by, and the settings that say them."""

DEFAULT_CPUS = 1.0
SLOTS = 256
"""Sequences that an engine on CPUs, or with a share of a GPU, decodes at once."""
MOST_SLOTS = 1024
"""Of an engine with a whole GPU: the most that vLLM takes by itself."""

Engines = Annotated[int, Field(ge=1, le=MANY)]

_VALUE = "[a-zA-Z0-9]([-a-zA-Z0-9_.]{0,61}[a-zA-Z0-9])?"
Selector = Annotated[str, Field(pattern=rf"^!?({_VALUE}|in\({_VALUE}(, ?{_VALUE})*\))$")]
"""As Ray selects nodes by a label: `a`, `!a`, `in(a,b)`, `!in(a,b)`."""


class ReplicasSpec(Strict):
    """As many engines as find a place, between two numbers."""

    least: Engines = 1
    """Asked for before anything else, and never let go. Work begins with the first that has
    loaded."""
    most: Engines
    """Those above the least come and go: with what the cluster has, and with the work."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.most < self.least:
            raise ValueError(f"most: found {self.most}, expected at least `least`, {self.least}")
        return self


class ServerSpec(Strict):
    """Running servers with the API of OpenAI that take and return token ids, as vLLM's do. Their
    weights are not seen: they are believed to be those of the group's `model`."""

    urls: Annotated[tuple[str, ...], Field(min_length=1)]
    """Of each its root, up to and without `/v1`; engines are spread over them."""
    name: str | None = None
    """Under which the model is served; None where a server serves one only."""
    key_variable: str | None = None
    """Of the environment, which holds the key."""
    timeout_s: Seconds = 600.0
    """For an answer."""


class EngineGroupSpec(Strict):
    """The engines that share one model."""

    backend: Literal["vllm", "server", "scripted"] = "vllm"
    model: str | None = None
    """Directory with weights, tokenizer and chat template, seen from driver and engines alike; or
    the URI of one, which is copied to `execution.cache` once on each machine."""
    adapter: str | None = None
    """Directory of a LoRA adapter that the model writes with."""
    replicas: Engines | ReplicasSpec = 1
    """Engines: a number, or `{least, most}`."""
    loading: Engines = 8
    """So many load at once, so that many do not ask one disk or store for weights together."""
    gpus: Annotated[float, Field(ge=0, le=MANY)] = 0
    """Per engine; a share below 1 for several engines on one GPU."""
    cpus: Annotated[float, Field(ge=0, le=MANY)] | None = None
    """Per engine. None: without GPUs, on this machine alone, an even share of its cores; else 1."""
    tensor_parallel: Engines = 1
    """GPUs that each layer is divided among; all of an engine's lie on one node."""
    pipeline_parallel: Engines = 1
    """Stages that the layers are divided into; stages may lie on several nodes."""
    accelerator: str | None = None
    """The type of GPU, in Ray's words: `H100`, `A100-80G`."""
    labels: dict[str, Selector] = {}
    """Labels of the nodes that engines may lie on, in Ray's words: `{"ray.io/market-type":
    "!spot"}`, `{"pool": "in(a,b)"}`."""
    environment: dict[str, str] = {}
    """Variables of the engines' processes; no secrets."""
    server: ServerSpec | None = None
    max_num_seqs: Count | None = None
    """Sequences an engine decodes at once. None: as vLLM knows the GPU (1024 from 70 GiB on, else
    256); 256 on CPUs and on a share of a GPU."""
    max_num_batched_tokens: Count | None = None
    """Tokens of a step. None: as vLLM knows the GPU (16384 or 8192); 8192 on CPUs and on a share of
    a GPU."""
    in_flight: Count | None = None
    """Children leased to one engine at once; None: twice max_num_seqs, on whole GPUs 2048 where
    that is not said."""
    kv_cache_gib: Annotated[float, Field(gt=0, le=2**20)] | None = None
    """None: what the GPU has left; on CPUs an eighth of the memory, from 1 to 16 GiB, less where
    several engines share the machine."""
    args: dict[str, Any] = {}
    """Further engine arguments, passed on as they are; none that decide rows. With
    `trust_remote_code: true` the engine runs code out of the model's directory, whose digest then
    joins the run's identity; nothing else ever does."""
    scripted: dict[str, Any] = {}
    """Behaviour of a scripted engine: latency, length spread, faults."""

    @model_validator(mode="after")
    def _decides_no_rows(self) -> Self:
        for name in sorted(DECIDE_ROWS & self.args.keys()):
            raise ValueError(
                f"args.{name}: decides rows, so it is not this section's to say; dtype and "
                "quantization stand in generation.model, model and adapter beside args"
            )
        if "hf_token" in self.args:
            raise ValueError(
                "args.hf_token: found a secret, expected none: models are read from directories, "
                "and nothing is downloaded"
            )
        return self

    @model_validator(mode="after")
    def _stands_on_gpus(self) -> Self:
        for name in OWN_ARGS.keys() & self.args.keys():
            raise ValueError(f"args.{name}: decides where engines lie; expected `{OWN_ARGS[name]}`")
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise ValueError(
                f"gpus: found {self.gpus:g}; expected a whole number of GPUs an engine, or a share "
                "below 1"
            )
        if self.gpus and max(1.0, self.gpus) != self.ranks:
            raise ValueError(
                f"gpus: found {self.gpus:g}, but tensor_parallel {self.tensor_parallel} x "
                f"pipeline_parallel {self.pipeline_parallel} needs {self.ranks}"
            )
        if (self.server is not None) != (self.backend == "server"):
            raise ValueError("server: expected with `backend: server`, and only there")
        return self

    @property
    def booked(self) -> float:
        """CPUs of an engine, where nothing is known of the machines."""
        return DEFAULT_CPUS if self.cpus is None else self.cpus

    @property
    def slots(self) -> int:
        """Sequences an engine decodes at once, as far as that is known before it has a place."""
        return self.max_num_seqs or (MOST_SLOTS if self.gpus >= 1 else SLOTS)

    @property
    def ranks(self) -> int:
        """Processes that compute one engine."""
        return self.tensor_parallel * self.pipeline_parallel

    @property
    def least(self) -> int:
        """Engines that are asked for first."""
        return self.replicas if isinstance(self.replicas, int) else self.replicas.least

    @property
    def most(self) -> int:
        """Engines that there may be."""
        return self.replicas if isinstance(self.replicas, int) else self.replicas.most

    @property
    def lease(self) -> int:
        """Children leased to one engine at once."""
        return self.in_flight or 2 * self.slots
