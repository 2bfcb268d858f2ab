"""Starting and closing engines: every engine here is a test's own."""

from collections.abc import Callable

import pytest

from schemas.errors import EngineError
from schemas.records import Completion
from tests.engine_benches import Bench, scripted_bench, vllm_bench

MAKERS = [
    pytest.param(scripted_bench, id="scripted"),
    pytest.param(vllm_bench, id="vllm", marks=[pytest.mark.vllm, pytest.mark.slow]),
]


@pytest.mark.parametrize("make", MAKERS)
def test_close_drops_work_and_frees_the_place_for_the_next(make: Callable[[], Bench]):
    for _ in range(2):
        bench = make()
        bench.start()
        assert isinstance(bench.run(bench.request())[0], Completion)
        bench.add(bench.request(4))
        bench.step()
        bench.close()
        bench.close()
        assert not bench.engine.has_work()
        with pytest.raises(EngineError):
            bench.add(bench.request())


@pytest.mark.vllm
@pytest.mark.slow
def test_second_vllm_engine_in_a_process_is_refused_until_the_first_is_closed():
    first, second = vllm_bench(), vllm_bench()
    first.start()
    with pytest.raises(EngineError, match="one vLLM engine"):
        second.start()
    second.close()
    assert isinstance(first.run(first.request())[0], Completion)
    first.close()
