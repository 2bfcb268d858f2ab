"""What a person sees while a run grows: a live view in a terminal, one line a wave elsewhere."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from jobs.stop_switch import StopSwitch
from pipeline.pool.pool import PoolStats
from pipeline.report.status import Status, Tally
from pipeline.watch import Awaited, Stop
from schemas.manifest import Manifest

REDRAW_S = 0.25


class Progress:
    """A `Watch`: keeps the status of the whole run and shows it."""

    def __init__(
        self,
        switch: StopSwitch,
        tally: Tally,
        out: TextIO,
    ) -> None:
        self.switch, self._tally, self._out = switch, tally, out
        self._live: Live | None = None
        self._started = time.monotonic()
        self._drawn = 0.0
        self._waits = ""
        """What was said last of others."""

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Draw while inside, if `out` is a terminal."""
        if not self._out.isatty():
            yield
            return
        with Live(console=Console(file=self._out), refresh_per_second=4) as self._live:
            yield

    def say(self, words: str) -> None:
        """One line, at once."""
        print(words, file=self._out, flush=True)

    def committed(self, manifest: Manifest, *, ours: bool) -> None:
        """Book a wave."""
        self._tally.add(manifest)
        if self._live is None:
            counts = manifest.counts
            seconds = max(0.0, manifest.finished_at - manifest.started_at)
            drops = ", ".join(f"{n} {reason}" for reason, n in counts.dropped.items()) or "none"
            whose = "" if ours else f" (attempt {manifest.attempt})"
            self.say(
                f"wave {manifest.wave} committed{whose}: {counts.kept} of {counts.asked} kept, "
                f"dropped {drops}; {counts.output_tokens} tokens in {seconds:.1f} s"
            )

    def tick(self, stats: PoolStats, *, open_waves: int) -> None:
        """Redraw, unless that was just done."""
        now = time.monotonic()
        if self._live is not None and now >= self._drawn + REDRAW_S:
            self._drawn = now
            status = self._tally.status()
            self._live.update(view(status, stats, open_waves, now - self._started))

    def waits(self, others: Sequence[Awaited]) -> None:
        """Say for whom, each time that it is for others."""
        words = waiting_text(others)
        if words != self._waits:
            self._waits = words
            self.say(words)

    def stop(self) -> Stop:
        """As was asked."""
        return self.switch.stop


def view(status: Status, stats: PoolStats, open_waves: int, elapsed_s: float) -> Group:
    """A bar a level, and two lines of figures."""
    bars = Table.grid(padding=(0, 1))
    for level in status.levels:
        done = min(1.0, level.asked / level.expected_candidates) if level.asked else 0.0
        bars.add_row(
            Text(f"{level.level} {level.role}"),
            ProgressBar(total=1.0, completed=done, width=24),
            Text(f"{level.kept:,} kept / {level.asked:,} of ~{level.expected_candidates:,.0f}"),
        )
    engines = list(stats.engines.values())
    tokens = sum(engine.tokens for engine in engines)
    asked = sum(engine.prompt_tokens for engine in engines)
    cached = sum(engine.cached_tokens for engine in engines)
    more = f" ({stats.waiting} more wait for a place)" if stats.waiting else ""
    figures = (
        f"{len(engines)} engines{more}: {sum(e.running for e in engines)} running, "
        f"{sum(e.waiting for e in engines)} waiting; {open_waves} waves open; "
        f"{tokens / max(elapsed_s, 1e-9):,.0f} tokens/s; "
        f"{cached / asked if asked else 0:.0%} cached{replaced_text(stats)}"
    )
    return Group(
        bars, Text(figures), Text(f"dropped: {drops_text(status)}; left: {eta_text(status)}")
    )


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


def replaced_text(stats: PoolStats) -> str:
    """Engines that were lost and replaced, by what was to blame."""
    if not (stats.restarts or stats.machine_restarts):
        return ""
    return (
        f"; engines replaced: {stats.restarts} that failed or stalled, "
        f"{stats.machine_restarts} whose machine did"
    )


def drops_text(status: Status) -> str:
    """Drops by reason."""
    return ", ".join(f"{n:,} {reason}" for reason, n in sorted(status.dropped.items())) or "none"


def eta_text(status: Status) -> str:
    """The estimate in words."""
    if status.eta_s is None:
        return "unknown"
    hours, rest = divmod(round(status.eta_s), 3600)
    return f"about {hours}:{rest // 60:02}:{rest % 60:02}"
