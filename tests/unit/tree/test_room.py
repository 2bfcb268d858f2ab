"""What a conversation takes of a context, compared with the requests that it leads to."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from pipeline.tree.aside import aside_rows
from pipeline.tree.critique import critique_requests, rewrite_requests
from pipeline.tree.expand import attach, expand
from pipeline.tree.frontier import frontier_of
from pipeline.tree.judge import judge_requests
from pipeline.tree.room import Room
from pipeline.tree.run import Run
from schemas.records import ChildKey, Completion, Request, to_ids
from tests.unit.samples import make_run, make_spec, plant_all

CRITIQUE = {"critique": "What is wrong with it?", "rewrite": "Write it again.", "engine": "critic"}
JUDGE = {"filter": "judge", "engine": "critic", "max_tokens": 9}
OTHER = {"name": "other", "context": 1 << 16}
TALK = [
    {"role": "user", "fanout": 1, "max_tokens": 30},
    {"role": "assistant", "fanout": 1, "max_tokens": 50},
]

SPECS = {
    "talk": {"levels": TALK * 2},
    "said": {"levels": [{**TALK[1], "say": "Name one."}, {**TALK[1], "say": "And one more."}]},
    "system": {"levels": [TALK[0], TALK[1], {**TALK[0], "system": "Ask for more. " * 9}]},
    "judge": {"levels": TALK, "curation": {"filters": [JUDGE]}, "models": {"critic": OTHER}},
    "critique": {"levels": [TALK[0], {**TALK[1], "critique": CRITIQUE}]},
    "longer again": {
        "levels": [TALK[0], {**TALK[1], "critique": {**CRITIQUE, "rewrite_tokens": 90}}, TALK[0]],
        "curation": {"filters": [JUDGE]},
    },
}


def make(name: str) -> Run:
    return make_run(make_spec((1,), trees=1, **SPECS[name], turns={}))


def longest(request: Request, tokens: int | None = None) -> dict[ChildKey, Completion]:
    """An answer as long as it may be."""
    most = request.sampling.max_tokens if tokens is None else tokens
    key = request.keys[0]
    return {key: Completion(key, to_ids([97] * most), "a" * most, "length")}


def requests_of(run: Run) -> Iterator[Request]:
    """All that one tree leads to, where every answer is as long as it may be."""
    parents = plant_all(run)[:1]
    for level, rule in enumerate(run.rules, start=1):
        [asked] = expand(run, "wave", parents, rule)
        asked = replace(asked, n=1)
        yield asked
        turns = attach(run, parents, [asked], longest(asked), rule)
        if rule.critique is not None:
            [first] = critique_requests(run, "wave", parents, turns, rule)
            by_id = {turns[0].node_id: turns[0]}
            critiques = aside_rows(run, by_id, [first], longest(first))
            [again] = rewrite_requests(run, "wave", by_id, [first], critiques, rule)
            yield from (first, again)
            most = max(asked.sampling.max_tokens, again.sampling.max_tokens)
            turns = attach(run, parents, [asked], longest(asked, most), rule)
        if rule.judge is not None:
            yield from judge_requests(run, "wave", parents, turns, rule.judge)
        if level < len(run.rules):
            parents = frontier_of(run, parents, turns)


def with_contexts(run: Run, contexts: dict[str, int]) -> Run:
    """The same run whose models have other contexts."""
    main = run.spec.model.model_copy(update={"context": contexts["main"]})
    others = {
        name: model.model_copy(update={"context": contexts[name]})
        for name, model in run.spec.models.items()
    }
    return replace(run, spec=run.spec.model_copy(update={"model": main, "models": others}))


@pytest.mark.parametrize("name", SPECS)
def test_shortage_begins_where_the_longest_request_of_a_model_does_not_fit(name):
    run = make(name)
    needed = dict.fromkeys(["main", *run.spec.models], 0)
    for request in requests_of(run):
        model = request.group if request.group in run.spec.models else "main"
        needed[model] = max(needed[model], len(request.prompt) + request.sampling.max_tokens)
    root = plant_all(run)[0].root
    assert Room(with_contexts(run, needed)).shortage(root) is None
    for model, context in needed.items():
        short = with_contexts(run, {**needed, model: context - 1})
        key = "model" if model == "main" else f"models.{model}"
        said = Room(short).shortage(root)
        assert said is not None
        assert said.startswith(f"generation.{key}.context: found {context - 1}; ")
        assert f"may take {context} tokens" in said
