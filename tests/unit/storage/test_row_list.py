import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.row_list import EXAMPLES, RowList
from schemas.manifest import BadRow
from schemas.records import Message, RootRow

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
ROWS = st.builds(
    RootRow,
    text=TEXTS,
    system=TEXTS,
    messages=st.lists(
        st.builds(Message, st.sampled_from(["system", "user", "assistant", "text"]), TEXTS),
        max_size=3,
    ).map(tuple),
    reference=st.none() | TEXTS,
    source=st.sampled_from(["a.jsonl:1", "b:2"]),
)


def listed(rows, limit=1 << 20):
    rows_list = RowList(limit)
    for row in rows:
        (rows_list.add_bad if isinstance(row, BadRow) else rows_list.add)(row)
    return rows_list


@given(st.lists(ROWS, max_size=8), st.sampled_from([0, 60, 1 << 20]))
def test_row_list_gives_back_what_was_added(rows, limit):
    found = listed(rows, limit)
    assert len(found) == found.row_count.good == len(rows)
    assert list(found) == rows
    assert [found[index] for index in range(-len(rows), 0)] == rows
    assert found[1:5:2] == rows[1:5:2] and found[::-1] == rows[::-1]
    for index in (len(rows), -len(rows) - 1):
        with pytest.raises(IndexError):
            found[index]


def test_row_list_may_be_read_while_it_is_filled():
    found = RowList(in_memory_bytes=100)
    for number in range(3000):
        found.add(RootRow(f"row {number}"))
        if number % 700 == 0:
            assert found[number].text == f"row {number}"
    assert [row.text for row in found] == [f"row {number}" for number in range(3000)]


def test_row_list_counts_and_keeps_the_first_bad_rows():
    bad = [BadRow(where=f"a:{n}", why="empty") for n in range(EXAMPLES + 5)]
    found = listed([RootRow("x"), *bad])
    assert (found.row_count.good, found.row_count.bad) == (1, len(bad))
    assert list(found.row_count.examples) == bad[:EXAMPLES]


@given(st.lists(ROWS, min_size=1, max_size=4), st.data())
def test_digest_tells_what_rows_say_and_not_where_they_lie(rows, data):
    moved = [
        RootRow(r.text, r.system, r.messages, r.reference, "elsewhere.parquet:9") for r in rows
    ]
    assert listed(rows).digest == listed(moved, 0).digest
    other = data.draw(st.lists(ROWS, min_size=1, max_size=4))
    same = [(r.text, r.system, r.messages, r.reference) for r in other] == [
        (r.text, r.system, r.messages, r.reference) for r in rows
    ]
    assert (listed(rows).digest == listed(other).digest) == same


def test_digest_tells_bad_rows_by_their_place_in_order_and_not_by_their_reasons():
    one, two = RootRow("one"), RootRow("two")
    first, second = BadRow(where="a:2", why="empty"), BadRow(where="b:7", why="found int")
    assert listed([one, first, two]).digest == listed([one, second, two]).digest
    digests = [[one, two], [one, first, two], [first, one, two], [one, first, first, two]]
    assert len({listed(rows).digest for rows in digests}) == len(digests)


def test_row_that_holds_half_a_character_is_refused_and_leaves_no_trace():
    found = listed([RootRow("x")])
    with pytest.raises(UnicodeEncodeError):
        found.add(RootRow("half \ud800"))
    assert found.digest == listed([RootRow("x")]).digest and len(found) == 1
