"""What runs on this machine, as /proc tells it."""

import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path


def is_running(pid: int) -> bool:
    """Whether it lives; one that only waits to be reaped does not."""
    return _state(pid) not in (None, "Z")


def descendants(pid: int) -> set[int]:
    """All processes below one."""
    children: dict[int, list[int]] = {}
    for child in _pids():
        children.setdefault(_parent(child), []).append(child)
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found.update(below)
        waiting += below
    return found


def of_session(leader: int) -> set[int]:
    """All processes that run in a session, whoever their parents are by now."""
    return {pid for pid in _pids() if _session(pid) == leader and is_running(pid)}


def title(pid: int) -> str:
    """What a process calls itself."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")[0].decode()
    except (OSError, UnicodeDecodeError):
        return ""


def until(reached: Callable[[], object], patience_s: float) -> float:
    """Wait for a condition; the time it took, or an error when the patience is over."""
    begin = time.monotonic()
    while not reached():
        if time.monotonic() > begin + patience_s:
            raise TimeoutError(f"not reached in {patience_s:g} s")
        threading.Event().wait(0.01)
    return time.monotonic() - begin


def survivors(pids: Iterable[int], patience_s: float) -> list[str]:
    """Those that still run when the time is over, by their titles."""
    pids = set(pids)
    try:
        until(lambda: not any(map(is_running, pids)), patience_s)
    except TimeoutError:
        return [f"{pid} {title(pid)}" for pid in sorted(pids) if is_running(pid)]
    return []


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _fields(pid: int) -> list[str]:
    """Of the file `stat`, from the state on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _state(pid: int) -> str | None:
    return next(iter(_fields(pid)), None)


def _parent(pid: int) -> int:
    return int((_fields(pid) or "00")[1])


def _session(pid: int) -> int:
    fields = _fields(pid)
    return int(fields[3]) if fields else 0
