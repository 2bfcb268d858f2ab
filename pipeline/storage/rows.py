"""Rows to grow from: of data sets, of sealed runs, of a list of topics.

Rows are read one by one. What nothing can grow from is counted and named; beyond the share that
the spec allows, nothing is begun.
"""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pipeline.storage.data_files import kind_of
from pipeline.storage.open import find_run, runs_at
from pipeline.storage.records import Record, read_records
from pipeline.storage.row_fields import RowReader, bad_row
from pipeline.storage.row_list import RowList, is_text
from pipeline.storage.run_rows import run_rows
from pipeline.storage.spill import IN_MEMORY_BYTES
from pipeline.storage.store import Store
from schemas.errors import LocationError, SpecError
from schemas.generation_spec import DataSpec, Topic
from schemas.manifest import BadRow
from schemas.records import RootRow

Options = Mapping[str, Any] | None
Found = Iterator[RootRow | BadRow]
Unfit = Callable[[RootRow], str | None]

_ROOTS = "execution.roots"
_DATA = "generation.roots.data"
_SHOWN = 5
_NO_CHARACTER = "holds half of a surrogate pair, which is no character"


def topic_rows(topics: Sequence[Topic]) -> list[RootRow]:
    """A row a topic."""
    return [RootRow(topic.text, source=f"topic {n}") for n, topic in enumerate(topics, start=1)]


def read_rows(
    spec: DataSpec,
    locations: str | Sequence[str],
    storage_options: Options = None,
    *,
    unfit: Unfit = lambda row: None,
    in_memory_bytes: int = IN_MEMORY_BYTES,
) -> RowList:
    """All rows at locations, the good ones to be read by index. `unfit` says why nothing can grow
    from a row; None if something can."""
    places = (locations,) if isinstance(locations, str) else tuple(locations)
    rows = RowList(in_memory_bytes)
    sieve = _Sieve(rows, spec.limit, unfit)
    runs = _runs_at(spec, places, storage_options)
    if runs:
        sieve.fill(row for run in runs for row in run_rows(spec, run))
    else:
        _fill_from_files(sieve, spec, places, storage_options)
    _check_count(spec, rows)
    return rows


def _runs_at(spec: DataSpec, locations: Sequence[str], options: Options) -> list[Store]:
    """The runs that the locations are; () if they are files."""
    with _at_location():
        found = [_run_at(spec, location, options) for location in locations]
    runs = [run for run in found if run is not None]
    if runs and len(runs) < len(found):
        raise SpecError(
            f"{_ROOTS}: found the run {runs[0].location} beside {locations[found.index(None)]}; "
            "expected runs only, or none."
        )
    return runs


def _run_at(spec: DataSpec, location: str, options: Options) -> Store | None:
    if kind_of(location) is not None or "*" in location:
        if spec.level is None:
            return None
        raise SpecError(f"{location} names files, but {_DATA}.level asks for a run.")
    if spec.level is None and not runs_at(location, options):
        return None
    return find_run(location, options)


def _fill_from_files(
    sieve: "_Sieve", spec: DataSpec, locations: Sequence[str], options: Options
) -> None:
    reader = RowReader(spec)
    with _at_location():
        found = read_records(locations, options, reader.columns)
        sieve.fill(map(reader.row, found))
        if not reader.missing:
            return
        # Only what is looked for was read, so the names of all are looked up now.
        anew = read_records(locations, options)
        first = next((record for record in anew if isinstance(record, Record)), None)
    if first is not None:
        _refuse_missing(spec, reader.missing, [str(name) for name in first.content])


class _Sieve:
    """Takes rows in until there are enough, the bad ones apart."""

    def __init__(self, rows: RowList, limit: int | None, unfit: Unfit) -> None:
        self._rows, self._limit, self._unfit = rows, limit, unfit

    def fill(self, found: Found) -> None:
        """From what was read."""
        for row in found:
            self._take(row)
            if len(self._rows) == self._limit:
                return

    def _take(self, row: RootRow | BadRow) -> None:
        if isinstance(row, BadRow):
            self._rows.add_bad(row)
        elif (reason := self._why_bad(row)) is not None:
            self._rows.add_bad(bad_row(row.source, reason))
        else:
            self._rows.add(row)

    def _why_bad(self, row: RootRow) -> str | None:
        """What is no text is shown to nobody else."""
        return self._unfit(row) if is_text(row) else _NO_CHARACTER


@contextmanager
def _at_location() -> Iterator[None]:
    try:
        yield
    except (SpecError, LocationError) as error:
        raise SpecError(f"{_ROOTS}: {error}") from error


def _refuse_missing(spec: DataSpec, missing: set[str], found: Sequence[str]) -> None:
    ours, theirs = next(pair for pair in spec.columns.items() if pair[1] in missing)
    close = difflib.get_close_matches(theirs, found, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise SpecError(
        f"{_DATA}.columns.{ours}: no row has a column {theirs}{hint}; found the columns "
        f"{', '.join(found) or 'nothing'}."
    )


def _check_count(spec: DataSpec, rows: RowList) -> None:
    good, bad, examples = rows.row_count.good, rows.row_count.bad, rows.row_count.examples
    first = "; ".join(f"{row.where}: {row.why}" for row in examples[:_SHOWN])
    if not good and not bad:
        raise SpecError(f"{_ROOTS}: found no row at all; expected at least one.")
    if not good:
        raise SpecError(
            f"{_DATA}: nothing can grow from any of the {bad} rows. The first: {first}. Name the "
            f"columns to read in {_DATA}.columns, or mend the rows."
        )
    share = bad / (good + bad)
    if share > spec.max_bad_share:
        raise SpecError(
            f"{_DATA}: nothing can grow from {bad} of {good + bad} rows, a share of {share:.2g}, "
            f"more than {spec.max_bad_share:g}. The first: {first}. Raise {_DATA}.max_bad_share, "
            "or mend the rows."
        )
