"""A Ray cluster whose head is this machine: paths then stand for what they stand for here.

An address on loopback is not enough, as it may lead elsewhere through a tunnel.
"""

from collections.abc import Container, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jobs.launch.parcel import Parcel, repack
from jobs.launch.reach import places_of

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_DASHBOARD = "ray/dashboard/dashboard.py"


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
    keys = {place.key for place in places_of(parcel.spec) if place.is_relative}
    return repack(parcel, partial(_settled, keys))


def _settled(keys: Container[str], execution: Mapping[str, Any]) -> dict[str, Any]:
    engines = {
        name: _section(f"execution.engines.{name}", group, keys)
        for name, group in execution.get("engines", {}).items()
    }
    settled = _section("execution", execution, keys)
    return settled | ({"engines": engines} if engines else {})


def _section(at: str, section: Mapping[str, Any], keys: Container[str]) -> dict[str, Any]:
    return {
        name: _absolute(value) if f"{at}.{name}" in keys else value
        for name, value in section.items()
    }


def _absolute(value: str | list[str]) -> str | list[str]:
    if isinstance(value, list):
        return [str(_absolute(one)) for one in value]
    return value if "://" in value else str(Path(value).expanduser().absolute())
