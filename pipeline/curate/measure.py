"""Measures: all numbers about turns that verdicts are made of."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from pipeline.curate.benchmark import Benchmark
from pipeline.curate.filters import FILTERS
from pipeline.curate.filters.filter import Filter
from pipeline.curate.mixing import Hashes
from pipeline.curate.reading import Block, Reading
from pipeline.curate.relevance import Embed, place
from pipeline.curate.signature import PERMUTATIONS, signatures
from schemas.curation_spec import CurationSpec
from schemas.dialect import Dialect
from schemas.errors import FilterError, SpecError
from schemas.measures import Measures, Scores, Signatures, Turns
from schemas.records import Role

RELEVANCE = "relevance"
"""The score that diversity weighs: how close a turn is to its query."""

_BLOCK = 64
"""Turns that are read together."""


class _Use(NamedTuple):
    """A filter as the spec uses it for one role, which may be with several settings."""

    name: str
    rule: Filter
    entries: tuple[Any, ...]
    columns: tuple[str, ...]


class Measurer:
    """Measures turns as a spec asks. Scores are those of the filters used for the turns' role.

    `dialects` are those of the run's models, by tongue.
    """

    def __init__(
        self,
        spec: CurationSpec,
        *dialects: Dialect,
        embed: Embed | None = None,
        benchmark: Hashes | None = None,
    ) -> None:
        if benchmark is None and any(entry.filter == "decontaminate" for entry in spec.filters):
            raise SpecError(
                "filters: `decontaminate` looks for texts of benchmarks, and there are none; "
                "name their files in execution.benchmarks."
            )
        self._spec, self._dialects, self._embed = spec, dialects, embed
        self._benchmark = None if benchmark is None else Benchmark(benchmark)

    def __call__(self, turns: Turns) -> Measures:
        """Numbers row by row, which depend on nothing but the turn of their row."""
        uses = _uses(self._spec, turns.role)
        names = tuple(dict.fromkeys(name for use in uses for name in use.columns))
        scores = np.empty((len(turns), len(names)), dtype=np.float32)
        width = PERMUTATIONS if self._spec.duplicates != "keep" else 0
        signed = np.empty((len(turns), width), dtype=np.uint32)
        for rows, block in self._blocks(turns):
            _fill(scores[rows], names, block, uses)
            if width:
                signed[rows] = signatures(block.shingles(turns.role))
        return self._with_vectors(turns, names, scores, signed)

    def _blocks(self, turns: Turns) -> Iterator[tuple[slice, Block]]:
        for start in range(0, len(turns), _BLOCK):
            rows = slice(start, min(start + _BLOCK, len(turns)))
            part = [turns[row] for row in range(rows.start, rows.stop)]
            yield rows, Block(part, *self._dialects, benchmark=self._benchmark)

    def _with_vectors(
        self, turns: Turns, names: tuple[str, ...], scores: Scores, signed: Signatures
    ) -> Measures:
        none = np.empty((len(turns), 0), dtype=np.int8)
        if self._spec.diversity is None or self._embed is None:
            return Measures(names, scores, signed, none)
        if not len(turns):
            return Measures(names, scores, signed, none).with_score(RELEVANCE, np.empty(0, "f4"))
        placed = place(turns, self._spec.diversity, self._embed)
        return Measures(names, scores, signed, placed.vectors).with_score(
            RELEVANCE, placed.relevance
        )


def _uses(spec: CurationSpec, role: Role) -> list[_Use]:
    by_name: dict[str, list[Any]] = {}
    for entry in spec.filters:
        if role in entry.roles:
            by_name.setdefault(entry.filter, []).append(entry)
    return [
        _Use(name, FILTERS[name], tuple(entries), FILTERS[name].columns(entries))
        for name, entries in by_name.items()
    ]


def _fill(scores: Scores, names: tuple[str, ...], block: Block, uses: Sequence[_Use]) -> None:
    # A score that several filters give is the same of each.
    places = [names.index(name) for use in uses for name in use.columns]
    found = [_measured(reading, uses) for reading in block.readings()]
    scores[:, places] = np.array(found, dtype=np.float64).reshape(len(found), len(places))


def _measured(reading: Reading, uses: Sequence[_Use]) -> list[float]:
    numbers: list[float] = []
    for use in uses:
        try:
            numbers += use.rule.measure(reading, use.entries)
        except Exception as error:
            raise FilterError(
                f"filter `{use.name}` failed on node {reading.turn.node_id}: {error!r}. It must "
                "be able to measure any turn: please report this as a defect, with the text. "
                f"To go on without it, take `{use.name}` off curation.filters."
            ) from error
    return numbers
