"""The product's modules as syntax trees."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("schemas", "pipeline", "jobs")


class Module(NamedTuple):
    """One file of the product."""

    name: str
    file: Path
    text: str

    def __repr__(self) -> str:
        return self.name

    def at(self, line: int) -> str:
        """A line of it as a person looks it up."""
        return f"{self.file.relative_to(REPOSITORY)}:{line}"


class Import(NamedTuple):
    """One imported module, and where."""

    target: str
    line: int


@cache
def modules() -> tuple[Module, ...]:
    """Every module below the three packages."""
    files = sorted(file for package in PACKAGES for file in (REPOSITORY / package).rglob("*.py"))
    return tuple(Module(_name(file), file, file.read_text("utf-8")) for file in files)


def _name(file: Path) -> str:
    parts = file.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(module: Module) -> Iterator[Import]:
    """All imports, those inside functions among them; `from a import b` is `a.b` if that exists."""
    known = {other.name for other in modules()}
    for node in ast.walk(ast.parse(module.text)):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            for name in (f"{base}.{alias.name}" for alias in node.names):
                yield Import(name if name in known else base, node.lineno)
