"""A bounded sample of rows that pass by, each row as likely as any other, by seed."""

import numpy as np
import pyarrow as pa


class Sample:
    """Holds the rows with the smallest draws; equal rows in equal order give an equal sample."""

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._draw = np.random.default_rng(seed)
        self._draws = np.empty(0)
        self._rows: pa.Table | None = None
        self.seen = 0
        """Rows that passed."""

    def offer(self, rows: pa.Table) -> None:
        """Take some of them in, and let as many go."""
        self.seen += rows.num_rows
        draws = self._draw.random(rows.num_rows)
        worst = self._draws[-1] if len(self._draws) >= self._size else 1.0
        better = np.flatnonzero(draws < worst)
        if not len(better):
            return
        taken = rows.take(pa.array(better))
        both = taken if self._rows is None else pa.concat_tables([self._rows, taken])
        all_draws = np.concatenate([self._draws, draws[better]])
        best = np.argsort(all_draws, kind="stable")[: self._size]
        # Joined, so that the tables that rows came from can go.
        self._rows = both.take(pa.array(best)).combine_chunks()
        self._draws = all_draws[best]

    def rows(self) -> pa.Table | None:
        """In the order of their draws, so that the first n are a sample too; None where no row
        was taken in."""
        return self._rows
