"""How much is asked ahead follows what a sequence costs where engines lie."""

import pytest

from jobs.wiring import pace_of
from tests.builders import make_spec

ON_A_GPU = {"gpus": 1}


@pytest.mark.parametrize(
    ("group", "execution", "odds"),
    [({}, {}, 0.9), (ON_A_GPU, {}, 0.5), (ON_A_GPU, {"ask_ahead": 1.0}, 1.0)],
)
def test_what_is_asked_ahead_must_be_surer_where_sequences_are_not_free(group, execution, odds):
    assert pace_of(make_spec(group=group, **execution)).least_odds == odds


@pytest.mark.parametrize("slots", [16, 64])
def test_no_more_is_asked_ahead_than_engines_have_slots(slots):
    pace = pace_of(make_spec(group={"max_num_seqs": slots}))
    assert pace.idle_slots(10, live=2) == 2 * slots - 10
    assert pace.idle_slots(1000, live=2) == 0
