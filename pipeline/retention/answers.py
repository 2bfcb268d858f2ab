"""Answers that the model writes, greedily, and whether they come to what they should."""

from collections.abc import Sequence

import numpy as np
import torch

from pipeline.curate.final_answer import Final, find_line, find_number
from pipeline.dialects.tokenizer import decode
from pipeline.retention.reader import Reader
from pipeline.retention.rows import Row, Watch
from pipeline.sft.blocks import continuations
from pipeline.sft.trainee import Trainee
from schemas.records import Ids


def write_answers(
    reader: Reader,
    trainee: Trainee,
    rows: Sequence[Row],
    sizes: tuple[int, int],
    watch: Watch = lambda done, of: None,
) -> list[str]:
    """What the model says where each row's last answer stands. `sizes`: how many rows at once, and
    how many tokens an answer has at most."""
    batch_rows, max_tokens = sizes
    prompts = [row.ids[: _answer_start(row)] for row in rows]
    order = sorted(range(len(rows)), key=lambda i: (-len(prompts[i]), i))
    written = [""] * len(rows)
    for first in range(0, len(order), batch_rows):
        batch = order[first : first + batch_rows]
        told = _write(reader, trainee, [prompts[i] for i in batch], max_tokens)
        for i, text in zip(batch, told, strict=True):
            written[i] = text
        watch(first + len(batch), len(rows))
    return written


def references(trainee: Trainee, rows: Sequence[Row]) -> list[str]:
    """What stands there."""
    return [_text(trainee, row.ids[_answer_start(row) :]) for row in rows]


def agrees(written: str, reference: str) -> bool:
    """Whether the last numbers are equal, or the last lines where there should be no number."""
    wanted = find_number(reference)
    if wanted is not None:
        return find_number(written) == wanted
    line: Final | None = find_line(reference)
    return line is not None and find_line(written) == line


def _answer_start(row: Row) -> int:
    """Where the last run of ids that are asked about begins."""
    gaps = np.flatnonzero(np.diff(row.asked) > 1)
    return int(row.asked[gaps[-1] + 1] if len(gaps) else row.asked[0])


def _write(reader: Reader, trainee: Trainee, prompts: Sequence[Ids], max_tokens: int) -> list[str]:
    from transformers import GenerationConfig

    stops, longest = _stops(trainee), max(map(len, prompts))
    config = GenerationConfig(
        do_sample=False,
        max_new_tokens=max(1, min(max_tokens, trainee.context - longest)),
        eos_token_id=list(stops) or None,
        pad_token_id=stops[0] if stops else 0,
    )
    with torch.inference_mode():
        return [_text(trainee, row) for row in continuations(reader.model, prompts, config)]


def _stops(trainee: Trainee) -> tuple[int, ...]:
    dialect = trainee.dialect
    return tuple(dict.fromkeys([*dialect.assistant_stop_ids, *dialect.text_stop_ids]))


def _text(trainee: Trainee, ids: Ids) -> str:
    """Up to what ends it."""
    stops = np.flatnonzero(np.isin(ids, _stops(trainee)))
    return decode(trainee.tokenizer, ids[: stops[0]] if len(stops) else ids)
