"""A run that grows, as a few lines of a terminal, however narrow; and the words for its figures."""

from collections import Counter
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline.pool.pool import PoolStats
from pipeline.report.status import LevelStatus, Status

WIDE = 72
"""Columns from which there is room for whole numbers and a bar."""
_BAR = 24
_REASONS = 8
"""Drops by so many reasons are told of one by one."""
_REASON = 28
"""Characters of one: own filters may have long names."""


@dataclass(frozen=True)
class View:
    """A bar a level, and two paragraphs of figures."""

    status: Status
    stats: PoolStats
    open_waves: int
    tokens_per_s: float | None = None
    left_s: float | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As wide as there is room."""
        yield self._levels(wide=options.max_width >= WIDE)
        yield Text(standing_text(self.stats, self.open_waves, self.tokens_per_s))
        yield Text(
            f"dropped: {some_drops_text(self.status.dropped)}; left: {left_text(self.left_s)}"
        )

    def _levels(self, *, wide: bool) -> Table:
        bars = Table.grid(padding=(0, 1))
        for level in self.status.levels:
            name = Text(f"{level.level} {level.role}")
            if wide:
                bar = ProgressBar(total=1.0, completed=_done(level), width=_BAR)
                bars.add_row(name, bar, Text(_counts(level)))
            else:
                bars.add_row(name, Text(f"{_done(level):.0%}"), Text(_short_counts(level)))
        return bars


def _done(level: LevelStatus) -> float:
    return min(1.0, level.asked / level.expected_candidates) if level.asked else 0.0


def _counts(level: LevelStatus) -> str:
    return f"{level.kept:,} kept / {level.asked:,} of ~{level.expected_candidates:,.0f}"


def _short_counts(level: LevelStatus) -> str:
    asked, expected = short(level.asked), short(level.expected_candidates)
    return f"{short(level.kept)} kept/{asked} of ~{expected}"


def short(number: float) -> str:
    """A large number in five characters."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= size:
            scaled = number / (1e3 if unit == "k" else size)
            return f"{scaled:.0f}{unit}" if scaled >= 100 else f"{scaled:.1f}{unit}"
    return f"{number:,.0f}"


def standing_text(stats: PoolStats, open_waves: int, tokens_per_s: float | None) -> str:
    """Engines, waves and speed."""
    engines = stats.engines.values()
    count = f"{engines_text(len(engines))}{_coming(stats)}"
    asked = sum(engine.prompt_tokens for engine in engines)
    cached = sum(engine.cached_tokens for engine in engines)
    speed = "" if tokens_per_s is None else f"; {tokens_per_s:,.0f} tokens/s"
    return (
        f"{count}: {sum(e.running for e in engines):,} running, "
        f"{sum(e.waiting for e in engines):,} waiting; {open_waves:,} waves open{speed}; "
        f"{cached / asked if asked else 0:.0%} cached{_replaced(stats)}"
    )


def engines_text(count: int) -> str:
    """So many of them."""
    return f"{count:,} engine{'' if count == 1 else 's'}"


def _coming(stats: PoolStats) -> str:
    """Engines that are not there yet."""
    loading = [f"{stats.loading} more load"] if stats.loading else []
    waiting = [f"{stats.waiting} more wait for a place"] if stats.waiting else []
    return f" ({', '.join([*loading, *waiting])})" if loading or waiting else ""


def _replaced(stats: PoolStats) -> str:
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


def tokens_beside(about: int, unused: int) -> str:
    """What was sampled beside candidates, in words."""
    told = f" and {about:,} about candidates" if about else ""
    return told + (f" and {unused:,} ahead that were not wanted" if unused else "")


def some_drops_text(dropped: "Counter[str]") -> str:
    """The same where there is little room: the most frequent ones."""
    most = dropped.most_common(_REASONS)
    told = [f"{n:,} {_cut(reason)}" for reason, n in sorted(most)]
    if len(dropped) > len(most):
        more = sum(dropped.values()) - sum(n for _, n in most)
        told.append(f"{more:,} for {len(dropped) - len(most)} other reasons")
    return ", ".join(told) or "none"


def _cut(reason: str) -> str:
    return reason if len(reason) <= _REASON else f"{reason[: _REASON - 1]}…"


def left_text(seconds: float | None) -> str:
    """An estimate in words."""
    if seconds is None:
        return "unknown"
    hours, rest = divmod(round(seconds), 3600)
    return f"about {hours}:{rest // 60:02}:{rest % 60:02}"
