"""Busy time is the length of a union, whatever the order."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.plan.busy_time import BusyTime

INTERVAL = st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda p: (p[0], p[0] + p[1]))
INTERVALS = st.lists(INTERVAL)


def busy_time(intervals):
    busy = BusyTime()
    for start, stop in intervals:
        busy.add(start, stop)
    return busy


@given(INTERVALS)
def test_busy_time_is_the_length_of_the_union(intervals):
    covered = {second for start, stop in intervals for second in range(start, stop)}
    assert busy_time(intervals).total == len(covered)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60))))
def test_busy_time_intervals_that_end_before_they_start_have_no_length(intervals):
    forward = [(start, stop) for start, stop in intervals if start <= stop]
    assert busy_time(intervals).total == busy_time(forward).total


@given(INTERVALS, st.randoms())
def test_busy_time_does_not_depend_on_order(intervals, random):
    shuffled = random.sample(intervals, len(intervals))
    assert busy_time(shuffled).total == busy_time(intervals).total


@given(INTERVALS, INTERVAL)
def test_busy_time_with_one_more_is_what_adding_it_would_give(intervals, more):
    busy = busy_time(intervals)
    before = busy.total
    expected = busy_time([*intervals, more]).total
    assert (busy.total_with(*more), busy.total) == (expected, before)
