"""Engines without a number of CPUs share the machine that they run on."""

import pytest

from jobs.engine_cpus import with_cpus
from pipeline.engines.machine import Machine
from schemas.execution_spec import ExecutionSpec
from tests.builders import make_spec

MACHINE = Machine("Fast One", frozenset(), 16, 32, (16,), None, 1 << 36, 1 << 36)
LOADED = {"backend": "vllm", "model": "/m"}


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def cpus_of(pool: str = "ray", ray_address: str | None = None, **groups) -> dict[str, float]:
    content = {"location": "memory://x", "pool": pool, "ray_address": ray_address}
    execution = ExecutionSpec.model_validate(content | {"engines": groups})
    spec = make_spec().model_copy(update={"execution": execution})
    return {n: g.booked for n, g in with_cpus(spec, MACHINE).execution.engines.items()}


@pytest.mark.parametrize("pool", ["local", "ray"])
def test_engines_on_this_machine_share_its_cores(pool):
    assert cpus_of(pool, main=LOADED) == {"main": 15}


def test_engines_share_with_all_that_may_come_and_with_what_others_book():
    groups = {
        "main": LOADED | {"replicas": {"least": 1, "most": 3}},
        "judge": LOADED | {"cpus": 2, "replicas": 2},
        "gpu": LOADED | {"gpus": 1},
    }
    assert cpus_of(**groups) == {"main": 3, "judge": 2, "gpu": 1}


def test_engines_in_a_cluster_book_what_is_said(monkeypatch):
    assert cpus_of(ray_address="auto", main=LOADED) == {"main": 1}
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert cpus_of(main=LOADED) == {"main": 1}
    assert cpus_of("local", main=LOADED) == {"main": 15}


def test_scripted_engines_compute_nothing():
    assert cpus_of(main={"backend": "scripted"}) == {"main": 1}
