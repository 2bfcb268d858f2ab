"""A model that was tuned until it forgot finds its facts again: its older checkpoint teaches it.

On a real, if tiny, model. The rows that it is asked hold no answers, so whatever comes back comes
from the teacher.
"""

import json

import pytest
import yaml

from jobs.cli import main
from jobs.prepare_tiny import prepare_tiny
from jobs.tiny_lessons import DATA

ITEMS = ("capitals", "elements", "states")
BOOTSTRAP, STEPS = 16, 40
RETENTION = {
    "choices": {name: {"items": str(DATA / f"{name}.jsonl"), "chat": True} for name in ITEMS},
    "samples": {
        "dialogues": {"items": str(DATA / "dialogues-test.jsonl"), "limit": 20, "max_tokens": 96}
    },
}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Of the recovery of a damaged model."""
    import torch

    threads = torch.get_num_threads()
    # For a model so small two threads take longer than one.
    torch.set_num_threads(1)
    prepare_tiny()
    root = tmp_path_factory.mktemp("recovery")
    yield recovered(root, damaged(root))
    torch.set_num_threads(threads)


def damaged(root):
    out = root / "damaged"
    asked = ["--kind", "overtune", "--task", str(DATA / "gsm-train.jsonl"), "--steps", "30"]
    assert main(["damage", "packaged-tiny", "--out", str(out), *asked]) == 0
    return out


def recovered(root, model):
    # `statement` is the question once more, up to where its answer would stand.
    questions = {
        "files": [str(DATA / f"{name}.jsonl") for name in ITEMS],
        "columns": {"prompt": "question", "completion": "statement"},
    }
    spec = {
        "model": str(model),
        "teacher": "packaged-tiny",
        "output": str(root / "recovered"),
        "parts": {"questions": {"data": questions, "objective": "reverse_kl", "passes": 10}},
        "mix": {"by": "rows", "amount": 32 * STEPS},
        "rollouts": {"max_tokens": 12, "bootstrap_steps": BOOTSTRAP},
        "training": {"batch_rows": 32, "learning_rate": 3e-3, "save_every": 1000},
        "retention": RETENTION,
    }
    file = root / "recovery.yaml"
    file.write_text(yaml.safe_dump(spec), "utf-8")
    assert main(["sft", str(file)]) == 0
    return json.loads((root / "recovered" / "report.json").read_text("utf-8"))


def change(report, *what):
    """A kind, a name and a measure, before and after."""
    for one in report["retention"]["changes"]:
        if (one["kind"], one["name"], one["measure"]) == what:
            return one["before"]["value"], one["after"]["value"]
    raise AssertionError(f"{what} was not measured")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ITEMS)
def test_recovery_wins_facts_back_that_no_row_holds(report, name):
    before, after = change(report, "choices", name, "accuracy")
    assert before < 0.7
    assert after > 0.85 and after - before > 0.25


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_recovery_draws_the_model_to_its_older_checkpoint(report):
    before, after = change(report, "samples", "dialogues", "kl")
    assert after < 0.85 * before


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_recovery_nears_the_teacher_on_its_own_answers(report):
    log = [entry for entry in report["log"] if "loss" in entry]
    assert len(log) == STEPS == report["steps"]
    assert log[-1]["loss"] < 0.7 * log[BOOTSTRAP]["loss"]
