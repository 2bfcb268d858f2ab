"""A Ray cluster whose head is this machine: paths then stand for what they stand for here.

An address on loopback is not enough, as it may lead elsewhere through a tunnel.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jobs.curation import PACKAGED as PACKAGED_EMBEDDER
from jobs.engine_factories import SCRIPTED
from jobs.launch.parcel import Parcel, repack
from jobs.prepare_model import PACKAGED as PACKAGED_MODELS

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_DASHBOARD = "ray/dashboard/dashboard.py"
_NAMES = {PACKAGED_EMBEDDER, "hashing", *PACKAGED_MODELS}
"""Of what is no path."""


def is_here(address: str) -> bool:
    """Whether it is a process of this machine that serves a dashboard at an address."""
    import psutil

    at = urlsplit(address)
    if at.hostname not in _LOOPBACK:
        return False
    try:
        found = psutil.net_connections("tcp")
        pids = [one.pid for one in found if one.laddr and one.laddr.port == at.port]
        return any(
            _DASHBOARD in " ".join(psutil.Process(pid).cmdline()) for pid in pids if pid is not None
        )
    except psutil.Error:
        return False


def at_home(parcel: Parcel) -> Parcel:
    """The same parcel, with absolute paths for all that `execution` names by relative ones."""
    return repack(parcel, _settled)


def _settled(execution: Mapping[str, Any]) -> dict[str, Any]:
    one_by_one = {
        key: _absolute(execution[key])
        for key in ("location", "cache", "embedder")
        if execution.get(key)
    }
    several = {key: _each(execution[key]) for key in ("roots", "benchmarks") if execution.get(key)}
    engines = {name: _of_group(group) for name, group in execution.get("engines", {}).items()}
    return {**execution, **one_by_one, **several, **({"engines": engines} if engines else {})}


def _of_group(group: Mapping[str, Any]) -> dict[str, Any]:
    if group.get("backend") == SCRIPTED:
        return dict(group)
    return {**group, **{k: _absolute(group[k]) for k in ("model", "adapter") if group.get(k)}}


def _each(value: str | list[str]) -> str | list[str]:
    return _absolute(value) if isinstance(value, str) else [_absolute(one) for one in value]


def _absolute(value: str) -> str:
    return value if "://" in value or value in _NAMES else str(Path(value).expanduser().absolute())
