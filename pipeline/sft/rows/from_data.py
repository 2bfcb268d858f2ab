"""Rows of data sets as examples, one by one. What cannot be trained on is named and counted."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pipeline.dialects.derive import require_chat
from pipeline.sft.example import Example, Mask
from pipeline.sft.rows.spelled import spell, spell_pair, spell_prompt, spell_text
from pipeline.sft.rows.task_rows import Pair, Talk, TaskReader, Text
from pipeline.sft.trainee import Trainee
from pipeline.storage.records import BadRecord, Options, Record, read_records
from pipeline.storage.row_columns import Unfit
from pipeline.storage.row_fields import bad_row
from schemas.errors import ModelError, SpecError
from schemas.manifest import BadRow
from schemas.records import Ids, Message
from schemas.sft_spec import DataSource, Loss

_SHOWN = 5


@dataclass
class _Tally:
    """What came of the rows so far."""

    good: int = 0
    bad: int = 0
    examples: list[BadRow] = field(default_factory=list)
    """The first of the bad ones."""

    def add(self, row: Example | BadRow) -> None:
        if not isinstance(row, BadRow):
            self.good += 1
            return
        self.bad += 1
        if len(self.examples) < _SHOWN:
            self.examples.append(row)


def data_examples(
    source: DataSource, loss: Loss, trainee: Trainee, storage_options: Options = None
) -> Iterator[Example | BadRow]:
    """What stands in the rows of files, in their order, `source.limit` good ones at most.

    A model with a chat template is asked prompts as a user, and completions are its answers; one
    without gets them as plain texts. A row without anything to answer it has nothing learned. When
    all is read, a `SpecError` says so if nothing or too little of it could be used.
    """
    reader, tally = TaskReader(source.columns), _Tally()
    for record in read_records(files_of(source), storage_options, reader.columns):
        example = _example(record, reader, loss, trainee)
        yield example
        tally.add(example)
        if tally.good == source.limit:
            break
    wrong = reader.missing or not tally.good
    found = _names(source, storage_options) if wrong else []
    _check_columns(source, reader.missing, found)
    _check_count(source, tally, found, reader.columns)


def files_of(source: DataSource) -> tuple[str, ...]:
    """The locations of a source."""
    return (source.files,) if isinstance(source.files, str) else source.files


def _example(
    record: Record | BadRecord, reader: TaskReader, loss: Loss, trainee: Trainee
) -> Example | BadRow:
    if isinstance(record, BadRecord):
        return bad_row(*record)
    try:
        row = reader.row(record)
        _check_characters(row)
    except Unfit as error:
        return bad_row(record.place, str(error))
    if isinstance(row, Talk) or (isinstance(row, Pair) and row.system):
        require_chat(trainee.dialect, trainee.location)
    try:
        return Example(*_spelled(row, loss, trainee), source=record.place)
    except ModelError as error:
        return bad_row(record.place, str(error))


def _check_characters(row: Talk | Pair | Text) -> None:
    texts = [message.text for message in row.messages] if isinstance(row, Talk) else map(str, row)
    try:
        "".join(texts).encode()
    except UnicodeEncodeError as error:
        raise Unfit("holds half of a surrogate pair, which is no character") from error


def _spelled(row: Talk | Pair | Text, loss: Loss, trainee: Trainee) -> tuple[Ids, Mask]:
    match row:
        case Text(text):
            return spell_text(text, trainee)
        case Pair(prompt, completion, _) if not trainee.dialect.chats:
            return spell_pair(prompt, completion, trainee, loss)
        case Pair():
            row = _asked_and_answered(row)
    if row.messages[-1].role == "user":
        return spell_prompt(row.messages, trainee)
    return spell(row.messages, trainee, loss, given=row.given)


def _asked_and_answered(row: Pair) -> Talk:
    said = (
        Message("system", row.system),
        Message("user", row.prompt),
        Message("assistant", row.completion),
    )
    return Talk(tuple(message for message in said if message.text.strip()))


def _check_columns(source: DataSource, missing: set[str], found: Sequence[str]) -> None:
    named = [(ours, theirs) for ours, theirs in source.columns.items() if theirs in missing]
    if not named or not found:
        return
    ours, theirs = named[0]
    close = difflib.get_close_matches(theirs, found, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise SpecError(
        f"columns.{ours}: no row of {_places(source)} has a column {theirs}{hint}; found the "
        f"columns {', '.join(found)}."
    )


def _check_count(
    source: DataSource, tally: _Tally, found: Sequence[str], known: Sequence[str]
) -> None:
    places, all_rows = _places(source), tally.good + tally.bad
    first = "; ".join(f"{row.where}: {row.why}" for row in tally.examples)
    if not all_rows:
        raise SpecError(f"{places}: found no row at all; expected at least one.")
    if not tally.good:
        raise SpecError(
            f"{places}: nothing can be trained on in any of the {all_rows:,} rows, which have the "
            f"columns {', '.join(found) or 'nothing'}{_hint(found, known)}. The first: {first}. "
            "Name the columns to read in `columns`, or mend the rows."
        )
    share = tally.bad / all_rows
    if share > source.max_bad_share:
        raise SpecError(
            f"{places}: {tally.bad:,} of {all_rows:,} rows cannot be trained on, a share of "
            f"{share:.2g}, more than {source.max_bad_share:g}. The first: {first}. Raise "
            "`max_bad_share`, or mend the rows."
        )


def _hint(found: Sequence[str], known: Sequence[str]) -> str:
    for name in found:
        close = [] if name in known else difflib.get_close_matches(name, known, n=1)
        if close:
            return f" (is {name} meant as {close[0]}?)"
    return ""


def _names(source: DataSource, options: Options) -> list[str]:
    """The columns of the first record, of which only those that were looked for had been read."""
    anew = read_records(files_of(source), options)
    first = next((record for record in anew if isinstance(record, Record)), None)
    return [] if first is None else [str(name) for name in first.content]


def _places(source: DataSource) -> str:
    return ", ".join(files_of(source))
