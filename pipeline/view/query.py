"""What a page asks for: named texts and numbers, checked."""

from collections.abc import Generator, Mapping
from typing import Any

from schemas.errors import UserError

LONGEST = 2000

Lines = Generator[dict[str, Any], None, None]
"""An answer in parts, each as soon as it is found; to close it ends the work."""


class Query:
    """The part of an address after its question mark."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given

    def text(self, name: str, otherwise: str | None = None) -> str:
        """A text; without `otherwise` it must be there."""
        found = self._given.get(name, otherwise)
        if found is None:
            raise UserError(f"{name}: is missing in the address.")
        if len(found) > LONGEST:
            raise UserError(f"{name}: found {len(found):,} characters, expected {LONGEST} at most.")
        return found

    def number(self, name: str, otherwise: int | None = None) -> int:
        """A whole number, not below zero."""
        found = self.text(name, None if otherwise is None else str(otherwise))
        if not (found.isascii() and found.isdigit() and len(found) < 16):
            raise UserError(f"{name}: found {found[:40]!r}, expected a whole number.")
        return int(found)

    def amount(self, name: str) -> float:
        """A number."""
        found = self.text(name)
        try:
            value = float(found)
        except ValueError as error:
            raise UserError(f"{name}: found {found[:40]!r}, expected a number.") from error
        if value != value:
            raise UserError(f"{name}: found no number, expected one.")
        return value
