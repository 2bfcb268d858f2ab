"""Starting and closing engines: every engine here is a test's own."""

from collections.abc import Callable

import pytest

from schemas.errors import EngineError
from schemas.records import Completion
from tests.engine_benches import Bench, scripted_bench, server_bench, small_vllm_bench

MAKERS = [
    pytest.param(scripted_bench, id="scripted"),
    pytest.param(small_vllm_bench, id="vllm", marks=[pytest.mark.vllm, pytest.mark.slow]),
    pytest.param(server_bench, id="server", marks=[pytest.mark.vllm, pytest.mark.long]),
]


@pytest.mark.parametrize("make", MAKERS)
def test_close_drops_work_and_frees_the_place_for_the_next(
    make: Callable[..., Bench], request: pytest.FixtureRequest
):
    at = (request.getfixturevalue("served").url,) if make is server_bench else ()
    first, second = make(*at), make(*at)
    first.start()
    if make is small_vllm_bench:
        assert_refused(make())
    assert_closes(first)
    second.start()
    assert_closes(second)


def assert_refused(bench: Bench) -> None:
    """One vLLM engine is all that a process holds."""
    with pytest.raises(EngineError, match="one vLLM engine"):
        bench.start()
    bench.close()


def assert_closes(bench: Bench) -> None:
    """An engine at work drops it at once, and for good."""
    assert isinstance(bench.run(bench.request())[0], Completion)
    bench.add(bench.request(4))
    bench.step()
    bench.close()
    bench.close()
    assert not bench.engine.has_work()
    with pytest.raises(EngineError):
        bench.add(bench.request())
