"""Whether the Ray that this process joined is still there.

Where its head is lost, Ray waits for a minute, in which calls may block, and then ends the process
without a word to the program. Where the node that this process is connected to is lost, engines die
as fast as they are started. So a thread knocks at both. What is lost is told to whoever asks, and
where nobody does in time, because a call blocks, the thread ends the process.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from schemas.errors import RETRY, NoEngine

_log = logging.getLogger(__name__)

KNOCK_S = 1.0
"""Between two knocks, and for an answer to each."""

RECONNECT = "RAY_gcs_rpc_server_reconnect_timeout_s"
"""The setting of Ray that says how long its processes wait for a head that is lost."""

_RECONNECT_S = 60.0
"""Ray's default."""

_ROUND_S = 5.0
"""Longer than a round of knocks takes, even if nothing refuses or answers."""

_NODE_S = 5.0
"""How long the node that this process is connected to may be silent: it cannot come back."""

_FAREWELL_S = 20.0
"""How long this process then has to end in order."""


class Door(NamedTuple):
    """Where something listens without which nothing goes on."""

    name: str
    address: str
    patience_s: float
    """How long it may be silent."""
    end_s: float
    """How long it may be silent before the process is ended, whatever it waits for."""


def head_door(address: str) -> Door:
    """The head may be restarted where Ray is set up for that; Ray decides how long to wait."""
    wait_s = float(os.environ.get(RECONNECT, _RECONNECT_S))
    return Door("head (GCS)", address, wait_s * 2 / 3, wait_s * 0.9)


def node_door(address: str) -> Door:
    """The node that this process is connected to."""
    return Door("node of this process (raylet)", address, _NODE_S, _NODE_S + _FAREWELL_S)


class Pulse:
    """Knocks at doors until it is stopped. Time in which it did not knock, because this process was
    paused, is no silence."""

    def __init__(
        self,
        doors: Sequence[Door],
        advice: str,
        *,
        knock: Callable[[str], bool] | None = None,
        end: Callable[[int], object] = os._exit,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._knock, self._end, self._clock = knock or answers, end, clock
        self._silent_s = dict.fromkeys(doors, 0.0)
        self._knocked_at = clock()
        self._advice = advice
        self.told = False
        """Whether somebody knows of a loss, and sees to the end."""
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._listen, name="ray-pulse", daemon=True).start()

    def stop(self) -> None:
        """Knock no more."""
        self._stopped.set()

    def require(self) -> None:
        """Raise what is lost."""
        lost = self.lost()
        if lost is not None:
            self.told = True
            raise NoEngine(self._words(lost))

    def lost(self) -> Door | None:
        """What has been silent for too long."""
        silent = self._silent_s.items()
        return next((door for door, silent_s in silent if silent_s > door.patience_s), None)

    def hears_all(self) -> bool:
        """Whether everything answered when it was last asked, so that calls will not block."""
        return not any(self._silent_s.values())

    def listen_once(self) -> None:
        """One round; ends the process when its time is over."""
        before, self._knocked_at = self._knocked_at, self._clock()
        passed = min(self._knocked_at - before, _ROUND_S)
        for door, silent_s in self._silent_s.items():
            self._silent_s[door] = 0.0 if self._knock(door.address) else silent_s + passed
            if self._silent_s[door] > door.end_s:
                if not self.told:
                    _log.critical("%s", self._words(door))
                self._end(RETRY)

    def _listen(self) -> None:
        while not self._stopped.wait(KNOCK_S):
            self.listen_once()

    def _words(self, door: Door) -> str:
        return (
            f"Ray was lost: its {door.name} at {door.address} has not answered for "
            f"{self._silent_s[door]:.0f} s, and nothing goes on without it. What is committed "
            f"stays. {self._advice}, and start the same command again."
        )


def answers(address: str) -> bool:
    """Whether something listens there."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), KNOCK_S):
            return True
    except OSError:
        return False
