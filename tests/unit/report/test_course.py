"""The course of a run: pauses take no busy time, tails end with the last wave."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.course import Clock, course_of
from schemas.manifest import Counts
from tests.stored import make_manifest


def wave(name, start, stop, *, attempt="a", tokens=10, gpus=0.0):
    counts = Counts(asked=1, kept=1, output_tokens=tokens, aside_tokens=1)
    changes = {"started_at": start, "finished_at": stop, "gpus": gpus}
    return make_manifest(name, attempt, counts=counts).model_copy(update=changes)


SPANS = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 60)), min_size=1, max_size=30)


@given(SPANS)
def test_course_places_each_wave_within_busy_time(spans):
    waves = [wave(f"{n:06d}", a, a + length) for n, (a, length) in enumerate(spans)]
    course = course_of(waves)
    seconds = {second for a, length in spans for second in range(a, a + length)}
    assert course.busy_s == pytest.approx(len(seconds), abs=1e-6)
    lengths = sum(length for _, length in spans)
    assert sum(bar.stop_s - bar.start_s for bar in course.bars) == pytest.approx(lengths, abs=1e-6)
    assert all(0 <= bar.start_s <= bar.stop_s <= course.busy_s + 1e-6 for bar in course.bars)
    assert course.in_flight == pytest.approx(lengths / len(seconds) if seconds else 0.0)
    assert all(level.tail_s >= 0 and level.slowest_s >= level.wave_s for level in course.levels)


def test_clock_stands_still_in_pauses():
    clock = Clock([wave("000000", 10, 20), wave("000001", 15, 30), wave("000002", 100, 110)])
    moments = [10, 12.5, 30, 100, 105, 110]
    assert [clock.at(moment) for moment in moments] == [0, 2.5, 20, 20, 25, 30]


def test_tail_is_what_the_last_tenth_of_waves_took():
    steady = [wave(f"{n:06d}", n, n + 1) for n in range(9)]
    course = course_of([*steady, wave("000009", 8, 50)])
    assert course.levels[0].tail_s == 41
    assert course_of(steady[:1]).levels[0].tail_s == 0


def test_course_tells_levels_and_attempts_apart():
    course = course_of(
        [
            wave("000000", 0, 10, gpus=2, tokens=100),
            wave("000000.0", 10, 20, gpus=4, tokens=50),
            wave("000001", 3600, 3610, attempt="b", gpus=1),
        ]
    )
    assert [(level.level, level.waves, level.tokens) for level in course.levels] == [
        (1, 2, 112),
        (2, 1, 51),
    ]
    first, second = course.attempts
    assert (first.attempt, first.waves, first.gpus, first.tokens) == ("a", 2, 3, 152)
    assert first.gpu_hours == pytest.approx(60 / 3600)
    assert second.busy_share == 1 and second.started_at == 3600
    assert course.wall_s == 3610 and course.busy_s == pytest.approx(30)


def test_clock_that_was_set_back_gives_no_negative_time():
    course = course_of([wave("000000", 100, 40)])
    assert course.busy_s == 0 and course.levels[0].wave_s == 0 and course.in_flight == 0
