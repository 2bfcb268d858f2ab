"""Which Ray to use. One process has one connection; all that need it join, the last leaves it."""

import logging
import math
import os
import re
import secrets
import sys
from dataclasses import dataclass


@dataclass
class _Connection:
    users: int = 0
    """How many have joined and not left."""
    began: bool = False
    """Whether the first of them connected; else Ray was there before, and stays."""
    own: bool = False
    """Whether Ray was started for this process, on this machine."""


_here = _Connection()


def join_ray(address: str | None, *, cpus: float = 0) -> None:
    """Make sure that Ray is there: as it is in this process, else at `address` or RAY_ADDRESS,
    else started here with at least so many CPUs, whatever the machine has."""
    address = address or os.environ.get("RAY_ADDRESS")
    if not address:
        _prepare_own_ray()
    import ray

    if not ray.is_initialized():
        _connect(address, cpus)
        _here.began, _here.own = True, not address
    elif not _here.users:
        _here.began = _here.own = False
    _here.users += 1


def leave_ray() -> None:
    """Disconnect, if nobody else is joined."""
    import ray

    _here.users -= 1
    if not _here.users and _here.began:
        ray.shutdown()


def is_own_ray() -> bool:
    """Whether Ray was started here for this process, so that its CPUs are a plan's words."""
    return _here.own


def in_one_line(error: Exception) -> str:
    """Ray's paragraphs without colours and the underlining of tracebacks."""
    words = re.sub(r"\x1b\[\d*m", "", str(error)).split()
    return " ".join(word for word in words if word.strip("^~"))[:800]


def _connect(address: str | None, cpus: float) -> None:
    import ray

    if address:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
        return
    ray.init(
        address="local",
        num_cpus=max(os.cpu_count() or 1, math.ceil(cpus)),
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.WARNING,
    )


def _prepare_own_ray() -> None:
    """Settings that Ray reads when it is first imported, before it is started here.

    Ray listens on all interfaces, so it is started with a token; one that lives only as long as
    this process, where Ray's own default would write a file into the user's home.
    """
    if "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    # Else the processes that a killed engine started would live on and hold its device.
    os.environ.setdefault("RAY_process_group_cleanup_enabled", "1")
