"""Engines die, refuse to start, or fail their children; the run keeps its promises.

What else they do, again and again and several at once, is what `test_schedules` draws.
"""

from typing import Any

import pytest

from pipeline.storage.ledger import Ledger
from pipeline.storage.snapshots import latest
from schemas.errors import EngineError, FailureShareExceeded, PoolError
from schemas.execution_spec import RunSpec
from tests.builders import (
    ODD,
    Bystander,
    assert_whole,
    defects_of,
    make_spec,
    memory_store,
    rows_of,
    run_scripted,
)

SMALL = {"fanouts": (2, 2), "bounds": (1, 6)}


def faulty_spec(faults: dict[str, Any], **changes: Any) -> RunSpec:
    """A run whose engines write as usual but for these faults."""
    return make_spec(**{**SMALL, "scripted": {**ODD, **faults}, **changes})


def healthy_rows(**changes: Any) -> list[dict]:
    """The rows of the same run without faults."""
    store = memory_store()
    run_scripted(store, make_spec(**{**SMALL, **changes}))
    return rows_of(store)


def test_generate_engine_dies_at_any_child_rows_are_those_of_a_healthy_run():
    expected = healthy_rows(trees=1)
    children = sum(row["level"] > 0 for row in expected)
    unharmed = []
    for died_after in range(children):
        store, watch = memory_store(), Bystander()
        spec = faulty_spec({"die_after": died_after, "faulty_incarnations": (0,)}, trees=1)
        run_scripted(store, spec, watch=watch)
        assert_whole(store, expected, f"died after {died_after} children")
        if not watch.stats.restarts:
            unharmed.append(died_after)
    # Children that end in the engine's last step are all there before it can die.
    assert unharmed == list(range(children - len(unharmed), children))
    assert len(unharmed) < 3


def test_generate_poison_prompt_is_set_aside_as_rows_and_the_run_completes():
    """The second tree's topic kills every engine that meets it."""
    spec = faulty_spec({"poison": "On bread"}, attempts=2, restarts=50, max_failed_share=1)
    store = memory_store()
    snapshot = run_scripted(store, spec)
    rows, healthy = rows_of(store), healthy_rows()
    bread = [row for row in rows if row["tree_id"] == 1]
    assert {row["drop_reason"] for row in bread if row["level"]} == {"failed:poison"}
    assert len(bread) == 1 + spec.generation.asked(1)
    assert snapshot.counts.num_failed >= spec.generation.asked(1)
    assert [r for r in rows if r["tree_id"] == 0] == [r for r in healthy if r["tree_id"] == 0]
    assert defects_of(store) == []


def test_generate_failed_share_below_the_limit_is_recorded():
    spec = make_spec(scripted={**ODD, "fail_share": 0.2}, trees=6, max_failed_share=0.4)
    store = memory_store()
    snapshot = run_scripted(store, spec)
    assert snapshot.counts.asked > 100
    failed = [row for row in rows_of(store) if row["drop_reason"] == "failed:engine"]
    assert snapshot.counts.dropped["failed:engine"] == len(failed) > 0
    assert {(row["text"], row["num_tokens"]) for row in failed} == {("", 0)}
    assert defects_of(store) == []


def test_generate_failed_share_above_the_limit_stops_and_a_later_attempt_ends_it():
    broken = {**ODD, "fail_share": 0.4, "duplicate_share": 0.0}
    spec = make_spec(scripted=broken, trees=12, max_failed_share=0.1)
    store = memory_store()
    with pytest.raises(FailureShareExceeded, match=r"max_failed_share.* same command again"):
        run_scripted(store, spec)
    kept = Ledger(store).all()
    assert len(kept) > 0
    assert latest(store) is None
    run_scripted(store, make_spec(trees=12), "second")
    assert defects_of(store) == []
    assert {wave: m for wave, m in Ledger(store).all().items() if m.attempt == "first"} == kept


def test_generate_small_run_in_which_all_fails_commits_nothing_and_a_later_attempt_ends_it():
    spec = make_spec(**SMALL, scripted={"fail_share": 1.0})
    store = memory_store()
    with pytest.raises(FailureShareExceeded, match=r"(\d+) of \1 requests.*last one: engine: the"):
        run_scripted(store, spec)
    assert Ledger(store).all() == {}
    run_scripted(store, make_spec(**SMALL), "second")
    assert_whole(store, healthy_rows())


def test_generate_first_cohort_fails_whole_and_is_committed_once_another_succeeds():
    faults = {"poison": "On rivers"}
    spec = faulty_spec(faults, attempts=1, restarts=50, max_failed_share=0.9, waves_in_flight=1)
    store = memory_store()
    run_scripted(store, spec)
    rivers = [row for row in rows_of(store) if row["tree_id"] == 0 and row["level"]]
    assert {row["drop_reason"] for row in rivers} == {"failed:poison"}
    assert defects_of(store) == []


def test_generate_small_run_in_which_all_fails_is_sealed_where_that_is_allowed():
    spec = make_spec(**SMALL, scripted={"fail_share": 1.0}, max_failed_share=1)
    store = memory_store()
    assert run_scripted(store, spec).counts.kept == 0
    assert defects_of(store) == []


def test_generate_engine_that_never_starts_is_an_error_with_its_cause():
    spec = faulty_spec({"fail_start": True}, restarts=2)
    store = memory_store()
    with pytest.raises(EngineError, match=r"No engine of group 'main' .*fails to start"):
        run_scripted(store, spec)
    run_scripted(store, make_spec(**SMALL), "second")
    assert_whole(store, healthy_rows())


@pytest.mark.parametrize("restarts", [0, 1, 3])
def test_generate_restart_budget_spent_stops_and_a_later_attempt_ends_it(restarts: int):
    one_by_one = {"max_num_seqs": 1}
    spec = faulty_spec({"die_after": 2}, restarts=restarts, attempts=50, group=one_by_one)
    store = memory_store()
    with pytest.raises(PoolError, match=rf"{restarts} of {restarts} `restarts`"):
        run_scripted(store, spec)
    before = Ledger(store).all()
    run_scripted(store, make_spec(**SMALL), "second")
    assert_whole(store, healthy_rows())
    after = Ledger(store).all()
    assert before == {wave: after[wave] for wave in before}
