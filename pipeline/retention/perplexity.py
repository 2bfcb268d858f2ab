"""How surprising texts are: their negative log-likelihood, token by token."""

from collections.abc import Sequence

import numpy as np

from pipeline.dialects.spelling import TokenizerSpeller
from pipeline.retention.reader import Reader
from pipeline.retention.rows import Row, Unaskable, Watch, row_from, rows_digest
from pipeline.sft.trainee import Trainee
from schemas.errors import SpecError
from schemas.records import to_ids
from schemas.retention import MeasuredTexts


def text_rows(trainee: Trainee, texts: Sequence[str], max_tokens: int) -> list[Row]:
    """Texts after what begins a text for the model: without it, some models read nothing right."""
    speller = TokenizerSpeller(trainee.tokenizer, trainee.dialect)
    start = to_ids(trainee.dialect.start)
    most = min(max_tokens, trainee.context - len(start))
    try:
        return [
            row_from(np.concatenate([start, speller.ids(text)[:most]]), len(start))
            for text in texts
        ]
    except Unaskable as error:
        raise SpecError(
            f"a text is too short: nothing of it can be asked of the model in {trainee.location}, "
            "which has no token to begin a text with. Expected two tokens or more."
        ) from error


def measure_texts(
    reader: Reader, rows: Sequence[Row], batch_rows: int, watch: Watch
) -> MeasuredTexts:
    """By text, what it costs."""
    told = reader.logprobs(rows, batch_rows, watch)
    return MeasuredTexts(
        items=rows_digest(rows),
        nll=tuple(-float(logprobs.sum()) for logprobs in told),
        tokens=tuple(map(len, told)),
    )
