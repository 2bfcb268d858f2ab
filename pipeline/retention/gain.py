"""What was learned of a task: its held-out answers, how surprising they are and how often right."""

from collections.abc import Sequence

from pipeline.retention.answers import agrees, references, write_answers
from pipeline.retention.reader import Reader
from pipeline.retention.rows import Row, Watch, rows_digest
from pipeline.sft.trainee import Trainee
from schemas.retention import MeasuredTask
from schemas.sft_spec import GainSpec


def measure_task(
    reader: Reader,
    trainee: Trainee,
    spec: GainSpec,
    rows: Sequence[Row],
    batch_rows: int,
    watch: Watch,
) -> MeasuredTask:
    """By row."""
    told = reader.logprobs(rows, batch_rows, watch)
    found = MeasuredTask(
        items=rows_digest(rows),
        nll=tuple(-float(logprobs.sum()) for logprobs in told),
        tokens=tuple(map(len, told)),
    )
    if not spec.generate:
        return found
    written = write_answers(reader, trainee, rows, (batch_rows, spec.max_tokens), watch)
    pairs = zip(written, references(trainee, rows), strict=True)
    right = tuple(agrees(ours, theirs) for ours, theirs in pairs)
    return found.model_copy(update={"written": tuple(written), "right": right})
