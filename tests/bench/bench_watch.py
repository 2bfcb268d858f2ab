"""The watch of a benchmark."""

from collections.abc import Sequence

from pipeline.pool.pool import PoolStats
from pipeline.watch import Awaited, Stop
from schemas.manifest import Manifest


class Silent:
    """Shows nothing and never stops."""

    def committed(self, manifest: Manifest, *, ours: bool) -> None:
        """Not shown."""

    def landed(self, seconds: float) -> None:
        """Not shown."""

    def tick(self, stats: PoolStats, *, open_waves: int) -> None:
        """Not shown."""

    def waits(self, others: Sequence[Awaited]) -> None:
        """Not shown."""

    def stop(self) -> Stop:
        """Never."""
        return Stop.NO
