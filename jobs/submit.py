"""`arborist submit`: start a run on a Ray cluster, on Kubernetes or under Slurm."""

import argparse
import sys
from collections.abc import Callable, Iterable
from typing import NamedTuple

from jobs.launch.parcel import Parcel, pack


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("spec", help="a YAML file, for example jobs/specs/balance.yaml")
    parser.add_argument(
        "--to",
        required=True,
        choices=list(TARGETS),
        help="ray: jobs on a running cluster; kuberay: RayJobs on Kubernetes; slurm: a batch job",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be sent, and send nothing"
    )
    parser.add_argument(
        "--detach", action="store_true", help="ray: do not wait for the end of what is started"
    )
    parser.add_argument("--location", help="instead of execution.location")


def run(args: argparse.Namespace) -> int:
    """Render, and print or send."""
    target = TARGETS[args.to]
    parcel = target.fitted(pack(args.spec, args.location))
    for note in target.notes(parcel):
        _say(f"note: {note}")
    if args.dry_run:
        print(target.rendered(parcel))
        return 0
    return target.send(parcel, args.detach)


def _say(words: str) -> None:
    """Beside what jobs print."""
    print(f"arborist submit: {words}", file=sys.stderr, flush=True)


class Target(NamedTuple):
    """One way to start a run elsewhere."""

    fitted: Callable[[Parcel], Parcel]
    """What goes there."""
    notes: Callable[[Parcel], Iterable[str]]
    """What to see to; `SpecError` for what cannot work there."""
    rendered: Callable[[Parcel], str]
    """What is sent, for a person and as its own tools take it."""
    send: Callable[[Parcel, bool], int]
    """Start it; the exit code. Whether to leave it alone then is said beside."""


def _as_it_is(parcel: Parcel) -> Parcel:
    return parcel


def _for_ray(parcel: Parcel) -> Parcel:
    from jobs.launch.at_home import at_home, is_here
    from jobs.launch.ray_client import address_of

    ray = parcel.spec.execution.launch.ray
    return at_home(parcel) if ray.working_dir is None and is_here(address_of(ray)) else parcel


def _ray_notes(parcel: Parcel) -> list[str]:
    from jobs.launch.ray_job import working_dir_of
    from jobs.launch.reach import notes_for_ray

    notes = notes_for_ray(parcel, working_dir_of(parcel))
    if parcel.spec.execution.launch.time_limit_s is not None:
        notes.append("launch.time_limit_s: Ray's jobs have no limit; `ray job stop` ends one")
    return notes


def _ray_text(parcel: Parcel) -> str:
    from jobs.launch.ray_text import as_text

    return as_text(parcel)


def _to_ray(parcel: Parcel, detach: bool) -> int:
    from jobs.launch.ray_client import RayClient, address_of
    from jobs.launch.ray_follow import Sender, follow, left_running

    execution = parcel.spec.execution
    sender = Sender(RayClient(address_of(execution.launch.ray)), parcel, _say)
    jobs = [sender.begin(driver) for driver in range(execution.drivers)]
    if detach:
        _say(left_running(sender, jobs))
        return 0
    return follow(sender, jobs)


def _kuberay_notes(parcel: Parcel) -> list[str]:
    from jobs.launch.rayjob import notes
    from jobs.launch.reach import notes_for_pods

    return [*notes_for_pods(parcel), *notes(parcel)]


def _kuberay_text(parcel: Parcel) -> str:
    from jobs.launch.rayjob import rayjobs
    from jobs.launch.yaml_text import documents

    return documents(rayjobs(parcel))


def _to_kuberay(parcel: Parcel, detach: bool) -> int:
    from jobs.launch.kubectl import send

    send(parcel, _say)
    return 0


def _slurm_notes(parcel: Parcel) -> list[str]:
    from jobs.launch.reach import notes_for_nodes
    from jobs.launch.sbatch_script import notes

    return [*notes_for_nodes(parcel), *notes(parcel)]


def _slurm_text(parcel: Parcel) -> str:
    from jobs.launch.sbatch_script import sbatch_script

    return sbatch_script(parcel)


def _to_slurm(parcel: Parcel, detach: bool) -> int:
    from jobs.launch.sbatch import send

    send(parcel, _say)
    return 0


TARGETS = {
    "ray": Target(_for_ray, _ray_notes, _ray_text, _to_ray),
    "kuberay": Target(_as_it_is, _kuberay_notes, _kuberay_text, _to_kuberay),
    "slurm": Target(_as_it_is, _slurm_notes, _slurm_text, _to_slurm),
}
