"""Which column of a task's row is which of ours.

What is mapped is what was mapped. Else a column of our own name is taken, or, where there is none,
the one that data sets of this field call so:

    messages      conversations, conversation
    prompt        question, instruction, query, problem
    completion    answer, response, output, solution
    system        system_prompt

Messages come before a prompt with its completion, these before a text, and a text before a prompt
alone. Where more than one column could be the same of ours, nothing is guessed and the row is bad.
An `input` beside `instruction` goes on from it. A column counts as missing where it is null.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from pipeline.storage.row_columns import Unfit
from schemas.errors import SpecError
from schemas.sft_spec import TaskColumn

ALSO: dict[TaskColumn, tuple[str, ...]] = {
    "messages": ("conversations", "conversation"),
    "prompt": ("question", "instruction", "query", "problem"),
    "completion": ("answer", "response", "output", "solution"),
    "text": (),
    "system": ("system_prompt",),
}
GOES_ON = {"instruction": "input"}
"""What stands in a column of its own and belongs to the prompt."""
IMAGES = ("image", "images")

_SUBJECTS: tuple[TaskColumn, ...] = ("messages", "prompt", "text")
_SHOWN = 30


class TaskColumns(NamedTuple):
    """Their columns of one record, by ours; None where there is none."""

    messages: str | None = None
    prompt: str | None = None
    completion: str | None = None
    text: str | None = None
    system: str | None = None
    more: str | None = None
    """What the prompt goes on with."""


class TaskChoice:
    """Chooses by what is mapped and what is there."""

    def __init__(self, mapped: Mapping[TaskColumn, str]) -> None:
        self._mapped = dict(mapped)
        self._refuse_contradictions()
        usual = [name for also in ALSO.values() for name in also]
        names = [*mapped.values(), *ALSO, *usual, *GOES_ON.values(), *IMAGES]
        self.known = tuple(dict.fromkeys(names))
        """All that may be looked at."""
        self._choose = lru_cache(maxsize=256)(self._chosen)

    def columns(self, content: Mapping[str, Any]) -> TaskColumns:
        """Those of a record; `Unfit` if there is nothing to train on, or too much."""
        there = tuple(name for name in self.known if content.get(name) is not None)
        try:
            return self._choose(there)
        except _NoSubject as error:
            raise Unfit(f"{error}; found the columns {_shown(content)}") from error

    def _chosen(self, there: tuple[str, ...]) -> TaskColumns:
        system = self._one("system", there)
        if (messages := self._subject("messages", there)) is not None:
            return TaskColumns(messages=messages, system=system)
        prompt, text = self._subject("prompt", there), self._subject("text", there)
        completion = None if prompt is None else self._one("completion", there)
        if prompt is not None and (completion is not None or text is None):
            more = None if "prompt" in self._mapped else GOES_ON.get(prompt)
            more = more if more in there else None
            return TaskColumns(prompt=prompt, completion=completion, system=system, more=more)
        if text is None:
            wanted = [self._mapped.get(ours, ours) for ours in self._wanted()]
            raise _NoSubject(f"no column {' or '.join(wanted)}")
        return TaskColumns(text=text)

    def _wanted(self) -> list[TaskColumn]:
        """What rows may be made of: what is mapped, or anything."""
        if "completion" in self._mapped:
            return ["prompt"]
        return [ours for ours in _SUBJECTS if ours in self._mapped] or [*_SUBJECTS]

    def _subject(self, ours: TaskColumn, there: tuple[str, ...]) -> str | None:
        return self._one(ours, there) if ours in self._wanted() else None

    def _one(self, ours: TaskColumn, there: tuple[str, ...]) -> str | None:
        """The mapped one, else the one of our name, else the one that may be meant."""
        if ours in self._mapped:
            return self._mapped[ours] if self._mapped[ours] in there else None
        free = [name for name in there if name not in self._mapped.values()]
        if ours in free:
            return ours
        found = [name for name in ALSO[ours] if name in free]
        if len(found) > 1:
            raise _NoSubject(
                f"{' and '.join(found)}: any of them could be the {ours}, so map one in `columns`"
            )
        return found[0] if found else None

    def _refuse_contradictions(self) -> None:
        kinds = [ours for ours in _SUBJECTS if ours in self._mapped]
        if "completion" in self._mapped and "prompt" not in kinds:
            kinds.append("completion")
        if len(kinds) > 1:
            raise SpecError(
                f"columns: found {' and '.join(kinds)}; expected messages, or prompt and "
                "completion, or text."
            )
        if len(set(self._mapped.values())) < len(self._mapped):
            raise SpecError(f"columns: found one column mapped twice, {self._mapped}.")


def _shown(content: Mapping[str, Any]) -> str:
    names = [f"{name} (null)" if content[name] is None else str(name) for name in content]
    return ", ".join(names[:_SHOWN]) or "nothing"


class _NoSubject(ValueError):
    """What is missing, before it is said what was found."""
