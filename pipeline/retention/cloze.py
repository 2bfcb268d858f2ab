"""Multiple choice by cloze: which answer is likeliest after the question, a byte of its text.

The model writes nothing, and the choices are not shown to it, so small models, which make nothing
of letters, can be asked too. A question is read once for all of its choices: those of one length
are read together, and what a model keeps of them is handed to every choice. So is what they all
begin with, such as a system prompt, to every question.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from pipeline.retention.items import Question
from pipeline.retention.questions import Cloze
from pipeline.retention.reader import Floats, Read, Reader, chosen, finite
from pipeline.retention.rows import ROW_TOKENS, Watch
from pipeline.sft.blocks import side_by_side
from schemas.fingerprint import canonical, digest
from schemas.records import Ids
from schemas.retention import MeasuredChoices

_WORTH_SHARING = 8
"""An opening of fewer ids is as soon read with every question."""


def measure_choices(
    reader: Reader,
    questions: Sequence[Question],
    clozes: Sequence[Cloze],
    batch_rows: int,
    watch: Watch,
) -> MeasuredChoices:
    """By question, how likely each choice is."""
    told = likelihoods(reader, clozes, batch_rows, watch)
    return MeasuredChoices(
        items=questions_digest(questions),
        questions=tuple(q.question for q in questions),
        choices=tuple(q.choices for q in questions),
        answers=tuple(q.answer for q in questions),
        scores=tuple(
            tuple(s / len(c.strip().encode()) for s, c in zip(sums, q.choices, strict=True))
            for sums, q in zip(told, questions, strict=True)
        ),
    )


def questions_digest(questions: Sequence[Question]) -> str:
    """What is asked, whatever tokens a model makes of it."""
    return digest(canonical([list(question) for question in questions]))


def likelihoods(
    reader: Reader,
    clozes: Sequence[Cloze],
    batch_rows: int,
    watch: Watch = lambda done, of: None,
) -> list[list[float]]:
    """By question and choice, the log-probability of the whole choice."""
    found: list[list[float]] = [[] for _ in clozes]
    done = 0
    watch(done, len(clozes))
    for batch in plan_questions(clozes, batch_rows * ROW_TOKENS, reader.most_asked):
        told = _together(reader, [clozes[i] for i in batch], batch_rows)
        for i, sums in zip(batch, told, strict=True):
            found[i] = sums
        done += len(batch)
        watch(done, len(clozes))
    return found


def plan_questions(clozes: Sequence[Cloze], tokens: int, most_asked: int) -> Iterator[list[int]]:
    """Questions that are equally long, in their order, as many as there is room for together."""
    order = sorted(range(len(clozes)), key=lambda i: (-len(clozes[i].prefix), i))
    batch: list[int] = []
    held = asked = 0
    for i in order:
        prefix, rests = clozes[i]
        more_asked = sum(map(len, rests))
        more_held = len(rests) * len(prefix) + more_asked
        alike = bool(batch) and len(prefix) == len(clozes[batch[0]].prefix)
        if batch and not (
            alike and held + more_held <= tokens and asked + more_asked <= most_asked
        ):
            yield batch
            batch, held, asked = [], 0, 0
        batch.append(i)
        held, asked = held + more_held, asked + more_asked
    if batch:
        yield batch


def _together(reader: Reader, clozes: Sequence[Cloze], batch_rows: int) -> list[list[float]]:
    read = _read_prefixes(reader, [cloze.prefix for cloze in clozes])
    if not _can_be_handed_on(read.cache):
        return _apart(reader, clozes, batch_rows)
    rests = [rest for cloze in clozes for rest in cloze.rests]
    owner = np.repeat(np.arange(len(clozes)), [len(cloze.rests) for cloze in clozes])
    firsts = torch.tensor([int(rest[0]) for rest in rests])
    logits = read.logits[torch.from_numpy(owner).to(read.logits.device)]
    sums = finite(chosen(logits, firsts), reader.location)
    longer = [i for i, rest in enumerate(rests) if len(rest) > 1]
    if longer:
        read.cache.batch_select_indices(torch.from_numpy(owner[longer]).to(reader.device))
        sums[longer] += _tails(reader, [rests[i] for i in longer], read.cache)
    return [sums[owner == number].tolist() for number in range(len(clozes))]


def _read_prefixes(reader: Reader, prefixes: Sequence[Ids]) -> Read:
    """Equally long ones, with what follows after each; what they all begin with is read once."""
    block = np.stack(prefixes)
    alike = (block == block[:1]).all(axis=0)
    # The last id is asked about, so it is read for each.
    shared = int(np.argmin(np.append(alike[:-1], False)))
    cache = None
    if shared >= _WORTH_SHARING and len(block) > 1:
        opening = reader.read(
            side_by_side([prefixes[0][:shared]]), torch.tensor([shared - 1]), use_cache=True
        )
        if _can_be_handed_on(opening.cache):
            cache = opening.cache
            cache.batch_select_indices(
                torch.zeros(len(block), dtype=torch.long, device=reader.device)
            )
    rests = [prefix[shared if cache is not None else 0 :] for prefix in prefixes]
    last = torch.arange(1, len(rests) + 1) * len(rests[0]) - 1
    return reader.read(side_by_side(rests), last, use_cache=True, past_key_values=cache)


def _tails(reader: Reader, rests: Sequence[Ids], cache: Any) -> Floats:
    """By choice, the log-probability of all its ids but the first."""
    lengths = [len(rest) - 1 for rest in rests]
    width = max(lengths)
    places = np.concatenate([np.arange(n) + row * width for row, n in enumerate(lengths)])
    read = reader.read(
        side_by_side([rest[:-1] for rest in rests]),
        torch.from_numpy(places),
        use_cache=True,
        past_key_values=cache,
    )
    ids = np.concatenate([rest[1:] for rest in rests]).astype(np.int64)
    told = finite(chosen(read.logits, torch.from_numpy(ids)), reader.location)
    sums: Floats = np.add.reduceat(told, np.cumsum([0, *lengths[:-1]]))
    return sums


def _can_be_handed_on(cache: Any) -> bool:
    """Whether rows can be taken from a cache; from what some recurrent layers keep they cannot."""
    layers = getattr(cache, "layers", ())
    return bool(layers) and all(hasattr(layer, "batch_select_indices") for layer in layers)


def _apart(reader: Reader, clozes: Sequence[Cloze], batch_rows: int) -> list[list[float]]:
    """The same with every choice read from its beginning."""
    rows = [row for cloze in clozes for row in cloze.rows()]
    sums = iter([float(told.sum()) for told in reader.logprobs(rows, batch_rows)])
    return [[next(sums) for _ in cloze.rests] for cloze in clozes]
