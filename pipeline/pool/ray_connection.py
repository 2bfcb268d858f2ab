"""Which Ray to use. One process has one connection; all that need it join, the last leaves it."""

import logging
import math
import os
import re
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pipeline.pool.ray_pulse import KNOCK_S, RECONNECT, Door, Pulse, answers, head_door, node_door
from schemas.errors import NoEngine

_JOIN_S = 30.0
"""How long the head of a cluster has to answer: it may be starting."""

_OWN_RECONNECT_S = "15"
"""How long the processes of a Ray that was started here wait for its head, which nobody would start
again. Ray's default is a minute."""


_LOST = (
    "See to that node, or start another cluster (and name it in `execution.ray_address` if it has "
    "another address)"
)
_OWN_LOST = "It ran on this machine, where most likely memory ran out: free some"
"""What to do, before the same command is started again."""


_LOOPBACK = "127.0.0.1"


@dataclass
class _Connection:
    users: int = 0
    """How many have joined and not left."""
    began: bool = False
    """Whether the first of them connected; else Ray was there before, and stays."""
    own: bool = False
    """Whether Ray was started for this process, on this machine."""
    pulse: Pulse | None = None


_here = _Connection()


def join_ray(address: str | None, *, cpus: float = 0) -> None:
    """Make sure that Ray is there: as it is in this process, else at `address` or RAY_ADDRESS,
    else started here with at least so many CPUs, whatever the machine has."""
    address = address or os.environ.get("RAY_ADDRESS")
    if not address:
        _prepare_own_ray()
    with _unbroken():
        import ray

    if not ray.is_initialized():
        with _own_sigterm():
            _connect(address, cpus)
        _here.began, _here.own = True, not address
    elif not _here.users:
        _here.began = _here.own = False
    if not _here.users:
        _here.pulse = _pulse_of(_doors(), _OWN_LOST if _here.own else _LOST)
    _here.users += 1


def leave_ray() -> None:
    """Disconnect, if nobody else is joined."""
    import ray

    _here.users -= 1
    if _here.users or _here.pulse is None:
        return
    if _here.pulse.told:
        # The process is about to end, and would wait here for what is lost.
        return
    if _here.began:
        ray.shutdown()
    _here.pulse.stop()


def require_ray() -> None:
    """Raise if the Ray that this process joined is lost. Never waits."""
    if _here.pulse is not None:
        _here.pulse.require()


def is_ray_lost() -> bool:
    """Whether calls of Ray may wait for something that does not come."""
    return _here.pulse is not None and _here.pulse.lost() is not None


def is_ray_silent() -> bool:
    """Whether calls of Ray may wait, for a time at least."""
    return _here.pulse is not None and not _here.pulse.hears_all()


def is_own_ray() -> bool:
    """Whether Ray was started here for this process, so that its CPUs are a plan's words."""
    return _here.own


def found_in_ray() -> str:
    """What Ray has, and what of it is free, in words."""
    import ray

    if is_ray_silent():
        return "Ray's head does not answer"
    there, free = ray.cluster_resources(), ray.available_resources()
    found = ", ".join(
        f"{there.get(kind, 0):g} {kind}s ({free.get(kind, 0):g} free)" for kind in ("CPU", "GPU")
    )
    return f"Ray has {found} in all"


def in_one_line(error: Exception) -> str:
    """Ray's paragraphs without colours and the underlining of tracebacks."""
    words = re.sub(r"\x1b\[\d*m", "", str(error)).split()
    return " ".join(word for word in words if word.strip("^~"))[:800]


@contextmanager
def _unbroken() -> Iterator[None]:
    """Signals come when it is done: an import that is broken off leaves half a Ray behind, whose
    hook at the end of the process then fails."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    heard: list[int] = []
    if threading.current_thread() is not threading.main_thread() or None in handlers.values():
        yield
        return
    for number in handlers:
        signal.signal(number, lambda number, frame: heard.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for one in heard:
            signal.raise_signal(one)


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Ray takes over SIGTERM where it starts; a process that listens to it goes on to do so."""
    listener = signal.getsignal(signal.SIGTERM)
    if not callable(listener) or threading.current_thread() is not threading.main_thread():
        yield
        return
    try:
        yield
    except SystemExit as end:
        # So Ray's own handler ends a process whose signal came meanwhile.
        if end.code == signal.SIGTERM:
            listener(signal.SIGTERM, None)
        raise
    finally:
        signal.signal(signal.SIGTERM, listener)


def _connect(address: str | None, cpus: float) -> None:
    import ray

    if address:
        with _reached(address):
            ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
        return
    ray.init(
        address="local",
        num_cpus=max(os.cpu_count() or 1, math.ceil(cpus)),
        include_dashboard=False,
        _node_ip_address=_LOOPBACK,
        log_to_driver=False,
        logging_level=logging.WARNING,
    )


@contextmanager
def _reached(address: str) -> Iterator[None]:
    """Connecting to a head that is not there, or is lost meanwhile, would wait for minutes."""
    there = "://" not in address and ":" in address
    pulse = _pulse_of([head_door(address)] if there else [], _LOST)
    try:
        if there:
            _await_answer(address)
        yield
    except ConnectionError as error:
        raise NoEngine(_not_there(address, str(error))) from error
    finally:
        pulse.stop()


def _await_answer(address: str) -> None:
    deadline = time.monotonic() + _JOIN_S
    while not answers(address):
        if time.monotonic() > deadline:
            raise ConnectionError(f"nothing answered for {_JOIN_S:g} s")
        time.sleep(KNOCK_S)


def _not_there(address: str, found: str) -> str:
    return (
        f"No Ray was found at {address!r}: {found}. Expected the head of a running cluster "
        "(`execution.ray_address`, or RAY_ADDRESS). Start it or name another, and start the same "
        "command again; without an address, Ray is started on this machine."
    )


def _pulse_of(doors: list[Door], advice: str) -> Pulse:
    pulse = Pulse(doors, advice)
    pulse.start()
    return pulse


def _doors() -> list[Door]:
    """Of the Ray that this process is connected to."""
    import ray

    if ray.util.client.ray.is_connected():
        # A proxy stands between, whose loss Ray's client reports itself.
        return []
    here = ray.get_runtime_context()
    doors = [head_door(here.gcs_address)]
    for node in ray.nodes():
        if node["NodeID"] == here.get_node_id():
            doors.append(node_door(f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}"))
    return doors


def _prepare_own_ray() -> None:
    """Settings that Ray reads when it is first imported, before it is started here.

    It listens on this machine only, and lets in who has a token; one that lives only as long as
    this process, where Ray's own default would write a file into the user's home.
    """
    # Without it Ray takes the loopback for a mistake, and listens on all interfaces.
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    if "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    # Else the processes that a killed engine started would live on and hold its device.
    os.environ.setdefault("RAY_process_group_cleanup_enabled", "1")
    os.environ.setdefault(RECONNECT, _OWN_RECONNECT_S)
