"""Settings of engines on CPUs follow from the machine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engines.cpu_defaults import GIB, dtype, kv_cache_gib, threads
from pipeline.engines.machine import Machine


def machine(cores: int = 16, nodes: tuple[int, ...] | None = None, **more) -> Machine:
    known = {
        "name": "Fast One",
        "flags": frozenset(),
        "cores": cores,
        "threads": 2 * cores,
        "nodes": nodes or (cores,),
        "quota": None,
        "memory": 64 * GIB,
        "available": 60 * GIB,
    }
    return Machine(**known | more)


@pytest.mark.parametrize(
    ("cores", "engines", "booked", "expected"),
    [
        (1, 1, 0, 1),
        (2, 1, 0, 2),
        (3, 1, 0, 3),
        (8, 1, 0, 7),
        (16, 3, 0, 5),
        (16, 3, 6, 3),
        (4, 8, 0, 1),
        (4, 1, 64, 1),
    ],
)
def test_threads_share_the_cores_and_leave_one_to_the_driver(cores, engines, booked, expected):
    assert threads(machine(cores), engines, booked).value == expected


def test_threads_stay_within_what_the_control_group_grants():
    found = threads(machine(64, quota=6.0))
    assert found.value == 5
    assert "grants 6 of 64" in found.why


def test_threads_of_an_engine_stay_on_one_numa_node():
    found = threads(machine(64, nodes=(32, 32)))
    assert found.value == 32
    assert "NUMA" in found.why
    assert threads(machine(64, nodes=(32, 32)), engines=2).value == 31


@given(st.integers(1, 256), st.integers(1, 64), st.floats(0, 64))
def test_threads_of_all_engines_fit_wherever_each_has_one(cores, engines, booked):
    each = threads(machine(cores), engines, booked).value
    assert each >= 1
    assert each == 1 or each * engines + booked <= cores


@pytest.mark.parametrize("flag", ["avx512_bf16", "amx_bf16", "bf16"])
def test_dtype_is_bfloat16_only_where_the_cpu_computes_in_it(flag):
    assert dtype(frozenset({flag, "avx2"})).value == "bfloat16"
    assert dtype(frozenset({"avx512f", "avx2"})).value == "float32"


def test_dtype_leaves_an_explicit_choice_alone():
    assert dtype(frozenset({"avx512_bf16"}), "float16").value == "float16"


@pytest.mark.parametrize(
    ("total", "free", "num_threads", "expected"),
    [(64, 60, 16, 8), (64, 60, 4, 2), (64, 6, 16, 3), (4, 3, 16, 1), (2048, 2000, 16, 16)],
)
def test_kv_cache_takes_an_engines_share_of_the_memory(total, free, num_threads, expected):
    there = machine(memory=total * GIB, available=free * GIB)
    assert kv_cache_gib(there, num_threads).value == expected
