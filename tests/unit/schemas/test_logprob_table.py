"""The table of the most likely tokens: what goes in comes out, and what was changed is refused."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import logprob_table
from schemas.errors import CorruptData, SpecError
from schemas.logprob_table import (
    LOGPROB_SCHEMA,
    check_logprob_table,
    from_logprob_table,
    to_logprob_table,
)
from schemas.records import Candidate, TopLogprobs, to_ids


def make_top(positions: int, k: int, seed: int = 0) -> TopLogprobs:
    rng = np.random.default_rng(seed)
    shape = positions, k
    return TopLogprobs(
        rng.integers(0, 50_000, shape, dtype=np.int32),
        -rng.random(shape, dtype=np.float32),
        rng.random(positions, dtype=np.float32),
    )


def make_candidate(name: str, top: TopLogprobs | None) -> Candidate:
    return Candidate(0, name, "parent", (0,), "user", to_ids([]), "", top=top)


tops = st.builds(make_top, st.integers(0, 5), st.integers(1, 4), st.integers(0, 99))


def plain(top: TopLogprobs) -> list:
    return [(part.dtype, part.shape, part.tolist()) for part in top]


@given(st.dictionaries(st.text(), st.none() | tops, max_size=8), st.integers(0, 8))
def test_table_holds_the_candidates_that_have_some_and_gives_them_back(given_tops, cut):
    table = to_logprob_table([make_candidate(name, top) for name, top in given_tops.items()])
    assert table.schema.equals(LOGPROB_SCHEMA, check_metadata=True)
    # In several chunks, as large files come.
    table = pa.concat_tables([table.slice(0, cut), table.slice(cut)])
    check_logprob_table(table, name="x")
    expected = {name: plain(top) for name, top in given_tops.items() if top is not None}
    found = [(name, plain(top)) for name, top in from_logprob_table(table)]
    assert found == list(expected.items())


def changed(column: str, values: list) -> pa.Table:
    """A table of two candidates with one column changed in its second row."""
    rows = [make_candidate("a", make_top(2, 3)), make_candidate("b", make_top(1, 2))]
    table = to_logprob_table(rows)
    index = table.column_names.index(column)
    data = [table.column(column)[0].as_py(), values]
    return table.set_column(index, column, pa.array(data, table.schema.field(column).type))


@pytest.mark.parametrize(
    ("column", "values", "complaint"),
    [
        ("ids", [1], "column ids of row 1 holds 1 numbers, expected 2"),
        ("logprobs", [-1.0] * 3, "column logprobs of row 1 holds 3 numbers, expected 2"),
        ("tail", [], "column tail of row 1 holds 0 numbers, expected 1"),
        ("tail", None, "column tail of row 1 holds None numbers"),
        ("k", 1, "column ids of row 1 holds 2 numbers, expected 1"),
        ("positions", None, "column ids of row 1"),
        ("logprobs", [-1.0, None], "column logprobs lacks numbers"),
    ],
)
def test_check_refuses_lists_that_do_not_fit(column, values, complaint):
    with pytest.raises(CorruptData, match=f"shard: {complaint}"):
        check_logprob_table(changed(column, values), name="shard")


def test_check_of_some_columns_looks_at_what_is_there():
    check_logprob_table(changed("ids", [1]).select(["node_id", "ids"]), name="shard")
    with pytest.raises(CorruptData):
        check_logprob_table(changed("ids", [1]).select(["k", "positions", "ids"]), name="shard")


def test_table_of_more_numbers_than_a_column_holds_says_what_to_lower(monkeypatch):
    monkeypatch.setattr(logprob_table, "MAX_NUMBERS", 10)
    row = make_candidate("a", make_top(2, 5))
    assert to_logprob_table([row]).num_rows == 1
    with pytest.raises(SpecError, match=r"2 turns has 20 .* at most 10; lower top_logprobs"):
        to_logprob_table([row, replace(row, node_id="b")])
