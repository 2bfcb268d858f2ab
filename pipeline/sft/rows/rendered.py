"""Where the turns of a rendered conversation stand, in characters.

What a template writes around texts is read off a conversation of made-up texts in the same roles;
then a real one is walked through from gap to gap. So a text may hold anything, also what stands in
a gap, and a template may trim texts or strip reasoning from them.
"""

from collections.abc import Iterator
from functools import lru_cache
from itertools import takewhile
from typing import NamedTuple

from pipeline.dialects.rendering import Messages, render, text_gaps, writes_prompt
from pipeline.dialects.tokenizer import Tokenizer
from schemas.dialect import Dialect
from schemas.errors import ModelError
from schemas.records import Frame, Message, Role

Span = tuple[int, int]

_ROLES: tuple[Role, Role] = ("user", "assistant")
_SHOWN = 60


class Rendered(NamedTuple):
    """A conversation as its template writes it."""

    text: str
    spans: list[Span]
    """By message, where its text stands; the last one's, an answer's, is all that stands between
    what asks for it and what closes it."""


class Renderings:
    """Renders conversations by one model's template."""

    def __init__(self, tokenizer: Tokenizer, dialect: Dialect) -> None:
        self._tokenizer, self._dialect = tokenizer, dialect
        self._gaps = lru_cache(maxsize=256)(self._read_gaps)

    def render(self, frame: Frame) -> Rendered:
        """A conversation that ends with an answer; a system's message may stand first."""
        text = render(self._tokenizer, self._messages(frame))
        gaps = self._gaps(len(frame), frame[0].role == "system")
        return Rendered(text, [*self._walk(text, frame, gaps)])

    def _messages(self, frame: Frame) -> Messages:
        """The first turn carries the system text where the template takes none."""
        if frame[0].role == "system" and self._dialect.system == "user":
            joined = Message("user", f"{frame[0].text}\n\n{frame[1].text}")
            frame = (joined, *frame[2:])
        return [{"role": message.role, "content": message.text} for message in frame]

    def _read_gaps(self, count: int, has_system: bool) -> list[str]:
        """Before the first text, between texts, and after the last."""
        frame = tuple(_made_up(number, has_system) for number in range(count))
        messages, texts = self._messages(frame), [message.text for message in frame]
        gaps = text_gaps(self._tokenizer, render(self._tokenizer, messages), texts)
        if writes_prompt(self._tokenizer, messages[:-1]):
            prompt = render(self._tokenizer, messages[:-1], ask=True)
            asks = text_gaps(self._tokenizer, prompt, texts[:-1])[-1]
            gaps[-2] = _shared(gaps[-2], asks)
        return gaps

    def _walk(self, text: str, frame: Frame, gaps: list[str]) -> Iterator[Span]:
        cursor = len(gaps[0])
        for message, gap in zip(frame[:-1], gaps[1:-1], strict=True):
            written = (
                variant
                for variant in self._variants(message.text)
                if text.startswith(variant + gap, cursor)
            )
            if (found := next(written, None)) is None:
                raise _changed(self._tokenizer, message.text)
            yield cursor, cursor + len(found)
            cursor += len(found) + len(gap)
        end = len(text) - len(gaps[-1])
        if end <= cursor or not text.endswith(gaps[-1]):
            raise _changed(self._tokenizer, frame[-1].text)
        yield cursor, end

    def _variants(self, text: str) -> Iterator[str]:
        """How a template may write a text that is followed by others."""
        yield text
        yield text.strip()
        if (end := self._dialect.reasoning_end) and end in text:
            seen = text.rpartition(end)[2]
            yield from (seen, seen.lstrip("\n"), seen.strip())


def _made_up(number: int, has_system: bool) -> Message:
    role: Role = "system" if has_system and not number else _ROLES[(number - has_system) % 2]
    return Message(role, f"What{1000 + number}z")


def _shared(one: str, other: str) -> str:
    """How both begin."""
    pairs = zip(one, other, strict=False)
    return one[: sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))]


def _changed(tokenizer: Tokenizer, text: str) -> ModelError:
    shown = repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
    return ModelError(
        f"the chat template of {tokenizer.name_or_path} writes {shown} otherwise than as it is, so "
        "it cannot be told which tokens say it."
    )
