"""Repeats: groups around keepers, and that shards may be cut anywhere between waves."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.repeats import RepeatTally, bands

TYPES = {
    "drop_reason": pa.string(),
    "keeper_id": pa.string(),
    "similarity": pa.float32(),
    "role": pa.string(),
    "text": pa.large_string(),
}


def table(rows):
    columns = list(zip(*rows, strict=True)) or [()] * len(TYPES)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, TYPES.values(), strict=True)]
    return pa.table(arrays, schema=pa.schema(TYPES))


def fell(reason, keeper, alike, text="again"):
    return (reason, keeper, alike, "user", text)


def shout(role, text):
    return text.upper()


def test_repeats_are_grouped_by_keeper_and_shown_as_readers_may():
    tally = RepeatTally()
    first = [fell("duplicate", "a", 1.0), fell("near_duplicate", "a", 0.9, "nearly")]
    tally.add(table([*first, fell("surplus", "a", 0.3), fell("truncated", None, None)]), "000000")
    tally.add(table([fell("near_duplicate", "b", 0.85)]), "000001")
    assert tally.keepers() == {"a": "000000", "b": "000001"}
    found = tally.groups({"a": "said"}, shout)
    assert (found.dropped, found.keepers, found.sizes) == (3, 2, {1: 1, 2: 1})
    assert [group.keeper_id for group in found.largest] == ["a", "b"]
    assert {text for _, text in found.largest[0].said_again} == {"AGAIN", "NEARLY"}
    assert {reason: sum(counts) for reason, counts in found.similarities.items()} == {
        "duplicate": 1,
        "near_duplicate": 2,
        "surplus": 1,
    }
    assert found.similarities["surplus"][6] == 1 and found.similarities["duplicate"][19] == 1


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["duplicate", "surplus", "judge"]),
        st.sampled_from([None, "a", "b", "c"]),
        st.floats(0, 1, width=32) | st.none(),
        st.just("user"),
        st.just("text"),
    ),
    max_size=20,
)


@given(st.lists(ROWS, max_size=4))
def test_repeats_count_every_turn_with_a_keeper_once(waves):
    tally = RepeatTally()
    for number, rows in enumerate(waves):
        tally.add(table(rows), f"{number:06d}")
    found = tally.groups({}, shout)
    repeats = [row for rows in waves for row in rows if row[1] and row[0] != "surplus"]
    assert found.dropped == len(repeats)
    assert sum(size * keepers for size, keepers in found.sizes.items()) == len(repeats)
    alike = [row for rows in waves for row in rows if row[1] and row[2] is not None]
    assert sum(map(sum, found.similarities.values())) == len(alike)
    assert sum(number for _, number in bands(found.sizes)) == found.keepers


def test_bands_double():
    sizes = {1: 5, 2: 3, 3: 1, 4: 1, 9: 2}
    assert bands(sizes) == [("1", 5), ("2", 3), ("3-4", 2), ("5-8", 0), ("9-16", 2)]
