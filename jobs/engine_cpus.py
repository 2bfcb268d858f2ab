"""How many CPUs each engine gets where a spec leaves that open.

Only where all engines run on this machine is it known what they share: with the local pool, and
with a Ray that is started here. In a cluster, Ray seats engines by what they book, which has to be
said (`cpus`).
"""

import os
from collections.abc import Mapping

from pipeline.engines.cpu_defaults import Choice, threads
from pipeline.engines.machine import Machine, this_machine
from schemas.engine_group_spec import EngineGroupSpec
from schemas.execution_spec import ExecutionSpec, RunSpec


def with_cpus(spec: RunSpec, machine: Machine | None = None) -> RunSpec:
    """The spec with a number wherever an even share of this machine is meant."""
    execution = spec.execution
    asking = _open(execution.engines)
    if not asking or not _is_here(execution):
        return spec
    share = {"cpus": float(share_of(execution.engines, machine or this_machine()).value)}
    filled = {name: group.model_copy(update=share) for name, group in asking.items()}
    engines = {"engines": {**execution.engines, **filled}}
    return spec.model_copy(update={"execution": execution.model_copy(update=engines)})


def share_of(groups: Mapping[str, EngineGroupSpec], machine: Machine) -> Choice:
    """Threads of each engine that asks for none."""
    asking = _open(groups)
    booked = sum(group.most * group.booked for name, group in groups.items() if name not in asking)
    engines = sum(group.most for group in asking.values())
    return threads(machine, engines, booked)


def _open(groups: Mapping[str, EngineGroupSpec]) -> dict[str, EngineGroupSpec]:
    return {
        name: group
        for name, group in groups.items()
        if group.cpus is None and group.backend == "vllm" and not group.gpus
    }


def _is_here(execution: ExecutionSpec) -> bool:
    named = execution.ray_address or os.environ.get("RAY_ADDRESS")
    return execution.pool == "local" or not named
