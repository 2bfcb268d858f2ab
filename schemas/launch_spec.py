"""LaunchSpec: how `arborist submit` starts a run on Ray, on Kubernetes, or under Slurm.

What engines need stands in `execution.engines` and is not said again here; a launcher turns it into
nodes, pods and tasks.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from schemas.bounds import MANY, Count, Seconds
from schemas.filter_spec import Strict
from schemas.secrets import secret_options

Gib = Annotated[float, Field(gt=0, le=2**20)]
Nodes = Annotated[int, Field(ge=1, le=MANY)]
Name = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$")]
"""As Kubernetes and Slurm both take it."""


class SecretSpec(Strict):
    """A value that is kept by the cluster, named here and never written down."""

    name: str
    """Of the Kubernetes secret."""
    key: str


class VolumeSpec(Strict):
    """A folder that pods see."""

    path: str
    """In the pod."""
    claim: str | None = None
    """Of a persistent volume."""
    host: str | None = None
    """A folder on the node instead, such as a local disk for caches."""
    read_only: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.claim is None) == (self.host is None):
            raise ValueError("expected either claim or host, and not both")
        return self


class RayLaunchSpec(Strict):
    """A job on a running Ray cluster, by its Jobs API."""

    address: str | None = None
    """Of the dashboard, `http://HOST:8265`. None: RAY_API_SERVER_ADDRESS, else this machine's."""
    working_dir: str | None = None
    """What the job is started in, sent along. None: only the spec is sent, and Arborist is
    installed on the cluster."""
    runtime_env: dict[str, Any] = {}
    """Further fields of Ray's runtime environment; no secrets. Never install vLLM there: bake an
    image."""
    driver_labels: dict[str, str] = {}
    """Labels of the node that the driver may lie on, such as `{"ray.io/market-type": "!spot"}`."""
    driver_resources: dict[str, float] = {}
    """Custom resources that the driver takes, to lie on a node that has them."""


class KubernetesLaunchSpec(Strict):
    """A RayJob of KubeRay."""

    namespace: str | None = None
    service_account: str | None = None
    queue: str | None = None
    """Of Kueue."""
    priority: str | None = None
    """Class of Kueue."""
    autoscaling: bool = False
    """Whether nodes follow the engines between `least` and `most`."""
    gpus_per_node: Nodes = 8
    gpu_resource: str = "nvidia.com/gpu"
    driver_cpus: Annotated[float, Field(gt=0, le=1024)] = 4
    driver_memory_gib: Gib = 16
    memory_gib: Gib | None = None
    """Of a worker pod. None: 16 and 8 more a CPU of its engines."""
    shared_memory_gib: Gib = 16
    node_selector: dict[str, str] = {}
    """Of the worker pods."""
    accelerator_selectors: dict[str, dict[str, str]] = {}
    """By the engines' `accelerator`, what the nodes of their pods are selected by besides:
    `{H100: {nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3}}`."""
    driver_node_selector: dict[str, str] = {}
    """Of the head, where the driver runs: keep it off spot nodes."""
    tolerations: tuple[dict[str, Any], ...] = ()
    """Of the worker pods, as Kubernetes has them."""
    volumes: dict[str, VolumeSpec] = {}
    """By name, in head and workers alike."""
    secrets: dict[str, SecretSpec] = {}
    """By the variable of the environment that holds the value."""
    keep_s: Count = 600
    """How long a finished job's objects stay."""
    pending_s: Seconds | None = 3600.0
    """Until the cluster must stand."""
    auth: Literal["token", "disabled"] = "token"
    """Of Ray's own ports."""


class SlurmLaunchSpec(Strict):
    """A batch script for Slurm, on `ray symmetric-run`."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    nodes: Nodes | None = None
    """None: as many as the engines' least need."""
    gpus_per_node: Nodes = 8
    gpu_type: str | None = None
    """As in `--gpus-per-node=TYPE:N`."""
    cpus_per_node: Nodes | None = None
    """None: whole nodes, by `--exclusive`."""
    memory_gib: Gib | None = None
    """Of a node. None: all of it."""
    container: str | None = None
    """An image for pyxis (`--container-image`); None runs what `setup` makes ready."""
    mounts: tuple[str, ...] = ()
    """What the container sees besides the folder that the job is submitted from, as pyxis has it:
    `/data:/data`."""
    setup: tuple[str, ...] = ()
    """Lines of shell before Ray starts: modules, a virtual environment."""
    options: tuple[str, ...] = ()
    """Further options of sbatch, as they are."""


class LaunchSpec(Strict):
    """What every launcher needs, and a section for each."""

    name: Name | None = None
    """Of the job. None: from the file's name."""
    image: str | None = None
    """With Arborist, vLLM and Ray; the same on all nodes."""
    retries: Annotated[int, Field(ge=0, le=1000)] = 3
    """How often a job that failed or was preempted is started again; it continues the run."""
    time_limit_s: Seconds | None = None
    environment: dict[str, str] = {}
    """Variables of driver and engines; no secrets."""
    ray: RayLaunchSpec = RayLaunchSpec()
    kubernetes: KubernetesLaunchSpec = KubernetesLaunchSpec()
    slurm: SlurmLaunchSpec = SlurmLaunchSpec()

    @model_validator(mode="after")
    def _tells_no_secret(self) -> Self:
        found = [f"environment.{name}" for name in secret_options(self.environment)]
        found += [f"ray.runtime_env.{name}" for name in secret_options(self.ray.runtime_env)]
        if found:
            raise ValueError(
                f"{', '.join(found)}: found a secret, expected none. The cluster keeps it: as a "
                "Kubernetes secret named in launch.kubernetes.secrets, or in the environment of "
                "its nodes"
            )
        return self
