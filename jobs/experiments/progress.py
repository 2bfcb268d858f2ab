"""What a person sees while an experiment goes on: bars in a terminal, a line a cell elsewhere."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from jobs.apart import Note
from pipeline.experiment.grids import Grid, pieces
from schemas.experiment_result import CellResult

_WIDTH = 120
"""Where there is no terminal to ask."""


class Show:
    """Tells of cells, one after another."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._console = Console(file=out, width=None if out.isatty() else _WIDTH)
        self._progress: Progress | None = None
        self._bars: tuple[TaskID, TaskID] | None = None

    def say(self, words: str) -> None:
        """One line, at once."""
        self._console.print(words, markup=False, highlight=False, soft_wrap=True)

    def grid(self, grid: Grid) -> None:
        """A table, in pieces where it is wider than the terminal."""
        for piece in pieces(grid, self._console.width - 1):
            table = Table(title=piece.title, caption=piece.note or None, title_justify="left")
            table.caption_justify = "left"
            for index, column in enumerate(piece.columns):
                table.add_column(column, justify="right" if index else "left")
            for row in piece.rows:
                table.add_row(*row)
            self._console.print(table)

    @contextmanager
    def cells(self, done: int, of: int) -> Iterator[None]:
        """Draw while inside, if there is a terminal."""
        if not self._out.isatty():
            yield
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[far]}"))
        with Progress(*columns, console=self._console, transient=True) as self._progress:
            self._bars = (
                self._progress.add_task("cells", total=of, completed=done, far=f"{done} of {of}"),
                self._progress.add_task("", total=1, far=""),
            )
            with contextlib.ExitStack() as after:
                after.callback(self._undrawn)
                yield

    def began(self, name: str) -> None:
        """A cell begins."""
        if self._progress is not None and self._bars is not None:
            self._progress.update(self._bars[1], description=name, completed=0, far="beginning")

    def heard(self, note: Note) -> None:
        """How far it is."""
        if self._progress is None or self._bars is None:
            return
        if "step" in note:
            # Steps are told once, and steps done with every log.
            steps = {"total": note["steps"]} if "steps" in note else {}
            loss = f", loss {note['loss']:.3f}" if "loss" in note else ""
            far = f"step {note['step']:.0f}{loss}"
            self._progress.update(self._bars[1], completed=note["step"], far=far, **steps)
        elif "measure" in note:
            total, far = note["of"], f"measuring {note['measure']}"
            self._progress.update(self._bars[1], completed=note["done"], total=total, far=far)

    def done(self, result: CellResult, done: int, of: int, left_s: float | None) -> None:
        """A cell is done."""
        taken = sum(result.seconds.values())
        figures = ", ".join(f"{k} {v:.3f}" for k, v in _telling(result.measured.figures()))
        left = "" if not left_s else f"; {span(left_s)} left"
        self.say(
            f"{result.arm}/{result.seed} done in {taken:,.0f} s ({done} of {of}): {figures}{left}"
        )
        if self._progress is not None and self._bars is not None:
            self._progress.update(self._bars[0], completed=done, far=f"{done} of {of}{left}")

    def _undrawn(self) -> None:
        self._progress = self._bars = None


def _telling(figures: dict[str, float]) -> list[tuple[str, float]]:
    """Those that fit into a line."""
    wanted = ("accuracy", "nll", "kl")
    return [(name, v) for name, v in figures.items() if name.rpartition(".")[2] in wanted][:6]


def span(seconds: float) -> str:
    """About how long, in words."""
    hours, rest = divmod(round(seconds), 3600)
    if hours:
        return f"about {hours}:{rest // 60:02} hours"
    return f"about {rest // 60} min" if rest >= 90 else f"about {rest} s"
