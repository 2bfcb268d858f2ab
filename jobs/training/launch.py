"""Several processes train together: started by torchrun or by Ray Train, told to stop by a file.

Run as a module it is one of those processes.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.training.output import LAUNCH, stay_offline
from jobs.training.relay import Relay, Relayed
from pipeline.sft.training.places import local
from pipeline.sft.training.train import Trained, train
from pipeline.sft.training.watch import Watch
from schemas.errors import ArboristError, Diverged, Evicted, Interrupted, SpecError
from schemas.sft_spec import SftSpec

if TYPE_CHECKING:
    from pipeline.sft.rows.prepare import Mixture
    from pipeline.sft.trainee import Trainee

_SPEC = "spec.json"
_REPOSITORY = Path(__file__).parents[2]


def train_as_asked(spec: SftSpec, trainee: "Trainee", mixture: "Mixture", watch: Watch) -> Trained:
    """Train in this process, or by as many as the spec says."""
    if spec.launch.processes > 1:
        launch(spec, watch)
    # Several processes have left the model there, which is found done.
    return train(spec, trainee, mixture, watch)


def launch(spec: SftSpec, watch: Watch) -> None:
    """Train by as many processes as the spec says, and come back when all are done."""
    _check_devices(spec)
    folder = local(spec.output) / LAUNCH
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob("outcome-*.json"):
        leftover.unlink()
    (folder / _SPEC).write_text(spec.model_dump_json(), "utf-8")
    from pipeline.sft.training.devices import free

    # What was measured by this process lies where the others will train.
    free()
    with Relay(folder, watch):
        if spec.launch.by == "ray":
            from jobs.training.ray import train_by_ray

            code = train_by_ray(spec, folder)
        else:
            code = _torchrun(spec, folder)
    _raise_outcome(folder, code)


def _check_devices(spec: SftSpec) -> None:
    from pipeline.sft.training.devices import num_gpus

    devices, asked = num_gpus(), spec.launch.processes
    if spec.launch.by == "torchrun" and 0 < devices < asked:
        raise SpecError(
            f"launch.processes: found {asked}, expected at most one for each GPU of this machine, "
            f"which has {devices}. For several machines use `launch.by: ray`."
        )


def _torchrun(spec: SftSpec, folder: Path) -> int:
    processes = spec.launch.processes
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(processes), "--module", "jobs.training.launch", str(folder)]
    paths = [str(_REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", _share_of_cores(processes)),
        "ARBORIST_LAUNCHER": str(os.getpid()),
    }
    # In a session of its own: a terminal's signals come here, and only here.
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _share_of_cores(processes: int) -> str:
    return str(max(1, (os.cpu_count() or 1) // processes))


def _raise_outcome(folder: Path, code: int) -> None:
    """The error of the processes, that of the first before those that only followed."""
    found = [json.loads(file.read_bytes()) for file in sorted(folder.glob("outcome-*.json"))]
    for kind in (Diverged, Evicted, Interrupted):
        for outcome in found:
            if outcome["kind"] == kind.__name__:
                raise kind(outcome["error"])
    for outcome in found:
        error = ArboristError(outcome["error"])
        error.exit_code = outcome["code"]
        raise error
    if code:
        raise ArboristError(
            f"the processes that train ended with {code}; what they said last stands above. The "
            "same command goes on from the last checkpoint."
        )


def train_beside_others(folder: Path) -> int:
    """What each of the processes does; its exit code."""
    stay_offline()
    from jobs.training.process import train_here

    rank = int(os.environ.get("RANK", "0"))
    spec = SftSpec.model_validate_json((folder / _SPEC).read_bytes())
    try:
        train_here(spec, Relayed(folder, rank))
    except ArboristError as error:
        _leave(folder, rank, error)
        # All of them come to these at the same step; any other would leave the rest waiting.
        return 0 if isinstance(error, Diverged | Interrupted) else error.exit_code
    return 0


def _leave(folder: Path, rank: int, error: ArboristError) -> None:
    outcome: dict[str, Any] = {
        "kind": type(error).__name__,
        "error": str(error),
        "code": error.exit_code,
    }
    (folder / f"outcome-{rank}.json").write_text(json.dumps(outcome), "utf-8")


if __name__ == "__main__":
    sys.exit(train_beside_others(Path(sys.argv[1])))
