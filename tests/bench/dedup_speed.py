"""Texts a second on one core, from text to who shares a bucket with whom: beside other libraries.

All make 125 values a text and look them up in 25 bands of 5, over the same three words in a row.
rensa says only which texts have a neighbour, not who it is: `flags` of ours says no more. Its
`rho` sketches are left out: they look at some of the words.
"""

import re
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from labelled_texts import TextsMissingError, labelled_texts

from pipeline.curate.bands import BANDS, ROWS, Buckets, band_keys
from pipeline.curate.shingles import shingle_sets
from pipeline.curate.signature import PERMUTATIONS, signatures

TEXTS = 2048
FORMS = 11
"""Of each passage."""
THRESHOLD = 0.8
SEED = 1

PAIRS = (
    ("arborist from text", "datasketch from text"),
    ("arborist from text", "rensa from text"),
    ("arborist flags from text", "rensa from text"),
    ("arborist from shingles", "datasketch from shingles"),
    ("arborist flags from shingles", "rensa from shingles"),
    ("arborist flags from shingles", "rensa from hashes"),
)

Contender = Callable[[], object]


def speed_section(repetitions: int) -> dict:
    """Each library by each starting point, on texts of which few, and of which all have likes."""
    found = {name: _race(texts, repetitions) for name, texts in _corpora().items()}
    versions = {name: _version(name) for name in ("datasketch", "rensa", "numpy")}
    return {"texts": TEXTS, "repetitions": repetitions, "versions": versions, **found}


def _race(texts: Sequence[str], repetitions: int) -> dict:
    """The runs of all contenders are interleaved."""
    seconds = _interleaved(_from_text(texts) | _from_shingles(texts), repetitions)
    return {
        "mean_characters": round(statistics.mean(map(len, texts))),
        "texts_per_second": {name: _rates(own, len(texts)) for name, own in seconds.items()},
        "times_as_fast": _ratios(seconds),
        "our_steps_us_per_text": _steps(texts, repetitions),
    }


def _corpora() -> dict[str, list[str]]:
    """Real texts where they can be had."""
    try:
        forms = [entry.text for entry in labelled_texts()]
    except TextsMissingError as error:
        return {f"made-up words, since {error}": _made_up()}
    half = len(forms) // 2
    passages, repeated = forms[::FORMS], forms[1 :: FORMS * 10]
    return {
        "a tenth near duplicates": (passages[: TEXTS - len(repeated)] + repeated)[:TEXTS],
        "all near duplicates of ten others": (forms[: TEXTS // 2] + forms[half:])[:TEXTS],
    }


def _made_up() -> list[str]:
    draw = np.random.default_rng(0)
    words = np.array([f"word{number}" for number in range(5000)])
    return [" ".join(draw.choice(words, 120)) for _ in range(TEXTS)]


def _strings(text: str) -> list[str]:
    words = re.findall(r"\w+", text.lower())
    return [" ".join(three) for three in zip(words, words[1:], words[2:], strict=False)]


def _from_text(texts: Sequence[str]) -> dict[str, Contender]:
    contenders: dict[str, Contender] = {
        "arborist from text": lambda: _ours(shingle_sets(texts, "assistant")),
        "arborist flags from text": lambda: _our_flags(shingle_sets(texts, "assistant")),
        "datasketch from text": lambda: _datasketch([_encoded(text) for text in texts]),
    }
    if _version("rensa"):
        contenders["rensa from text"] = lambda: _rensa([_strings(text) for text in texts])
    return contenders


def _from_shingles(texts: Sequence[str]) -> dict[str, Contender]:
    sets = shingle_sets(texts, "assistant")
    strings, encoded = [_strings(text) for text in texts], [_encoded(text) for text in texts]
    contenders: dict[str, Contender] = {
        "arborist from shingles": lambda: _ours(sets),
        "arborist flags from shingles": lambda: _our_flags(sets),
        "datasketch from shingles": lambda: _datasketch(encoded),
    }
    if _version("rensa"):
        hashes = np.concatenate(sets)
        edges = np.cumsum([0, *map(len, sets)]).astype(np.uint64)
        contenders["rensa from shingles"] = lambda: _rensa(strings)
        contenders["rensa from hashes"] = lambda: _rensa_hashes(hashes, edges)
    return contenders


def _encoded(text: str) -> list[bytes]:
    return [shingle.encode() for shingle in _strings(text)]


def _ours(sets: Sequence[np.ndarray]) -> object:
    buckets = Buckets(band_keys(signatures(sets)))
    return [buckets.neighbours(row) for row in buckets.rows.tolist()]


def _our_flags(sets: Sequence[np.ndarray]) -> object:
    return Buckets(band_keys(signatures(sets))).rows


def _datasketch(encoded: Sequence[list[bytes]]) -> object:
    from datasketch import MinHash, MinHashLSH

    sketches = MinHash.bulk(encoded, num_perm=PERMUTATIONS, seed=SEED)
    index = MinHashLSH(num_perm=PERMUTATIONS, params=(BANDS, ROWS))
    for key, sketch in enumerate(sketches):
        index.insert(key, sketch, check_duplication=False)
    return [index.query(sketch) for sketch in sketches]


def _rensa(strings: Sequence[list[str]]) -> object:
    from rensa import RMinHash

    return _rensa_flags(RMinHash.digest_matrix_from_token_sets(strings, PERMUTATIONS, SEED))


def _rensa_hashes(hashes: np.ndarray, edges: np.ndarray) -> object:
    from rensa import RMinHash

    return _rensa_flags(
        RMinHash.digest_matrix_from_flat_token_hashes(hashes, edges, PERMUTATIONS, SEED)
    )


def _rensa_flags(matrix: object) -> object:
    from rensa import RMinHashLSH

    index = RMinHashLSH(THRESHOLD, PERMUTATIONS, BANDS)
    return index.query_duplicate_flags_matrix_one_shot(matrix)


def _interleaved(contenders: dict[str, Contender], repetitions: int) -> dict[str, list[float]]:
    """Seconds by run, after one that is not counted. Each round begins with another contender."""
    names = list(contenders)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(repetitions + 1):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            begun = time.perf_counter()
            contenders[name]()
            seconds[name].append(time.perf_counter() - begun)
    return {name: own[1:] for name, own in seconds.items()}


def _rates(seconds: Sequence[float], texts: int) -> dict:
    rates = sorted(round(texts / own) for own in seconds)
    return {"median": round(statistics.median(rates)), "lowest": rates[0], "highest": rates[-1]}


def _ratios(seconds: dict[str, list[float]]) -> dict:
    """How many times as fast as another library we are, by pairs of one round."""
    return {
        f"{ours} / {theirs}": _ratio(seconds[theirs], seconds[ours])
        for ours, theirs in PAIRS
        if theirs in seconds
    }


def _ratio(theirs: Sequence[float], ours: Sequence[float]) -> dict:
    ratios = sorted(round(a / b, 2) for a, b in zip(theirs, ours, strict=True))
    return {"median": statistics.median(ratios), "lowest": ratios[0], "highest": ratios[-1]}


def _steps(texts: Sequence[str], repetitions: int) -> dict[str, float]:
    sets = shingle_sets(texts, "assistant")
    signed = signatures(sets)
    buckets = Buckets(band_keys(signed))
    steps: dict[str, Contender] = {
        "shingles": lambda: shingle_sets(texts, "assistant"),
        "signatures": lambda: signatures(sets),
        "bands": lambda: Buckets(band_keys(signed)),
        "neighbours": lambda: [buckets.neighbours(row) for row in buckets.rows.tolist()],
    }
    seconds = _interleaved(steps, repetitions)
    return {
        name: round(statistics.median(own) * 1e6 / len(texts), 2) for name, own in seconds.items()
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
