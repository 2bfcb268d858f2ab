"""When everything happened, by what manifests hold: levels, their tails, attempts and their GPUs.

Manifests know when a wave was begun and committed. What an engine did meanwhile, they do not say.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.plan.budget import HOUR_S, spent_of
from pipeline.plan.busy_time import BusyTime
from schemas.manifest import Manifest
from schemas.wave_id import WaveId

_MOST_BARS = 400
"""Of the picture; more cannot be seen."""
_TAIL_FROM = 0.9


@dataclass(frozen=True)
class LevelTime:
    """One level over all committed waves."""

    level: int
    waves: int
    busy_s: float
    """Time in which at least one of its waves was in flight."""
    wave_s: float
    """Of one wave, the median."""
    slowest_s: float
    tail_s: float
    """From the end of its 90th wave in a hundred to the end of its last, in busy time of the run:
    what waiting for stragglers took at most."""
    tokens: int
    """Sampled, whatever became of them."""

    @property
    def tokens_per_s(self) -> float:
        """Over its busy time, in which other levels may have been busy too."""
        return self.tokens / self.busy_s if self.busy_s else 0.0


@dataclass(frozen=True)
class AttemptTime:
    """One process's try at the run."""

    attempt: str
    waves: int
    started_at: float
    finished_at: float
    busy_s: float
    """With at least one wave in flight."""
    gpus: float
    """That its engines held, the mean over its waves; 0 where there were none, or where nobody
    knows, as of servers."""
    gpu_hours: float
    tokens: int

    @property
    def busy_share(self) -> float:
        """Of the time between its first wave and its last commit."""
        span = self.finished_at - self.started_at
        return min(1.0, self.busy_s / span) if span > 0 else 1.0


@dataclass(frozen=True)
class Bar:
    """A wave in the picture, in busy seconds of the run."""

    level: int
    start_s: float
    stop_s: float


@dataclass(frozen=True)
class Course:
    """The whole run."""

    busy_s: float
    wall_s: float
    """From the first wave to the last commit, pauses included."""
    gpu_hours: float
    in_flight: float
    """Waves in flight, the mean over busy time."""
    levels: tuple[LevelTime, ...]
    attempts: tuple[AttemptTime, ...]
    bars: tuple[Bar, ...]
    bars_of: int
    """Waves that the bars are a part of."""


def course_of(manifests: Iterable[Manifest]) -> Course:
    """From the ledger."""
    waves = sorted(manifests, key=lambda one: (one.started_at, one.wave))
    spent, clock = spent_of(waves), Clock(waves)
    lengths = sum(_length(wave) for wave in waves)
    busy_s = spent.hours * HOUR_S
    shown = waves[:: max(1, -(-len(waves) // _MOST_BARS))]
    return Course(
        busy_s=busy_s,
        wall_s=_wall(waves),
        gpu_hours=spent.gpu_hours,
        in_flight=lengths / busy_s if busy_s else 0.0,
        levels=tuple(_levels(waves, clock)),
        attempts=tuple(_attempts(waves)),
        bars=tuple(Bar(_level(w), *map(clock.at, (w.started_at, _stop(w)))) for w in shown),
        bars_of=len(waves),
    )


class Clock:
    """Time of day as busy seconds since the run began: pauses between attempts take none."""

    def __init__(self, waves: Sequence[Manifest]) -> None:
        spans: list[list[float]] = []
        for start, stop in sorted((w.started_at, _stop(w)) for w in waves):
            if spans and start <= spans[-1][1]:
                spans[-1][1] = max(spans[-1][1], stop)
            else:
                spans.append([start, stop])
        self._starts = np.array([start for start, _ in spans])
        self._stops = np.array([stop for _, stop in spans])
        self._before = np.concatenate([[0.0], np.cumsum(self._stops - self._starts)])

    def at(self, moment: float) -> float:
        """A moment in which something was going on."""
        if not len(self._starts):
            return 0.0
        place = max(0, int(np.searchsorted(self._starts, moment, side="right")) - 1)
        inside = min(moment, self._stops[place]) - self._starts[place]
        return float(self._before[place] + max(0.0, inside))


def _levels(waves: Sequence[Manifest], clock: Clock) -> Iterable[LevelTime]:
    by_level: dict[int, list[Manifest]] = defaultdict(list)
    for wave in waves:
        by_level[_level(wave)].append(wave)
    for level, own in sorted(by_level.items()):
        lengths = [_length(wave) for wave in own]
        ends = sorted(clock.at(_stop(wave)) for wave in own)
        yield LevelTime(
            level=level,
            waves=len(own),
            busy_s=_busy(own),
            wave_s=float(np.median(lengths)),
            slowest_s=max(lengths),
            tail_s=ends[-1] - ends[_place(len(ends))],
            tokens=sum(map(_tokens, own)),
        )


def _place(count: int) -> int:
    """Which wave of so many ends the first nine tenths."""
    return max(0, int(np.ceil(_TAIL_FROM * count)) - 1)


def _attempts(waves: Sequence[Manifest]) -> Iterable[AttemptTime]:
    by_attempt: dict[str, list[Manifest]] = defaultdict(list)
    for wave in waves:
        by_attempt[wave.attempt].append(wave)
    for attempt, own in by_attempt.items():
        total = sum(map(_length, own))
        held = sum(_length(wave) * wave.gpus for wave in own)
        yield AttemptTime(
            attempt=attempt,
            waves=len(own),
            started_at=min(wave.started_at for wave in own),
            finished_at=max(map(_stop, own)),
            busy_s=_busy(own),
            gpus=held / total if total else own[0].gpus,
            gpu_hours=spent_of(own).gpu_hours,
            tokens=sum(map(_tokens, own)),
        )


def _busy(waves: Iterable[Manifest]) -> float:
    busy = BusyTime()
    for wave in waves:
        busy.add(wave.started_at, _stop(wave))
    return busy.total


def _wall(waves: Sequence[Manifest]) -> float:
    return max(map(_stop, waves)) - waves[0].started_at if waves else 0.0


def _stop(wave: Manifest) -> float:
    """Not before it began, where a clock was set back."""
    return max(wave.started_at, wave.finished_at)


def _length(wave: Manifest) -> float:
    return _stop(wave) - wave.started_at


def _level(wave: Manifest) -> int:
    return WaveId.parse(wave.wave).level


def _tokens(wave: Manifest) -> int:
    return wave.counts.sampled_tokens
