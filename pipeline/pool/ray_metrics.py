"""Numbers go to Ray's exporter, which every node of a cluster has, for Prometheus to fetch."""

from collections.abc import Mapping
from typing import Any

from pipeline.metrics.meter import Meter, NoMeter
from pipeline.metrics.table import COMMON, Metric


def ray_meter(labels: Mapping[str, str]) -> Meter:
    """For a process that has joined Ray; `labels` are the common ones."""
    import ray

    if ray.util.client.ray.is_connected():
        # A driver outside the cluster, at Ray's client, stands beside no exporter.
        return NoMeter()
    return RayMeter(labels)


class RayMeter:
    """A `Meter` of one driver."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        assert set(labels) == set(COMMON)
        self._labels = dict(labels)
        self._made: dict[str, Any] = {}
        """By name; Ray's own objects."""

    def add(self, metric: Metric, amount: float, **labels: str) -> None:
        """Raise a counter."""
        self._of(metric).inc(amount, self._labels | labels)

    def set(self, metric: Metric, value: float, **labels: str) -> None:
        """Set a gauge."""
        self._of(metric).set(value, self._labels | labels)

    def observe(self, metric: Metric, value: float, **labels: str) -> None:
        """Add to a histogram."""
        self._of(metric).observe(value, self._labels | labels)

    def _of(self, metric: Metric) -> Any:
        if metric.name not in self._made:
            self._made[metric.name] = _make(metric)
        return self._made[metric.name]


def _make(metric: Metric) -> Any:
    from ray.util.metrics import Counter, Gauge, Histogram

    keys = (*COMMON, *metric.labels)
    if metric.kind == "histogram":
        return Histogram(metric.name, metric.help, list(metric.buckets), keys)
    return (Counter if metric.kind == "counter" else Gauge)(metric.name, metric.help, keys)
