"""Items that people write: questions with choices, and texts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from pipeline.storage.records import Record, read_records, type_of
from schemas.errors import SpecError
from schemas.sft_spec import ChoicesSpec, TextsSpec

Options = Mapping[str, Any] | None
Item = TypeVar("Item")

_SHOWN = 3
_CHOICES = (
    "Expected in each row `{}` (a text), `choices` (two or more different texts) and "
    "`answer` (which of them is right, counted from 0)"
)


class Question(NamedTuple):
    """A question with several answers."""

    question: str
    choices: tuple[str, ...]
    answer: int
    """Which of them is right."""


class BadItem(ValueError):
    """What is wrong with one."""


def read_choices(spec: ChoicesSpec, options: Options = None) -> list[Question]:
    """All questions of a file; `SpecError` says which rows are none, and why."""
    parse = partial(_question, asked=spec.ask)
    expected = _CHOICES.format(spec.ask)
    return _read(_records(spec.items, options), parse, spec.limit, spec.items, expected)


def read_texts(spec: TextsSpec, options: Options = None) -> list[str]:
    """All texts of a file. The paragraphs of a plain one are parted by empty lines; where there are
    none, each line is one."""
    found = _records(spec.items, options)
    if spec.items.removesuffix(".gz").endswith(".txt"):
        found = iter(_paragraphs(list(found)))
    return _read(found, _text, spec.limit, spec.items, "Expected in each row `text` (a text)")


def _records(location: str, options: Options) -> Iterator[tuple[str, Any]]:
    """Rows with their places; where a row holds no record, why it does not."""
    for record in read_records([location], options):
        yield record.place, record.content if isinstance(record, Record) else record.reason


def _read(
    found: Iterator[tuple[str, Any]],
    parse: Callable[[Any], Item],
    limit: int | None,
    location: str,
    expected: str,
) -> list[Item]:
    items: list[Item] = []
    bad: list[str] = []
    for place, content in islice(found, limit):
        try:
            items.append(parse(content))
        except BadItem as error:
            bad.append(f"{place}: {error}")
            if len(bad) == _SHOWN:
                break
    if bad:
        raise SpecError(f"{location} cannot be asked. {'; '.join(bad)}. {expected}.")
    if not items:
        raise SpecError(f"{location} holds nothing. {expected}.")
    return items


def _question(content: Any, *, asked: str) -> Question:
    question = _filled(content, asked)
    choices = content.get("choices")
    if not isinstance(choices, Sequence) or isinstance(choices, str):
        raise BadItem(f"choices: found {type_of(choices)}, expected a list of texts")
    if not all(isinstance(choice, str) and choice.strip() for choice in choices):
        raise BadItem("choices: found one that is empty or no text")
    if len({choice.strip() for choice in choices}) < max(2, len(choices)):
        raise BadItem("choices: found fewer than two, or one of them twice")
    answer = content.get("answer")
    if type(answer) is not int or not 0 <= answer < len(choices):
        raise BadItem(
            f"answer: found {answer!r:.40}, expected a number from 0 to {len(choices) - 1}"
        )
    return Question(question, tuple(choices), answer)


def _text(content: Any) -> str:
    return _filled(content, "text")


def _filled(content: Any, key: str) -> str:
    if isinstance(content, str):
        raise BadItem(content)
    value = content.get(key)
    if value is None and key not in content:
        there = ", ".join(map(str, list(content)[:6])) or "nothing"
        raise BadItem(f"{key}: missing; found {there}")
    if not isinstance(value, str) or not value.strip():
        raise BadItem(f"{key}: found {type_of(value)}, expected a text that is not empty")
    return value


def _paragraphs(lines: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Lines joined to paragraphs, if there is an empty line between any two of them."""
    numbers = [int(place.rpartition(":")[2]) for place, _ in lines]
    if not lines or numbers[-1] - numbers[0] == len(lines) - 1:
        return list(lines)
    joined: list[tuple[str, Any]] = []
    for number, before, (place, content) in zip(numbers, [-1, *numbers], lines, strict=False):
        follows = number == before + 1 and isinstance(content, Mapping)
        if follows and isinstance(joined[-1][1], Mapping):
            text = f"{joined[-1][1]['text']}\n{content['text']}"
            joined[-1] = (joined[-1][0], {"text": text})
        else:
            joined.append((place, content))
    return joined
