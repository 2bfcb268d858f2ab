"""A driver whose machine is taken away closes within what its scheduler leaves."""

import io
import math
import signal
from pathlib import Path

import pytest

import pipeline.pool.local
from jobs.generate import generate
from jobs.wiring import rehearsal
from pipeline.pool.local import LocalPool
from schemas.errors import Evicted, Interrupted
from schemas.records import Outcome
from tests.builders import make_spec

INT, TERM = signal.SIGINT, signal.SIGTERM


class SignalledPool(LocalPool):
    """Signals come while its outcomes are awaited; it notes how long it may take to close."""

    numbers: tuple[signal.Signals, ...] = ()
    patience_s = math.nan

    def collect(self, timeout_s: float) -> list[Outcome]:
        numbers, self.numbers = self.numbers, ()
        for number in numbers:
            signal.raise_signal(number)
        return super().collect(timeout_s)

    def close(self, patience_s: float = math.inf) -> None:
        self.patience_s = patience_s
        super().close(patience_s)


@pytest.mark.parametrize(
    ("numbers", "error", "least_s", "most_s"),
    [
        ((TERM, TERM), Evicted, 2, 2),
        ((TERM,), Evicted, 2, 20),
        ((INT, INT), Interrupted, math.inf, math.inf),
    ],
)
def test_generate_stopped_closes_engines_in_the_time_that_is_left(
    numbers: tuple[signal.Signals, ...],
    error: type[Interrupted],
    least_s: float,
    most_s: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    pools = []

    def signalled(*args) -> SignalledPool:
        pool = SignalledPool(*args)
        pool.numbers = numbers
        pools.append(pool)
        return pool

    monkeypatch.setattr(pipeline.pool.local, "LocalPool", signalled)
    spec = rehearsal(make_spec(location=str(tmp_path), trees=5, waves_in_flight=1))
    with pytest.raises(error) as caught:
        generate(spec, io.StringIO())
    assert type(caught.value) is error
    assert least_s <= pools[0].patience_s <= most_s
