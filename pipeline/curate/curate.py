"""One verdict for each candidate of a wave."""

from collections import Counter
from collections.abc import Sequence

from pipeline.curate.exact import exact_duplicates
from pipeline.curate.filters import FILTERS
from schemas.dialect import Dialect
from schemas.generation_spec import CurationSpec
from schemas.records import KEEP, Candidate, Verdict

SURPLUS = Verdict("surplus")


def curate(
    candidates: Sequence[Candidate], *, fanout: int, spec: CurationSpec, dialect: Dialect
) -> list[Verdict]:
    """Failures, then filters, then duplicates among what is left, then what exceeds the fan-out.

    `candidates` are a whole wave in row order; verdicts come in the same order.
    """
    verdicts = {c.node_id: _alone(c, spec, dialect) for c in candidates}
    if spec.duplicates == "exact":
        verdicts |= exact_duplicates([c for c in candidates if verdicts[c.node_id].kept])
    _drop_surplus(candidates, verdicts, fanout)
    return [verdicts[c.node_id] for c in candidates]


def _alone(candidate: Candidate, spec: CurationSpec, dialect: Dialect) -> Verdict:
    if candidate.failure is not None:
        return Verdict(f"failed:{candidate.failure}")
    for name in spec.filters:
        reason = FILTERS[name](candidate, dialect)
        if reason is not None:
            return Verdict(reason)
    return KEEP


def _drop_surplus(
    candidates: Sequence[Candidate], verdicts: dict[str, Verdict], fanout: int
) -> None:
    kept: Counter[str | None] = Counter()
    for candidate in candidates:
        if verdicts[candidate.node_id].kept:
            kept[candidate.parent_id] += 1
            if kept[candidate.parent_id] > fanout:
                verdicts[candidate.node_id] = SURPLUS
