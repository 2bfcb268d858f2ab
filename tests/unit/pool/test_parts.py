"""Cutting waves into parts."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.pool.parts import PART_TURNS, cut
from tests.measuring import make_turns


@given(st.integers(0, 3000), st.integers(1, 40))
def test_cut_parts_are_the_same_turns_in_order(count: int, family: int):
    turns = make_turns(count, family=family)
    parts = cut("w0", turns)
    found = [part.turns[i] for part in parts for i in range(len(part.turns))]
    assert [turn.node_id for turn in found] == turns.node_ids
    for turn, index in zip(found[::97], range(0, count, 97), strict=True):
        expected = turns[index]
        assert turn.above == expected.above
        assert turn.reference == expected.reference
        assert turn.tongue == expected.tongue
        assert turn.token_ids.tolist() == expected.token_ids.tolist()


@given(st.integers(1, 3000))
def test_cut_parts_are_of_one_size_but_the_last(count: int):
    sizes = [len(part.turns) for part in cut("w0", make_turns(count))]
    assert set(sizes[:-1]) <= {PART_TURNS}
    assert 0 < sizes[-1] <= PART_TURNS


def test_cut_sends_each_part_only_the_parents_of_its_turns():
    parts = cut("w0", make_turns(1024, family=16))
    assert [len(part.turns.above) for part in parts] == [8] * 8
