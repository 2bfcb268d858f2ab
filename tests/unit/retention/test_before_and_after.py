"""What a training measures twice, and when what was measured before still counts."""

import json
import sys

import pytest

from jobs.sealed_runs import open_sealed
from jobs.training.held_out import seen_in_training
from jobs.training.measure import Measuring
from jobs.training.progress import TrainingProgress
from schemas.sft_spec import RunSource, SftSpec
from tests.builders import make_spec, memory_store, run_scripted
from tests.unit.retention.measured import measured


class Counting(Measuring):
    """Tells how often a model was asked."""

    asked = 0

    def _measured(self, trainee):
        self.asked += 1
        return super()._measured(trainee)


@pytest.fixture
def texts(tmp_path):
    file = tmp_path / "texts.jsonl"
    file.write_text("".join(json.dumps({"text": f"Tree {n} grows."}) + "\n" for n in range(3)))
    return file


@pytest.fixture
def measuring(texts, tmp_path, trainee):
    (tmp_path / "out").mkdir()

    def make(**more):
        content = {
            "model": trainee.location,
            "output": str(tmp_path / "out"),
            "parts": {"task": {"data": {"files": "nowhere.jsonl"}}},
            "retention": {"samples": {"own": {"items": str(texts)}}},
        }
        spec = SftSpec.model_validate(content | more)
        return Counting(spec, trainee, TrainingProgress(sys.stderr))

    return make


def test_measured_before_is_kept_whole_and_used_again(measuring, tmp_path):
    first = measuring()
    found = first.before()
    again = measuring()
    assert again.before() == found
    assert (first.asked, again.asked) == (1, 0)
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["before.json"]


@pytest.mark.parametrize("half", ["", '{"key": {"asked', "[]", '{"key": 1}'])
def test_measured_before_that_cannot_be_read_is_measured_anew(measuring, tmp_path, half):
    (tmp_path / "out" / "before.json").write_text(half)
    found = measuring().before()
    again = measuring()
    assert again.before() == found and not again.asked


def test_measured_before_of_other_items_or_another_teacher_is_measured_anew(
    measuring, texts, trainees
):
    found = measuring().before()
    texts.write_text(json.dumps({"text": "Another tree."}) + "\n")
    edited = measuring()
    assert edited.before().samples["own"].items != found.samples["own"].items and edited.asked
    taught = measuring(teacher=trainees[1].location)
    assert any(taught.before().samples["own"].kl)
    assert taught.before().reference_weights == trainees[1].weights and taught.asked == 1


def test_teacher_replaced_where_it_lay_is_measured_against_anew(measuring, trainees, tmp_path):
    teacher = tmp_path / "teacher"
    teacher.symlink_to(trainees[0].location, target_is_directory=True)
    assert not any(measuring(teacher=str(teacher)).before().samples["own"].kl)
    teacher.unlink()
    teacher.symlink_to(trainees[1].location, target_is_directory=True)
    assert all(measuring(teacher=str(teacher)).before().samples["own"].kl)


def test_items_edited_while_a_model_was_trained_are_asked_of_both(measuring, texts, trainees):
    session = measuring()
    session.before()
    texts.write_text(json.dumps({"text": "Another tree."}) + "\n")
    found = session.retention(trainees[1].location)
    assert found.before.samples["own"].items == found.after.samples["own"].items
    assert session.asked == 3


def test_measured_before_on_another_kind_of_device_does_not_count(measuring, monkeypatch):
    session = measuring()
    session.before()
    monkeypatch.setattr("pipeline.retention.reader.conditions", lambda: ("cuda", "float32"))
    assert session._kept(session._key()) is None
    assert measured().conditions == "cpu, float32"


def test_run_that_is_trained_on_gives_no_held_out_samples(tmp_path):
    store, other = memory_store(), memory_store()
    for seed, one in enumerate((store, other)):
        run_scripted(one, make_spec(generation={"seed": seed}, scripted={"mean_tokens": 6}))
    spec = SftSpec.model_validate(
        {
            "model": "m",
            "output": str(tmp_path),
            "parts": {"kept": {"run": {"location": store.location}}},
            "retention": {
                "samples": {"same": {"run": store.location}, "held": {"run": other.location}}
            },
        }
    )
    about = {"run_id": run_id_of(store), "snapshot": 1}
    (told,) = seen_in_training(spec, {"kept": about})
    assert told.startswith("retention.samples.same: ") and "parts.kept (snapshot 1)" in told


def run_id_of(store):
    return open_sealed(RunSource(location=store.location)).snapshot.run_id
