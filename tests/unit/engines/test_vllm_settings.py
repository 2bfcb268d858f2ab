"""What vLLM is told, decided without importing it."""

import os
from pathlib import Path

import pytest

from pipeline.engines.cpu_defaults import GIB
from pipeline.engines.vllm_settings import COMPILED, VllmConfig, engine_args, set_environment
from schemas.errors import EnvironmentMismatch, SpecError
from tests.adapters import write_adapter


@pytest.fixture
def told(tmp_path: Path):
    def tell(*, on_cpu: bool, **settings) -> dict:
        config = VllmConfig(model=str(tmp_path), context=1024, **settings)
        return engine_args(config, on_cpu=on_cpu, seed=7)

    return tell


def test_engine_args_on_a_cpu_size_the_cache_in_bytes(told):
    args = told(on_cpu=True, kv_cache_gib=0.5, dtype="float32", max_num_seqs=32)
    assert args["kv_cache_memory_bytes"] == GIB // 2
    assert "gpu_memory_utilization" not in args
    assert (args["dtype"], args["max_num_seqs"], args["block_size"]) == ("float32", 32, 32)
    assert args["distributed_executor_backend"] == "uni"


def test_engine_args_on_a_gpu_take_the_memory_that_is_asked(told):
    assert told(on_cpu=False, gpus=1)["gpu_memory_utilization"] == pytest.approx(0.92)
    assert told(on_cpu=False, gpus=0.5)["gpu_memory_utilization"] == pytest.approx(0.46)
    sized = told(on_cpu=False, gpus=1, kv_cache_gib=10)
    assert sized["kv_cache_memory_bytes"] == 10 * GIB
    assert "gpu_memory_utilization" not in sized


def test_engine_args_leave_to_vllm_what_it_knows_of_a_whole_gpu(told):
    whole, share = told(on_cpu=False, gpus=1), told(on_cpu=False, gpus=0.5)
    sizes = ("max_num_seqs", "max_num_batched_tokens")
    assert not whole.keys() & {*sizes, "enforce_eager", "block_size", "async_scheduling"}
    assert tuple(share[size] for size in sizes) == (256, 8192)
    assert told(on_cpu=False, gpus=1, max_num_seqs=64)["max_num_seqs"] == 64


def test_engine_args_on_several_gpus_split_the_tensors(told):
    args = told(on_cpu=False, gpus=4, tensor_parallel=4)
    assert (args["tensor_parallel_size"], args["distributed_executor_backend"]) == (4, "mp")
    assert args["worker_extension_cls"] == "pipeline.engines.vllm_worker.EndsWithItsEngine"
    assert "worker_extension_cls" not in told(on_cpu=False, gpus=1)


def test_engine_args_of_stages_are_actors_where_they_may_lie_apart(told):
    stages = {"gpus": 8, "tensor_parallel": 4, "pipeline_parallel": 2}
    here, apart = told(on_cpu=False, **stages), told(on_cpu=False, apart=True, **stages)
    assert (here["pipeline_parallel_size"], here["tensor_parallel_size"]) == (2, 4)
    assert here["distributed_executor_backend"] == "mp"
    assert apart["distributed_executor_backend"] == "ray"
    assert "worker_extension_cls" not in apart


def test_engine_args_parallel_on_a_cpu_share_its_threads(tmp_path: Path):
    config = VllmConfig(model=str(tmp_path), context=64, cpus=4, tensor_parallel=2)
    assert (config.num_threads, config.executor) == (2, "mp")


def test_engine_args_never_batch_less_than_a_token_a_sequence(told):
    args = told(on_cpu=False, gpus=1, max_num_seqs=512, max_num_batched_tokens=256)
    assert args["max_num_batched_tokens"] == 512


def test_engine_args_on_a_cpu_take_every_prompt_in_one_piece(told):
    args = told(on_cpu=True, max_num_batched_tokens=256)
    assert args["enable_chunked_prefill"] is False
    assert args["max_num_batched_tokens"] == 1024
    assert "enable_chunked_prefill" not in told(on_cpu=False, gpus=1)


def test_engine_args_of_the_spec_win(told):
    args = told(on_cpu=True, args={"block_size": 64, "enforce_eager": False})
    assert (args["block_size"], args["enforce_eager"]) == (64, False)


def test_engine_args_allow_the_top_logprobs_of_the_models_own_distribution(told):
    args = told(on_cpu=True, top_logprobs=64)
    assert (args["max_logprobs"], args["logprobs_mode"]) == (64, "raw_logprobs")


def test_engine_args_with_an_adapter_make_room_for_it(told, tmp_path):
    assert "enable_lora" not in told(on_cpu=True)
    adapter = str(write_adapter(tmp_path / "adapter", r=12))
    args = told(on_cpu=True, adapter=adapter)
    assert (args["enable_lora"], args["max_lora_rank"]) == (True, 16)


@pytest.mark.parametrize("settings", [{"guarantee": "batch-invariant"}, {"gpus": 1}])
def test_engine_args_on_a_cpu_refuse_what_only_gpus_can(told, settings):
    with pytest.raises(EnvironmentMismatch):
        told(on_cpu=True, **settings)


def test_engine_args_refuse_a_gpu_and_a_half(told):
    with pytest.raises(SpecError, match=r"1\.5"):
        told(on_cpu=False, gpus=1.5)


def test_environment_keeps_what_is_compiled_in_the_cache_unless_a_person_chose(monkeypatch):
    chosen = dict.fromkeys(["TRITON_CACHE_DIR"], "/mine")
    monkeypatch.setattr(os, "environ", chosen)
    set_environment(VllmConfig(model="m", context=1024, cache="/disk/compiled"))
    found = {name: chosen[name] for name in COMPILED}
    assert found.pop("TRITON_CACHE_DIR") == "/mine"
    assert {Path(folder).parent for folder in found.values()} == {Path("/disk/compiled")}
    assert len(set(found.values())) == len(found)
