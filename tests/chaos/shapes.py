"""The runs that schedules disturb: small ones of every shape, and what each is without faults."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from jobs.wiring import Resolved, rehearsal, resolve
from schemas.execution_spec import RunSpec
from tests.architecture.source import REPOSITORY
from tests.builders import ODD, make_spec, memory_store, rows_of, run_resolved
from tests.faulty_store import FaultyStore

DATA = str(REPOSITORY / "jobs" / "specs" / "data" / "everyday.jsonl")
ASKED = {"role": "user", "max_tokens": 60}
ANSWERED = {"role": "assistant", "max_tokens": 60}
CRITIQUE = {"critique": "What is wrong with it?", "rewrite": "Write it again."}
JUDGE = {"filters": ["empty", {"filter": "judge", "roles": ["assistant"], "min_score": 3}]}
FALLING = {**ODD, "empty_share": 0.5, "duplicate_share": 0.0}


def _method(
    recipe: str, *levels: dict, bounds: tuple[int, int] = (4, 8), **changes: Any
) -> RunSpec:
    """A run of a method; where it reads rows, these are the packaged questions."""
    content = {"recipe": recipe, "levels": list(levels), "turns": {}, **changes.pop("content", {})}
    data = {"roots": DATA} if "data" in content.get("roots", {}) else {}
    return make_spec(bounds=bounds, generation=content, **data, **changes)


def _rows(limit: int, **roots: Any) -> dict[str, Any]:
    return {"roots": {"data": {"limit": limit}, **roots, "trees": roots.get("trees")}}


def _in_two_groups() -> RunSpec:
    """Questions by one model, answers by another one, each with engines of its own."""
    engine = {"backend": "scripted", "scripted": ODD}
    return _method(
        "tg-sft",
        {**ASKED, "fanout": 3},
        {**ANSWERED, "fanout": 2, "engine": "second"},
        content={"models": {"second": {"name": "other", "context": 4096}}},
        engines={"main": engine, "second": engine},
    )


SHAPES: dict[str, Callable[[], RunSpec]] = {
    "small": lambda: make_spec(fanouts=(2, 1), trees=1, bounds=(1, 2)),
    "cohorts": lambda: make_spec(fanouts=(2, 2), trees=5),
    "deep": lambda: make_spec(fanouts=(2, 1, 2, 1), bounds=(1, 6)),
    "deeper": lambda: make_spec(
        fanouts=(2, 1, 1, 1, 1, 1), trees=2, bounds=(2, 4), generation={"turns": {}}
    ),
    "wide": lambda: make_spec(fanouts=(16, 1), bounds=(2, 6)),
    "mixed": lambda: make_spec(bounds=(1, 6)),
    "two groups": _in_two_groups,
    "judged": lambda: make_spec(trees=3, fanouts=(3, 2), generation={"curation": JUDGE}),
    "critique": lambda: _method(
        "tg-sft", {**ASKED, "fanout": 3}, {**ANSWERED, "fanout": 2, "critique": CRITIQUE}
    ),
    "magpie": lambda: _method(
        "magpie",
        {**ASKED, "fanout": 8},
        {**ANSWERED, "fanout": 1},
        content={"roots": {"trees": 2}},
        bounds=(1, 4),
    ),
    "contextual": lambda: _method(
        "contextual", {**ANSWERED, "fanout": 2}, content=_rows(12), bounds=(2, 8)
    ),
    "topics": lambda: _method(
        "topics",
        {**ANSWERED, "fanout": 3, "say": "Name an area."},
        {**ANSWERED, "fanout": 2, "say": "Name a topic within it."},
        content={"roots": {"trees": 2}},
    ),
    "stand-ins": lambda: _method(
        "self-distill", ANSWERED, content=_rows(12), scripted=FALLING, bounds=(3, 8)
    ),
    "rehearsal": lambda: _method(
        "rehearsal",
        {**ASKED, "fanout": 2},
        {**ANSWERED, "fanout": 1},
        content=_rows(12, trees=6, examples=2),
        bounds=(2, 8),
    ),
    "soft targets": lambda: _method(
        "context-free",
        {"role": "text", "fanout": 24, "max_tokens": 40},
        content={"top_logprobs": 4, "roots": {"trees": 2}},
        bounds=(1, 6),
    ),
}


class Shape(NamedTuple):
    """A run, and what it is when nothing fails."""

    spec: RunSpec
    resolved: Resolved
    operations: int
    """Of the store."""
    children: int
    """That engines answer for."""
    rows: list[dict[str, Any]] | None
    """None where they depend on who wrote them."""


@cache
def shape_of(name: str, *, seeded: bool = True) -> Shape:
    """A shape by its name; its run is made once in a process."""
    spec = rehearsal(SHAPES[name]())
    guarantee = {"guarantee": "seeded" if seeded else "none"}
    spec = spec.model_copy(update={"generation": spec.generation.model_copy(update=guarantee)})
    resolved, counting = resolve(spec), FaultyStore(memory_store())
    run_resolved(counting, spec, resolved)
    operations, rows = len(counting.operations), rows_of(counting)
    children = sum(row["level"] > 0 for row in rows)
    return Shape(spec, resolved, operations, children, rows if seeded else None)
