"""The figures of a training: losses by part, tokens, seconds, and which rows went wrong."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pipeline.sft.training.batches import NOBODY

_SHOWN = 8


@dataclass
class _Step:
    """What was seen of the step that goes on."""

    shares: Tensor
    tokens: Tensor
    counts: Sequence[int] = ()
    batches: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)
    pulled: Tensor | None = None


class Figures:
    """Adds up what the batches of a step and the processes saw, and the steps since the last log.

    Everything that is asked of other processes is asked once a step, by all of them.
    """

    def __init__(self, weights: Mapping[str, float], device: torch.device) -> None:
        self._parts, self._device = weights, device
        self.finite = True
        self._step = self._last = self._new_step()
        self.begin()

    def add(
        self, batch: Mapping[str, Tensor], losses: Tensor, shares: Tensor, counts: Tensor
    ) -> None:
        """A batch: the losses at its positions, and its shares of the parts' means."""
        step = self._step
        step.shares = step.shares + shares
        step.counts = counts.tolist()
        step.tokens = step.tokens + batch["attention_mask"][batch["part"] != NOBODY].sum()
        step.batches.append((batch["row"], batch["part"], losses.isfinite().all(1)))

    def pulled(self, loss: Tensor) -> None:
        """What the anchor added to the loss."""
        self._step.pulled = loss

    def close(self, loss: Tensor, accelerator: Any, *, stopping: bool) -> bool:
        """The end of a step; whether any process was told to stop."""
        step, self._last, self._step = self._step, self._step, self._new_step()
        mine = torch.stack([~loss.isfinite(), torch.tensor(stopping, device=self._device)])
        local = torch.cat([step.shares, step.tokens[None], mine]).float()
        *means, tokens, bad, stop = accelerator.reduce(local, "sum").tolist()
        self._seen += int(tokens)
        total, found = 0.0, {}
        for (name, weight), mean, count in zip(
            self._parts.items(), means, step.counts, strict=True
        ):
            if count:
                found[f"loss/{name}"] = mean
                total += weight * mean
        if step.pulled is not None:
            found["loss/l2"] = float(step.pulled)
            total += found["loss/l2"]
        # The loss that was handed over is that of the last batch alone.
        self.finite = not bad and math.isfinite(total)
        self._count({"loss": total, **found})
        return bool(stop)

    def _count(self, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            total, steps = self._sums.get(name, (0.0, 0))
            self._sums[name] = (total + value, steps + 1)

    def taken(self) -> dict[str, float]:
        """Means over the steps since this was asked the last time."""
        found = {name: total / steps for name, (total, steps) in self._sums.items()}
        seconds = time.perf_counter() - self._since
        found |= {"tokens": self._seen, "tokens_per_s": self._seen / max(seconds, 1e-9)}
        self.begin()
        return found

    def pending(self) -> dict[str, Any]:
        """What a resumed training needs to take the next means over the same steps."""
        return {"sums": self._sums, "tokens": self._seen}

    def begin(self, pending: Mapping[str, Any] | None = None) -> None:
        """Look at the clock, and start with nothing, or with what was pending."""
        self._sums: dict[str, tuple[float, int]] = {}
        self._seen = 0
        if pending:
            self._sums = {name: (total, steps) for name, (total, steps) in pending["sums"].items()}
            self._seen = pending["tokens"]
        self._since = time.perf_counter()

    def told(self, accelerator: Any) -> str:
        """The rows of the last step, those that went wrong first, in words."""
        rows = [
            (int(row), int(part), bool(good))
            for rows, parts, fine in (self._step if self._step.batches else self._last).batches
            for row, part, good in zip(rows.tolist(), parts.tolist(), fine.tolist(), strict=True)
            if row != NOBODY
        ]
        if accelerator.num_processes > 1:
            from accelerate.utils import gather_object

            rows = gather_object(rows)
        bad = sorted(row for row in rows if not row[2])
        which = "the rows whose own loss is not" if bad else "the rows of the step"
        return f"Of the mixture, {which}: {self._names(bad or sorted(rows))}."

    def _names(self, rows: Sequence[tuple[int, int, bool]]) -> str:
        parts = list(self._parts)
        shown = [f"{row} ({parts[part]})" for row, part, _ in rows[:_SHOWN]]
        more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
        return ", ".join(shown) + more

    def _new_step(self) -> _Step:
        nothing = torch.zeros(len(self._parts), device=self._device)
        return _Step(nothing, nothing.sum().long())
