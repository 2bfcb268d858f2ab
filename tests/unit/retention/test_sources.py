import json

import pytest

from jobs.sealed_runs import opener
from pipeline.dialects.scripted import scripted_dialect
from pipeline.retention.measure import items_asked, measure
from pipeline.retention.sources import Sources, sample_rows, task_rows
from pipeline.sft.trainee import Trainee
from schemas.errors import SpecError
from schemas.sft_spec import GainSpec, RetentionSpec, SamplesSpec
from tests.builders import make_spec, memory_store, rows_of, run_scripted

SOURCES = Sources(open_run=opener())


class Nobody:
    """No tokenizer: none is needed for ids that were sampled."""

    name_or_path = "nowhere"


TRAINEE = Trainee("trainee", Nobody(), scripted_dialect(), "scripted", 4096)


@pytest.fixture(scope="module")
def run():
    store = memory_store()
    run_scripted(store, make_spec(trees=3, scripted={"mean_tokens": 6}))
    return store


def openings(rows, run):
    """The first questions that rows hold."""
    asked = {
        tuple(row["token_ids"]) for row in rows_of(run) if row["level"] == 1 and row["token_ids"]
    }
    shown = [" ".join(map(str, row.ids.tolist())) for row in rows]
    return {ids for ids in asked if any(" ".join(map(str, ids)) in text for text in shown)}


def test_samples_come_from_as_many_openings_as_there_are(run):
    few = sample_rows(SamplesSpec(run=run.location, limit=4), TRAINEE, SOURCES).rows
    assert len(few) == 4 and len(openings(few, run)) >= 4
    many = sample_rows(SamplesSpec(run=run.location, limit=20), TRAINEE, SOURCES).rows
    assert len(many) > len(openings(many, run)) > 4


def test_samples_are_cut_and_hold_something_to_ask_about(run):
    for row in sample_rows(SamplesSpec(run=run.location, max_tokens=12), TRAINEE, SOURCES).rows:
        assert len(row.ids) <= 12
        assert row.asked[0] > 0 and row.asked[-1] < len(row.ids)


def test_run_that_nobody_can_open_and_samples_too_short_are_refused(run):
    with pytest.raises(SpecError, match="where only files can be read"):
        sample_rows(SamplesSpec(run=run.location), TRAINEE, Sources())
    with pytest.raises(SpecError, match="found no row to measure on"):
        sample_rows(SamplesSpec(run=run.location, max_tokens=1), TRAINEE, SOURCES)


@pytest.fixture
def sums(tmp_path):
    """Four rows, of which one is longer than the model takes and one is no row."""
    rows = [{"prompt": f"{n} + 1?", "completion": f"#### {n + 1}"} for n in (1, 2)]
    rows += [{"prompt": "1 + 1? " * 200, "completion": "#### 2"}, {"prompt": 3, "completion": "x"}]
    file = tmp_path / "sums.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return GainSpec.model_validate({"data": {"files": str(file), "max_bad_share": 0.5}})


def test_task_rows_that_do_not_fit_are_left_out_whole_and_counted(sums, trainee):
    found = task_rows(sums, trainee, Sources())
    assert (len(found.rows), found.bad, found.left_out) == (2, 1, 1)
    assert all(len(row.ids) < trainee.context for row in found.rows)


def test_measured_model_tells_what_was_not_asked_and_what_will_be(sums, trainee):
    spec = RetentionSpec(task={"sums": sums})
    found = measure(spec, trainee)
    assert (found.task["sums"].bad, found.task["sums"].left_out) == (1, 1)
    told = " ".join(found.notes())
    assert "task.sums: 1 rows could not be read" in told and "1 rows were left out" in told
    assert items_asked(spec, trainee) == {"task.sums": found.task["sums"].items}
