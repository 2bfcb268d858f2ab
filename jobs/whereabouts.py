"""Where this process lives, and whether another one of this machine still does."""

import os
import socket
from functools import cache
from pathlib import Path

from schemas.claim import Driver

_PROC = Path("/proc")
_BOOT = _PROC / "sys/kernel/random/boot_id"
_DEAD = ("Z", "X")


def here(attempt: str, claim_s: float) -> Driver:
    """This process as a driver."""
    return Driver(
        attempt=attempt,
        host=socket.gethostname(),
        machine=_machine(),
        pid=os.getpid(),
        born=_birth(os.getpid()),
        claim_s=claim_s,
    )


def is_gone(driver: Driver) -> bool:
    """Whether it is certain that a driver's process runs no more: it ran on this machine."""
    if (driver.host, driver.machine) != (socket.gethostname(), _machine()):
        return False
    if driver.born is not None:
        return _birth(driver.pid) != driver.born
    try:
        os.kill(driver.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


@cache
def _machine() -> str:
    """The kernel since it was started, and the space of its process ids; containers share a kernel,
    and sometimes a host's name."""
    try:
        return f"{_BOOT.read_text().strip()} {os.readlink(_PROC / 'self/ns/pid')}"
    except OSError:
        return ""


def _birth(pid: int) -> int | None:
    """When a process began, in the kernel's ticks; None where it runs no more, or nobody knows."""
    try:
        state, *fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in _DEAD else int(fields[18])
