"""What `arborist status` tells beside the levels; refinements are told of in the integration."""

import json
import time
from pathlib import Path

import pytest

from jobs.cli import main
from jobs.status import Looking, standing_of
from jobs.status_text import as_json, as_text
from pipeline.storage.claims import create_heartbeat
from pipeline.storage.ledger import Ledger
from pipeline.storage.open import open_store
from pipeline.storage.runs import create_run, open_run
from pipeline.storage.snapshots import build_snapshot, seal_snapshot
from pipeline.storage.store import Store
from schemas.claim import Driver, Headway, Heartbeat
from schemas.execution_spec import BudgetSpec
from schemas.manifest import Counts
from tests.builders import memory_store
from tests.faulty_store import FaultyStore
from tests.stored import make_manifest, make_run_file


@pytest.mark.parametrize(
    "asides",
    [{}, {"judge": 1200, "failed:refused": 3}],
)
def test_status_adds_up_what_was_asked_about_turns(tmp_path: Path, asides):
    store = open_store(str(tmp_path))
    run_file = create_run(store, make_run_file())
    counts = Counts(asked=2, kept=2, asides=asides)
    for wave in ("000000", "000001"):
        manifest = make_manifest(wave, counts=counts, run=run_file.run_id)
        Ledger(store).commit(manifest)
    standing = standing_of(store)
    figures, text = as_json(standing), as_text(standing)
    assert figures["asides"] == {kind: 2 * count for kind, count in asides.items()}
    assert (figures["snapshot"], figures["refined"]) == (None, None)
    assert ("asked about turns: 6 failed:refused, 2,400 judge" in text) == bool(asides)
    assert "snapshot" not in text


def working(attempt: str, **changes: object) -> Heartbeat:
    """A driver that was heard of just now."""
    headway = Headway(
        live=12, loading=2, waiting=1, replaced=0, waves_open=8, waves=3, asked=900, failed=4
    )
    me = Driver(attempt=attempt, host=f"host-{attempt}", machine="m", pid=1, claim_s=60)
    told = headway.model_copy(update={"tokens_per_s": 1000.0, "over_s": 60.0} | changes)
    return Heartbeat(driver=me, number=0, at=time.time(), state="growing", headway=told)


def run_with(store: Store, *heartbeats: Heartbeat) -> Store:
    """A run of two waves, of which one is committed, and those who work on it."""
    run_file = create_run(store, make_run_file())
    counts = Counts(asked=2, kept=2, output_tokens=20)
    Ledger(store).commit(make_manifest(counts=counts, run=run_file.run_id))
    for heartbeat in heartbeats:
        create_heartbeat(store, heartbeat)
    return store


def test_status_says_how_each_driver_gets_on_and_all_together():
    store = run_with(memory_store(), working("a"), working("b", failed=0, loading=0, waiting=0))
    standing = standing_of(store)
    text, figures = as_text(standing), as_json(standing)
    assert (
        "driver a on host-a: growing, holds nothing; 12 engines (2 loading, 1 waiting for a "
        "place), 8 waves open, 3 committed, 1,000 tokens/s, 4 of 900 requests failed; last heard "
        "of 0 s ago\n"
    ) in text
    assert (
        "2 drivers together: 24 engines (2 loading, 1 waiting for a place), 16 waves open, 6 "
        "committed, 2,000 tokens/s, 4 of 1,800 requests failed\n"
    ) in text
    assert text.endswith(
        "left: about 0:00:00, at 2,000.0 tokens/s, what 2 drivers sampled over the last 60 s"
    )
    assert figures["tokens_per_s_now"] == 2000
    assert (figures["eta_s"], figures["eta_how"]) == (0, text.splitlines()[-1].split(", ", 1)[1])
    assert [one["headway"]["live"] for one in figures["drivers"]] == [12, 12]
    json.dumps(figures)


def test_status_counts_the_budget_that_drivers_tell():
    store = run_with(memory_store(), working("a", budget=BudgetSpec(tokens=40)))
    standing = standing_of(store)
    assert "spent: 20 of 40 tokens" in as_text(standing)
    assert standing.eta.seconds == pytest.approx(20 / 1000)
    own = standing_of(store, BudgetSpec(tokens=30))
    assert own.eta.seconds == pytest.approx(10 / 1000)


def test_status_doubts_a_driver_that_should_have_been_heard_of():
    late = working("a").model_copy(update={"at": time.time() - 100})
    text = as_text(standing_of(run_with(memory_store(), late)))
    assert "last heard of 100 s ago, though within 60 s was promised" in text
    assert "\nleft: unknown, as nothing was heard of its drivers for 100 s; at the mean" in text
    assert "together" not in text


def test_status_of_a_run_on_which_nobody_works_knows_no_end():
    standing = standing_of(run_with(memory_store()))
    assert as_text(standing).endswith(
        "left: unknown, as no driver works on it; at the mean speed of the run so far it would "
        "take about 0:00:02"
    )
    assert (as_json(standing)["eta_s"], as_json(standing)["drivers"]) == (None, [])


def test_status_tables_fit_eighty_columns():
    lines = as_text(standing_of(run_with(memory_store()))).splitlines()
    [header] = [number for number, line in enumerate(lines) if line.startswith("level")]
    assert max(map(len, lines[header : header + 2])) <= 80


def test_looking_again_reads_what_is_new_and_nothing_twice():
    store = FaultyStore(run_with(memory_store()))
    run_file = open_run(store)
    look = Looking(store, run_file)
    assert look.standing().status.asked == 2
    store.operations.clear()
    Ledger(store).commit(make_manifest("000001", run=run_file.run_id))
    store.operations.clear()
    assert look.standing().status.asked == 6
    read = [one.split()[1] for one in store.operations if one.startswith("read ledger")]
    assert read == ["ledger/000001.json"]


@pytest.mark.parametrize("seconds", ["0", "-1", "nan"])
def test_watch_wants_a_time(tmp_path: Path, seconds: str, capsys: pytest.CaptureFixture[str]):
    assert main(["status", str(tmp_path), f"--watch={seconds}"]) == 2
    assert "--watch: found" in capsys.readouterr().err


def test_watch_ends_with_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    store = run_with(open_store(str(tmp_path)))
    run_file = open_run(store)
    Ledger(store).commit(make_manifest("000001", run=run_file.run_id))
    named = list(Ledger(store).all().values())
    seal_snapshot(store, build_snapshot(run_file, named, number=1, complete=True))
    assert main(["status", str(tmp_path), "--watch", "--json"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert json.loads(line)["state"] == "sealed"
