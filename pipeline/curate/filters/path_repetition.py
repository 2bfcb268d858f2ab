"""Says nearly what an earlier turn of its role on the path said.

The near-duplicate rule of MinHash pipelines (GPT-3, Gopher, FineWeb: Jaccard similarity of shingles
from about 0.8 on), here along one path and exact, as there are few turns to compare with: dialogues
that a model holds with itself fall into loops. Plain texts are compared with all texts that they
continue. Score `path_similarity`: the highest; NaN where its role has not spoken before.
"""

from collections.abc import Sequence

from pipeline.curate.filters.filter import Filter, Mask, always, score
from pipeline.curate.reading import Reading
from pipeline.curate.shingles import jaccard
from schemas.filter_spec import PathRepetitionSpec
from schemas.measures import Measures
from schemas.records import Role

_FIRST: dict[Role, int] = {"user": 1, "assistant": 2, "text": 1}
"""Where a role first speaks, below a system prompt; users and assistants take turns."""
_APART: dict[Role, int] = {"user": 2, "assistant": 2, "text": 1}


def _measure(reading: Reading, entries: Sequence[PathRepetitionSpec]) -> tuple[float]:
    role, said = reading.turn.role, len(reading.turn.before)
    own = reading.shingles(role)
    found = (
        jaccard(own, reading.shingles(role, back=said - place))
        for place in range(_FIRST[role], said, _APART[role])
    )
    return (max(found, default=float("nan")),)


def _drops(measures: Measures, spec: PathRepetitionSpec) -> Mask:
    return score(measures, "path_similarity") > spec.max_similarity


PATH_REPETITION = Filter(
    version=1, columns=always("path_similarity"), measure=_measure, drops=_drops
)
