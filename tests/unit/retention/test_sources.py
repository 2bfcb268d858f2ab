import pytest

from jobs.sealed_runs import opener
from pipeline.dialects.scripted import scripted_dialect
from pipeline.retention.sources import Sources, sample_rows
from pipeline.sft.trainee import Trainee
from schemas.errors import SpecError
from schemas.sft_spec import SamplesSpec
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
    few = sample_rows(SamplesSpec(run=run.location, limit=4), TRAINEE, SOURCES)
    assert len(few) == 4 and len(openings(few, run)) >= 4
    many = sample_rows(SamplesSpec(run=run.location, limit=20), TRAINEE, SOURCES)
    assert len(many) > len(openings(many, run)) > 4


def test_samples_are_cut_and_hold_something_to_ask_about(run):
    for row in sample_rows(SamplesSpec(run=run.location, max_tokens=12), TRAINEE, SOURCES):
        assert len(row.ids) <= 12
        assert row.asked[0] > 0 and row.asked[-1] < len(row.ids)


def test_run_that_nobody_can_open_and_samples_too_short_are_refused(run):
    with pytest.raises(SpecError, match="where only files can be read"):
        sample_rows(SamplesSpec(run=run.location), TRAINEE, Sources())
    with pytest.raises(SpecError, match="found no row to measure on"):
        sample_rows(SamplesSpec(run=run.location, max_tokens=1), TRAINEE, SOURCES)
