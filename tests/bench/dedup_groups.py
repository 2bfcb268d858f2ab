"""How many near duplicates are found, and how many of those found are ones: on labelled groups.

The truth is the Jaccard similarity of sets of strings, by Python's own means, for every pair within
a group and for a sample of pairs across groups. All methods look at the same signatures.
"""

import random
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations

import numpy as np
from labelled_texts import LabelledText, TextsMissingError, labelled_texts

from pipeline.curate.bands import BANDS, ROWS, Buckets, band_keys
from pipeline.curate.shingles import jaccard, shingle_sets
from pipeline.curate.signature import PERMUTATIONS, signatures

THRESHOLD = 0.8
EDGES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
ACROSS_SAMPLE = 200_000

PLAIN = ("LATIN", "GREEK", "CYRILLIC", "HEBREW", "ARABIC", "MODIFIER", "FEMININE", "MASCULINE")
"""Beginnings of the names of letters that nobody doubts to be parts of words."""

Pair = tuple[int, int]
Pairs = set[Pair]


def groups_section() -> dict:
    """Recall by similarity, and recall and precision of whole steps."""
    try:
        texts = labelled_texts()
    except TextsMissingError as error:
        return {"missing": str(error)}
    texts, left_out = _plain(texts)
    strings = [_strings(entry.text) for entry in texts]
    sets = shingle_sets([entry.text for entry in texts], "assistant")
    signed = signatures(sets)
    found = {"arborist": _ours(signed)}
    ours, own = (25, 5), _own_parameters()
    found["datasketch 25x5"] = _datasketch(signed, ours)
    found[f"datasketch's choice {own[0]}x{own[1]}"] = _datasketch(signed, own)
    truth = _truth(texts, strings, set().union(*found.values()))
    near = {pair for pair, similarity in truth.items() if similarity >= THRESHOLD}
    return {
        "texts": len(texts),
        "groups_left_out": left_out,
        "threshold": THRESHOLD,
        "pairs_of_known_similarity": len(truth),
        "near_duplicates": len(near),
        "across_groups": _across(texts, truth),
        "recall_by_similarity": [
            _bin(truth, found, low, high)
            for low, high in zip(EDGES, (*EDGES[1:], None), strict=True)
        ],
        "steps": _steps(found, near, sets, signed),
        "same_pairs_as_datasketch_25x5": found["arborist"] == found["datasketch 25x5"],
        "differs_from_strings": _differences(truth, sets),
    }


def _plain(texts: Sequence[LabelledText]) -> tuple[list[LabelledText], int]:
    """Without groups that quote letters of other scripts, where what a word is is our choice."""
    quoting = {entry.group for entry in texts if any(map(_is_foreign, _folded(entry.text)))}
    return [entry for entry in texts if entry.group not in quoting], len(quoting)


def _is_foreign(letter: str) -> bool:
    if letter.isalpha():
        return not unicodedata.name(letter).startswith(PLAIN)
    return unicodedata.category(letter) in ("Mn", "Mc")


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _strings(text: str) -> set[str]:
    """Three words in a row, by Python alone."""
    words = re.findall(r"\w+", _folded(text))
    return {" ".join(words[start : start + 3]) for start in range(max(1, len(words) - 2))}


def _ours(signed: np.ndarray) -> Pairs:
    buckets = Buckets(band_keys(signed))
    return {
        (row, other)
        for row in buckets.rows.tolist()
        for other in buckets.neighbours(row).tolist()
        if row < other
    }


def _own_parameters() -> tuple[int, int]:
    from datasketch import MinHashLSH

    index = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS)
    return index.b, index.r


def _datasketch(signed: np.ndarray, parameters: tuple[int, int]) -> Pairs:
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(num_perm=PERMUTATIONS, params=parameters)
    sketches = [MinHash(hashvalues=row, seed=1, scheme="affine32") for row in signed]
    for row, sketch in enumerate(sketches):
        index.insert(row, sketch, check_duplication=False)
    return {
        (row, other)
        for row, sketch in enumerate(sketches)
        for other in index.query(sketch)
        if row < other
    }


def _truth(
    texts: Sequence[LabelledText], strings: Sequence[set[str]], candidates: Pairs
) -> dict[Pair, float]:
    """Every pair within a group, a sample of others, and all that any method found."""
    members: dict[int, list[int]] = {}
    for row, entry in enumerate(texts):
        members.setdefault(entry.group, []).append(row)
    pairs = {pair for rows in members.values() for pair in combinations(rows, 2)} | candidates
    draw = random.Random(0)
    for _ in range(ACROSS_SAMPLE):
        a, b = sorted(draw.sample(range(len(texts)), 2))
        pairs.add((a, b))
    return {(a, b): _similarity(strings[a], strings[b]) for a, b in sorted(pairs)}


def _similarity(a: set[str], b: set[str]) -> float:
    shared = len(a & b)
    return shared / (len(a) + len(b) - shared)


def _across(texts: Sequence[LabelledText], truth: dict[Pair, float]) -> dict:
    across = [s for (a, b), s in truth.items() if texts[a].group != texts[b].group]
    return {
        "pairs": len(across),
        "largest_similarity": round(max(across), 3),
        "near_duplicates": sum(similarity >= THRESHOLD for similarity in across),
    }


def _bin(truth: dict[Pair, float], found: dict[str, Pairs], low: float, high: float | None) -> dict:
    """Pairs from `low` to below `high`; those of exactly 1 have a bin of their own."""
    pairs = [p for p, s in truth.items() if (low <= s < high if high else s == 1.0)]
    chances = [1 - (1 - truth[pair] ** ROWS) ** BANDS for pair in pairs]
    return {
        "from": low,
        "below": high,
        "pairs": len(pairs),
        "expected_25x5": _share(sum(chances), len(pairs)),
        **{name: _share(sum(p in own for p in pairs), len(pairs)) for name, own in found.items()},
    }


def _steps(
    found: dict[str, Pairs], near: Pairs, sets: Sequence[np.ndarray], signed: np.ndarray
) -> list[dict]:
    """Whole steps: candidates as they are, by the estimate, and by exact similarity."""

    def exactly(a: int, b: int) -> bool:
        return jaccard(sets[a], sets[b]) >= THRESHOLD

    def estimated(a: int, b: int) -> bool:
        return float(np.mean(signed[a] == signed[b])) >= THRESHOLD

    steps = [_step("arborist, exact", _that(exactly, found["arborist"]), near)]
    for name, pairs in found.items():
        steps.append(_step(f"{name}, estimate", _that(estimated, pairs), near))
        steps.append(_step(f"{name}, unverified", pairs, near))
    return steps


def _that(holds: Callable[[int, int], bool], pairs: Iterable[Pair]) -> Pairs:
    return {pair for pair in pairs if holds(*pair)}


def _step(name: str, said: Pairs, near: Pairs) -> dict:
    right = len(said & near)
    return {
        "step": name,
        "pairs": len(said),
        "recall": _share(right, len(near)),
        "precision": _share(right, len(said)),
    }


def _differences(truth: dict[Pair, float], sets: Sequence[np.ndarray]) -> int:
    """Pairs whose similarity by our hashes is another than by strings."""
    return sum(jaccard(sets[a], sets[b]) != similarity for (a, b), similarity in truth.items())


def _share(part: float, whole: int) -> float | None:
    return round(part / whole, 5) if whole else None
