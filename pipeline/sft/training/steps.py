"""Which rows a process takes at once, and which make a step of the optimiser (pure).

Rows keep their order: a step takes the next `batch_rows * accumulate * processes` of them, each of
its batches the next `batch_rows * processes`, dealt out in turn among the processes. No row is
taken twice to fill up the last step, so a process may be left with none there.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Steps:
    """The order of a training."""

    rows: int
    batch_rows: int
    accumulate: int = 1
    processes: int = 1
    at_most: int | None = None

    @property
    def rows_a_step(self) -> int:
        """Of all processes; the last step may have fewer."""
        return self.batch_rows * self.accumulate * self.processes

    @property
    def rows_used(self) -> int:
        """Those that are trained on."""
        return min(self.rows, (self.at_most or self.rows) * self.rows_a_step)

    def __len__(self) -> int:
        return -(-self.rows_used // self.rows_a_step)

    def batches(self, process: int) -> list[range]:
        """The rows of each batch of one process."""
        together = self.batch_rows * self.processes
        last = self.rows_used
        return [
            range(first + process, min(first + together, last), self.processes)
            for first in range(0, last, together)
        ]
