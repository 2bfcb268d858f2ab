"""Dockerfiles, read far enough to check them and to do what they say without Docker."""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parents[3] / "docker"
_FLAG = re.compile(r"--[a-z]+=\S+\s+")
_VARIABLE = re.compile(r"\$\{(\w+)\}")


class Step(NamedTuple):
    """An instruction, its lines joined."""

    word: str
    rest: str

    @property
    def command(self) -> str:
        """Without the flags of the builder."""
        rest = self.rest
        while flag := _FLAG.match(rest):
            rest = rest[flag.end() :]
        return rest

    @property
    def flags(self) -> list[str]:
        """Those."""
        return self.rest[: len(self.rest) - len(self.command)].split()


class Stage(NamedTuple):
    """All between two FROM."""

    name: str
    parent: str
    """An earlier stage, or an image."""
    steps: list[Step]


class Dockerfile(NamedTuple):
    """A whole one, its build arguments put in."""

    stages: dict[str, Stage]

    @property
    def last(self) -> Stage:
        """What becomes the image."""
        return list(self.stages.values())[-1]

    def lineage(self, name: str) -> list[Step]:
        """The steps of a stage, after those of the stages that it is made from."""
        stage = self.stages.get(name)
        return [] if stage is None else [*self.lineage(stage.parent), *stage.steps]

    def image(self, name: str) -> str:
        """What a stage stands on in the end."""
        stage = self.stages.get(name)
        return name if stage is None else self.image(stage.parent)


def read(name: str, arguments: Mapping[str, str] | None = None) -> Dockerfile:
    """A Dockerfile as it is built with these arguments."""
    known, stages, stage = dict[str, str](), dict[str, Stage](), None
    for step in _steps((FOLDER / name).read_text()):
        if step.word == "ARG":
            key, _, default = step.rest.partition("=")
            known[key] = (arguments or {}).get(key, known.get(key, default))
        filled = _VARIABLE.sub(lambda found: known.get(found[1], found[0]), step.rest)
        if step.word == "FROM":
            parent, _, named = filled.partition(" AS ")
            stage = stages[named] = Stage(named, parent, [])
        elif stage is not None:
            stage.steps.append(Step(step.word, filled))
    return Dockerfile(stages)


def _steps(text: str) -> Iterator[Step]:
    lines = (line for line in text.splitlines() if line and not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        word, _, rest = line.partition(" ")
        yield Step(word, rest)


def environment(steps: list[Step]) -> dict[str, str]:
    """What ENV sets."""
    words = [word for step in steps if step.word == "ENV" for word in shlex.split(step.rest)]
    return dict(word.split("=", 1) for word in words)
