"""What processes that train hear and say, by way of a folder that all of them see."""

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.sft.training.watch import Watch

_HEARD, _STOP = "heard.jsonl", "stop"
_EVERY_S = 0.2


class Relayed:
    """A `Watch` in a process that nobody looks at; only the first of them has anything to say."""

    def __init__(self, folder: Path, rank: int) -> None:
        self._folder, self._first = folder, rank == 0

    def say(self, words: str) -> None:
        """Told on."""
        self._tell("say", words)

    def began(self, steps: int, done: int) -> None:
        """Told on."""
        self._tell("began", steps, done)

    def logged(self, figures: Mapping[str, float]) -> None:
        """Told on."""
        self._tell("logged", dict(figures))

    def stopping(self) -> bool:
        """As the process that leads was asked, or when it is gone."""
        leader = os.environ.get("ARBORIST_LAUNCHER")
        gone = leader is not None and not _lives(int(leader))
        return gone or (self._folder / _STOP).exists()

    def _tell(self, what: str, *arguments: Any) -> None:
        if self._first:
            with (self._folder / _HEARD).open("a", encoding="utf-8") as file:
                file.write(json.dumps([what, *arguments]) + "\n")


class Relay:
    """In the process that leads: passes on to a watch what was heard, and its wish to stop."""

    def __init__(self, folder: Path, watch: Watch) -> None:
        self._folder, self._watch = folder, watch
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._read = 0

    def __enter__(self) -> None:
        for name in (_HEARD, _STOP):
            (self._folder / name).unlink(missing_ok=True)
        self._thread.start()

    def __exit__(self, *raised: object) -> None:
        self._over.set()
        self._thread.join()
        self._pass_on()

    def _run(self) -> None:
        while not self._over.wait(_EVERY_S):
            self._pass_on()
            if self._watch.stopping():
                (self._folder / _STOP).touch()

    def _pass_on(self) -> None:
        file = self._folder / _HEARD
        if not file.is_file():
            return
        with file.open("rb") as stream:
            stream.seek(self._read)
            whole, _, _ = stream.read().rpartition(b"\n")
        self._read += len(whole) + bool(whole)
        for line in whole.splitlines():
            what, *arguments = json.loads(line)
            getattr(self._watch, what)(*arguments)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
