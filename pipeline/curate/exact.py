"""Exact duplicates: the same text, among siblings or among the openings of a cohort."""

from collections.abc import Sequence

from schemas.records import Candidate, Verdict


def exact_duplicates(candidates: Sequence[Candidate]) -> dict[str, Verdict]:
    """Verdicts for candidates, in row order, whose text an earlier one in their scope has.

    The scope is the parent; at level 1 it is the whole cohort, whose openings form one wave.
    """
    keepers: dict[tuple[str | None, str], str] = {}
    verdicts = {}
    for candidate in candidates:
        scope = candidate.parent_id if candidate.level > 1 else None
        keeper = keepers.setdefault((scope, candidate.text.strip()), candidate.node_id)
        if keeper != candidate.node_id:
            verdicts[candidate.node_id] = Verdict("duplicate", keeper_id=keeper, similarity=1.0)
    return verdicts
