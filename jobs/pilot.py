"""The pilot of a run: grown with the run's own engines, before these are all paid for."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TextIO

import numpy as np

from jobs.generate import generate
from jobs.wiring import open_run_value, rehearsal, resolve, used_groups
from pipeline.judging import verdicts_of
from pipeline.plan.beliefs import Family
from pipeline.plan.busy_time import BusyTime
from pipeline.plan.estimate import Machines, Pilot, Target, estimate
from pipeline.plan.pilot import pilot_spec
from pipeline.plan.plan import make_plan
from pipeline.plan.writers import group_of
from pipeline.storage.estimates import PILOTS, write_estimate
from pipeline.storage.ledger import Ledger
from pipeline.storage.open import join, open_store
from pipeline.storage.runs import open_run
from pipeline.storage.shards import WaveRows, read_wave, wave_rows
from pipeline.storage.store import Store
from pipeline.tree.recipe import LevelRule
from pipeline.tree.run import Run
from schemas.estimate import Estimate
from schemas.execution_spec import BudgetSpec, ExecutionSpec, RunSpec
from schemas.records import Node
from schemas.wave_id import WaveId

CLOCK_S = 1e-6
"""The shortest time that a clock tells from none."""


def pilot(spec: RunSpec, candidates: int, out: TextIO, *, rehearsed: bool) -> Estimate:
    """Grow the pilot, or find it grown, and keep what it says of the run."""
    if rehearsed:
        spec = rehearsal(spec)
    run = resolve(spec).run
    plan = make_plan(run.spec, run.recipe, run.trees)
    small = pilot_spec(run.spec, run.recipe, plan, candidates)
    execution = _alone(spec.execution)
    done = generate(RunSpec(generation=small, execution=execution), out)
    target = Target(run.run_id, run.spec, run.recipe, plan)
    found = estimate(target, pilot_of(done.store), machines_of(spec))
    found = found.model_copy(update={"made_at": time.time()})
    write_estimate(open_store(execution.location, execution.storage_options), found)
    return found


def _alone(execution: ExecutionSpec) -> ExecutionSpec:
    """One engine of each group, in the folder of pilots, whatever the run's budget."""
    engines = {
        name: group.model_copy(update={"replicas": 1}) for name, group in execution.engines.items()
    }
    where = join(execution.location, PILOTS)
    changes = {"location": where, "engines": engines, "budget": BudgetSpec()}
    return execution.model_copy(update=changes)


def pilot_of(store: Store) -> Pilot:
    """A sealed pilot, by its rows."""
    run = open_run_value(open_run(store))
    families: dict[int, list[Family]] = defaultdict(list)
    sampled: dict[int, Counter[str]] = defaultdict(Counter)
    busy: dict[str, BusyTime] = defaultdict(BusyTime)
    for name, manifest in Ledger(store).all().items():
        wave = WaveId.parse(name)
        rows = wave_rows(read_wave(store, manifest.shards))
        families[wave.level] += _families(run, wave, rows)
        by_group = _sampled(run.rule(wave.level), rows)
        sampled[wave.level].update(by_group)
        for group in by_group:
            busy[group].add(manifest.started_at, manifest.finished_at)
    tokens = sum(sampled.values(), Counter())
    speeds = {name: tokens[name] / max(busy[name].total, CLOCK_S) for name in sorted(tokens)}
    plan = make_plan(run.spec, run.recipe, run.trees)
    return Pilot(run.run_id, run.spec, plan, families, sampled, speeds)


def _sampled(rule: LevelRule, rows: WaveRows) -> Counter[str]:
    """Tokens of a wave by the engine group that wrote them."""
    sampled: Counter[str] = Counter()
    for candidate, _ in (*rows.nodes, *rows.asides):
        if candidate.origin != "given":
            sampled[group_of(rule, candidate)] += len(candidate.token_ids)
    return +sampled


def _families(run: Run, wave: WaveId, rows: WaveRows) -> Iterator[Family]:
    """The children of each parent of a wave, judged as if there were room for all of them."""
    places = [i for i, node in enumerate(rows.nodes) if node.candidate.origin != "given"]
    sampled = [rows.nodes[i].candidate for i in places]
    rule = run.rule(wave.level)
    measures = rows.measures.take(np.array(places, dtype=np.intp))
    verdicts = verdicts_of(run, replace(rule, fanout=rule.asked), sampled, measures)
    about = _tokens_about(rows.asides)
    below: dict[str | None, list[tuple[int, bool]]] = defaultdict(list)
    trees: dict[str | None, int] = {}
    for candidate, verdict in zip(sampled, verdicts, strict=True):
        tokens = len(candidate.token_ids) + about.get(candidate.node_id, 0)
        below[candidate.parent_id].append((tokens, verdict.kept))
        trees[candidate.parent_id] = candidate.tree_id
    for parent, children in below.items():
        lengths = [tokens for tokens, _ in children]
        yield Family(
            tree_id=trees[parent],
            asked=len(children),
            passed=sum(passed for _, passed in children),
            tokens=sum(lengths),
            squares=float(sum(length**2 for length in lengths)),
        )


def _tokens_about(asides: Iterable[Node]) -> dict[str | None, int]:
    """By node, what was sampled about it."""
    about: dict[str | None, int] = defaultdict(int)
    for aside, _ in asides:
        about[aside.parent_id] += len(aside.token_ids)
    return about


def machines_of(spec: RunSpec) -> Machines:
    """The engines of the real run."""
    groups = used_groups(spec)
    return Machines(
        engines={name: group.most for name, group in groups.items()},
        gpus=sum(group.most * group.gpus for group in groups.values()),
        price=spec.execution.gpu_hour_price,
    )
