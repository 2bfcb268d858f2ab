"""What a person sees while a model is trained: a bar in a terminal, one line a log elsewhere."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

EVERY_S = 1.0
"""Lines come at most so often, the last one excepted."""


class TrainingProgress:
    """A `Watch` that shows what it hears."""

    def __init__(self, out: TextIO, stopping: Callable[[], bool] = lambda: False) -> None:
        self._out, self._stopping = out, stopping
        self._bar: Progress | None = None
        self._bars: dict[str, TaskID] = {}
        self._steps = self._done = 0
        self._began = self._told = 0.0

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Draw while inside, if `out` is a terminal."""
        if not self._out.isatty():
            yield
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"))
        console = Console(file=self._out)
        with Progress(*columns, TimeRemainingColumn(), console=console) as self._bar:
            yield
        self._bar = None

    def say(self, words: str) -> None:
        """One line, at once."""
        if self._bar is None:
            print(words, file=self._out, flush=True)
        else:
            self._bar.console.print(words, markup=False, highlight=False)

    def began(self, steps: int, done: int) -> None:
        """The bar, or a line."""
        self._steps, self._done, self._began = steps, done, time.monotonic()
        going_on = f", going on after step {done}" if done else ""
        self.say(f"training: {steps:,} steps{going_on}")
        self._draw("training", done, steps, "")

    def logged(self, figures: Mapping[str, float]) -> None:
        """The figures in the bar, or in a line of their own."""
        step = int(figures["step"])
        told = figures_text(figures)
        if self._bar is not None:
            self._draw("training", step, self._steps, told)
            return
        now = time.monotonic()
        if now >= self._told + EVERY_S or step == self._steps:
            self._told = now
            self.say(f"step {step:,} of {self._steps:,}: {told}{self._left(step, now)}")

    def measuring(self, name: str, done: int, of: int) -> None:
        """How far a measure is; a line where it begins."""
        if self._bar is not None:
            self._draw(name, done, of, f"{done:,} of {of:,}")
        elif done == 0:
            self.say(f"measuring {name}: {of:,} items")

    def stopping(self) -> bool:
        """As was asked."""
        return self._stopping()

    def _draw(self, name: str, done: int, of: int, told: str) -> None:
        if self._bar is None:
            return
        if name not in self._bars:
            self._bars[name] = self._bar.add_task(name, total=of, told=told)
        self._bar.update(self._bars[name], completed=done, total=of, told=told)

    def _left(self, step: int, now: float) -> str:
        made, left = step - self._done, self._steps - step
        if not made or not left:
            return ""
        hours, rest = divmod(round((now - self._began) / made * left), 3600)
        return f"; about {hours}:{rest // 60:02}:{rest % 60:02} left"


def figures_text(figures: Mapping[str, float]) -> str:
    """Loss, learning rate and speed; the loss of each part where there are several."""
    parts = {name: loss for name, loss in figures.items() if name.startswith("loss/")}
    by_part = ", ".join(f"{name.removeprefix('loss/')} {loss:.4f}" for name, loss in parts.items())
    of = f" ({by_part})" if len(parts) > 1 else ""
    return (
        f"loss {figures['loss']:.4f}{of}, lr {figures['learning_rate']:.2e}, "
        f"{figures['tokens_per_s']:,.0f} tokens/s"
    )
