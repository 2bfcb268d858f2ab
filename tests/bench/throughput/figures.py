"""From a record to figures. Pure."""

from collections.abc import Iterator, Sequence
from itertools import takewhile
from math import ceil
from typing import Any

from tests.bench.throughput.record import Finish, Record, Step
from tests.bench.throughput.setup import Setup

MOST_IN_ORDER = 0.9
"""What finishes after this share of a level is its tail."""


def figures(record: Record, setup: Setup) -> dict[str, Any]:
    """One run of one arm."""
    seconds = record.ended - record.begun
    trie = trie_tokens(record.prompts)
    return {
        "tokens_per_s": round(record.output_tokens / seconds, 2),
        "output_tokens": record.output_tokens,
        "turns": len(record.prompts),
        "seconds": round(seconds, 3),
        "cpu_s": round(record.cpu_s, 2),
        "prompt_computed": record.prompt_computed,
        "prompt_trie": trie,
        "prompt_ratio": round(record.prompt_computed / trie, 4),
        **shares(record, setup),
        "tails_s": [round(tail, 3) for tail in tails(record.finishes, len(setup.fanouts))],
        "after_last_s": round(record.ended - max(f.time for f in record.finishes), 3),
        **record.more,
    }


def trie_tokens(prompts: Sequence[Sequence[int]]) -> int:
    """Distinct prefixes: of sorted prompts, each adds what it does not share with the last."""
    total, last = 0, []
    for prompt in sorted(map(list, prompts)):
        same = (a == b for a, b in zip(prompt, last, strict=False))
        total += len(prompt) - sum(takewhile(bool, same))
        last = prompt
    return total


def tails(finishes: Sequence[Finish], levels: int) -> list[float]:
    """By level, from where 90 % of its turns are finished to its last."""
    found = []
    for level in range(1, levels + 1):
        times = sorted(finish.time for finish in finishes if finish.level == level)
        found.append(times[-1] - times[ceil(MOST_IN_ORDER * len(times)) - 1])
    return found


def shares(record: Record, setup: Setup) -> dict[str, float]:
    """How well the slots were used, as shares of the whole time.

    short      fewer turns ran than there are slots, or than were not finished if these are fewer
    held_back  fewer ran than could: than slots, or turns that are not finished while those above
               them are; so what the tree itself forbids is left out
    filled     of all slots, those in use
    """
    progress = _Progress(record, setup)
    total = record.ended - record.begun
    short = held_back = filled = 0.0
    for begin, end, running in _whole_time(record):
        progress.advance(begin)
        short += (end - begin) * (running < min(setup.slots, progress.unfinished))
        held_back += (end - begin) * (running < min(setup.slots, progress.ready))
        filled += (end - begin) * running
    return {
        "short": round(short / total, 4),
        "held_back": round(held_back / total, 4),
        "filled": round(filled / total / setup.slots, 4),
    }


def _whole_time(record: Record) -> Iterator[Step]:
    """The steps, and the gaps between them, in which nothing ran."""
    last = record.begun
    for step in record.steps:
        if step.begin > last:
            yield Step(last, step.begin, 0)
        yield step
        last = step.end
    if record.ended > last:
        yield Step(last, record.ended, 0)


class _Progress:
    """Which turns could be written at a time."""

    def __init__(self, record: Record, setup: Setup) -> None:
        self._finishes = sorted(record.finishes)
        self._next = 0
        self.unfinished = sum(setup.sizes)
        self._below = (*setup.fanouts[1:], 0)
        """By level less one, how many turns become ready with the end of one."""
        self.ready = setup.sizes[0]
        if record.all_known:
            self.ready, self._below = self.unfinished, (0,) * len(setup.fanouts)

    def advance(self, until: float) -> None:
        while self._next < len(self._finishes) and self._finishes[self._next].time <= until:
            self.unfinished -= 1
            self.ready += self._below[self._finishes[self._next].level - 1] - 1
            self._next += 1
