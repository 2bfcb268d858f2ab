"""What a person sees while a run grows: a live view in a terminal, a line now and then elsewhere.

Elsewhere is a file, a pipe, a notebook, a terminal that cannot move its cursor. Colours are the
terminal's own; NO_COLOR takes them away.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.live import Live

from jobs.gauging import Gauging
from jobs.live_view import View, left_text, standing_text
from jobs.screen import can_redraw
from jobs.stop_switch import StopSwitch
from jobs.wave_lines import WaveLines
from pipeline.pool.pool import PoolStats
from pipeline.report.status import Tally
from pipeline.watch import Awaited, Stop
from schemas.manifest import Manifest

REDRAW_S = 0.25
LINE_S = 10.0
"""Between two lines about waves, at least."""
SILENCE_S = 60.0
"""After so long without a line there is one that says how it stands."""


class Progress:
    """A `Watch`: keeps the status of the whole run and shows it."""

    def __init__(
        self,
        switch: StopSwitch,
        tally: Tally,
        out: TextIO,
        gauging: Gauging | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.switch, self._tally, self._out, self._clock = switch, tally, out, clock
        self.gauging = gauging or Gauging(clock=clock)
        self._live: Live | None = None
        self._drawn = float("-inf")
        self._waves = WaveLines()
        self._waves_told = self._told = float("-inf")
        """When there was a line about waves, and about anything."""
        self._waits = ""
        """What was said last of others."""

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Draw while inside, if `out` is a terminal that can be drawn on."""
        console = Console(file=self._out)
        if not can_redraw(console, self._out):
            try:
                yield
            finally:
                self.flush()
            return
        redirects = _is_same(sys.stderr, self._out)
        with (
            Live(console=console, refresh_per_second=4, redirect_stderr=redirects) as self._live,
            _logging_to(sys.stderr),
        ):
            try:
                yield
            finally:
                self._live = None

    def say(self, words: str) -> None:
        """One line, at once."""
        self.flush()
        self._print(words)

    def _print(self, words: str) -> None:
        self._told = self._clock()
        if self._live is not None:
            self._live.console.print(words, markup=False, highlight=False, soft_wrap=True)
        else:
            print(words, file=self._out, flush=True)

    def flush(self) -> None:
        """Tell of waves that were not told of yet, and how fast it goes."""
        if not self._waves:
            return
        self._waves_told = self._clock()
        speed = self.gauging.tokens_per_s
        goes = "" if speed is None else f"; {speed:,.0f} tokens/s, left: {self._left()}"
        self._print(f"{self._waves.taken()}{goes}")

    def _left(self) -> str:
        return left_text(self.gauging.left_s(self._tally.status()))

    def committed(self, manifest: Manifest, *, ours: bool) -> None:
        """Book a wave."""
        self._tally.add(manifest)
        self.gauging.committed(manifest, ours=ours)
        if self._live is None:
            self._waves.add(manifest, ours=ours)
            if self._clock() >= self._waves_told + LINE_S:
                self.flush()

    def landed(self, seconds: float) -> None:
        """A commit took so long."""
        self.gauging.landed(seconds)

    def tick(self, stats: PoolStats, *, open_waves: int) -> None:
        """Redraw, or write a line, unless that was just done."""
        self.gauging.seen(stats, open_waves, self._tally.status)
        now = self._clock()
        if self._live is None:
            self._tell(stats, open_waves, now)
        elif now >= self._drawn + REDRAW_S:
            self._drawn = now
            status, speed = self._tally.status(), self.gauging.tokens_per_s
            left_s = self.gauging.left_s(status)
            self._live.update(View(status, stats, open_waves, speed, left_s))

    def _tell(self, stats: PoolStats, open_waves: int, now: float) -> None:
        if self._waves and now >= self._waves_told + LINE_S:
            self.flush()
        if now >= self._told + SILENCE_S:
            standing = standing_text(stats, open_waves, self.gauging.tokens_per_s)
            self._print(f"{standing}; left: {self._left()}")

    def waits(self, others: Sequence[Awaited]) -> None:
        """Say for whom, each time that it is for others."""
        words = waiting_text(others)
        if words != self._waits:
            self._waits = words
            self.say(words)

    def stop(self) -> Stop:
        """As was asked."""
        return self.switch.stop


def _is_same(one: TextIO, other: TextIO) -> bool:
    """Whether both are the same terminal, so that what goes to one disturbs the other."""
    return one.isatty() and os.path.sameopenfile(one.fileno(), other.fileno())


@contextmanager
def _logging_to(stream: TextIO) -> Iterator[None]:
    """What is logged goes above the view, not across it."""
    moved = [
        (handler, handler.stream)
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.__stderr__
    ]
    for handler, _ in moved:
        handler.setStream(stream)
    try:
        yield
    finally:
        for handler, before in moved:
            handler.setStream(before)


def waiting_text(others: Sequence[Awaited]) -> str:
    """For whom a driver waits that has nothing left to take."""
    silences = ", ".join(sorted({f"{one.driver.claim_s:g} s" for one in others if one.driver}))
    return (
        f"nothing is left to take, so engines are let go; waiting for "
        f"{'; '.join(map(_awaited_text, others))}. What others leave is taken over, at the latest "
        f"once nothing was heard of them for {silences or 'a while'}."
    )


def _awaited_text(one: Awaited) -> str:
    count = len(one.cohorts)
    what = f"cohort {one.cohorts[0]}" if count == 1 else f"{count} cohorts from {one.cohorts[0]} on"
    if one.driver is None:
        return f"{what} of an unknown driver"
    return f"{what} of attempt {one.driver.attempt} on {one.driver.host}"
