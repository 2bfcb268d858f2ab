"""What conversations begin with: clusters of opening questions, each with examples."""

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.report.diversity import Vectors, words_of

_MOST, _LEAST = 12, 2
_EXAMPLES = 4
_NAMING = 4
_SHORTEST_WORD = 4
_MOST_COMMON = 0.5


@dataclass(frozen=True)
class Topic:
    """A cluster."""

    words: tuple[str, ...]
    """That tell it apart from the others."""
    count: int
    share: float
    similarity: float
    """The mean cosine of its questions to its centre."""
    examples: tuple[str, ...]
    """Those nearest to the centre."""


@dataclass(frozen=True)
class Topics:
    """Of a sample of openings."""

    of: int
    """Openings in the sample."""
    seen: int
    """Openings there are."""
    even: float
    """Entropy of the shares over that of equal ones: 1 where all clusters are equally large."""
    clusters: tuple[Topic, ...]
    """The largest first."""
    places: tuple[tuple[float, float, int], ...]
    """By opening, a place in the plane of the two main directions, and its cluster."""


def topics_of(texts: Sequence[str], vectors: Vectors, *, seen: int, seed: int) -> Topics:
    """Clusters by k-means; `vectors` are the texts' own, row by row, none of them zero."""
    unit = _unit(vectors)
    labels = _clustered(unit, seed)
    order = [label for label, _ in Counter(labels.tolist()).most_common()]
    split = [set(words_of(text)) for text in texts]
    common = _common(split, labels)
    split = [words - common for words in split]
    clusters = [_topic(texts, split, unit, np.flatnonzero(labels == label)) for label in order]
    rank = {label: place for place, label in enumerate(order)}
    flat = _plane(unit)
    return Topics(
        of=len(texts),
        seen=seen,
        even=evenness([topic.count for topic in clusters]),
        clusters=tuple(clusters),
        places=tuple(
            (round(float(x), 4), round(float(y), 4), rank[label])
            for (x, y), label in zip(flat, labels.tolist(), strict=True)
        ),
    )


def evenness(counts: Sequence[int]) -> float:
    """Entropy over the largest that so many classes can have; 1 for a single one."""
    shares = np.array([count for count in counts if count], dtype=np.float64)
    if len(shares) < 2:
        return 1.0
    shares /= shares.sum()
    return float(-(shares * np.log(shares)).sum() / np.log(len(shares)))


def _unit(vectors: Vectors) -> npt.NDArray[np.float64]:
    wide = np.asarray(vectors, dtype=np.float64)
    unit: npt.NDArray[np.float64] = wide / np.linalg.norm(wide, axis=1, keepdims=True)
    return unit


def _clustered(unit: npt.NDArray[np.float64], seed: int) -> npt.NDArray[np.int64]:
    """A label a row; equal rows and seeds give equal ones."""
    from scipy.cluster.vq import kmeans2

    different = len(np.unique(unit, axis=0))
    clusters = min(_MOST, max(_LEAST, round(np.sqrt(len(unit) / 2))), different)
    if clusters < _LEAST:
        return np.zeros(len(unit), dtype=np.int64)
    with warnings.catch_warnings():
        # A cluster that is emptied on the way stays so: there is one less then.
        warnings.simplefilter("ignore", UserWarning)
        _, labels = kmeans2(unit, clusters, iter=30, minit="++", rng=seed, missing="warn")
    found: npt.NDArray[np.int64] = labels.astype(np.int64)
    return found


def _topic(
    texts: Sequence[str],
    words: Sequence[set[str]],
    unit: npt.NDArray[np.float64],
    rows: npt.NDArray[np.intp],
) -> Topic:
    centre = unit[rows].mean(axis=0)
    length = np.linalg.norm(centre)
    near = unit[rows] @ (centre / length if length else centre)
    nearest = [texts[i] for i in rows[np.argsort(-near, kind="stable")]]
    return Topic(
        words=_naming(words, set(rows.tolist())),
        count=len(rows),
        share=len(rows) / len(texts),
        similarity=float(near.mean()),
        examples=tuple(dict.fromkeys(nearest))[:_EXAMPLES],
    )


def _common(words: Sequence[set[str]], labels: npt.NDArray[np.int64]) -> set[str]:
    """Words that more than half of the clusters use, so that they name none of them."""
    clusters = np.unique(labels).tolist()
    used: Counter[str] = Counter()
    for cluster in clusters:
        used.update(set[str]().union(*(words[i] for i in np.flatnonzero(labels == cluster))))
    most = max(1, len(clusters) // 2)
    return {word for word, number in used.items() if number > most}


def _naming(words: Sequence[set[str]], inside: set[int]) -> tuple[str, ...]:
    """The words whose share of texts inside is furthest above that outside."""
    own = Counter(w for i in inside for w in words[i] if len(w) >= _SHORTEST_WORD)
    others = Counter(w for i, of_text in enumerate(words) if i not in inside for w in of_text)
    outside = max(1, len(words) - len(inside))
    gains = {
        word: count / len(inside) - others[word] / outside
        for word, count in own.items()
        if others[word] / outside < _MOST_COMMON
    }
    best = sorted(gains.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(word for word, gain in best[:_NAMING] if gain > 0)


def _plane(unit: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Places along the two directions in which the rows differ most."""
    centred = unit - unit.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    two = directions[:2]
    # A direction and its opposite are equally good; the sign is fixed by its largest part.
    signs = np.sign([row[np.argmax(np.abs(row))] for row in two])
    flat = np.zeros((len(unit), 2))
    flat[:, : len(two)] = centred @ (two * signs[:, None]).T
    return flat
