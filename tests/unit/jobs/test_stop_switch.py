"""What signals ask of a run, and when they end it on the spot."""

import math
import signal
import time
from collections.abc import Callable

import pytest

from jobs.stop_switch import StopSwitch
from pipeline.watch import Stop
from schemas.errors import RETRY, Evicted, Interrupted, PoolError

INT, TERM = signal.SIGINT, signal.SIGTERM


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def make_switch(clock: Callable[[], float] = time.monotonic) -> StopSwitch:
    return StopSwitch(20, clock)


@pytest.mark.parametrize(
    ("numbers", "stop"),
    [
        ([], Stop.NO),
        ([INT], Stop.DRAIN),
        ([INT, INT], Stop.ABANDON),
        ([TERM], Stop.LEAVE),
        ([TERM, TERM], Stop.EVICT),
        ([TERM, INT], Stop.EVICT),
        ([INT, TERM], Stop.LEAVE),
        ([INT, INT, TERM], Stop.EVICT),
        ([INT, TERM, TERM], Stop.EVICT),
    ],
)
def test_ask_signals_in_a_row_ask_for(numbers: list[int], stop: Stop):
    switch = make_switch()
    for number in numbers:
        switch.ask(number)
    assert switch.stop is stop


def test_stop_leaves_as_long_as_there_is_grace():
    clock = Clock()
    switch = make_switch(clock)
    clock.now = 100
    assert "for at most 20 s" in switch.ask(TERM)
    clock.now = 119.9
    assert switch.stop is Stop.LEAVE
    clock.now = 120
    assert switch.stop is Stop.EVICT


@pytest.mark.parametrize(
    ("numbers", "later_s", "patience_s"),
    [
        ([], 0, math.inf),
        ([INT], 0, math.inf),
        ([INT, INT], 0, math.inf),
        ([TERM], 5, 15),
        ([TERM], 19, 2),
        ([TERM], 25, 2),
        ([TERM, TERM], 5, 2),
    ],
)
def test_patience_is_what_the_scheduler_leaves(
    numbers: list[int], later_s: float, patience_s: float
):
    clock = Clock()
    switch = make_switch(clock)
    for number in numbers:
        switch.ask(number)
    clock.now = later_s
    assert switch.patience_s == patience_s


@pytest.mark.parametrize(("number", "error"), [(INT, Interrupted), (TERM, Evicted)])
def test_listening_signal_ends_what_goes_on_at_once(number: int, error: type[Interrupted]):
    switch = make_switch()
    words = "the same command continues the run"
    with pytest.raises(error, match=words) as caught, switch.listening():
        signal.raise_signal(number)
        raise AssertionError("it went on")
    assert type(caught.value) is error


def test_listening_gives_the_signals_back():
    before = signal.getsignal(INT), signal.getsignal(TERM)
    with pytest.raises(Evicted), make_switch().listening():
        signal.raise_signal(TERM)
    assert (signal.getsignal(INT), signal.getsignal(TERM)) == before


def test_heeded_signal_is_only_noted_until_the_end():
    switch = make_switch()
    steps = []
    with pytest.raises(Evicted), switch.listening():
        with switch.heeded():
            signal.raise_signal(TERM)
            steps.append(switch.stop)
            signal.raise_signal(TERM)
            steps.append(switch.stop)
        steps.append(Stop.NO)
    assert steps == [Stop.LEAVE, Stop.EVICT]


@pytest.mark.parametrize(("number", "error"), [(INT, Interrupted), (TERM, Evicted)])
def test_heeded_signal_after_the_drop_ends_what_holds_it_up(number: int, error: type[Interrupted]):
    switch = make_switch()
    noted = []
    words = "at once; .*the same command continues the run"
    with pytest.raises(error, match=words) as caught, switch.listening(), switch.heeded():
        for _ in range(2):
            signal.raise_signal(number)
            noted.append(switch.stop.drops)
        signal.raise_signal(number)
        raise AssertionError("it went on")
    assert noted == [False, True]
    assert type(caught.value) is error


def test_heeded_signal_after_the_grace_is_over_ends_what_holds_it_up():
    clock = Clock()
    switch = make_switch(clock)
    with pytest.raises(Evicted, match="at once"), switch.listening(), switch.heeded():
        signal.raise_signal(TERM)
        clock.now = 20
        signal.raise_signal(TERM)
        raise AssertionError("it went on")


def test_at_once_within_heeded_ends_it_and_cleans_up_in_peace():
    switch = make_switch()
    closed = []
    with pytest.raises(Evicted), switch.listening(), switch.heeded():
        try:
            with switch.at_once():
                signal.raise_signal(TERM)
        finally:
            signal.raise_signal(TERM)
            closed.append(switch.stop)
    assert closed == [Stop.EVICT]


def test_listening_error_of_the_run_is_passed_on():
    with pytest.raises(PoolError, match="no engine"), make_switch().listening():
        raise PoolError("no engine")


def test_listening_error_after_the_machine_was_taken_is_told_as_its_consequence():
    switch = make_switch()
    words = "no engine is left"
    with pytest.raises(Evicted, match=words) as caught, switch.listening(), switch.heeded():
        signal.raise_signal(TERM)
        raise PoolError(words)
    assert caught.value.exit_code == RETRY
