"""Linear CKA: how alike two models' states are, whatever way they are turned or scaled.

With X and Y the centred states (tokens x width) it is |Y'X|^2 / (|X'X| |Y'Y|), Frobenius norms.
Only the three products are kept, so any number of tokens fits. Sums are taken around the first
batch's mean, because some widths carry numbers thousands of times those of the others.
"""

import torch


class Likeness:
    """The products of two streams of states, in float64."""

    def __init__(self) -> None:
        self._tokens = 0
        self._middle: tuple[torch.Tensor, torch.Tensor] | None = None
        self._sums: list[torch.Tensor] = []
        self._products: list[torch.Tensor] = []

    def add(self, one: torch.Tensor, other: torch.Tensor) -> None:
        """More tokens: their states in both models, row by row."""
        one, other = one.double(), other.double()
        if self._middle is None:
            self._middle = one.mean(0), other.mean(0)
        x, y = one - self._middle[0], other - self._middle[1]
        found = [x.T @ x, y.T @ y, y.T @ x]
        sums = [x.sum(0), y.sum(0)]
        self._products = _added(self._products, found)
        self._sums = _added(self._sums, sums)
        self._tokens += len(x)

    def value(self) -> float:
        """From 0 to 1; 0 where one of them does not vary at all."""
        x, y = self._sums
        pairs = ((x, x), (y, y), (y, x))
        xx, yy, yx = (
            float((product - torch.outer(*pair) / self._tokens).norm())
            for product, pair in zip(self._products, pairs, strict=True)
        )
        return min(1.0, yx**2 / (xx * yy)) if xx > 0 and yy > 0 else 0.0


def _added(before: list[torch.Tensor], more: list[torch.Tensor]) -> list[torch.Tensor]:
    return [a + b for a, b in zip(before, more, strict=True)] if before else more
