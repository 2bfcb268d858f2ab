"""What `arborist status` tells that only some runs have."""

import pytest

from jobs.status import as_json, as_text, standing_of
from pipeline.storage.ledger import Ledger
from pipeline.storage.runs import create_run
from pipeline.storage.snapshots import build_snapshot, seal_snapshot
from schemas.execution_spec import BudgetSpec
from schemas.manifest import BadRow, Counts, RowCount
from tests.builders import memory_store
from tests.stored import make_manifest, make_run_file


def told(*, rows=None, counts=None, biases=None, sealed=(), budget=None):
    """Status of a run of one level, four candidates a parent, and two waves."""
    store, run_file = memory_store(), make_run_file()
    run_file = create_run(store, run_file.model_copy(update={"rows": rows or run_file.rows}))
    manifests = {}
    for wave in ("000000", "000001"):
        manifest = make_manifest(wave, counts=counts, run=run_file.run_id)
        manifests[wave] = Ledger(store).commit(manifest)
    if sealed:
        named = [manifests[wave] for wave in sealed]
        snapshot = build_snapshot(run_file, named, number=1, complete=False, biases=biases)
        seal_snapshot(store, snapshot)
    standing = standing_of(store, budget)
    return as_text(standing), as_json(standing)


def test_status_says_how_many_references_stand_in():
    counts = Counts(asked=800, kept=150, dropped={"gives_away": 650}, given=50)
    text, figures = told(counts=counts)
    assert "level 1: reference kept for 100 of 400 prompts (25.0%)" in text
    [level] = figures["levels"]
    assert (level["parents"], level["given"]) == (400, 100)


def test_status_names_rows_that_cannot_be_read():
    bad = tuple(BadRow(where=f"tasks.jsonl, row {i}", why="no text") for i in range(2))
    text, figures = told(rows=RowCount(good=990, bad=7, examples=bad))
    assert "rows: 990 to grow from, 7 that cannot be read:" in text
    assert "  tasks.jsonl, row 1: no text\n  and 5 more\n" in text
    assert figures["rows"]["bad"] == 7
    assert "rows:" not in told()[0]


@pytest.mark.parametrize(
    ("biases", "said"),
    [
        (None, None),
        ((), "an unbiased sample of what the model writes"),
        (("temperature 0.7", "top_p 0.9"), "writes: temperature 0.7; top_p 0.9"),
    ],
)
def test_status_says_whether_rows_are_a_fair_sample(biases, said):
    text, figures = told(sealed=["000000"], biases=biases)
    assert figures["biases"] == (None if biases is None else list(biases))
    assert said in text if said else "sample of what" not in text


def test_status_says_what_the_budget_has_left():
    text, figures = told(budget=BudgetSpec(nodes=10, hours=2))
    assert "spent: 8 of 10 nodes, 0.000208 of 2 hours" in text
    assert figures["budget"] == {"nodes": 10, "hours": 2}
    assert "spent:" not in told()[0]
