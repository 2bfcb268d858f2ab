"""Whoever takes numbers and shows them to others."""

from typing import Protocol

from pipeline.metrics.table import Metric


class Meter(Protocol):
    """Takes the numbers of one driver; its common labels are its own to add. Never waits."""

    def add(self, metric: Metric, amount: float, **labels: str) -> None:
        """A counter rises by more than nothing."""
        ...

    def set(self, metric: Metric, value: float, **labels: str) -> None:
        """A gauge stands at a value."""
        ...

    def observe(self, metric: Metric, value: float, **labels: str) -> None:
        """A histogram gets one more value."""
        ...


class NoMeter:
    """Where nobody measures."""

    def add(self, metric: Metric, amount: float, **labels: str) -> None:
        """Nothing happens."""

    def set(self, metric: Metric, value: float, **labels: str) -> None:
        """Nothing happens."""

    def observe(self, metric: Metric, value: float, **labels: str) -> None:
        """Nothing happens."""
