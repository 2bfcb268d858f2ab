"""Cutting waves into parts."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.pool.parts import FEWEST_TURNS, MOST_TURNS, cut
from tests.measuring import make_turns


@given(st.integers(0, 3000), st.integers(1, 20), st.integers(1, 40))
def test_cut_parts_are_the_same_turns_in_order(count: int, workers: int, family: int):
    turns = make_turns(count, family=family)
    parts = cut("w0", turns, workers)
    found = [part.turns[i] for part in parts for i in range(len(part.turns))]
    assert [turn.node_id for turn in found] == turns.node_ids
    for turn, index in zip(found[::97], range(0, count, 97), strict=True):
        expected = turns[index]
        assert turn.above == expected.above
        assert turn.token_ids.tolist() == expected.token_ids.tolist()


@given(st.integers(1, 3000), st.integers(1, 20))
def test_cut_parts_are_enough_for_all_workers_and_not_too_small(count: int, workers: int):
    sizes = [len(part.turns) for part in cut("w0", make_turns(count), workers)]
    assert max(sizes) <= MOST_TURNS
    assert all(size >= FEWEST_TURNS for size in sizes[:-1])
    assert len(sizes) >= min(workers, count // FEWEST_TURNS) - 1


def test_cut_sends_each_part_only_the_parents_of_its_turns():
    parts = cut("w0", make_turns(1024, family=16), 2)
    assert [len(part.turns.above) for part in parts] == [16] * 4
