"""Which column of a record is which of ours.

What is mapped is what was mapped. Else a column of our own name is taken, or, where there is none,
the one that data sets of this field call so:

    text        prompt, question, instruction, query, input
    messages    conversations, conversation
    system      system_prompt
    reference   answer, response, completion, output

A record grows from its text or from its messages. Where more than one column could be either, as
in `instruction` and `input`, nothing is guessed and the row is bad; more than one that could be the
reference are none. A column counts as missing in a row where it is null.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from schemas.errors import SpecError
from schemas.generation_spec import Column

ALSO: dict[Column, tuple[str, ...]] = {
    "text": ("prompt", "question", "instruction", "query", "input"),
    "messages": ("conversations", "conversation"),
    "system": ("system_prompt",),
    "reference": ("answer", "response", "completion", "output"),
}

_SUBJECTS: tuple[Column, ...] = ("text", "messages")
_SHOWN = 30


class Unfit(ValueError):
    """Why nothing can grow from a row."""


class Columns(NamedTuple):
    """Their columns of one record, by ours; None where there is none."""

    subject: Column
    """`text` or `messages`: what the tree grows from."""
    theirs: str
    system: str | None
    reference: str | None
    sure: bool
    """Whether the reference is not merely taken for one."""


class ColumnChoice:
    """Chooses by what is mapped and what is there."""

    def __init__(self, mapped: Mapping[Column, str]) -> None:
        self._mapped = dict(mapped)
        self._refuse_contradictions()
        names = [*mapped.values(), *ALSO, *(name for also in ALSO.values() for name in also)]
        self.known = tuple(dict.fromkeys(names))
        """All that may be chosen."""
        self._choose = lru_cache(maxsize=256)(self._chosen)

    def columns(self, content: Mapping[str, Any]) -> Columns:
        """Those of a record; `Unfit` if it cannot be told what to grow from."""
        there = tuple(name for name in self.known if content.get(name) is not None)
        try:
            return self._choose(there)
        except _NoSubject as error:
            raise Unfit(f"{error}; found the columns {_shown(content)}") from error

    def _chosen(self, there: tuple[str, ...]) -> Columns:
        subject, theirs = self._subject(there)
        system = self._candidates("system", there)
        reference = self._candidates("reference", there)
        wanted = self._mapped.get("reference", "reference")
        if "reference" in self._mapped and not reference:
            raise Unfit(f"no column {wanted}, which is mapped as `reference`")
        sure = reference == [wanted]
        if subject == "messages" and not sure:
            # The answer that stands among the messages is the better guess.
            reference = []
        return Columns(subject, theirs, _only(system), _only(reference), sure)

    def _subject(self, there: tuple[str, ...]) -> tuple[Column, str]:
        wanted = [ours for ours in _SUBJECTS if ours in self._mapped] or _SUBJECTS
        found = [(ours, name) for ours in wanted for name in self._candidates(ours, there)]
        found = [pair for pair in found if pair[0] == pair[1]] or found
        if len(found) > 1:
            names = " and ".join(name for _, name in found)
            raise _NoSubject(f"{names}: any of them could be what to grow from")
        if not found:
            raise _NoSubject(f"no column {' or '.join(self._mapped.get(o, o) for o in wanted)}")
        return found[0]

    def _candidates(self, ours: Column, there: tuple[str, ...]) -> list[str]:
        """The mapped one, else the one of our name, else all that may be meant."""
        if ours in self._mapped:
            return [name for name in (self._mapped[ours],) if name in there]
        free = [name for name in there if name not in self._mapped.values()]
        return [ours] if ours in free else [name for name in ALSO[ours] if name in free]

    def _refuse_contradictions(self) -> None:
        where = "generation.roots.data.columns"
        if {"text", "messages"} <= self._mapped.keys():
            raise SpecError(f"{where}: found both text and messages; expected one of the two.")
        if len(set(self._mapped.values())) < len(self._mapped):
            raise SpecError(f"{where}: found one column mapped twice, {self._mapped}.")


def _only(names: list[str]) -> str | None:
    return names[0] if len(names) == 1 else None


def _shown(content: Mapping[str, Any]) -> str:
    names = [f"{name} (null)" if content[name] is None else str(name) for name in content]
    return ", ".join(names[:_SHOWN]) or "nothing"


class _NoSubject(ValueError):
    """What is missing, before it is said what was found."""
