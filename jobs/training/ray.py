"""The processes of a training as workers of Ray Train."""

import logging
import os
from pathlib import Path
from typing import Any

from pipeline.pool.ray_connection import join_ray, leave_ray
from schemas.errors import ArboristError, EnvironmentMismatch
from schemas.sft_spec import SftSpec

_LOG = logging.getLogger(__name__)

_BESIDE = 2
"""CPUs for what Ray Train runs beside its workers."""


def train_by_ray(spec: SftSpec, folder: Path) -> int:
    """Train on a Ray cluster whose machines all see the folder; 0 if all went well."""
    try:
        import ray
        from ray.train import RunConfig, ScalingConfig, TrainingFailedError
        from ray.train.torch import TorchConfig, TorchTrainer
    except ImportError as error:
        raise EnvironmentMismatch(
            f"launch.by: Ray Train cannot be loaded ({error}); install it with "
            '`pip install "ray[train]"`, or use `torchrun`.'
        ) from error
    # Its workers' words come here by Ray already.
    os.environ.setdefault("RAY_TRAIN_ENABLE_PRINT_PATCH", "0")
    join_ray(spec.launch.ray_address, cpus=spec.launch.processes + _BESIDE)
    gpu = ray.cluster_resources().get("GPU", 0) > 0
    trainer = TorchTrainer(
        _worker,
        train_loop_config={"folder": str(folder.resolve())},
        scaling_config=ScalingConfig(num_workers=spec.launch.processes, use_gpu=gpu),
        torch_config=TorchConfig(backend="nccl" if gpu else "gloo"),
        run_config=RunConfig(storage_path=str(folder.resolve() / "ray")),
    )
    try:
        trainer.fit()
    except (TrainingFailedError, ray.exceptions.RayError) as error:
        # Where a worker could say why in a file of its own, that is what is told.
        _LOG.error("Ray Train: %s", error)
        return 1
    finally:
        leave_ray()
    return 0


def _worker(config: dict[str, Any]) -> None:
    from jobs.training.launch import train_beside_others

    if code := train_beside_others(Path(config["folder"])):
        raise ArboristError(f"a process that trains ended with {code}.")
