"""An experiment's file is checked whole, and what is wrong is named by arm and key."""

import pytest
import yaml

from jobs.experiments.file import load_experiment
from schemas.errors import SpecError

DATA = {"files": "task.jsonl"}
BASE = {
    "model": "m",
    "parts": {"task": {"data": DATA}},
    "retention": {
        "choices": {"capitals": {"items": "capitals.jsonl"}},
        "task": {"sums": {"data": DATA}},
    },
}


def load(tmp_path, **changes):
    spec = {
        "output": "out",
        "base": BASE,
        "arms": {"none": {}, "human": {"parts": {"replay": {"data": DATA}}}},
        "seeds": {"judge": [1, 2]},
    }
    file = tmp_path / "experiment.yaml"
    file.write_text(yaml.safe_dump(spec | changes, sort_keys=False), "utf-8")
    return load_experiment(str(file))


def test_load_gives_every_arm_whole(tmp_path):
    found = load(tmp_path)
    assert list(found.arms["human"].sft(3, "x").parts) == ["task", "replay"]
    assert list(found.arms["none"].sft(3, "x").parts) == ["task"]
    spec = found.arms["none"].sft(3, "x")
    assert (spec.training.seed, spec.mix.seed, spec.output) == (3, 3, "x")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"arms": {"none": {}, "a": {"tuning": {"lora": {"rnk": 1}}}}},
            ["arms.a", "did you mean rank"],
        ),
        ({"arms": {"none": {}, "a": {"training": {"seed": 1}}}}, ["arms.a.training.seed"]),
        ({"arms": {"none": {}, "a": {"model": "b"}}}, ["arms.a.model", "all arms start"]),
        ({"arms": {"none": {}, "a": {"parts": {"task": None}}}}, ["arms.a", "parts"]),
        (
            {"arms": {"none": {}, "a": {"parts": {"r": {"run": {"location": "runs.x"}}}}}},
            ["arms.a.parts.r.run.location", "runs.x"],
        ),
        ({"arms": {"wide": {}}}, ["reference", "none", "wide"]),
        ({"arms": {"none": {}, "original": {}}}, ["arms.original"]),
        ({"arms": {"none": {}, "a/b": {}}}, ["arms.a/b", "not a name"]),
        ({"seeds": {"choose": [1], "judge": [1, 2]}}, ["seeds.judge", "under choose"]),
        ({"seeds": {"judge": []}}, ["seeds.judge"]),
        ({"seeds": {"judge": [1, 1]}}, ["seeds.judge", "twice"]),
        ({"base": BASE | {"output": "x"}}, ["base.output"]),
        ({"base": BASE | {"retention": {"task": {"s": {"data": DATA}}}}}, ["base.retention"]),
        (
            {"base": BASE | {"retention": {"choices": {"c": {"items": "i"}}}}},
            ["base.retention.task"],
        ),
        ({"base": {**BASE, "parts": {}}}, ["arms.none", "parts"]),
        ({"ars": {}}, ["ars", "did you mean arms"]),
    ],
)
def test_load_names_what_is_wrong(tmp_path, changes, told):
    with pytest.raises(SpecError) as raised:
        load(tmp_path, **changes)
    for words in told:
        assert words in str(raised.value)


def test_load_reads_the_specs_of_runs_that_arms_use(tmp_path):
    arms = {"none": {}, "wide": {"parts": {"replay": {"run": {"location": "runs.wide"}}}}}
    with pytest.raises(SpecError, match=r"runs\.wide: .*nowhere\.yaml"):
        load(tmp_path, arms=arms, runs={"wide": "nowhere.yaml"})


def test_arms_are_chosen_in_the_specs_order_and_unknown_ones_named(tmp_path):
    found = load(tmp_path)
    assert found.chosen(["human", "none"]) == ["none", "human"]
    assert found.chosen(None) == ["none", "human"]
    with pytest.raises(SpecError, match="wide, expected some of: none, human"):
        found.chosen(["wide"])
