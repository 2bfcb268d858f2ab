"""Dividing a queue loses nothing, keeps the order, and moves no more than asked for."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.pool.division import divide
from schemas.records import ChildKey, Request, Sampling


@st.composite
def queues(draw: st.DrawFn) -> list[Request]:
    sizes = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9)), min_size=1, max_size=12))
    prompt = np.zeros(1, dtype=np.int32)
    return [
        Request(f"w{wave}", f"p{i}", 0, n, prompt, Sampling(max_tokens=1))
        for i, (wave, n) in enumerate(sizes)
    ]


def keys_of(requests: list[Request]) -> list[ChildKey]:
    return [key for request in requests for key in request.keys]


@given(queues(), st.data())
def test_divide_moves_up_to_the_target_and_at_least_one_child(queue, data):
    total = len(keys_of(queue))
    target = data.draw(st.integers(1, total))
    stay, go = divide(queue, target)
    assert sorted(keys_of(stay) + keys_of(go)) == sorted(keys_of(queue))
    assert 0 < len(keys_of(go)) <= target


@given(queues(), st.data())
def test_divide_moves_whole_waves_or_a_part_of_the_last(queue, data):
    target = data.draw(st.integers(1, len(keys_of(queue))))
    stay, go = divide(queue, target)
    torn = {request.wave for request in stay} & {request.wave for request in go}
    last = list(dict.fromkeys(request.wave for request in queue))[-1]
    assert torn <= {last}
    assert not torn or {request.wave for request in go} == torn
