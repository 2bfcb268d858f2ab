"""Says nearly what an earlier turn of its role on the path said.

The near-duplicate rule of MinHash pipelines (GPT-3, Gopher, FineWeb: Jaccard similarity of shingles
from about 0.8 on), here along one path and exact, as there are few turns to compare with: dialogues
that a model holds with itself fall into loops. Score `path_similarity`: the highest; NaN where its
role has not spoken before.
"""

from collections.abc import Sequence

from pipeline.curate.filters.filter import Filter, Mask, always, score
from pipeline.curate.reading import Reading
from pipeline.curate.shingles import jaccard
from schemas.curation_spec import PathRepetitionSpec
from schemas.measures import Measures


def _measure(reading: Reading, entries: Sequence[PathRepetitionSpec]) -> tuple[float]:
    role = reading.turn.role
    # Roles alternate, and the root above all turns is nobody's.
    earlier = range(2, len(reading.turn.above), 2)
    found = (jaccard(reading.shingles(role), reading.shingles(role, back=back)) for back in earlier)
    return (max(found, default=float("nan")),)


def _drops(measures: Measures, spec: PathRepetitionSpec) -> Mask:
    return score(measures, "path_similarity") > spec.max_similarity


PATH_REPETITION = Filter(
    version=1, columns=always("path_similarity"), measure=_measure, drops=_drops
)
