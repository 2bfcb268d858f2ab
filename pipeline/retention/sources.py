"""Rows to be read from data sets and sealed runs, as training reads them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pipeline.retention.rows import Row, masked_row
from pipeline.sft.example import Example
from pipeline.sft.rows.from_data import data_examples, files_of
from pipeline.sft.rows.from_run import run_examples
from pipeline.sft.rows.run_source import OpenRun
from pipeline.sft.trainee import Trainee
from schemas.errors import SpecError
from schemas.manifest import BadRow
from schemas.sft_spec import DataSource, GainSpec, LineariseSpec, RunSource, SamplesSpec

Options = Mapping[str, Any] | None


class Sources(NamedTuple):
    """How items and runs are reached."""

    options: Options = None
    """Of the filesystem."""
    open_run: OpenRun | None = None
    """None: no run can be named."""


@dataclass
class Found:
    """Rows to be read, and how many there are that cannot be."""

    rows: list[Row] = field(default_factory=list)
    bad: int = 0
    """So many could not be read."""
    left_out: int = 0
    """So many are too long, or have nothing to ask about in what is read of them."""

    @property
    def counts(self) -> dict[str, int]:
        """What is lacking."""
        return {"bad": self.bad, "left_out": self.left_out}


def sample_rows(spec: SamplesSpec, trainee: Trainee, sources: Sources) -> Found:
    """The turns of a run's conversations, or of those in a file, cut to what is to be read."""
    if spec.run is not None:
        return _some(_varied(spec, spec.run, trainee, sources), spec.run)
    data = DataSource(files=spec.items or "")
    found = data_examples(data, "turns", trainee, sources.options)
    return _some(_sieved(_cut(found, _most(spec, trainee)), spec.limit), spec.items or "")


def task_rows(spec: GainSpec, trainee: Trainee, sources: Sources) -> Found:
    """Held-out rows of a task, of which the answers are asked about, all of them whole."""
    found = data_examples(spec.data, "answers", trainee, sources.options)
    return _some(_sieved(_fitting(found, trainee.context)), ", ".join(files_of(spec.data)))


def _varied(spec: SamplesSpec, location: str, trainee: Trainee, sources: Sources) -> Found:
    """As many conversations as are wanted, from as many opening questions as there are."""
    firsts = _sieved(_run(spec, location, trainee, sources, each=1), spec.limit)
    if not firsts.rows or len(firsts.rows) >= spec.limit:
        return firsts
    each = -(-spec.limit // len(firsts.rows))
    return _sieved(_run(spec, location, trainee, sources, each=each), spec.limit)


def _run(
    spec: SamplesSpec, location: str, trainee: Trainee, sources: Sources, *, each: int
) -> Iterator[Example | BadRow | None]:
    if sources.open_run is None:
        raise SpecError(f"{location}: found a run where only files can be read.")
    leaves = LineariseSpec(each="leaf", per_opening=each)
    source = RunSource(location=location, linearise=leaves)
    sealed = sources.open_run(source)
    found = run_examples(sealed, source, "turns", trainee, stored=False, seed=0)
    return _cut(found, _most(spec, trainee))


def _most(spec: SamplesSpec, trainee: Trainee) -> int:
    return min(spec.max_tokens, trainee.context)


def _cut(found: Iterable[Example | BadRow], most: int) -> Iterator[Example | BadRow | None]:
    """What stands in the first so many tokens."""
    return (row if isinstance(row, BadRow) else row.cut(most) for row in found)


def _fitting(found: Iterable[Example | BadRow], most: int) -> Iterator[Example | BadRow | None]:
    """None for what is longer."""
    return (None if isinstance(row, Example) and len(row.ids) > most else row for row in found)


def _sieved(found: Iterable[Example | BadRow | None], limit: int | None = None) -> Found:
    """Rows in which anything is learned, and how many others there are before the last of them."""
    sieved = Found()
    for row in found:
        if isinstance(row, BadRow):
            sieved.bad += 1
        elif row is None or not row.learned[1:].any():
            sieved.left_out += 1
        else:
            sieved.rows.append(masked_row(row.ids, row.learned))
        if len(sieved.rows) == limit:
            break
    return sieved


def _some(found: Found, where: str) -> Found:
    if not found.rows:
        raise SpecError(
            f"{where}: found no row to measure on ({found.bad:,} could not be read, "
            f"{found.left_out:,} are too long or without an answer); expected some in which an "
            "answer begins within the first tokens that are read."
        )
    return found
