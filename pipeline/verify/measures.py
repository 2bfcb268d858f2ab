"""Re-check the numbers beside a wave's rows: features by their shape, the others from the texts."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest

import numpy as np
import numpy.typing as npt

from pipeline.curate.filters import FILTERS
from pipeline.curate.filters.filter import score
from pipeline.curate.measure import RELEVANCE, Measurer
from pipeline.curate.signature import PERMUTATIONS
from pipeline.curate.versions import signed_here
from pipeline.passes import JUDGE
from pipeline.storage.shards import WaveRows
from pipeline.tree.frontier import Parent
from pipeline.tree.recipe import LevelRule
from pipeline.tree.run import Run
from pipeline.tree.turns import turns_of
from schemas.curation_spec import CurationSpec
from schemas.measures import Measures, Scores
from schemas.wave_id import WaveId

ROUNDED = "mean_logprob"
"""Made of a sum of log-probabilities that is stored in less than the precision it had."""


def feature_defects(
    run: Run, wave: WaveId, rows: WaveRows, ids: Sequence[str], *, widths: dict[int, str]
) -> Iterator[str]:
    """Features are there for just the sampled candidates, as wide as the spec makes them.

    `ids` are those of the features, `widths` the wave in which vectors of a width were met first.
    """
    spec = run.spec.curation
    asked = spec.duplicates != "keep" or spec.diversity is not None
    sampled = [
        c.node_id for c, _ in rows.nodes if asked and c.origin != "given" and c.failure is None
    ]
    where = f"the features of wave {wave.name}"
    if list(ids) != sampled:
        first = next(a or b for a, b in zip_longest(ids, sampled) if a != b)
        yield (
            f"{where}: there are {len(ids)}, expected one of each of its {len(sampled)} sampled "
            f"candidates in row order; the first that differs is node {first}."
        )
    elif sampled:
        yield from _width_defects(run, wave, rows.measures, widths)


def _width_defects(
    run: Run, wave: WaveId, measures: Measures, widths: dict[int, str]
) -> Iterator[str]:
    spec = run.spec.curation
    where = f"the features of wave {wave.name}"
    signature, vector = measures.signatures.shape[1], measures.vectors.shape[1]
    # Other versions may make signatures of another width.
    made_here = signed_here(run.curation)
    if bool(signature) != (spec.duplicates != "keep"):
        yield f"{where}: signatures hold {signature} numbers, the spec says otherwise."
    elif made_here and signature != PERMUTATIONS:
        yield f"{where}: signatures hold {signature} numbers, expected {PERMUTATIONS}."
    if bool(vector) != (spec.diversity is not None):
        yield f"{where}: vectors hold {vector} numbers, the spec says otherwise."
    elif vector:
        widths.setdefault(vector, wave.name)
        width, first = next(iter(widths.items()))
        if vector != width:
            yield f"{where}: vectors hold {vector} numbers, those of wave {first} hold {width}."


def measure_defects(
    run: Run, wave: WaveId, parents: Sequence[Parent], rows: WaveRows
) -> Iterator[str]:
    """Signatures, and scores that need nothing but the turns, are what the turns give."""
    rule = run.rule(wave.level)
    yield from _foreign_scores(run.spec.curation, rule, rows)
    known = {parent.node_id for parent in parents}
    places = [
        row
        for row, (node, _) in enumerate(rows.nodes)
        if node.origin != "given" and node.failure is None and node.parent_id in known
    ]
    nodes = [rows.nodes[row].candidate for row in places]
    turns = replace(turns_of(run, parents, nodes), role=rule.role)
    found = Measurer(_plain(run.spec.curation), *run.dialects)(turns)
    stored = rows.measures.take(np.array(places, dtype=np.intp))
    for name in found.names:
        theirs, ours = score(stored, name), found.column(name)
        for row in np.flatnonzero(~_same(name, theirs, ours)).tolist():
            yield (
                f"node {nodes[row].node_id}: its score {name} is {theirs[row]}; "
                f"its turn gives {ours[row]}."
            )
    if stored.signatures.shape == found.signatures.shape:
        wrong = (stored.signatures != found.signatures).any(axis=1)
        for row in np.flatnonzero(wrong).tolist():
            yield f"node {nodes[row].node_id}: its signature is not that of its text."


def _plain(spec: CurationSpec) -> CurationSpec:
    """The spec without what takes a library's data, an embedder, or benchmarks."""
    filters = tuple(
        entry
        for entry in spec.filters
        if not FILTERS[entry.filter].library and entry.filter != "decontaminate"
    )
    return spec.model_copy(update={"filters": filters, "diversity": None})


def _same(name: str, theirs: Scores, ours: Scores) -> npt.NDArray[np.bool_]:
    if name == ROUNDED:
        close: npt.NDArray[np.bool_] = np.isclose(theirs, ours, rtol=1e-6, atol=0, equal_nan=True)
        return close
    same: npt.NDArray[np.bool_] = (theirs == ours) | (np.isnan(theirs) & np.isnan(ours))
    return same


def _foreign_scores(spec: CurationSpec, rule: LevelRule, rows: WaveRows) -> Iterator[str]:
    """Only sampled candidates have scores, and only those that the spec asks for."""
    expected = _asked_scores(spec, rule)
    sampled = np.array([bool(c.level) and c.failure is None for c, _ in rows.nodes], dtype=bool)
    for name in rows.measures.names:
        foreign = ~np.isnan(rows.measures.column(name))
        if name in expected:
            foreign &= ~sampled
        for row in np.flatnonzero(foreign).tolist():
            node = rows.nodes[row].candidate.node_id
            yield f"node {node}: has a score {name}, which the run gives no such node."


def _asked_scores(spec: CurationSpec, rule: LevelRule) -> set[str]:
    names = {RELEVANCE} if spec.diversity is not None else set()
    names |= {JUDGE} if rule.judge is not None else set()
    for entry in spec.filters:
        if rule.role in entry.roles:
            names |= set(FILTERS[entry.filter].columns([entry]))
    return names
