"""What the trees of a run grow from, by its spec."""

from collections.abc import Callable
from typing import Protocol

from jobs.recipes import load_recipe
from schemas.errors import SpecError
from schemas.execution_spec import RunSpec
from schemas.manifest import RowCount
from schemas.records import RootRow

Unfit = Callable[[RootRow], str | None]
"""Why nothing can grow from a row; None if something can."""


class Rows(Protocol):
    """Rows by number, and what they are together."""

    @property
    def row_count(self) -> RowCount:
        """How many there are, and how many could not be read."""
        ...

    @property
    def digest(self) -> str:
        """Of what the spec only names; empty where it says all."""
        ...

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> RootRow: ...


class ListedRows(list[RootRow]):
    """Rows that the spec itself says."""

    digest = ""

    @property
    def row_count(self) -> RowCount:
        """All are good."""
        return RowCount(good=len(self))


def rows_of(spec: RunSpec, unfit: Unfit = lambda row: None) -> Rows:
    """Topics, the rows of a data set or a run, or one empty row.

    Rows that are unfit are left out of data, and counted; what the spec itself says must be fit.
    """
    roots = spec.generation.roots
    if roots.data is None:
        return _listed(spec, unfit)
    from pipeline.storage.rows import read_rows

    by_recipe = load_recipe(spec.generation.recipe).unfit
    options = spec.execution.options_at(locations_of(spec))
    return read_rows(
        roots.data, locations_of(spec), options, unfit=lambda row: by_recipe(row) or unfit(row)
    )


def _listed(spec: RunSpec, unfit: Unfit) -> ListedRows:
    from pipeline.storage.rows import topic_rows

    rows = ListedRows(topic_rows(spec.generation.roots.topics) or [RootRow()])
    for row in rows:
        if (reason := unfit(row)) is not None:
            raise SpecError(f"{row.source}: {reason}." if row.source else f"{reason}.")
    return rows


def locations_of(spec: RunSpec) -> tuple[str, ...]:
    """Where the rows lie."""
    named = spec.execution.roots
    return (named,) if isinstance(named, str) else named
