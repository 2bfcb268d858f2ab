"""What a driver knows becomes numbers of metrics."""

from collections.abc import Mapping
from typing import NamedTuple

from pipeline.metrics import table
from pipeline.metrics.meter import Meter
from pipeline.metrics.rates import Tokens
from pipeline.metrics.table import Metric
from schemas.manifest import Manifest
from schemas.wave_id import WaveId


class Gauged(NamedTuple):
    """How one driver stands; counts that only rise are sums since it began."""

    engines: Mapping[str, int]
    """How many, by state."""
    sequences: Mapping[str, int]
    """At live engines, by state."""
    replaced: Mapping[str, int]
    """Engines, by cause."""
    requeued: int
    retries: int
    """Of the store."""
    tokens: Tokens
    waves_open: int
    progress: float
    left_s: float | None


class Teller:
    """Tells a meter of one driver's work."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        """Another one may take its place."""
        self._told: dict[tuple[str, str], float] = {}
        """What counters were raised to, by metric and label."""
        self._states: dict[Metric, tuple[str, ...]] = {}
        """That were told, by gauge."""

    def wave(self, manifest: Manifest) -> None:
        """A wave of this driver is committed."""
        counts, level = manifest.counts, str(WaveId.parse(manifest.wave).level)
        tokens = counts.output_tokens + counts.aside_tokens
        self._add(table.WAVES_COMMITTED, 1, level=level)
        self._add(table.NODES_ASKED, counts.asked, level=level)
        self._add(table.NODES_KEPT, counts.kept, level=level)
        self._add(table.COMMITTED_TOKENS, tokens, level=level)
        for reason, dropped in counts.dropped.items():
            self._add(table.NODES_DROPPED, dropped, reason=reason)

    def commit(self, seconds: float) -> None:
        """A commit took so long."""
        self.meter.observe(table.COMMIT_SECONDS, seconds)

    def standing(self, now: Gauged) -> None:
        """How it stands."""
        for metric, states in (
            (table.ENGINES, now.engines),
            (table.ENGINE_SEQUENCES, now.sequences),
        ):
            self._states[metric] = tuple(states)
            for state, count in states.items():
                self.meter.set(metric, count, state=state)
        for cause, count in now.replaced.items():
            self._raise(table.ENGINES_REPLACED, count, cause=cause)
        self._raise(table.REQUEUED, now.requeued)
        self._raise(table.STORE_RETRIES, now.retries)
        self._raise(table.SAMPLED_TOKENS, now.tokens.sampled)
        self._raise(table.PROMPT_TOKENS, now.tokens.prompt)
        self._raise(table.CACHED_TOKENS, now.tokens.cached)
        self.meter.set(table.WAVES_OPEN, now.waves_open)
        self.meter.set(table.PROGRESS, now.progress)
        if now.left_s is not None:
            self.meter.set(table.LEFT_SECONDS, now.left_s)

    def let_go(self) -> None:
        """Engines are there no more, nor is a wave in flight."""
        for metric, states in self._states.items():
            for state in states:
                self.meter.set(metric, 0, state=state)
        self.meter.set(table.WAVES_OPEN, 0)

    def _raise(self, metric: Metric, total: float, **labels: str) -> None:
        key = (metric.name, "".join(labels.values()))
        more = total - self._told.get(key, 0)
        # A pool that is started anew counts from nothing.
        self._add(metric, more if more >= 0 else total, **labels)
        self._told[key] = total

    def _add(self, metric: Metric, amount: float, **labels: str) -> None:
        if amount > 0:
            self.meter.add(metric, amount, **labels)
