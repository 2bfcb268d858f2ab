"""What a spec says of the places of its engines, and how much of a cluster these take."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from jobs.cli import main
from jobs.engine_places import require_sense, sizing, sizing_text
from jobs.wiring import make_pool, resolve
from schemas.engine_group_spec import EngineGroupSpec
from schemas.errors import SpecError
from schemas.execution_spec import ExecutionSpec
from tests.builders import make_spec, write_spec


def execution(pool: str = "ray", drivers: int = 1, **groups: dict[str, Any]) -> ExecutionSpec:
    content = {"location": "memory://x", "pool": pool, "drivers": drivers, "engines": groups}
    return ExecutionSpec.model_validate(content)


MIXED = {
    "main": {
        "replicas": {"least": 2, "most": 16},
        "gpus": 4,
        "cpus": 8,
        "tensor_parallel": 4,
        "accelerator": "H100",
        "labels": {"ray.io/market-type": "!spot"},
    },
    "judge": {"replicas": 4, "gpus": 0.5, "cpus": 1},
}


def test_sizing_adds_up_what_engines_take():
    spec = execution(**MIXED)
    figures = sizing(spec, spec.engines)
    assert figures["gpus"] == {"least": 10, "most": 66}
    assert figures["nodes"] == {"gpus_per_node": 8, "least": 2, "most": 9}


def test_sizing_is_told_with_its_range_and_its_groups():
    spec = execution(drivers=3, **MIXED)
    assert sizing_text(spec, spec.engines) == [
        "engines: 10 to 66 GPUs and 20 to 132 CPUs for each of 3 drivers; nodes of 8 GPUs "
        "(launch.kubernetes.gpus_per_node): 2 to 9",
        "  main: 2 to 16 of 4 GPUs and 8 CPUs on one node, with the labels "
        "ray.io/accelerator-type: H100, ray.io/market-type: !spot",
        "  judge: 4 of 0.5 GPUs and 1 CPUs on one node",
    ]


def test_sizing_of_stages_says_what_must_lie_together():
    group = {"gpus": 16, "tensor_parallel": 8, "pipeline_parallel": 2}
    spec = execution(main=group)
    assert "8 GPUs of each stage on one node" in sizing_text(spec, spec.engines)[1]
    spec = execution(main={"gpus": 16, "tensor_parallel": 16})
    assert "cannot hold one" in sizing_text(spec, spec.engines)[0]


def test_plan_says_how_much_the_engines_take(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    spec = write_spec(make_spec(group={"replicas": 3, "gpus": 1}), tmp_path / "spec.yaml")
    assert main(["plan", str(spec)]) == 0
    assert "engines: 3 GPUs and 3 CPUs" in capsys.readouterr().out
    assert main(["plan", str(spec), "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert planned["engines"]["gpus"] == {"least": 3, "most": 3}


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ({"main": {"replicas": 2}}, "main 2.*a process holds one"),
        ({"main": {}, "judge": {}}, "main 1, judge 1"),
        ({"main": {"accelerator": "H100"}}, "main: found accelerator or labels"),
        ({"main": {"labels": {"pool": "a"}}}, "no nodes to choose from"),
    ],
)
def test_local_pool_refuses_what_only_a_cluster_can(groups: dict[str, Any], said: str):
    local = execution("local", **groups)
    with pytest.raises(SpecError, match=said):
        require_sense(local, local.engines)
    on_ray = execution("ray", **groups)
    require_sense(on_ray, on_ray.engines)


def test_local_pool_of_scripted_engines_rehearses_what_a_cluster_would_run():
    labelled = {"replicas": 3, "labels": {"pool": "a"}, "backend": "scripted"}
    spec = execution("local", main=labelled)
    require_sense(spec, spec.engines)
    whole = make_spec(group={"replicas": 3, "labels": {"pool": "a"}})
    pool = make_pool(whole, resolve(whole).run_file)
    pool.start()
    pool.close()


@pytest.mark.parametrize("wanted", ["a", "!a", "in(a,b)", "in(a, b)", "!in(a,b)", "A100-80G"])
def test_labels_are_selected_in_rays_words(wanted: str):
    assert EngineGroupSpec(labels={"pool": wanted}).labels["pool"] == wanted


@pytest.mark.parametrize("wanted", ["", "a,b", "in()", "not a", "-a", "in(a", "a" * 64])
def test_labels_that_ray_would_refuse_are_refused(wanted: str):
    with pytest.raises(ValidationError, match=r"labels\.pool"):
        EngineGroupSpec(labels={"pool": wanted})
