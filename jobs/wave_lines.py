"""Waves that were committed, as lines of a log: one now and then, however many there are."""

from collections import Counter

from jobs.live_view import some_drops_text
from schemas.manifest import Manifest


class WaveLines:
    """Sums up the waves that were not told of yet."""

    def __init__(self) -> None:
        self._waves: list[tuple[Manifest, bool]] = []
        """Each with whether it is this driver's."""

    def __bool__(self) -> bool:
        return bool(self._waves)

    def add(self, manifest: Manifest, *, ours: bool) -> None:
        """One more."""
        # Their shards, and whose they are, are not told of.
        self._waves.append((manifest.model_copy(update={"shards": ()}), ours))

    def taken(self) -> str:
        """All of them in one line."""
        waves, self._waves = self._waves, []
        return _one(*waves[0]) if len(waves) == 1 else _many(waves)


def _one(manifest: Manifest, ours: bool) -> str:
    seconds = max(0.0, manifest.finished_at - manifest.started_at)
    whose = "" if ours else f" (attempt {manifest.attempt})"
    words = _counts([manifest])
    return f"wave {manifest.wave} committed{whose}: {words} in {seconds:.1f} s"


def _many(waves: list[tuple[Manifest, bool]]) -> str:
    theirs = sum(not ours for _, ours in waves)
    whose = f" ({theirs:,} by other drivers)" if theirs else ""
    return f"{len(waves):,} waves committed{whose}: {_counts([wave for wave, _ in waves])}"


def _counts(waves: list[Manifest]) -> str:
    counts = [wave.counts for wave in waves]
    dropped: Counter[str] = sum((Counter(one.dropped) for one in counts), Counter())
    return (
        f"{sum(one.kept for one in counts):,} of {sum(one.asked for one in counts):,} kept, "
        f"dropped {some_drops_text(dropped)}; "
        f"{sum(one.output_tokens for one in counts):,} tokens"
    )
