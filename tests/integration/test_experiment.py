"""An experiment from its file to its page: killed after a cell, continued, one arm gone wrong."""

import json
import time

import pytest
import yaml

from tests.command import run_command, started
from tests.tiny_llama import tiny_llama

PATIENCE_S = 240


def rows(file, count, make):
    file.write_text("".join(json.dumps(make(i)) + "\n" for i in range(count)), "utf-8")
    return str(file)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """For a model so small two threads take longer than one, and far longer beside others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    """Sums to learn, sentences to replay, questions to forget, and a run to be grown first."""
    root = tmp_path_factory.mktemp("experiment")
    task = rows(
        root / "task.jsonl",
        24,
        lambda i: {"prompt": f"What is {i} and {i + 1}?", "completion": f"It is {2 * i + 1}."},
    )
    texts = rows(root / "texts.jsonl", 60, lambda i: {"text": f"There are {i} old trees here."})
    asked = rows(
        root / "asked.jsonl",
        8,
        lambda i: {"question": f"Who has {i}?", "choices": ["he", "she"], "answer": i % 2},
    )
    run = root / "run.yaml"
    run.write_text(yaml.safe_dump(generation(root), sort_keys=False), "utf-8")
    model = tiny_llama(root / "model")
    content = {
        "output": str(root / "out"),
        "runs": {"wide": str(run)},
        "base": {
            "model": str(model),
            "parts": {"task": {"data": {"files": task}}},
            "training": {"batch_rows": 4, "learning_rate": 1e-3},
            "retention": {
                "choices": {"who": {"items": asked}},
                "samples": {"texts": {"items": texts, "limit": 4}},
                "task": {"sums": {"data": {"files": task, "limit": 6}}},
            },
        },
        "arms": {
            "none": {},
            "wide": {"parts": {"replay": {"run": {"location": "runs.wide", "tokens": "template"}}}},
            "wild": {"training": {"learning_rate": 1e30, "clip": None}},
        },
        "seeds": {"judge": [1, 2]},
    }
    file = root / "experiment.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    return file


def generation(root):
    level = {"fanout": 24, "oversample": 1, "max_tokens": 24}
    return {
        "generation": {
            "recipe": "tg-sft",
            "model": {"name": "scripted", "context": 512},
            "roots": {"topics": [{"text": "A chat."}]},
            "levels": [{"role": "user"} | level, {"role": "assistant"} | level | {"fanout": 1}],
            "curation": {"filters": ["empty"], "duplicates": "keep", "diversity": None},
        },
        "execution": {
            "location": str(root / "runs"),
            "pool": "local",
            "workers": 0,
            "embedder": "hashing",
            "engines": {"main": {"backend": "scripted"}},
        },
    }


def whole(spec, *words):
    """The command to its end: exit code, JSON, and what it said."""
    asked = ("experiment", str(spec), "--json", *words)
    code, out, said = run_command(*asked, patience_s=PATIENCE_S)
    return code, json.loads(out or "null"), said


def killed_after_first_cell(spec):
    """Start it, and kill it without warning once a cell is told to be done."""
    said, until = [], time.monotonic() + PATIENCE_S
    with started("experiment", str(spec), "--json") as process:
        for line in process.stderr:
            said.append(line)
            if " done in " in line or time.monotonic() > until:
                break
    return "".join(said)


@pytest.mark.long
def test_experiment_killed_after_a_cell_goes_on_without_repeating_it(spec):
    out = spec.parent / "out"
    said = killed_after_first_cell(spec)
    assert "none/1 done in" in said, said
    first = out / "none" / "1" / "result.json"
    before = first.stat().st_mtime_ns, first.read_bytes()
    assert not (first.parent / "model").exists(), "weights of a cell that is done are removed"

    code, found, said = whole(spec)
    assert "1 of 6 cells are done already" in said
    assert (first.stat().st_mtime_ns, first.read_bytes()) == before
    assert "measuring the original" not in said
    assert "generate" not in said

    # Half of the arms that can go wrong did, and are told of; the others are all there.
    assert code == 1
    assert "failed: cell wild/1" in said
    assert found["missing"] == ["wild/1", "wild/2"]
    nll = next(m for m in found["measures"] if m["key"] == "task.sums.nll")
    assert set(nll["arms"]) == {"none", "wide"}
    assert set(nll["arms"]["wide"]["values"]) == {"1", "2"}
    assert nll["arms"]["none"]["mean"]["high"] < nll["original"], "it has learned something"
    assert nll["arms"]["wide"]["difference"]["n"] == 2

    # All see the same of the task, and in as many steps.
    budgets = found["budgets"]
    assert budgets["none"]["parts"]["task"] == budgets["wide"]["parts"]["task"]
    assert budgets["none"]["steps"] == budgets["wide"]["steps"] == 6
    assert budgets["wide"]["rows_per_step"] > budgets["none"]["rows_per_step"]

    page = (out / "report.html").read_text("utf-8")
    assert page.count("<svg") == 3
    assert "wild/1" in page, "what is missing is said"


@pytest.mark.long
def test_experiment_only_report_trains_nothing_and_says_the_same(spec):
    before = (spec.parent / "out" / "results.json").read_bytes()
    code, found, _ = whole(spec, "--only-report")
    assert code == 0
    assert (spec.parent / "out" / "results.json").read_bytes() == before
    assert found == json.loads(before)


@pytest.mark.long
def test_experiment_of_another_spec_counts_no_old_cells(spec):
    content = yaml.safe_load(spec.read_text("utf-8"))
    content["base"]["training"]["learning_rate"] = 2e-3
    other = spec.with_name("other.yaml")
    other.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    _, found, _ = whole(other, "--only-report")
    assert len(found["missing"]) == 6
