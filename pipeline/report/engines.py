"""What engines did: how long they were there and had work, and what their caches saved."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from schemas.engine_use import EnginesUsed, EngineUse


@dataclass(frozen=True)
class EnginesTime:
    """The engines of one attempt from when they had loaded until they were let go."""

    attempt: str
    began_at: float
    loading_s: float
    up_s: float
    """Of all of them together."""
    at_work_s: float
    """With something to sample."""
    least_up_s: float
    """Of the one that was there for the shortest time."""
    prompt_tokens: int
    """That they were asked to read, of requests in vain too."""
    cached_tokens: int
    """Those of them that prefix caches held."""
    sampled_tokens: int
    engines: tuple[EngineUse, ...]


@dataclass(frozen=True)
class Engines:
    """All that was recorded."""

    times: tuple[EnginesTime, ...]
    silent: tuple[str, ...]
    """Attempts that committed waves and recorded nothing: they were killed, or are at work."""

    @property
    def cached_share(self) -> float | None:
        """Of the prompt tokens; None where no engine counted any."""
        asked = sum(one.prompt_tokens for one in self.times)
        return sum(one.cached_tokens for one in self.times) / asked if asked else None

    @property
    def work_share(self) -> float | None:
        """Of the time that engines were there; None where none was."""
        up_s = sum(one.up_s for one in self.times)
        return sum(one.at_work_s for one in self.times) / up_s if up_s else None


def engines_of(used: Sequence[EnginesUsed], attempts: Iterable[str]) -> Engines:
    """From what drivers left; `attempts` are those that committed waves."""
    told = {one.attempt for one in used}
    silent = tuple(sorted(set(attempts) - told))
    return Engines(tuple(_time(one) for one in used), silent)


def _time(used: EnginesUsed) -> EnginesTime:
    return EnginesTime(
        attempt=used.attempt,
        began_at=used.began_at,
        loading_s=used.loading_s,
        up_s=sum(one.up_s for one in used.engines),
        at_work_s=sum(one.at_work_s for one in used.engines),
        least_up_s=min((one.up_s for one in used.engines), default=0.0),
        prompt_tokens=sum(one.prompt_tokens for one in used.engines),
        cached_tokens=sum(one.cached_tokens for one in used.engines),
        sampled_tokens=sum(one.sampled_tokens for one in used.engines),
        engines=used.engines,
    )
