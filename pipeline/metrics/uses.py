"""What each engine did while it was there, by looks at the pool."""

from collections.abc import Mapping
from typing import NamedTuple

from pipeline.metrics.rates import Totals
from schemas.engine_use import EngineUse
from schemas.records import EngineStats


class _Times(NamedTuple):
    up_s: float = 0.0
    at_work_s: float = 0.0


class Uses:
    """Of all engines that there were since a moment, by name."""

    def __init__(self, now: float) -> None:
        self._looked = now
        self._totals: dict[str, Totals] = {}
        self._times: dict[str, _Times] = {}

    def see(self, now: float, engines: Mapping[str, EngineStats]) -> None:
        """Take in the live ones: they were there since the last look, and had work all the while if
        they have some now or sampled anything."""
        passed, self._looked = max(0.0, now - self._looked), now
        for name, one in engines.items():
            totals = self._totals.setdefault(name, Totals())
            before = totals.tokens.sampled
            totals.see({name: one})
            times = self._times.get(name, _Times())
            has_work = one.running or one.waiting or totals.tokens.sampled > before
            worked = passed if has_work else 0.0
            self._times[name] = _Times(times.up_s + passed, times.at_work_s + worked)

    def found(self) -> tuple[EngineUse, ...]:
        """In order of name."""
        return tuple(
            EngineUse(
                name=name,
                up_s=times.up_s,
                at_work_s=times.at_work_s,
                prompt_tokens=self._totals[name].tokens.prompt,
                cached_tokens=self._totals[name].tokens.cached,
                sampled_tokens=self._totals[name].tokens.sampled,
            )
            for name, times in sorted(self._times.items())
        )
