"""What the trees of a run grow from, by its spec."""

from typing import Protocol

from jobs.recipes import load_recipe
from schemas.execution_spec import RunSpec
from schemas.manifest import RowCount
from schemas.records import RootRow


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


def rows_of(spec: RunSpec) -> Rows:
    """Topics, the rows of a data set or a run, or one empty row."""
    roots = spec.generation.roots
    if roots.data is None:
        if not roots.topics:
            return ListedRows([RootRow()])
        from pipeline.storage.rows import topic_rows

        return ListedRows(topic_rows(roots.topics))
    from pipeline.storage.rows import read_rows

    recipe = load_recipe(spec.generation.recipe)
    options = spec.execution.storage_options
    return read_rows(roots.data, locations_of(spec), options, unfit=recipe.unfit)


def locations_of(spec: RunSpec) -> tuple[str, ...]:
    """Where the rows lie."""
    named = spec.execution.roots
    return (named,) if isinstance(named, str) else named
