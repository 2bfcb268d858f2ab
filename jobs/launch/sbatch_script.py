"""A run as a batch script for Slurm, on `ray symmetric-run`."""

import math
import re
import shlex
from collections.abc import Iterator

from jobs.launch.again import FINAL, LOST
from jobs.launch.nodes import least_nodes
from jobs.launch.parcel import Parcel
from jobs.launch.templates import filled
from jobs.wiring import used_groups
from schemas.errors import SpecError
from schemas.execution_spec import RunSpec
from schemas.launch_spec import LaunchSpec, SlurmLaunchSpec

_CLOSING_S = 100
"""How much earlier than `grace_s` a driver is told: it commits, and Ray has to be stopped."""
_CLEAN = 'srun --ntasks-per-node=1 rm -rf -- "$RAY_TMPDIR" || true'
_PLAIN = re.compile(r"[^\s\"'`$\\]+")


def job_name(parcel: Parcel) -> str:
    """Equal for one and the same run."""
    return f"{parcel.name}-{parcel.key}"


def sbatch_script(parcel: Parcel) -> str:
    """The script, complete with the spec."""
    launch = parcel.spec.execution.launch
    nodes = num_nodes(parcel.spec)
    return filled(
        "generate.sbatch",
        {
            "options": "\n".join(f"#SBATCH {each}" for each in _options(parcel, nodes)),
            "retries": str(launch.retries),
            "resumable": str(LOST),
            "final": " | ".join(map(str, FINAL)),
            "name": job_name(parcel),
            "fence": _fence(parcel.text),
            "spec": parcel.text.rstrip("\n"),
            "environment": "\n".join(_exports(launch)),
            "setup": "\n".join(launch.slurm.setup),
            "nodes": str(nodes),
            "container": "".join(f" \\\n  {each}" for each in _container(launch.slurm)),
            "ray_options": "".join(f" {each}" for each in _ray_options(parcel.spec)),
            "clean": "" if launch.slurm.container else _CLEAN,
        },
    ).rstrip("\n")


def notes(parcel: Parcel) -> Iterator[str]:
    """What to see to before it is sent."""
    slurm, engines = parcel.spec.execution.launch.slurm, used_groups(parcel.spec)
    gpus = f" of {slurm.gpus_per_node} GPUs" if _uses_gpus(parcel.spec) else ""
    yield f"nodes{gpus} for each driver: {num_nodes(parcel.spec)}"
    if slurm.cpus_per_node is not None:
        yield (
            "launch.slurm.cpus_per_node: a node may be shared then; `ray symmetric-run` does not "
            "start beside another Ray there, and stops all of yours on it when it ends"
        )
    if kinds := sorted({group.accelerator for group in engines.values() if group.accelerator}):
        yield f"launch.slurm.gpu_type or constraint: expected to give nodes with {', '.join(kinds)}"


def num_nodes(spec: RunSpec) -> int:
    """Of one driver; `SpecError` where engines would wait for ever."""
    slurm, engines = spec.execution.launch.slurm, used_groups(spec)
    for name, group in engines.items():
        if wanted := [key for key, value in group.labels.items() if not value.startswith("!")]:
            raise SpecError(
                f"execution.engines.{name}.labels: found {', '.join(wanted)}, but nodes under "
                "Slurm carry no labels of Ray's; expected launch.slurm.constraint instead."
            )
    needed = least_nodes(engines, slurm.gpus_per_node, slurm.cpus_per_node)
    if slurm.nodes is not None and slurm.nodes < needed:
        raise SpecError(
            f"launch.slurm.nodes: found {slurm.nodes}, but the least of the engines need {needed} "
            f"nodes of {slurm.gpus_per_node} GPUs; expected more nodes, or fewer engines."
        )
    return slurm.nodes or needed


def _uses_gpus(spec: RunSpec) -> bool:
    return any(group.gpus for group in used_groups(spec).values())


def _options(parcel: Parcel, nodes: int) -> Iterator[str]:
    execution = parcel.spec.execution
    launch, slurm = execution.launch, execution.launch.slurm
    several = execution.drivers > 1
    yield f"--job-name={job_name(parcel)}"
    yield f"--output=%x-{'%A_%a' if several else '%j'}.out"
    yield "--open-mode=append"
    yield f"--nodes={nodes}"
    yield "--ntasks-per-node=1"
    if several:
        yield f"--array=0-{execution.drivers - 1}"
    yield from _sizes(parcel.spec)
    yield "--requeue"
    yield f"--signal=B:TERM@{math.ceil(execution.grace_s) + _CLOSING_S}"
    if launch.time_limit_s is not None:
        yield f"--time={math.ceil(launch.time_limit_s / 60)}"
    for name in ("partition", "account", "qos", "constraint"):
        if value := getattr(slurm, name):
            yield f"--{name}={_plain(name, value)}"
    yield from (_one_line("options", option) for option in slurm.options)


def _sizes(spec: RunSpec) -> Iterator[str]:
    slurm = spec.execution.launch.slurm
    if _uses_gpus(spec):
        kind = f"{_plain('gpu_type', slurm.gpu_type)}:" if slurm.gpu_type else ""
        yield f"--gpus-per-node={kind}{slurm.gpus_per_node}"
    yield "--exclusive" if slurm.cpus_per_node is None else f"--cpus-per-task={slurm.cpus_per_node}"
    yield f"--mem={math.ceil(slurm.memory_gib)}G" if slurm.memory_gib else "--mem=0"


def _ray_options(spec: RunSpec) -> Iterator[str]:
    slurm = spec.execution.launch.slurm
    yield f"--num-gpus={slurm.gpus_per_node if _uses_gpus(spec) else 0}"
    if slurm.cpus_per_node is not None:
        yield f"--num-cpus={slurm.cpus_per_node}"
    yield "--disable-usage-stats"


def _container(slurm: SlurmLaunchSpec) -> Iterator[str]:
    if slurm.container is None:
        return
    mounts = ",".join(["$PWD:$PWD", *(_plain("mounts", mount) for mount in slurm.mounts)])
    yield f'--container-image="{_plain("container", slurm.container)}"'
    yield f'--container-mounts="{mounts}"'
    yield '--container-workdir="$PWD"'


def _exports(launch: LaunchSpec) -> Iterator[str]:
    for name, value in launch.environment.items():
        if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
            raise SpecError(
                f"launch.environment: found {name!r}, expected the name of a variable of a shell."
            )
        yield f"export {name}={shlex.quote(value)}"


def _fence(text: str) -> str:
    """A line that the text does not hold."""
    fence = "ARBORIST_SPEC"
    while fence in text:
        fence += "_"
    return fence


def _plain(name: str, value: str) -> str:
    if not _PLAIN.fullmatch(value):
        raise SpecError(
            f"launch.slurm.{name}: found {value!r}, expected a value without blanks and quotes."
        )
    return value


def _one_line(name: str, value: str) -> str:
    if "\n" in value or not value.startswith("-"):
        raise SpecError(
            f"launch.slurm.{name}: found {value!r}, expected an option as `--reservation=night`."
        )
    return value
