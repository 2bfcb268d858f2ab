"""A record of a data set, checked, and what stands in it to be trained on."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.sft.rows.task_columns import IMAGES, TaskChoice, TaskColumns
from pipeline.storage.records import Record, type_of
from pipeline.storage.row_columns import Unfit
from pipeline.storage.row_messages import read_turns
from schemas.records import Frame, Message
from schemas.sft_spec import TaskColumn

_IMAGE = "<image>"


class Talk(NamedTuple):
    """A conversation; without an answer at its end it is a prompt."""

    messages: Frame
    given: int = 0
    """How many of its messages belong to the prompt, whoever speaks."""


class Pair(NamedTuple):
    """A prompt and its completion, as plain texts."""

    prompt: str
    completion: str
    system: str


class Text(NamedTuple):
    """A plain text."""

    text: str


class TaskReader:
    """Reads records by what is mapped, or by usual names."""

    def __init__(self, mapped: Mapping[TaskColumn, str]) -> None:
        self._choice = TaskChoice(mapped)
        self.missing = set(mapped.values())
        """Columns that are mapped and stood in no record so far."""

    @property
    def columns(self) -> tuple[str, ...]:
        """All that it looks for in a record."""
        return self._choice.known

    def row(self, record: Record) -> Talk | Pair | Text:
        """What stands in a record; `Unfit` says what is wrong with it."""
        content = record.content
        if self.missing:
            self.missing.difference_update(content)
        if any(_is_there(content.get(name)) for name in IMAGES):
            raise Unfit("has an image")
        columns = self._choice.columns(content)
        if columns.messages is not None:
            talk = _talk(columns.messages, content[columns.messages])
            return Talk(_led_in(_text_or_none(content, columns.system), talk))
        if columns.text is not None:
            return Text(_filled(columns.text, _text(content, columns.text)))
        return _asked(content, columns)


def _asked(content: Mapping[str, Any], columns: TaskColumns) -> Talk | Pair:
    prompt, completion = str(columns.prompt), columns.completion
    asked, said = content[prompt], None if completion is None else content[completion]
    system = _text_or_none(content, columns.system)
    if isinstance(asked, str) and (said is None or isinstance(said, str)):
        text = _filled(prompt, asked)
        if more := _text_or_none(content, columns.more):
            text = f"{text}\n\n{more}"
        return Pair(text, "" if said is None else _filled(str(completion), said), system)
    given = _messages(prompt, asked, "user")
    messages = [*given, *([] if said is None else _messages(str(completion), said, "assistant"))]
    frame = _led_in(system, _talk(f"{prompt}, {completion}", messages))
    return Talk(frame, len(frame) - len(messages) + len(given))


def _messages(column: str, found: Any, role: str) -> Sequence[Any]:
    if isinstance(found, str):
        return [{"role": role, "content": found}]
    if not isinstance(found, Sequence) or isinstance(found, bytes):
        raise Unfit(f"column {column}: found {type_of(found)}, expected a text or messages")
    return found


def _talk(column: str, found: Any) -> Frame:
    if isinstance(found, Sequence) and any(map(_shows_image, found)):
        raise Unfit("has an image")
    try:
        messages = read_turns(found)
    except Unfit as error:
        raise Unfit(f"column {column}: {error}") from error
    if not any(message.role == "user" for message in messages):
        raise Unfit(f"column {column}: no message of a user")
    for place, message in enumerate(messages, start=1):
        if not message.text.strip() and message.role != "system":
            raise Unfit(f"column {column}: message {place} is empty")
    return tuple(message for message in messages if message.text.strip())


def _shows_image(entry: Any) -> bool:
    """As LLaVA writes it, in a text; or as a part of a message beside its texts."""
    if not isinstance(entry, Mapping):
        return False
    value, parts = entry.get("value"), entry.get("content")
    if isinstance(value, str):
        return _IMAGE in value
    if not isinstance(parts, Sequence) or isinstance(parts, str):
        return False
    kinds = (part.get("type") for part in parts if isinstance(part, Mapping))
    return any(str(kind).startswith("image") for kind in kinds)


def _led_in(system: str, talk: Frame) -> Frame:
    """With the system prompt of a column of its own."""
    if not system.strip():
        return talk
    if talk[0].role != "system":
        return (Message("system", system), *talk)
    if talk[0].text != system:
        raise Unfit("one system prompt in a column of its own, and another among its messages")
    return talk


def _is_there(value: Any) -> bool:
    return value is not None and (not isinstance(value, str | Sequence) or len(value) > 0)


def _text_or_none(content: Mapping[str, Any], column: str | None) -> str:
    return "" if column is None else _text(content, column)


def _text(content: Mapping[str, Any], column: str) -> str:
    found = content[column]
    if not isinstance(found, str):
        raise Unfit(f"column {column}: found {type_of(found)}, expected a text")
    return found


def _filled(column: str, text: str) -> str:
    if not text.strip():
        raise Unfit(f"column {column}: empty")
    return text
