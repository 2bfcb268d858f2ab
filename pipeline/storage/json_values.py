"""JSON values of a file, one after the other, with no more in memory than is being looked at."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any, BinaryIO, NamedTuple, TextIO

_decoder = json.JSONDecoder()
_FIRST_CHARS = 1 << 16
_BOM = b"\xef\xbb\xbf"
_SPACE = " \t\r\n"
MAX_SIZE = 64 << 20
"""Of one line, in bytes, and of one value, in characters: nothing grows from more."""


class Unreadable(NamedTuple):
    """What a line holds instead of a value."""

    reason: str


def text_lines(stream: BinaryIO) -> Iterator[tuple[int, str | Unreadable]]:
    """Lines with their numbers, as people count them, without the white space around their texts;
    those without text are left out."""
    for number, line in _lines(stream):
        text = line if isinstance(line, Unreadable) else line.strip()
        if text:
            yield number, text


def _lines(stream: BinaryIO) -> Iterator[tuple[int, str | Unreadable]]:
    for number, line in enumerate(iter(partial(stream.readline, MAX_SIZE + 1), b""), start=1):
        if len(line) > MAX_SIZE:
            raise ValueError(f"line {number} is longer than {MAX_SIZE:,} bytes")
        plain = line.removeprefix(_BOM) if number == 1 else line
        if not plain.isspace() and plain:
            yield number, _decoded(plain)


def _decoded(line: bytes) -> str | Unreadable:
    try:
        return line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        return Unreadable(f"not UTF-8: found the byte 0x{line[error.start]:02x}")


def json_lines(stream: BinaryIO) -> Iterator[tuple[int, Any]]:
    """The value of each line, or why there is none."""
    for number, line in _lines(stream):
        yield number, line if isinstance(line, Unreadable) else _parsed(line)


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        return Unreadable(f"not JSON: {error.msg}, at character {error.pos + 1}")
    except (ValueError, RecursionError) as error:
        return Unreadable(f"not JSON that can be read: {error}")


def json_document(text: TextIO) -> Iterator[tuple[int, Any]]:
    """The elements of an array, numbered, or the values that stand one after the other."""
    window = _Window(text)
    inside = window.next_char() == "["
    close = "]" if inside else ""
    if inside:
        window.take()
    number = 0
    while window.next_char() != close:
        number += 1
        yield number, window.take_value()
        if inside:
            _expect_more_or_end(window, number)
    if inside:
        window.take()
        if window.next_char():
            raise ValueError("expected nothing after the end of the array")


def _expect_more_or_end(window: "_Window", number: int) -> None:
    """After an element comes the end, or a comma with another one behind it."""
    char = window.next_char()
    if char == ",":
        window.take()
    if char not in (",", "]") or (char == "," and window.next_char() == "]"):
        raise ValueError(
            f"expected a comma and another element, or the end, after {number} of them"
        )


class _Window:
    """The part of a text that was read and not taken yet."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._chars, self._place, self._ended = "", 0, False

    def next_char(self) -> str:
        """The next one that is no white space, not taken; "" at the end."""
        while True:
            while self._place < len(self._chars):
                if (char := self._chars[self._place]) not in _SPACE:
                    return char
                self._place += 1
            if self._ended:
                return ""
            self._read(_FIRST_CHARS)

    def take(self) -> None:
        """Pass the next character."""
        self._place += 1

    def take_value(self) -> Any:
        """The value that begins with the next character."""
        more = _FIRST_CHARS
        while True:
            try:
                value, end = _decoder.raw_decode(self._chars, self._place)
            except json.JSONDecodeError:
                if self._ended:
                    raise
                if len(self._chars) - self._place > MAX_SIZE:
                    raise ValueError(
                        f"a value goes on for more than {MAX_SIZE:,} characters"
                    ) from None
            else:
                # A number may go on behind what was read.
                if end < len(self._chars) or self._ended:
                    self._place = end
                    return value
            self._read(more)
            more *= 2

    def _read(self, chars: int) -> None:
        found = self._text.read(chars)
        self._ended = not found
        self._chars, self._place = self._chars[self._place :] + found, 0
