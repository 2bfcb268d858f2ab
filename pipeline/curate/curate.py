"""One verdict for each candidate of a wave. It compares numbers, and texts that may be equal."""

from collections.abc import Sequence
from itertools import groupby
from typing import Literal

import numpy as np

from pipeline.curate.filters import FILTERS
from pipeline.curate.filters.filter import score
from pipeline.curate.measure import RELEVANCE
from pipeline.curate.ranking import Relevance
from pipeline.curate.repeats import Crowd, NearText, Repeats, SameText, crowd_of
from pipeline.curate.selection import Selection
from pipeline.curate.vectors import Directions
from schemas.curation_spec import CurationSpec
from schemas.filter_spec import AnyFilter
from schemas.measures import Measures
from schemas.records import KEEP, Candidate, Verdict


def curate(
    candidates: Sequence[Candidate],
    measures: Measures,
    *,
    fanout: int,
    compared: Literal["cohort", "siblings"],
    spec: CurationSpec,
    texts: Sequence[str] | None = None,
) -> list[Verdict]:
    """Failures, then filters, then the selection of `fanout` children of each parent.

    Repeats are looked for among the siblings of a family, or among all of the wave, which a
    cohort's openings are. `candidates` are a whole wave in row order, and `measures` and `texts`
    are theirs, row by row; `texts` are what was measured, where that is not the candidates' whole
    texts. A family of which fewer than `fanout` pass keeps fewer.
    """
    assert len(measures) == len(candidates), "measures are not those of the candidates"
    if not candidates:
        return []
    reasons = fall_to_filters(candidates, measures, spec.filters)
    closed = np.array([reason is not None for reason in reasons])
    families = _families(candidates)
    crowd = crowd_of(families, closed, candidates[0].role, in_all=compared == "cohort")
    texts = [candidate.text for candidate in candidates] if texts is None else texts
    selection = Selection(
        node_ids=[candidate.node_id for candidate in candidates],
        verdicts=[KEEP if reason is None else Verdict(reason) for reason in reasons],
        closed=closed,
        relevance=_relevance(measures),
        directions=Directions(measures.vectors),
        repeats=_repeats(texts, measures, spec, crowd),
        diversity=spec.diversity,
    )
    for family in families:
        selection.choose(family, fanout)
    return selection.verdicts


def fall_to_filters(
    candidates: Sequence[Candidate], measures: Measures, filters: Sequence[AnyFilter]
) -> list[str | None]:
    """By candidate of a wave, why it is dropped without looking at the others: failed or filtered.

    The first filter that hits names the reason.
    """
    reasons = [None if c.failure is None else f"failed:{c.failure}" for c in candidates]
    fallen = np.array([reason is not None for reason in reasons], dtype=np.bool_)
    for entry in filters:
        if candidates and candidates[0].role in entry.roles:
            hits = FILTERS[entry.filter].drops(measures, entry) & ~fallen
            for row in np.flatnonzero(hits).tolist():
                reasons[row] = entry.filter
            fallen |= hits
    return reasons


def _families(candidates: Sequence[Candidate]) -> list[range]:
    """The rows of each parent, which are next to each other in row order."""
    families, start = [], 0
    for _, siblings in groupby(candidates, key=lambda candidate: candidate.parent_id):
        stop = start + sum(1 for _ in siblings)
        families.append(range(start, stop))
        start = stop
    return families


def _relevance(measures: Measures) -> Relevance:
    """0 where it is not known."""
    column = score(measures, RELEVANCE).astype(np.float64)
    return np.where(np.isfinite(column), column, 0.0)


def _repeats(
    texts: Sequence[str], measures: Measures, spec: CurationSpec, crowd: Crowd
) -> list[Repeats]:
    """Exact ones first: they name the reason."""
    if spec.duplicates == "keep" or not len(crowd.rows):
        return []
    found: list[Repeats] = [SameText(texts, crowd)]
    if spec.duplicates == "near" and measures.signatures.shape[1]:
        found.append(NearText(texts, crowd, measures.signatures, spec.near_threshold))
    return found
