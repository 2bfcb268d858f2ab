"""Tail masses, and the made-up distributions of scripted turns."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engines.scripted_author import VOCAB_SIZE, Turn
from pipeline.engines.scripted_logprobs import TOKEN_LOGPROB, scripted_top_logprobs
from pipeline.engines.top_logprobs import tail_mass
from schemas.records import to_ids


def test_tail_mass_is_what_the_row_leaves_and_never_below_zero():
    rows = np.log(np.asarray([[0.5, 0.25], [0.5, 0.5], [0.6, 0.5]], np.float32))
    tail = tail_mass(rows)
    assert tail.dtype == np.float32
    assert tail == pytest.approx([0.25, 0.0, 0.0], abs=1e-7)
    assert (tail >= 0).all()


def test_tail_mass_keeps_a_tail_that_is_small_beside_one():
    (tail,) = tail_mass(np.asarray([[np.log1p(-1e-6)]], np.float32))
    assert tail == pytest.approx(1e-6, rel=1e-3)


def test_tail_mass_without_positions_is_empty():
    assert tail_mass(np.empty((0, 5), np.float32)).shape == (0,)


@given(
    st.lists(st.integers(0, VOCAB_SIZE - 1), max_size=8),
    st.none() | st.integers(0, VOCAB_SIZE - 1),
    st.integers(1, VOCAB_SIZE),
)
def test_scripted_top_logprobs_are_a_distribution_with_the_written_token_first(ids, stop_id, top):
    found = scripted_top_logprobs(Turn(to_ids(ids), "", "stop", stop_id), top)
    written = ids if stop_id is None else [*ids, stop_id]
    assert found.ids.shape == found.logprobs.shape == (len(written), top)
    assert found.ids[:, 0].tolist() == written
    assert (found.logprobs[:, 0] == np.float32(TOKEN_LOGPROB)).all()
    assert all(len(set(row)) == top for row in found.ids.tolist())
    mass = np.exp(found.logprobs.astype(np.float64)).sum(axis=1) + found.tail
    assert mass == pytest.approx(np.ones(len(written)), abs=1e-6)
