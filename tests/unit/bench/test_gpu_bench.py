"""The benchmarks on a GPU: what is run in the time that there is. None of it needs a GPU."""

import itertools

import pytest

from pipeline.engines.timing import Trial
from pipeline.engines.vllm_settings import VllmConfig, engine_args
from tests.bench import gpu
from tests.bench.gpu import SCENARIOS, TRIALS, Done, Step, arguments, fits, plan


def args(*more: str):
    return arguments(["--model", "/m", *more])


def test_plan_has_what_matters_first_and_every_trial_once_beside_ever_more_pairs():
    steps = list(itertools.islice(plan(), 60))
    first = steps[: 2 + len(SCENARIOS)]
    assert [step.name for step in first] == ["as it is", "separate core", *SCENARIOS]
    trials = [step.name for step in steps if step.kind == "trial"]
    assert sorted(trials) == sorted(TRIALS)
    pairs = [step.name for step in steps if step.kind == "throughput"]
    counts = [pairs.count(name) for name in SCENARIOS]
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize(
    ("done", "left", "expected"),
    [
        ([], gpu.GUESS_S["trial"] * 1.2, True),
        ([], gpu.GUESS_S["trial"], False),
        ([("trial", "other", 20)], 24, True),
        ([("trial", "other", 20)], 22, False),
        ([("trial", "other", 90), ("trial", "one", 20)], 24, True),
        ([("throughput", "small-1", 500)], 100, True),
    ],
    ids=str,
)
def test_a_step_runs_only_where_its_like_would_have_fitted(done, left, expected):
    ended = [Done(Step(kind, name), seconds, {}) for kind, name, seconds in done]
    assert fits(Step("trial", "one"), ended, left) == expected


@pytest.mark.parametrize("minutes", [0, 1, 5, 10, 60])
def test_what_is_run_ends_in_time_and_leaves_no_room_for_more(minutes):
    takes = {"throughput": 90.0, "trial": 40.0}
    clock = [0.0]

    def run_one(step: Step) -> Done:
        clock[0] += takes[step.kind]
        return Done(step, takes[step.kind], {})

    done, left_out = gpu.run_all(run_one, lambda: minutes * 60 - clock[0])

    assert clock[0] <= minutes * 60
    assert left_out
    pairs_fit = minutes * 60 - clock[0] >= max(takes["throughput"], gpu.GUESS_S["throughput"]) * 1.2
    assert not pairs_fit
    trials = [one.step.name for one in done if one.step.kind == "trial"]
    assert len(set(trials)) == len(trials)


def test_pairs_are_asked_for_with_the_engine_that_is_meant():
    command = gpu.throughput_command(args("--slots", "512", "--kv-gib", "40"), "small-4", "o.json")
    told = dict(itertools.pairwise(command))
    assert (told["--scenario"], told["--model"]) == ("small-4", "/m")
    assert (told["--slots"], told["--kv-gib"], told["--pairs"]) == ("512", "40", "1")
    assert (told["--trees"], told["--wave"]) == ("64", "128")
    assert (told["--arms"], told["--out"]) == ("product,plain", "o.json")
    assert "--kv-gib" not in gpu.throughput_command(args(), "balance", "o.json")


@pytest.mark.parametrize("name", TRIALS)
def test_trials_are_settings_that_an_engine_takes(name, tmp_path):
    trial = Trial(**gpu.trial_settings(str(tmp_path), name))
    told = engine_args(VllmConfig(**trial.config), on_cpu=False, seed=0)
    assert told["gpu_memory_utilization"] == pytest.approx(0.92)
    changed = TRIALS[name].get("args", {}) | TRIALS[name].get("config", {})
    assert {key: told[key] for key in changed} == changed


def test_a_machine_without_a_gpu_is_told_so_in_a_sentence():
    with pytest.raises(SystemExit, match=r"gpu: .*expected"):
        gpu.require_gpu()


def test_summary_keeps_every_pair_and_names_what_was_left_out():
    trial = Done(Step("trial", "as it is"), 40.0, {"median": 1000.0})
    slow = Done(Step("trial", "xxhash"), 40.0, {"median": 990.0})
    pairs = [
        Done(Step("throughput", "small-1"), 100.0, pair_of("small-1", ratio))
        for ratio in (1.3, 1.1, 1.2)
    ]
    failed = Done(Step("throughput", "small-1"), 9.0, {"error": "out of memory"})
    left_out = [Step("trial", "blocks of 32"), Step("throughput", "small-1")]

    result = gpu.summary(args(), {"gpu": "H200"}, [trial, slow, *pairs, failed], left_out)

    assert len(result["pairs"]["small-1"]) == 4
    assert gpu.ratios("small-1", result["pairs"]["small-1"]) == [1.1, 1.2, 1.3]
    assert result["left_out"] == ["blocks of 32"]
    said = gpu.table(result)
    assert "0.990" in said
    assert "product / plain: 1.200 (1.100 to 1.300, 3 pairs)" in said


def pair_of(scenario: str, ratio: float) -> dict:
    """As `tests.bench.throughput` writes it."""
    spread = {"median": ratio, "lowest": ratio, "highest": ratio}
    return {"scenarios": {scenario: {"ratios": {"product / plain": spread}}}}
