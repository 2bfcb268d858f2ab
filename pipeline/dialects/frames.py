"""Frames taken apart: a plain text alone, or a system text and turns."""

from typing import NamedTuple

from schemas.errors import ModelError
from schemas.records import Frame, Role

_ROLES: tuple[Role, ...] = ("user", "assistant")


class Turn(NamedTuple):
    """One turn, with its text as its ids decode."""

    role: Role
    text: str


def plain_text(frame: Frame) -> str | None:
    """The text of a frame that is one; None for a conversation."""
    if all(message.role != "text" for message in frame):
        return None
    if len(frame) > 1:
        raise _odd(frame, "a plain text alone")
    return frame[0].text


def conversation(frame: Frame) -> tuple[str, list[Turn]]:
    """The system text, empty for none, and the turns."""
    has_system = bool(frame) and frame[0].role == "system"
    turns = [Turn(role, text) for role, text in frame[has_system:]]
    if [turn.role for turn in turns] != [_ROLES[i % 2] for i in range(len(turns))]:
        raise _odd(
            frame, "a system message or none, and then user and assistant by turns, the user first"
        )
    return frame[0].text if has_system else "", turns


def _odd(frame: Frame, expected: str) -> ModelError:
    found = ", ".join(message.role for message in frame)
    return ModelError(f"found messages of {found}; expected {expected}.")
