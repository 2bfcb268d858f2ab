"""Budgets: a run stops after whole cohorts, can be read, and a larger budget continues it."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobs.cli import main
from jobs.generate import Done, generate
from jobs.recipes import load_recipe
from jobs.spec_file import load_spec
from jobs.status import standing_of
from jobs.wiring import pace_of, resolve
from pipeline.generate import Attempt, Hands
from pipeline.outlook import Limits
from pipeline.plan.budget import spent_of
from pipeline.pool.tasks import LocalTasks
from pipeline.refine.loop import Asked, Origin, refine
from pipeline.seal import seal
from pipeline.storage.ledger import Ledger
from pipeline.storage.reader import read_kept
from pipeline.storage.runs import create_run, open_run
from pipeline.storage.snapshots import (
    build_snapshot,
    latest,
    read_snapshot,
    seal_snapshot,
    snapshot_numbers,
)
from pipeline.storage.store import Store
from schemas.errors import CorruptData, EngineError, Interrupted, UserError
from schemas.execution_spec import BudgetSpec, RunSpec
from schemas.manifest import Snapshot
from schemas.refine_spec import RefineSpec
from schemas.wave_id import WaveId
from tests.builders import (
    Bystander,
    assert_whole,
    defects_of,
    engaging,
    make_spec,
    memory_store,
    rows_of,
    run_scripted,
    sharing,
    write_spec,
)

TREES = 8
"""In four cohorts of two."""


def spec_of(**budget: float) -> RunSpec:
    return make_spec(trees=TREES, bounds=(2, 10), budget=budget)


def cohorts_in(snapshot: Snapshot) -> list[int]:
    return sorted({WaveId.parse(entry.wave).cohort for entry in snapshot.manifests})


def in_cohorts(rows: list[dict], count: int) -> list[dict]:
    return [row for row in rows if row["tree_id"] < 2 * count]


def seal_again(store: Store, *, partial: bool) -> Snapshot:
    run_file = open_run(store)
    return seal(store, run_file, load_recipe(run_file.generation.recipe), partial=partial)


@pytest.fixture(scope="module")
def free() -> tuple[list[dict], float]:
    """All rows of the run without a budget, and what it takes in tokens."""
    store = memory_store()
    run_scripted(store, spec_of())
    return rows_of(store), spent_of(Ledger(store).all().values()).tokens


def test_token_budget_ends_with_whole_cohorts_and_a_larger_one_continues(free):
    rows, tokens = free
    store = memory_store()
    first = run_scripted(store, spec_of(tokens=round(tokens * 0.3)))
    begun = len(cohorts_in(first))
    assert (first.number, first.complete) == (1, False)
    assert cohorts_in(first) == list(range(begun))
    assert 0 < begun < 4
    assert rows_of(store) == in_cohorts(rows, begun)
    assert defects_of(store) == []
    assert first.counts.output_tokens >= tokens * 0.3

    again = run_scripted(store, spec_of(tokens=round(tokens * 0.3)), "second")
    assert again == first, "the same budget has nothing left"

    more = run_scripted(store, spec_of(tokens=round(tokens * 0.6)), "third")
    assert (more.number, more.complete) == (2, False)
    assert len(cohorts_in(more)) > begun
    assert more.manifests[: len(first.manifests)] == first.manifests
    assert defects_of(store) == []

    last = run_scripted(store, spec_of(), "fourth")
    assert (last.number, last.complete) == (3, True)
    assert_whole(store, rows)


@pytest.mark.parametrize("budget", [{"nodes": 1}, {"hours": 1e-9}])
def test_smallest_budget_is_one_cohort(free, budget):
    store = memory_store()
    snapshot = run_scripted(store, spec_of(**budget))
    assert cohorts_in(snapshot) == [0]
    assert rows_of(store) == in_cohorts(free[0], 1)


def test_budget_that_is_large_enough_changes_nothing(free):
    store = memory_store()
    snapshot = run_scripted(store, spec_of(tokens=10**9, hours=1000))
    assert (snapshot.number, snapshot.complete) == (1, True)
    assert_whole(store, free[0])


@pytest.mark.parametrize("waves", [1, 5, 9])
def test_what_earlier_attempts_spent_counts_and_begun_cohorts_are_finished(free, waves):
    rows, _ = free
    store, unlimited = memory_store(), spec_of()
    with pytest.raises(Interrupted):
        run_scripted(store, unlimited, "killed", Bystander(stop_after=waves))
    begun = {WaveId.parse(name).cohort for name in Ledger(store).waves()}
    spent = spent_of(Ledger(store).all().values()).tokens
    snapshot = run_scripted(store, spec_of(tokens=1), "second")
    assert spent > 1
    assert cohorts_in(snapshot) == list(range(max(begun) + 1))
    assert rows_of(store) == in_cohorts(rows, max(begun) + 1)
    assert defects_of(store) == []


def test_partial_seal_sweeps_nothing_and_the_complete_one_does(free):
    store = memory_store()
    run_scripted(store, spec_of(nodes=1))
    store.create("nodes/000003-other.parquet", b"another driver is writing")
    run_scripted(store, spec_of(nodes=60), "second")
    assert store.read("nodes/000003-other.parquet")
    run_scripted(store, spec_of(), "third")
    assert_whole(store, free[0])


def test_partial_snapshot_that_leaves_out_a_wave_is_a_defect():
    store = memory_store()
    snapshot = run_scripted(store, spec_of(nodes=60))
    fewer = [Ledger(store).read(entry.wave) for entry in snapshot.manifests[:-1]]
    cut = build_snapshot(open_run(store), fewer, number=2, complete=False)
    seal_snapshot(store, cut)
    [defect] = defects_of(store)
    assert "snapshot 2: is partial, but does not name the first cohorts" in defect


def test_nothing_is_sealed_before_a_cohort_is_whole():
    store = memory_store()
    with pytest.raises(Interrupted):
        run_scripted(store, spec_of(), "killed", Bystander(stop_after=1))
    with pytest.raises(UserError, match="nothing to seal yet"):
        seal_again(store, partial=True)
    assert snapshot_numbers(store) == []


def test_missing_wave_is_an_error_unless_cohorts_may_be_missing(free):
    store = memory_store()
    run_scripted(store, spec_of())
    store.delete("snapshots/00001.json")
    for name in [name for name in store.list("ledger") if name.startswith("ledger/000002")]:
        store.delete(name)
    with pytest.raises(CorruptData, match="000002"):
        seal_again(store, partial=False)
    snapshot = seal_again(store, partial=True)
    assert (snapshot.complete, cohorts_in(snapshot)) == (False, [0, 1])
    assert rows_of(store) == in_cohorts(free[0], 2)


class Overtaken:
    """A store whose driver is overtaken: something happens just before its first snapshot."""

    def __init__(self, store: Store, overtake: Callable[[], None]) -> None:
        self._store, self._overtake = store, [overtake]

    @property
    def location(self) -> str:
        return self._store.location

    def create(self, name: str, payload: bytes) -> None:
        if name.startswith("snapshots/") and self._overtake:
            self._overtake.pop()()
        self._store.create(name, payload)

    def read(self, name: str) -> bytes:
        return self._store.read(name)

    def list(self, prefix: str) -> list[str]:
        return self._store.list(prefix)

    def delete(self, name: str) -> None:
        self._store.delete(name)


def test_driver_that_is_overtaken_at_the_seal_by_its_equal_is_content():
    store = memory_store()
    first = run_scripted(store, spec_of(nodes=1))
    store.delete("snapshots/00001.json")
    overtaken = Overtaken(store, lambda: seal_snapshot(store, first))
    assert seal_again(overtaken, partial=True) == first
    assert snapshot_numbers(store) == [1]


def test_driver_whose_number_another_one_took_seals_under_the_next():
    store = memory_store()
    partial = run_scripted(store, spec_of(nodes=1))
    complete = run_scripted(store, spec_of(), "second")
    for number in (1, 2):
        store.delete(f"snapshots/{number:05d}.json")
    overtaken = Overtaken(store, lambda: seal_snapshot(store, partial))
    sealed = seal_again(overtaken, partial=False)
    assert sealed == complete
    assert read_snapshot(store, 1) == partial


def test_driver_that_knows_less_seals_nothing_over_a_complete_snapshot():
    store = memory_store()
    partial = run_scripted(store, spec_of(nodes=1))
    complete = run_scripted(store, spec_of(), "second")
    late = partial.model_copy(update={"number": 3})
    assert seal_again(store, partial=True) == complete == latest(store)
    assert late.number not in snapshot_numbers(store)


@pytest.fixture
def spec_file(tmp_path: Path) -> Callable[..., Path]:
    """A small run on disk, by its budget."""

    def write(**budget: float) -> Path:
        spec = make_spec(
            trees=TREES, bounds=(2, 10), location=str(tmp_path / "runs"), budget=budget
        )
        return write_spec(spec, tmp_path / "spec.yaml")

    return write


def told(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    capsys.readouterr()
    assert main([str(word) for word in argv]) == 0
    return capsys.readouterr().out


def refined(store: Store, *withdrawn: str) -> Snapshot:
    snapshot = latest(store)
    assert snapshot is not None
    origin = Origin(store, open_run(store), snapshot)
    asked = Asked(RefineSpec(duplicates="exact", scopes=("turns",)), withdrawn)
    return refine([origin], asked, LocalTasks(), attempt="r", note=lambda words: None)


def test_withdrawn_nodes_stay_out_when_a_refined_partial_snapshot_is_continued():
    store = memory_store()
    run_scripted(store, spec_of(nodes=1))
    kept = [row for row in rows_of(store) if not row["drop_reason"]]
    opening = next(row["node_id"] for row in kept if row["level"] == 1)
    below = {row["node_id"] for row in kept if row["parent_id"] == opening}
    assert below
    before = refined(store, opening)
    assert before.number == 2
    done = run_scripted(store, spec_of(), "second")
    assert (done.number, done.complete) == (3, True)
    assert (done.drops, done.refined_from) == (before.drops, 1)
    assert defects_of(store) == []
    after = refined(store)
    assert (after.number, after.refined_from) == (4, 3)
    for number in (3, 4):
        snapshot = read_snapshot(store, number)
        ids = {i for table in read_kept(store, snapshot) for i in table["node_id"].to_pylist()}
        assert len(ids) > len(kept)
        assert not ids & {opening, *below}
    assert defects_of(store) == []


def test_status_tells_of_budget_and_partial_snapshot(tmp_path, spec_file, capsys):
    spec = spec_file(nodes=60)
    told(capsys, "generate", spec, "--json")
    text = told(capsys, "status", tmp_path / "runs", "--spec", spec)
    figures = json.loads(told(capsys, "status", tmp_path / "runs", "--spec", spec, "--json"))
    cohorts, nodes = figures["sealed_cohorts"], figures["spent"]["nodes"]
    assert 0 < cohorts < figures["cohorts"] == 4
    assert f"stopped by its budget, snapshot 1: partial, {cohorts} of 4 cohorts" in text
    assert "left:" not in text
    assert f"spent: {nodes} of 60 nodes" in text
    assert (figures["sealed"], figures["budget"], figures["eta_s"]) == (False, {"nodes": 60}, 0)
    assert nodes == sum(level["asked"] for level in figures["levels"]) >= 60
    told_of_part = told(capsys, "status", tmp_path / "runs")
    assert "sealed in part, snapshot 1: partial" in told_of_part
    assert "left: unknown, as no driver works on it; at the mean speed" in told_of_part
    raised = told(capsys, "status", tmp_path / "runs", "--spec", spec_file(nodes=600))
    assert "sealed in part" in raised
    other = spec_file()
    other.write_text(other.read_text().replace("seed: 11", "seed: 12"))
    assert main(["status", str(tmp_path / "runs"), "--spec", str(other)]) == 2
    assert "is not that of run" in capsys.readouterr().err


def test_status_of_a_run_that_goes_on_after_a_partial_seal_is_growing(spec_file, tmp_path):
    spec = load_spec(str(spec_file(nodes=1)))
    store = generate(spec, io.StringIO()).store
    assert standing_of(store).state == "sealed in part"
    assert standing_of(store, spec.execution.budget).state == "stopped by its budget"
    with pytest.raises(Interrupted):
        run_scripted(store, spec_of(), "killed", Bystander(stop_after=2))
    assert standing_of(store).state == "growing"
    assert standing_of(store, spec.execution.budget).state == "growing"


def test_generate_says_by_how_much_a_budget_was_exceeded(spec_file, capsys):
    figures = json.loads(told(capsys, "generate", spec_file(nodes=10), "--json"))
    assert (figures["cohorts"], figures["complete"]) == (1, False)
    assert figures["over_budget"] == {"nodes": figures["asked"] - 10}
    [*_, last] = told(capsys, "generate", spec_file(nodes=10)).splitlines()
    over = figures["asked"] - 10
    assert f"It went beyond execution.budget.nodes by {over} ({over / 10:.1%})" in last
    assert "as one cohort takes more than that" in last
    [*_, last] = told(capsys, "generate", spec_file(nodes=figures["asked"] + 1)).splitlines()
    assert "as cohorts that have begun are finished" in last
    done = told(capsys, "generate", spec_file(nodes=10**6))
    assert "beyond" not in done
    [*_, last] = told(capsys, "generate", spec_file(nodes=10)).splitlines()
    assert "was sealed already" in last and "It went beyond" in last


def test_engines_are_not_loaded_where_the_budget_admits_nothing():
    sound = spec_of(nodes=1)
    first = generate(sound, io.StringIO())
    group = sound.execution.engines["main"].model_copy(update={"scripted": {"fail_start": True}})

    def again(budget: BudgetSpec) -> Done:
        changes = {"engines": {"main": group}, "budget": budget, "restarts": 0}
        execution = sound.execution.model_copy(update=changes)
        return generate(sound.model_copy(update={"execution": execution}), io.StringIO())

    done = again(sound.execution.budget)
    assert (done.snapshot, done.news) == (first.snapshot, False)
    assert done.spent is not None and "of 1 nodes are spent" in done.spent
    with pytest.raises(EngineError):
        again(BudgetSpec())


def test_run_whose_waves_are_all_committed_is_sealed_without_engines():
    spec = spec_of()
    store = generate(spec, io.StringIO()).store
    store.delete("snapshots/00001.json")
    out = io.StringIO()
    done = generate(spec, out)
    assert done.snapshot.complete and done.news
    assert "loading engines" not in out.getvalue()


def test_time_in_which_engines_load_counts():
    spec = spec_of(hours=1)
    resolved = resolve(spec)

    def cohorts(loading_s: float) -> int:
        """Of a run whose engines take so long to load."""
        store, times = memory_store(), [1000.0]
        create_run(store, resolved.run_file)

        @contextmanager
        def engaged() -> Iterator[Hands]:
            with engaging(spec, resolved)() as hands:
                times.append(times[0] + loading_s)
                yield hands

        with sharing(store, "first") as share:
            Attempt(
                resolved.run,
                ledger=Ledger(store),
                share=share,
                pace=pace_of(spec),
                watch=Bystander(),
            ).generate(engaged, {}, Limits(1.0, spec.execution.budget), clock=lambda: times[-1])
        return len({WaveId.parse(name).cohort for name in Ledger(store).waves()})

    assert cohorts(loading_s=7200.0) == 1
    assert cohorts(loading_s=0.0) == 4


def test_generate_counts_from_before_engines_load():
    done = generate(spec_of(hours=1000), io.StringIO())
    [limit] = done.limits
    assert limit.name == "hours"
    assert limit.spent * 3600 > done.status.busy_s
