"""What an arm saw of one run."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.processes import descendants


class Step(NamedTuple):
    """A time in which the same turns were written."""

    begin: float
    end: float
    running: int


class Finish(NamedTuple):
    """The end of a turn."""

    time: float
    level: int


@dataclass
class Record:
    """All times are of one monotonic clock, which the machine's processes share."""

    begun: float = 0.0
    ended: float = 0.0
    cpu_s: float = 0.0
    steps: list[Step] = field(default_factory=list)
    finishes: list[Finish] = field(default_factory=list)
    prompts: list[list[int]] = field(default_factory=list)
    """One for each turn."""
    output_tokens: int = 0
    prompt_computed: int = 0
    """Prompt tokens, less those that a cache served."""
    all_known: bool = False
    """Whether every prompt was known from the first moment, so that no turn waited for another."""
    more: dict[str, Any] = field(default_factory=dict)
    """What only this arm can tell."""

    def begin(self) -> None:
        """Loading and a first request are over."""
        self.cpu_s = -cpu_seconds()
        self.begun = time.perf_counter()

    def end(self) -> None:
        """The last turn is where it is to be."""
        self.ended = time.perf_counter()
        self.cpu_s += cpu_seconds()


def cpu_seconds() -> float:
    """Of this process, all below it, and those among them that have ended."""
    ticks = sum(map(_ticks, (os.getpid(), *descendants(os.getpid()))))
    return ticks / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> int:
    """Its own and of the children that it has reaped, in user and in system mode."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    return sum(map(int, stat.rpartition(")")[2].split()[11:15]))
