"""What was asked for, and what became of it: a funnel whose steps add up exactly."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from schemas.errors import CorruptData

Kind = Literal[
    "asked", "failed", "filtered", "repeated", "surplus", "kept", "given", "left out", "remains"
]

_REPEATED = ("duplicate", "near_duplicate", "similar")
_SURPLUS = "surplus"
_FAILED = "failed:"


@dataclass(frozen=True)
class Step:
    """One bar of the funnel."""

    kind: Kind
    name: str
    """A reason, or the kind again."""
    count: int
    after: int
    """How many are there once this step is done."""

    @property
    def falls(self) -> bool:
        """Whether its count goes away."""
        return self.kind not in ("asked", "kept", "given", "remains")

    @property
    def reason(self) -> str:
        """As rows have it."""
        return f"{_FAILED}{self.name}" if self.kind == "failed" else self.name


@dataclass(frozen=True)
class Funnel:
    """Counts of candidates; every one is in exactly one of them."""

    asked: int
    kept: int
    """Of those asked for, by the verdicts of the run."""
    given: int = 0
    """Rows that were not asked for: references that stand in where no answer was kept."""
    failed: dict[str, int] = field(default_factory=dict)
    """Requests that gave no text, by the kind of failure."""
    filtered: dict[str, int] = field(default_factory=dict)
    repeated: dict[str, int] = field(default_factory=dict)
    surplus: int = 0
    """Sound, but more than were wanted."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Kept, and left out later, by a refinement or by hand."""
    remains: int = 0

    @property
    def dropped(self) -> int:
        """All that the run's verdicts dropped, failures included."""
        parts = (self.failed, self.filtered, self.repeated)
        return sum(sum(part.values()) for part in parts) + self.surplus

    def steps(self) -> Iterator[Step]:
        """From what was asked down to what remains."""
        there = self.asked
        yield Step("asked", "asked", there, there)
        for kind, name, count in self._falls():
            there -= count
            yield Step(kind, name, count, there)
        yield Step("kept", "kept", self.kept, self.kept)
        if self.given:
            there += self.given
            yield Step("given", "given", self.given, there)
        if not self.left_out and not self.given:
            return
        for name, count in _largest_first(self.left_out):
            there -= count
            yield Step("left out", name, count, there)
        yield Step("remains", "remains", self.remains, self.remains)

    def _falls(self) -> Iterator[tuple[Kind, str, int]]:
        parts: tuple[tuple[Kind, Mapping[str, int]], ...] = (
            ("failed", self.failed),
            ("filtered", self.filtered),
            ("repeated", self.repeated),
        )
        for kind, part in parts:
            yield from ((kind, name, count) for name, count in _largest_first(part))
        if self.surplus:
            yield "surplus", _SURPLUS, self.surplus


def funnel(
    asked: int,
    kept: int,
    dropped: Mapping[str, int],
    *,
    given: int = 0,
    left_out: Mapping[str, int] | None = None,
) -> Funnel:
    """From counts, refused where they do not add up."""
    later = {name: count for name, count in (left_out or {}).items() if count}
    if asked != kept + sum(dropped.values()):
        raise CorruptData(
            f"ledger: asked for {asked:,} candidates, but {kept:,} kept and "
            f"{sum(dropped.values()):,} dropped are not as many; `arborist verify` names the waves."
        )
    if sum(later.values()) > kept + given:
        raise CorruptData(
            f"drops: {sum(later.values()):,} rows are left out of {kept + given:,}; the drop "
            "list is not of this run. `arborist verify` says what is wrong."
        )
    failed = {n.removeprefix(_FAILED): c for n, c in dropped.items() if n.startswith(_FAILED) and c}
    judged = {n: c for n, c in dropped.items() if not n.startswith(_FAILED) and c}
    plain = {n: c for n, c in judged.items() if n not in (*_REPEATED, _SURPLUS)}
    return Funnel(
        asked=asked,
        kept=kept,
        given=given,
        failed=dict(_largest_first(failed)),
        filtered=dict(_largest_first(plain)),
        repeated={name: judged[name] for name in _REPEATED if name in judged},
        surplus=judged.get(_SURPLUS, 0),
        left_out=dict(_largest_first(later)),
        remains=kept + given - sum(later.values()),
    )


def together(funnels: Iterable[Funnel]) -> Funnel:
    """The sum."""
    parts = list(funnels)
    sums: dict[str, Counter[str]] = {name: Counter() for name in _BY_NAME}
    for part in parts:
        for name, total in sums.items():
            total.update(getattr(part, name))
    return Funnel(
        asked=sum(part.asked for part in parts),
        kept=sum(part.kept for part in parts),
        given=sum(part.given for part in parts),
        surplus=sum(part.surplus for part in parts),
        remains=sum(part.remains for part in parts),
        **{name: dict(_largest_first(total)) for name, total in sums.items()},
    )


_BY_NAME = ("failed", "filtered", "repeated", "left_out")


def _largest_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
