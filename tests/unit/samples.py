"""Builders of specs, runs and rows for the pure rooms."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from pipeline.curate.curate import curate
from pipeline.curate.measure import Measurer
from pipeline.dialects.scripted import ScriptedSpeller, scripted_dialect
from pipeline.embedders.hashing import HashingEmbedder
from pipeline.engines.scripted import ScriptedConfig, ScriptedEngine
from pipeline.judging import measured_rows, sampled
from pipeline.plan.agenda import Agenda
from pipeline.plan.plan import Plan
from pipeline.recipes import RECIPES
from pipeline.tree.expand import attach, expand
from pipeline.tree.frontier import Parent, frontier_of
from pipeline.tree.recipe import Recipe, rules_of
from pipeline.tree.roots import plant, root_candidate, root_parents
from pipeline.tree.rules import phrases_of
from pipeline.tree.run import Run
from pipeline.tree.turns import turns_of
from schemas.generation_spec import GenerationSpec
from schemas.records import KEEP, Candidate, ChildKey, Node, Outcome, Request, RootRow, to_ids
from schemas.wave_id import WaveId

DIALECT = scripted_dialect()
SPELLER = ScriptedSpeller()
RUN_ID = "0123456789abcdef"


class Alone:
    """No other driver works on the run, so that every cohort is ours once it is taken."""

    def __init__(self) -> None:
        self._taken: set[int] = set()

    @property
    def reach(self) -> int:
        return 1 + max(self._taken, default=-1)

    def take(self, cohort: int) -> bool:
        self._taken.add(cohort)
        return True

    def holds(self, cohort: int) -> bool:
        return cohort in self._taken


def agenda_after(
    committed: Mapping[str, int],
    spec: GenerationSpec,
    recipe: Recipe,
    plan: Plan,
    admits: Callable[[], bool] = lambda: True,
) -> Agenda:
    """The agenda of a single driver, after these waves with so many nodes to expand."""
    agenda = Agenda(spec, recipe, plan, Alone(), admits=admits)
    for name in sorted(committed, key=WaveId.parse):
        agenda.commit(WaveId.parse(name), committed[name])
    return agenda


def make_spec(fanouts: Sequence[int] = (3, 2), *, trees: int = 2, **changes: Any) -> GenerationSpec:
    """A spec whose levels alternate, user first."""
    roles = ("user", "assistant")
    content: dict[str, Any] = {
        "model": {"name": "scripted", "context": 1 << 16},
        "roots": {"trees": trees, "topics": [{"text": "cats"}, {"text": "dogs", "weight": 2}]},
        "levels": [
            {"role": roles[index % 2], "fanout": fanout, "oversample": 1, "max_tokens": 200}
            for index, fanout in enumerate(fanouts)
        ],
    }
    return GenerationSpec.model_validate(content | changes)


def make_run(spec: GenerationSpec | None = None) -> Run:
    """A run that speaks the scripted dialect."""
    spec = spec or make_spec()
    recipe = RECIPES[spec.recipe]
    return Run(
        run_id=RUN_ID,
        spec=spec,
        recipe=recipe,
        trees=recipe.num_trees(spec, len(rows_of(spec))),
        tongues=(0,) * (1 + len(spec.models)),
        dialects=(DIALECT,),
        phrases=({text: SPELLER.ids(text) for text in phrases_of(rules_of(recipe, spec))},),
        spellers=(SPELLER,),
    )


def rows_of(spec: GenerationSpec) -> list[RootRow]:
    """The topics of a spec, or one empty row."""
    return [RootRow(text=topic.text) for topic in spec.roots.topics] or [RootRow()]


def plant_all(run: Run, rows: Sequence[RootRow] | None = None) -> list[Parent]:
    """The frontier above all trees of a run."""
    return plant_some(run, range(run.trees), rows)


def plant_some(
    run: Run, trees: Iterable[int], rows: Sequence[RootRow] | None = None
) -> list[Parent]:
    """The frontier above some trees."""
    return root_parents(run, plant(run, rows_of(run.spec) if rows is None else rows, trees))


def answer(requests: Sequence[Request], **settings: Any) -> list[Outcome]:
    """What a scripted engine says to requests."""
    engine = ScriptedEngine(ScriptedConfig.from_settings({"mean_tokens": 20, **settings}))
    outcomes: list[Outcome] = []
    for request in requests:
        engine.add(request)
    while engine.has_work():
        outcomes += engine.step()
    return outcomes


def by_key(outcomes: Sequence[Outcome]) -> Mapping[ChildKey, Outcome]:
    """Outcomes as the loop keeps them."""
    return {outcome.key: outcome for outcome in outcomes}


def grow_level(run: Run, parents: Sequence[Parent], level: int, **settings: Any) -> list[Node]:
    """The judged rows below some parents."""
    rule = run.recipe.rule(run.spec, level)
    requests = expand(run, "wave", parents, rule)
    outcomes = by_key(answer(requests, **settings))
    rows = attach(run, parents, requests, outcomes, rule)
    measure = Measurer(run.spec.curation, DIALECT, embed=HashingEmbedder().embed)
    measures = measure(turns_of(run, parents, sampled(rows))).take(measured_rows(rows))
    verdicts = curate(
        rows, measures, fanout=rule.fanout, compared=rule.compared, spec=run.spec.curation
    )
    return list(map(Node, rows, verdicts))


def grow(run: Run, **settings: Any) -> list[Node]:
    """All rows of all trees, each level as one wave."""
    parents = plant_all(run)
    nodes = [Node(root_candidate(run, parent.root), KEEP) for parent in parents]
    for level in range(1, run.recipe.num_levels(run.spec) + 1):
        rows = grow_level(run, parents, level, **settings)
        nodes += rows
        parents = frontier_of(run, parents, [row for row, verdict in rows if verdict.kept])
    return nodes


def compared(candidates: Sequence[Candidate]) -> Literal["cohort", "siblings"]:
    """Among whom a wave's repeats are looked for: openings among all of the cohort."""
    return "cohort" if candidates and candidates[0].level == 1 else "siblings"


def make_candidate(path: tuple[int, ...] = (0,), text: str = "Why?", **changes: Any) -> Candidate:
    """A row of a tree, complete unless something else is said."""
    values: dict[str, Any] = {
        "tree_id": 0,
        "node_id": f"node-{path}",
        "parent_id": f"node-{path[:-1]}",
        "path": path,
        "role": "user" if len(path) % 2 else "assistant",
        "token_ids": to_ids(list(text.encode())),
        "text": text,
        "finish_reason": "stop",
    }
    return Candidate(**(values | changes))
