"""Measures for the tests of workers. A module of its own, so that other processes can import it."""

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from schemas.errors import FilterError, SpecError
from schemas.measures import Measures, Turns

NAMES = ("chars", "tokens", "above", "pid", "threads", "together")


def make_turns(count: int, *, family: int = 4, prefix: str = "n") -> Turns:
    """So many turns, of differing lengths, in families of siblings."""
    lengths = np.arange(count) % 7
    return Turns(
        role="user",
        node_ids=[f"{prefix}{i}" for i in range(count)],
        texts=[f"{prefix}{i} " + "x" * (i % 11) for i in range(count)],
        token_ids=np.arange(int(lengths.sum()), dtype=np.int32),
        ends=np.cumsum(lengths, dtype=np.int64),
        reasoning_tokens=np.zeros(count, dtype=np.int32),
        finish_reasons=["stop"] * count,
        logprob_sums=np.full(count, -1.0),
        families=(np.arange(count) // family).astype(np.int32),
        above=[("root", "y" * i) for i in range(-(-count // family))],
        references=[f"answer {i}" for i in range(-(-count // family))],
        tongues=(np.arange(count) % 3).astype(np.int8),
    )


@dataclass(frozen=True)
class MakeMeasure:
    """Makes a measure that tells of each turn what was there, or misbehaves at a given node."""

    raises_at: str = ""
    bug_at: str = ""
    dies_at: str = ""
    stuck_at: str = ""
    once: str = ""
    """A file: the worker dies or is stuck only if it is not there yet."""
    waits_for: str = ""
    """A file that must be there before anything is measured."""
    meets: str = ""
    """A folder in which as many workers as `company` leave a sign before one goes on."""
    company: int = 1
    fails_start: bool = False
    dies_at_start: bool = False
    stuck_at_start: bool = False

    def __call__(self) -> "MakeMeasure.Measure":
        if self.fails_start:
            raise SpecError("no such embedder: told to fail")
        if self.dies_at_start:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.stuck_at_start:
            threading.Event().wait()
        return self.Measure(self)

    @dataclass(frozen=True)
    class Measure:
        """The measure itself."""

        make: "MakeMeasure"

        def __call__(self, turns: Turns) -> Measures:
            make = self.make
            if make.waits_for:
                _wait(Path(make.waits_for).exists)
            if make.meets:
                (Path(make.meets) / str(os.getpid())).touch()
                _wait(lambda: len(list(Path(make.meets).iterdir())) >= make.company)
            if make.raises_at in turns.node_ids:
                raise FilterError(f"filter `x` failed on node {make.raises_at}")
            if make.bug_at in turns.node_ids:
                raise ZeroDivisionError(f"at node {make.bug_at}")
            if make.dies_at in turns.node_ids and _first_time(make.once):
                os.kill(os.getpid(), signal.SIGKILL)
            if make.stuck_at in turns.node_ids and _first_time(make.once):
                threading.Event().wait()
            return _measures(turns)


def _wait(condition: Callable[[], bool]) -> None:
    while not condition():
        threading.Event().wait(0.01)


def _first_time(file: str) -> bool:
    if not file:
        return True
    try:
        Path(file).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _measures(turns: Turns) -> Measures:
    threads = float(os.environ.get("OMP_NUM_THREADS", "0"))
    rows = [turns[i] for i in range(len(turns))]
    scores = [
        (
            *(len(turn.text), turn.token_ids.sum(), len("".join(turn.above))),
            *(os.getpid(), threads, len(rows)),
        )
        for turn in rows
    ]
    numbers = [int(turn.node_id[1:]) for turn in rows]
    return Measures(
        NAMES,
        np.array(scores, dtype=np.float32).reshape(len(rows), len(NAMES)),
        np.array(numbers, dtype=np.uint32)[:, None] * np.ones(3, dtype=np.uint32),
        np.array([number % 100 for number in numbers], dtype=np.int8)[:, None],
    )
