"""Messages as data sets write them, made the frame that a tree grows from."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.storage.records import type_of
from pipeline.storage.row_columns import Unfit
from schemas.records import Frame, Message, Role

_ROLES: dict[str, Role] = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
}
_LONGEST = 40


class Given(NamedTuple):
    """A frame that ends with a user's message, and what was answered."""

    frame: Frame
    answer: str | None


def read_messages(found: Any) -> Given:
    """From {role, content} or {from, value}; `Unfit` says which message is wrong and how."""
    messages = read_turns(found)
    users = [index for index, message in enumerate(messages) if message.role == "user"]
    if not users:
        raise Unfit("no message of a user")
    frame, rest = messages[: users[-1] + 1], messages[users[-1] + 1 :]
    for place, message in enumerate(frame, start=1):
        if not message.text.strip() and message.role != "system":
            raise Unfit(f"message {place} is empty")
    answer = rest[0].text if rest and rest[0].text.strip() else None
    return Given(tuple(m for m in frame if m.text.strip()), answer)


def read_turns(found: Any) -> list[Message]:
    """All messages, in an order in which people speak; `Unfit` as above."""
    if not isinstance(found, Sequence) or isinstance(found, str | bytes):
        raise Unfit(f"found {type_of(found)}, expected a list of messages")
    messages = [_message(place, entry) for place, entry in enumerate(found, start=1)]
    _check_order(messages)
    return messages


def _message(place: int, entry: Any) -> Message:
    if not isinstance(entry, Mapping):
        raise Unfit(f"message {place}: found {type_of(entry)}, expected role and content")
    role = _first(entry, "role", "from")
    text = _first(entry, "content", "value")
    if not isinstance(role, str) or role not in _ROLES:
        raise Unfit(
            f"message {place}: found the role {repr(role)[:_LONGEST]}, "
            f"expected one of {', '.join(_ROLES)}"
        )
    if not isinstance(text, str):
        raise Unfit(f"message {place}: its content is {type_of(text)}, expected a text")
    return Message(_ROLES[role], text)


def _first(entry: Mapping[str, Any], *names: str) -> Any:
    return next((entry[name] for name in names if entry.get(name) is not None), None)


def _check_order(messages: Sequence[Message]) -> None:
    """A system's message may come first; then user and assistant take turns."""
    first = 1 if messages and messages[0].role == "system" else 0
    for index, message in enumerate(messages[first:]):
        expected = ("user", "assistant")[index % 2]
        if message.role != expected:
            raise Unfit(
                f"message {first + index + 1}: roles out of order, found {message.role}, "
                f"expected {expected}"
            )
