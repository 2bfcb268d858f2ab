"""Short trials of an engine's settings, each in a process of its own, as vLLM needs it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.engines.machine import Machine

_MODULE = "pipeline.engines.timing"
_BLOCKS = (16, 32, 64, 128)
TRIAL_S = 600.0
"""After which one is given up."""


class Variant(NamedTuple):
    """One setting that is tried, all others as they would be."""

    setting: str
    value: Any
    trial: dict[str, Any]


class Outcome(NamedTuple):
    """What came of it."""

    setting: str
    value: Any
    tokens_per_s: list[float]
    """Of each batch."""
    median: float
    error: str = ""


def variants(base: dict[str, Any], machine: Machine) -> Iterator[Variant]:
    """Of an engine on CPUs: one setting at a time, the base first."""
    config = base["config"]
    yield Variant("as it is", "", base)
    for cpus in _threads(machine.usable):
        if cpus != config["cpus"]:
            yield Variant("threads", cpus, _with(base, cpus=cpus))
    for dtype in ("float32", "bfloat16"):
        yield Variant("dtype", dtype, _with(base, dtype=dtype))
    for size in _BLOCKS:
        yield Variant("block_size", size, _with(base, args={**config["args"], "block_size": size}))


def _threads(cores: int) -> list[int]:
    """Powers of two, and all."""
    return sorted({cores, *(2**k for k in range(cores.bit_length()) if 2**k < cores)})


def _with(base: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**base, "config": {**base["config"], **changes}}


def run_trial(variant: Variant, timeout_s: float = TRIAL_S) -> Outcome:
    """Try it; a setting that cannot be had has an error instead of figures."""
    return _outcome(variant, try_settings(variant.trial, timeout_s))


def try_settings(trial: dict[str, Any], timeout_s: float = TRIAL_S) -> dict[str, Any]:
    """What the process found, or `{"error": ...}`."""
    here = str(Path(__file__).parents[1])
    paths = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    # What the process is started with, for libraries that are loaded before all others.
    environment = {"PYTHONPATH": paths, **trial.get("environment", {})}
    command = [sys.executable, "-m", _MODULE]
    done = run_apart(command, timeout_s, told=json.dumps(trial), environment=environment)
    if done is None:
        return {"error": f"not done after {timeout_s:g} s"}
    if done.returncode:
        return {"error": _last_line(done.stderr) or f"ended with {done.returncode}"}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def run_apart(
    command: Sequence[str],
    timeout_s: float,
    *,
    told: str = "",
    environment: Mapping[str, str] | None = None,
) -> "subprocess.CompletedProcess[str] | None":
    """A command in a session of its own; None where it was not done in time. However it ends, all
    that it started ends with it: vLLM's own processes would else go on to hold the device."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(told, timeout_s)
        return subprocess.CompletedProcess(command, process.returncode, out, err)
    except subprocess.TimeoutExpired:
        return None
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _outcome(variant: Variant, found: dict[str, Any]) -> Outcome:
    rates: Sequence[float] = found.get("tokens_per_s", [])
    error = found.get("error", "")
    return Outcome(variant.setting, variant.value, list(rates), found.get("median", 0.0), error)


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def best_of(outcomes: Sequence[Outcome]) -> dict[str, Outcome]:
    """By setting, the fastest; the base stands for its own values and is among all of them."""
    by_setting: dict[str, Outcome] = {}
    base = next((one for one in outcomes if one.setting == "as it is"), None)
    for one in outcomes:
        if one.error or one is base:
            continue
        known = by_setting.get(one.setting, base)
        if known is None or one.median > known.median:
            by_setting[one.setting] = one
        else:
            by_setting[one.setting] = known
    return by_setting
