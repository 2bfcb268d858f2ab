"""YAML of a stranger's file: plain values only, no more of them than a spec can have."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from schemas.errors import SpecError

MAX_BYTES = 4 << 20
MAX_VALUES = 200_000
"""Aliases count as often as they are used: a few lines of them may stand for billions."""


class _PlainLoader(yaml.SafeLoader):
    """Knows no types but YAML's own, and refuses what it would take silently: of two equal keys
    the last one, a value that holds itself."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        keys = [(key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        doubled = next((key for key, times in Counter(keys).items() if times > 1), None)
        if doubled:
            raise yaml.composer.ComposerError(
                None, None, f"the key {doubled[1]!r} is there twice", node.start_mark
            )
        return node

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        node = super().compose_scalar_node(anchor)
        if not is_text(node.value):
            raise yaml.composer.ComposerError(
                None, None, "half of a surrogate pair is no character", node.start_mark
            )
        return node

    def get_single_node(self) -> yaml.Node | None:
        node: yaml.Node | None = super().get_single_node()
        if node is not None and (values := _Sizes().of(node)) > MAX_VALUES:
            raise yaml.composer.ComposerError(
                None, None, f"it stands for {values:,} values; expected at most {MAX_VALUES:,}"
            )
        return node


def is_text(value: str) -> bool:
    """Whether it can be written down."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


class _Sizes:
    """Counts the values that nodes stand for, each node looked at once."""

    def __init__(self) -> None:
        self._known: dict[int, int | None] = {}

    def of(self, node: yaml.Node) -> int:
        """How many a node stands for; those in the middle of being counted hold themselves."""
        found = self._known.get(id(node), 0)
        if found is None:
            raise yaml.composer.ComposerError(
                None, None, "found an alias inside what it stands for", node.start_mark
            )
        if not found:
            self._known[id(node)] = None
            found = self._known[id(node)] = 1 + sum(map(self.of, _inner(node)))
        return found


def _inner(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


BROKEN = (yaml.YAMLError, ValueError, LookupError, AttributeError, OverflowError, RecursionError)
"""PyYAML lets what its scalars raise through: an impossible date is a plain ValueError, `!!int ""`
an IndexError, `!!timestamp x` an AttributeError."""


def read_yaml(location: str) -> Any:
    """The one value in a file; `SpecError` says what is wrong with it."""
    try:
        return parse_yaml(read_text(location))
    except BROKEN as error:
        raise SpecError(f"{location}: not a YAML file: {_told(error)}") from error


def read_mapping(location: str, expected: str) -> dict[str, Any]:
    """The one mapping in a file; `SpecError` says what was expected in it."""
    content = read_yaml(location)
    if not isinstance(content, dict):
        raise SpecError(f"{location}: found {type(content).__name__}, expected {expected}.")
    return content


def parse_yaml(written: str) -> Any:
    """The one value in a text; raises one of `BROKEN` where there is none."""
    return yaml.load(written, Loader=_PlainLoader)


def read_text(location: str) -> str:
    """A file as a text, if it is not too long for a spec."""
    try:
        with Path(location).open("rb") as file:
            payload = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SpecError(f"{location}: cannot be read: {error.strerror}.") from error
    if len(payload) > MAX_BYTES:
        raise SpecError(
            f"{location}: found more than {MAX_BYTES:,} bytes, expected a spec; many topics are "
            "better read from a file of their own (generation.roots.data)."
        )
    return payload.decode("utf-8-sig")


def _told(error: Exception) -> str:
    if isinstance(error, (yaml.YAMLError, ValueError)):
        return str(error)
    if isinstance(error, RecursionError):
        return "its values are nested too deep."
    return f"a value is not what its tag says ({error!r})."
