"""`arborist sft` as a person calls it."""

import json
import os
import signal
import time

import pytest
import yaml

from jobs.cli import main
from tests.command import run_command, started
from tests.tiny_llama import tiny_llama


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_llama(tmp_path_factory.mktemp("model"))


@pytest.fixture
def spec_file(model, tmp_path):
    """Write a spec over some rows of a task."""

    def write(rows=24, **sections):
        task = tmp_path / "task.jsonl"
        with task.open("w") as file:
            for number in range(rows):
                asked = {
                    "prompt": f"What is {number} and one?",
                    "completion": f"It is {number + 1}.",
                }
                file.write(json.dumps(asked) + "\n")
        content = {
            "model": str(model),
            "output": str(tmp_path / "out"),
            "parts": {"task": {"data": {"files": str(task)}}},
            "training": {"learning_rate": 1e-3, "batch_rows": 4},
        }
        for name, section in sections.items():
            content[name] = {**content.get(name, {}), **section} if name != "output" else section
        spec = tmp_path / "spec.yaml"
        spec.write_text(yaml.safe_dump(content))
        return str(spec)

    return write


def test_dry_run_prints_the_mixture_and_trains_nothing(spec_file, tmp_path, capsys):
    assert main(["sft", spec_file(), "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "6 steps of 4 rows" in told and "task" in told and "100.0%" in told
    assert not (tmp_path / "out" / "checkpoints").exists()
    assert main(["sft", spec_file(), "--dry-run", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["steps"] == 6 and figures["parts"]["task"]["counts"]["used_rows"] == 24


def test_training_says_where_things_lie_and_is_found_done(spec_file, tmp_path, capsys):
    assert main(["sft", spec_file()]) == 0
    told = capsys.readouterr().out
    assert "training: 6 steps" in told and f"lies in {tmp_path}/out/model" in told
    assert "step 6 of 6: loss " in told
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["steps"] == 6 and len(report["log"]) == 6
    assert report["mixture"]["parts"]["task"]["source"]["digest"]
    assert main(["sft", spec_file(), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["log"] == report["log"]


def test_what_was_kept_is_measured_of_an_adapter_too(spec_file, tmp_path, capsys):
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps({"text": f"Tree {n} grows."}) + "\n" for n in range(6)))
    retention = {"texts": {"trees": {"items": str(texts)}}}
    tuning = {"lora": {"rank": 2, "merge": False}}
    training = {"learning_rate": 1e-2}
    assert main(["sft", spec_file(retention=retention, tuning=tuning, training=training)]) == 0
    assert "texts.trees nll" in capsys.readouterr().out
    (change,) = json.loads((tmp_path / "out" / "report.json").read_text())["retention"]["changes"]
    assert change["before"]["value"] != change["after"]["value"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "trees" in page and "task" in page
    assert (tmp_path / "out" / "model" / "adapter_config.json").is_file()


def test_what_is_measured_and_trained_on_too_is_told(spec_file, tmp_path, capsys):
    retention = {"task": {"sums": {"data": {"files": str(tmp_path / "task.jsonl")}}}}
    assert main(["sft", spec_file(retention=retention), "--dry-run"]) == 0
    told = "task.jsonl is also trained on, by parts.task, so it is not held out"
    assert f"retention.task.sums: file://{tmp_path}/{told}" in capsys.readouterr().out
    assert main(["sft", spec_file(retention=retention)]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert any(told in warning for warning in report["warnings"])
    assert told in (tmp_path / "out" / "report.html").read_text()


def test_anew_deletes_what_was_there_and_nothing_else(spec_file, tmp_path, capsys):
    assert main(["sft", spec_file(training={"max_steps": 1})]) == 0
    assert main(["sft", spec_file(training={"max_steps": 2})]) == 2
    assert "training.max_steps: 1 there, 2 now" in capsys.readouterr().err.replace("\n", " ")
    assert main(["sft", spec_file(training={"max_steps": 2}), "--anew"]) == 0
    assert json.loads((tmp_path / "out" / "report.json").read_text())["steps"] == 2
    (tmp_path / "out" / "thesis.tex").touch()
    assert main(["sft", spec_file(), "--anew"]) == 2
    assert "thesis.tex, which no training put there" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"training": {"learning_rat": 1}}, "training.learning_rat: unknown key, expected one of"),
        ({"parts": {"task": {"loss": "all"}}}, "parts.task: expected either data or run"),
        ({"output": "s3://bucket/out"}, "output: found s3://bucket/out, expected a folder of this"),
    ],
)
def test_what_cannot_be_done_is_told_by_key(spec_file, capsys, change, told):
    assert main(["sft", spec_file(**change)]) == 2
    assert told in capsys.readouterr().err.replace("\n", " ")


def test_resume_without_a_checkpoint_is_refused(spec_file, capsys):
    assert main(["sft", spec_file(), "--resume"]) == 2
    assert "found no whole checkpoint" in capsys.readouterr().err.replace("\n", " ")


def await_line(process, words, patience_s=120):
    """What is printed until a line holds some words."""
    deadline, lines = time.monotonic() + patience_s, []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return lines
        assert time.monotonic() < deadline, lines
    raise AssertionError(f"ended early: {lines}, {process.stderr.read()}")


@pytest.mark.slow
def test_sigterm_saves_a_checkpoint_and_the_same_command_goes_on(spec_file, tmp_path):
    spec = spec_file(rows=4000)
    with started("sft", spec) as process:
        await_line(process, "step ")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 75, err
    assert "the same command continues the training" in " ".join(err.split())
    (saved,) = (tmp_path / "out" / "checkpoints").iterdir()
    step = int(saved.name.removeprefix("checkpoint-"))
    assert json.loads((saved / "arborist.json").read_text())["steps"] == step
    assert not os.path.exists(tmp_path / "out" / "model")


@pytest.mark.long
def test_two_processes_learn_what_one_does(spec_file, tmp_path):
    parts = {"kept": {"objective": "model_kl", "weight": 0.5}}
    parts["kept"]["data"] = {"files": str(tmp_path / "task.jsonl"), "limit": 10}
    # 21 + 10 rows, so that the last step leaves one process without any.
    more = {"parts": parts, "mix": {"by": "rows"}, "rows": 21}
    assert main(["sft", spec_file(**more, output=str(tmp_path / "one"))]) == 0
    two = {"output": str(tmp_path / "two"), "training": {"batch_rows": 2}}
    spec = spec_file(**more, **two, launch={"processes": 2})
    code, _, err = run_command("sft", spec, patience_s=240)
    assert code == 0, err
    ours, theirs = (
        json.loads((tmp_path / name / "report.json").read_text())["log"] for name in ("two", "one")
    )
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        for key in one.keys() - {"tokens_per_s"}:
            assert one[key] == pytest.approx(other[key], rel=1e-3), key
