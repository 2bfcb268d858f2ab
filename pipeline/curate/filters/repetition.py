"""Says the same again: repeated lines and word n-grams.

Gopher (Rae et al. 2021, table A1): shares of lines that were there before, by number and by
characters; of characters in the most frequent 2-, 3- and 4-gram; of characters in 5- to 10-grams
that were there before, of which we take both ends. FineWeb (Penedo et al. 2024) takes them over.
What we changed for turns: words are compared without case and punctuation; an n-gram said once is
no repetition, though in a short text it may hold a fifth of the characters; and turns below the 50
words that Gopher asks of a document are not judged, since in a question of twenty words a name
said twice passes the bounds. Scores `words`, `duplicate_lines`, `duplicate_line_chars`,
`top_2gram` to `top_4gram`, `duplicate_5gram`, `duplicate_10gram`.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from pipeline.curate.filters.filter import Filter, Mask, always, score, share_of
from pipeline.curate.reading import Reading
from schemas.filter_spec import RepetitionSpec
from schemas.measures import Measures

_LINE_SHARES = ("duplicate_lines", "duplicate_line_chars")
_TOP, _DUPLICATE = (2, 3, 4), (5, 10)
_SHARES = (
    *_LINE_SHARES,
    *(f"top_{n}gram" for n in _TOP),
    *(f"duplicate_{n}gram" for n in _DUPLICATE),
)


def _measure(reading: Reading, entries: Sequence[RepetitionSpec]) -> tuple[float, ...]:
    return len(reading.words), *_of_lines(reading.lines), *_of_words(reading.words)


def _of_lines(lines: list[str]) -> tuple[float, float]:
    distinct = set(lines)
    if len(distinct) == len(lines):
        return (0.0, 0.0) if lines else (share_of(0, 0), share_of(0, 0))
    chars = sum(map(len, lines))
    repeated = chars - sum(map(len, distinct))
    return share_of(len(lines) - len(distinct), len(lines)), share_of(repeated, chars)


def _of_words(words: list[str]) -> list[float]:
    if not words:
        return [float("nan")] * (len(_TOP) + len(_DUPLICATE))
    chars = sum(map(len, words))
    found = [0.0] * (len(_TOP) + len(_DUPLICATE))
    grams: list[tuple[str, ...]] = list(pairwise(words))
    starts: Sequence[int] = range(len(grams))
    for place, n in enumerate((*_TOP, *_DUPLICATE)):
        if n > _TOP[0]:
            grams = [tuple(words[start : start + n]) for start in starts]
        counts = Counter(grams)
        # A longer n-gram can stand twice only where a shorter one does.
        starts = [s for s, gram in zip(starts, grams, strict=True) if counts[gram] > 1]
        if not starts:
            break
        of = _top_chars(counts) if n in _TOP else _repeated_chars(words, starts, n)
        found[place] = min(1.0, of / chars)
    return found


def _top_chars(counts: Counter[tuple[str, ...]]) -> int:
    """Characters of the most frequent n-gram, of the longest where several are."""
    most = max(counts.values())
    return most * max(sum(map(len, gram)) for gram, count in counts.items() if count == most)


def _repeated_chars(words: list[str], starts: Sequence[int], n: int) -> int:
    """Characters of all words inside an n-gram that stands further above too."""
    seen: set[tuple[str, ...]] = set()
    chars = covered = 0
    for start in starts:
        gram = tuple(words[start : start + n])
        if gram in seen:
            chars += sum(map(len, words[max(start, covered) : start + n]))
            covered = start + n
        seen.add(gram)
    return chars


def _drops(measures: Measures, spec: RepetitionSpec) -> Mask:
    judged: Mask = score(measures, "words") >= spec.min_words
    over = [score(measures, name) > getattr(spec, name) for name in _SHARES]
    out: Mask = judged & (sum(over) > 0)
    return out


REPETITION = Filter(version=1, columns=always("words", *_SHARES), measure=_measure, drops=_drops)
