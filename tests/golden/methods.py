"""What each recipe asks for: a small spec of every method, and its requests as people read them."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from jobs.recipes import with_defaults
from pipeline.engines.scripted_author import decode
from pipeline.tree.aside import aside_rows
from pipeline.tree.critique import critique_requests, rewrite_requests
from pipeline.tree.expand import expand
from pipeline.tree.frontier import Parent, frontier_of
from pipeline.tree.recipe import LevelRule
from pipeline.tree.run import Run
from schemas.generation_spec import GenerationSpec
from schemas.records import Candidate, Message, Request, RootRow, Sampling
from tests.unit.samples import answer, by_key, grow_level, make_run, plant_some

Content = dict[str, Any]

ROWS = [
    RootRow("What floats?", reference="Ice floats on water.", source="rows.jsonl:1"),
    RootRow("What sinks?", system="Be brief.", reference="A stone sinks.", source="rows.jsonl:2"),
    RootRow("What burns?", reference="Dry wood burns.", source="rows.jsonl:3"),
    RootRow(
        messages=(
            Message("user", "Hello."),
            Message("assistant", "Hello, how can I help?"),
            Message("user", "What melts?"),
        ),
        reference="Butter melts.",
        source="rows.jsonl:4",
    ),
]


def level(role: str, fanout: int = 1, **settings: Any) -> Content:
    """A level with as many asked for as are kept."""
    return {"role": role, "fanout": fanout, "oversample": 1, "max_tokens": 60, **settings}


TALK = [level("user", 2), level("assistant", 2), level("user"), level("assistant")]
CRITIQUE = {"critique": "What is wrong with it?", "rewrite": "Write it again."}

METHODS: dict[str, Content] = {
    "tg-sft": {
        "roots": {"topics": [{"text": "cats"}, {"text": "dogs"}]},
        "levels": TALK,
        "turns": {1: 1, 2: 2},
    },
    "tg-pt": {"levels": [level("text", 2), level("text", stop=["."])]},
    "context-free": {"levels": [level("text", 3)], "top_logprobs": 4},
    "context-free-reasoning": {"levels": [level("text", 3)]},
    "magpie": {"levels": [level("user", 2), {**level("assistant"), "stop": []}] * 2},
    "contextual": {"roots": {"data": {}}, "levels": [level("assistant", 2)]},
    "self-distill": {"roots": {"data": {}}, "levels": [level("assistant")]},
    "rehearsal": {
        "roots": {"data": {}, "trees": 2, "examples": 2},
        "models": {"refiner": {"name": "scripted", "context": 65536}},
        "levels": [level("user"), level("assistant", engine="refiner")],
    },
    "topics": {
        "levels": [
            level("assistant", 2, say="Name an area."),
            level("assistant", 2, say="Name a topic within it."),
        ]
    },
    "critique": {
        "roots": {"topics": [{"text": "cats"}]},
        "levels": [level("user"), level("assistant", critique=CRITIQUE)],
    },
}
"""A spec a method, by the name of its golden file."""


def make_method_spec(name: str, **changes: Any) -> GenerationSpec:
    """The small spec of a method, as a spec file gives it, with other values for some keys."""
    content = {
        "recipe": "tg-sft" if name == "critique" else name,
        "model": {"name": "scripted", "context": 65536},
        **METHODS[name],
        **changes,
    }
    return GenerationSpec.model_validate(with_defaults(content))


def rows_of(spec: GenerationSpec) -> list[RootRow] | None:
    """The rows of a spec with data; None for another."""
    return None if spec.roots.data is None else ROWS


def requests_of(spec: GenerationSpec) -> Content:
    """All that a run of a spec asks for, level by level."""
    run, rows = make_run(spec), rows_of(spec)
    run.recipe.check(spec)
    trees = run.recipe.num_trees(spec, len(rows or spec.roots.topics or [None]))
    parents, asked = plant_some(run, range(trees), rows), []
    for number in range(1, len(spec.levels) + 1):
        rule = run.recipe.rule(spec, number)
        requests = expand(run, f"level {number}", parents, rule)
        asked += [_level(number, requests), *_passes(run, parents, requests, rule)]
        kept = [row for row, verdict in grow_level(run, parents, number) if verdict.kept]
        parents = frontier_of(run, parents, kept)
    return {"recipe": f"{run.recipe.name} {run.recipe.version}", "asked": asked}


def _passes(
    run: Run, parents: Sequence[Parent], requests: Sequence[Request], rule: LevelRule
) -> list[Content]:
    """What a critique asks about the turns of a level."""
    if rule.critique is None:
        return []
    nodes = grow_level(run, parents, len(parents[0].path) + 1)
    drafts = [candidate for candidate, verdict in nodes if verdict.kept]
    critiques = critique_requests(run, requests[0].wave, parents, drafts, rule)
    by_id: dict[str, Candidate] = {draft.node_id: draft for draft in drafts}
    said = aside_rows(run, by_id, critiques, by_key(answer(critiques)))
    rewrites = rewrite_requests(run, requests[0].wave, by_id, critiques, said, rule)
    return [_level("critique", critiques), _level("rewrite", rewrites)]


def _level(name: int | str, requests: Sequence[Request]) -> Content:
    """Sampling and group are the same for all requests of a level."""
    first = requests[0]
    assert {(r.group, r.sampling) for r in requests} == {(first.group, first.sampling)}
    return {
        "level" if isinstance(name, int) else "pass": name,
        "group": first.group,
        "sampling": _said(first.sampling),
        "requests": list(map(_plain, requests)),
    }


def _plain(request: Request) -> Content:
    return {
        "parent_id": request.parent_id,
        "children": [request.first_child, request.n],
        "seed": request.seed,
        "prompt": decode(request.prompt),
    }


def _said(sampling: Sampling) -> Content:
    """What is not as it always is."""
    usual = asdict(Sampling(max_tokens=0))
    return {key: value for key, value in asdict(sampling).items() if value != usual[key]}
