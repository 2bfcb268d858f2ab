"""Vectors of a wave's turns, and how relevant each turn is to its query."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.curate.vectors import quantise
from schemas.curation_spec import DiversitySpec
from schemas.errors import FilterError
from schemas.measures import Scores, Turns, Vectors
from schemas.records import Role

Embed = Callable[[Sequence[str]], npt.NDArray[np.float32]]


class Placed(NamedTuple):
    """Turns as points."""

    vectors: Vectors
    relevance: Scores
    """Cosine to the query; NaN where there is none."""


def place(turns: Turns, spec: DiversitySpec, embed: Embed) -> Placed:
    """Embeds each distinct text once, turns and queries together."""
    used, families = np.unique(turns.families, return_inverse=True)
    above = [turns.above[family] for family in used.tolist()]
    queries = [_query(turns.role, texts, spec) for texts in above]
    rows = {text: row for row, text in enumerate(dict.fromkeys([*turns.texts, *queries]))}
    vectors = quantise(_embedded(list(rows), embed, turns))
    own = vectors[[rows[text] for text in turns.texts]]
    asked = vectors[[rows[text] for text in queries]][families]
    relevance = _cosines(own, asked).astype(np.float32)
    relevance[np.array([not text.strip() for text in queries])[families]] = np.nan
    return Placed(own, relevance)


def _query(role: Role, above: tuple[str, ...], spec: DiversitySpec) -> str:
    if spec.query == "parent":
        return above[-1]
    # No system prompt stands above a plain text.
    return above[1] if role == "text" else above[0]


def _embedded(texts: list[str], embed: Embed, turns: Turns) -> npt.NDArray[np.float32]:
    where = f"the {len(turns)} turns from node {turns.node_ids[0]} on"
    try:
        found = np.asarray(embed(texts), dtype=np.float32)
    except Exception as error:
        raise FilterError(
            f"the embedder failed on {where}: {error!r}. Check `execution.embedder`; if it works "
            "on other texts, please report this as a defect."
        ) from error
    if found.ndim != 2 or len(found) != len(texts) or not np.isfinite(found).all():
        raise FilterError(
            f"the embedder gave an array of shape {found.shape} for {len(texts)} texts, {where}; "
            "expected one row of finite numbers for each. Check `execution.embedder`."
        )
    return found


def _cosines(left: Vectors, right: Vectors) -> npt.NDArray[np.float64]:
    """Row by row, the same numbers as `vectors.cosines` gives; 0.0 where either is zero."""
    a, b = left.astype(np.int32), right.astype(np.int32)
    dots = np.einsum("ij,ij->i", a, b)
    squares = np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b, dtype=np.int64)
    found: npt.NDArray[np.float64] = dots / np.sqrt(np.maximum(squares, 1).astype(np.float64))
    return found
