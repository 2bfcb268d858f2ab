"""What is said in a row, as turns that people can read, whatever the form of the export."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from schemas.export import Kind


class Said(NamedTuple):
    """One turn."""

    who: str
    text: str


def said_in(kind: Kind, row: dict[str, Any]) -> list[Said]:
    """The turns of a row."""
    if kind == "messages":
        return _messages(row["messages"])
    if kind == "text":
        return [Said("text", row["text"])]
    if kind == "nodes":
        return [Said(row["role"], row["text"])]
    return _preference(row)


def _messages(messages: Sequence[dict[str, str]]) -> list[Said]:
    return [Said(message["role"], message["content"]) for message in messages]


def _preference(row: dict[str, Any]) -> list[Said]:
    prompt = row["prompt"]
    said = [Said("prompt", prompt)] if isinstance(prompt, str) else _messages(prompt)
    if row["chosen_by"] is None:
        answers = [("an answer", one["content"]) for one in row["completions"][:2]]
    else:
        answers = [(which, _text(row[which])) for which in ("chosen", "rejected")]
    return [*said, *(Said(which, text) for which, text in answers)]


def _text(said: str | Sequence[dict[str, str]]) -> str:
    return said if isinstance(said, str) else said[0]["content"]
