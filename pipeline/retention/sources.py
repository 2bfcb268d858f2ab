"""Rows to be read from data sets and sealed runs, as training reads them."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
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


def sample_rows(spec: SamplesSpec, trainee: Trainee, sources: Sources) -> list[Row]:
    """The turns of a run's conversations, or of those in a file."""
    if spec.run is not None:
        return _some(_varied(spec, spec.run, trainee, sources), spec.run)
    data = DataSource(files=spec.items or "")
    found = data_examples(data, "turns", trainee, sources.options)
    return _some(islice(_rows(found, _most(spec, trainee)), spec.limit), spec.items or "")


def task_rows(spec: GainSpec, trainee: Trainee, sources: Sources) -> list[Row]:
    """Held-out rows of a task, of which the answers are asked about."""
    found = data_examples(spec.data, "answers", trainee, sources.options)
    return _some(_rows(found, trainee.context), ", ".join(files_of(spec.data)))


def _varied(spec: SamplesSpec, location: str, trainee: Trainee, sources: Sources) -> list[Row]:
    """As many conversations as are wanted, from as many opening questions as there are."""
    firsts = list(_run(spec, location, trainee, sources, each=1))
    if not firsts or len(firsts) >= spec.limit:
        return firsts[: spec.limit]
    each = -(-spec.limit // len(firsts))
    return list(islice(_run(spec, location, trainee, sources, each=each), spec.limit))


def _run(
    spec: SamplesSpec, location: str, trainee: Trainee, sources: Sources, *, each: int
) -> Iterator[Row]:
    if sources.open_run is None:
        raise SpecError(f"{location}: found a run where only files can be read.")
    leaves = LineariseSpec(each="leaf", per_opening=each)
    source = RunSource(location=location, linearise=leaves)
    sealed = sources.open_run(source)
    found = run_examples(sealed, source, "turns", trainee, stored=False, seed=0)
    return _rows(found, _most(spec, trainee))


def _most(spec: SamplesSpec, trainee: Trainee) -> int:
    return min(spec.max_tokens, trainee.context)


def _rows(found: Iterable[Example | BadRow], most: int) -> Iterator[Row]:
    """Rows cut to a length, if anything is learned in what is left."""
    for example in found:
        if isinstance(example, BadRow):
            continue
        short = example.cut(most)
        if short.learned[1:].any():
            yield masked_row(short.ids, short.learned)


def _some(rows: Iterable[Row], where: str) -> list[Row]:
    found = list(rows)
    if not found:
        raise SpecError(
            f"{where}: found no row to measure on; expected some in which an answer begins within "
            "the first tokens that are read."
        )
    return found
