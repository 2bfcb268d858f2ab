"""What a report is made of: its settings stand in it, and only what compares does."""

import json

import pytest
import yaml

from jobs.experiments.file import load_experiment
from jobs.experiments.folder import ExperimentFolder, write_whole
from jobs.experiments.plan import asked_of
from jobs.experiments.report import write_report
from pipeline.experiment.cells import plan
from pipeline.experiment.measures import asked_of as items_of
from tests.unit.experiment.made_up import cell, measured

CONTENT = {
    "base": {
        "model": "m",
        "parts": {"task": {"data": {"files": "task.jsonl"}}},
        "retention": {
            "choices": {"who": {"items": "who.jsonl"}},
            "task": {"sums": {"data": {"files": "sums.jsonl"}}},
        },
    },
    "arms": {"none": {}, "l2": {"tuning": {"l2": 0.03}}},
    "seeds": {"judge": [1, 2]},
}


@pytest.fixture
def reported(tmp_path):
    """The report of an experiment whose original and cells were measured before."""

    def report(folder="out", *, strength=0.03, update=None):
        content = CONTENT | {"arms": {"none": {}, "l2": {"tuning": {"l2": strength}}}}
        file = tmp_path / "experiment.yaml"
        file.write_text(yaml.safe_dump(content | {"output": str(tmp_path / folder)}))
        experiment = load_experiment(str(file))
        out = ExperimentFolder(experiment.spec.output)
        write_whole(out.original / "measured.json", measured(1.0, 4.0).model_dump_json())
        for one in plan(list(experiment.arms), experiment.spec.seeds):
            found = measured(0.5, 1.0, seed=one.seed).model_copy(update=update or {})
            asked = asked_of(experiment, [one])[one.folder]
            result = cell(one.arm, one.seed, found).model_copy(update={"asked": asked})
            write_whole(out.cell(one).result_file, result.model_dump_json())
        return write_report(experiment, out, "x.yaml"), out.root / "results.json"

    return report


def test_results_tell_the_settings_of_every_arm_and_a_digest_of_them(reported):
    found, file = reported()
    told = json.loads(file.read_text())
    assert told["spec"]["base"] == CONTENT["base"]
    assert told["spec"]["arms"] == CONTENT["arms"]
    assert told["digest"] == found.digest == reported("elsewhere")[0].digest
    assert reported(strength=0.1)[0].digest != found.digest


@pytest.mark.parametrize("update", [{"device": "cuda:0"}, {"dtype": "bfloat16"}])
def test_cells_measured_otherwise_than_the_original_are_not_in_the_table(reported, update):
    assert not reported()[0].missing
    found, _ = reported(update=update)
    assert len(found.missing) == 4 and not any(m.arms for m in found.measures)
    one = measured(1.0, 4.0)
    assert items_of(one) != items_of(one.model_copy(update=update))
