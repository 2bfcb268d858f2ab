"""The proof: a model that knows facts forgets them while it learns sums, unless it rehearses.

On real trainings of a real, if tiny, model. Settings were chosen at another seed than those that
are judged here; what is asserted leaves room for other machines.
"""

import json

import pytest
import yaml

from jobs.prepare_tiny import prepare_tiny
from tests.command import REPOSITORY, run_command

ARMS = ("none", "wide")
ROWS = 480
"""Of the task's 600: enough to forget by, and sooner done."""
PATIENCE_S = 500


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """The arms of the packaged experiment that the proof needs, at its judged seeds."""
    prepare_tiny()
    root = tmp_path_factory.mktemp("forgetting")
    content = read(REPOSITORY / "jobs/specs/forgetting-tiny.yaml")
    run = read(REPOSITORY / content["runs"]["wide"])
    run["execution"]["location"] = str(root / "runs")
    changes = {
        "output": str(root / "out"),
        "runs": {"wide": write(root / "wide.yaml", run)},
        "arms": {name: content["arms"][name] for name in ARMS},
        "seeds": {"judge": content["seeds"]["judge"]},
    }
    content["base"]["parts"]["task"]["data"]["limit"] = ROWS
    spec = write(root / "experiment.yaml", content | changes)
    with pytest.MonkeyPatch.context() as patch:
        # For a model so small two threads take longer than one, and far longer beside others.
        patch.setenv("OMP_NUM_THREADS", "1")
        code, out, said = run_command("experiment", spec, "--json", patience_s=PATIENCE_S)
    assert code == 0, said
    return json.loads(out)


def read(file):
    return yaml.safe_load(file.read_text("utf-8"))


def write(file, content):
    file.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    return str(file)


def table(result, key):
    return next(measure for measure in result["measures"] if measure["key"] == key)


@pytest.mark.long
@pytest.mark.vllm
def test_tuning_forgets_facts_at_every_judged_seed(result):
    facts = table(result, "choices.accuracy")
    assert result["judged"] == [1, 2, 3]
    assert facts["original"] > 0.99
    assert max(facts["arms"]["none"]["values"].values()) < 0.8


@pytest.mark.long
@pytest.mark.vllm
def test_rehearsal_wins_most_of_it_back_at_every_judged_seed(result):
    facts = table(result, "choices.accuracy")
    assert min(facts["arms"]["wide"]["values"].values()) > 0.9
    recovered = facts["arms"]["wide"]["recovered"]
    assert recovered["value"] > 0.8
    assert recovered["low"] > 0.6
    for key in ("choices.margin", "samples.dialogues.kl", "samples.dialogues.cka"):
        found = table(result, key)["arms"]["wide"]["recovered"]
        assert found["value"] > 0.3, key


@pytest.mark.long
@pytest.mark.vllm
def test_rehearsal_costs_the_task_little(result):
    learned = table(result, "task.sums.nll")
    none, wide = (learned["arms"][arm]["mean"]["value"] for arm in ARMS)
    assert learned["original"] - none > 4
    assert learned["original"] - wide > 0.9 * (learned["original"] - none)


@pytest.mark.long
@pytest.mark.vllm
def test_arms_of_the_proof_had_equal_budgets(result):
    none, wide = (result["budgets"][arm] for arm in ARMS)
    assert none["parts"]["task"] == wide["parts"]["task"]
    assert wide["steps"] == pytest.approx(none["steps"], rel=0.06)
