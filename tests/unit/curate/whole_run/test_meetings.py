import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.curate.shingles import jaccard
from pipeline.curate.whole_run.band_table import CHECK_BITS, band_entries
from pipeline.curate.whole_run.meetings import KeyMeetings, Rarity, ShingleMeetings

SETS = st.lists(st.frozensets(st.integers(0, 30), max_size=14).map(sorted), min_size=1, max_size=12)
"""Shingles of rows; of some, hardly any two differ."""
THRESHOLDS = st.sampled_from([0.7, 0.8, 0.9, 1.0])


def arrays(sets: list[list[int]]) -> list[np.ndarray]:
    return [np.array(some, dtype=np.uint64) for some in sets]


def everywhere(row: int) -> int:
    """One scope for all rows."""
    return 0


@given(SETS, THRESHOLDS, st.booleans())
def test_shingle_meetings_miss_no_pair_whatever_is_known_of_rarity(sets, threshold, counted):
    found = arrays(sets)
    rarity = Rarity()
    for shingles in found if counted else ():
        rarity.add(shingles)
    meetings = ShingleMeetings(
        np.arange(len(found)), found.__getitem__, rarity, threshold, everywhere
    )
    for row, own in enumerate(found):
        before = meetings.before(row).tolist()
        assert before == sorted(before)
        assert set(before) <= set(range(row))
        alike = {other for other in range(row) if jaccard(own, found[other]) >= threshold}
        assert alike <= set(before)
        meetings.keep(row)


def test_shingle_meetings_of_rows_with_a_common_phrase_are_few():
    phrase = list(range(20))
    sets = arrays([[*phrase, *range(100 + 20 * row, 120 + 20 * row)] for row in range(50)])
    rarity = Rarity()
    for shingles in sets:
        rarity.add(shingles)
    meetings = ShingleMeetings(np.arange(50), sets.__getitem__, rarity, 0.8, everywhere)
    for row in range(50):
        assert not len(meetings.before(row))
        meetings.keep(row)


def test_shingle_meetings_know_their_own_rows_only():
    sets = arrays([[1, 2], [1, 2], [1, 2]])
    meetings = ShingleMeetings(np.array([0, 2]), sets.__getitem__, Rarity(), 0.8, everywhere)
    for row in (0, 1):
        meetings.keep(row)
    assert meetings.before(1).tolist() == []
    assert meetings.before(2).tolist() == [0]


def test_shingle_meetings_are_within_a_scope():
    sets = arrays([[1, 2], [1, 2], [], [], [1, 2], []])
    scopes = [7 << 40, 9 << 50, 7 << 40, 9 << 50, 9 << 50, 9 << 50]
    meetings = ShingleMeetings(np.arange(6), sets.__getitem__, Rarity(), 0.8, scopes.__getitem__)
    met = []
    for row in range(6):
        met.append(meetings.before(row).tolist())
        meetings.keep(row)
    assert met == [[], [], [], [], [1], [3]]


KEYED = st.lists(
    st.tuples(st.tuples(st.integers(0, 3), st.integers(4, 7)), st.sampled_from([0, 1, 7])),
    min_size=1,
    max_size=12,
)


@given(KEYED, st.sampled_from([62, 63, 64]), st.sets(st.integers(0, 11)))
def test_key_meetings_are_with_kept_rows_of_a_shared_key(rows, least, kept):
    keys = np.array([some for some, _ in rows], dtype=np.uint64)
    checks = np.array([check for _, check in rows], dtype=np.uint64)
    numbers = 2 * np.arange(len(rows))
    meetings = KeyMeetings(band_entries(keys, checks, numbers, numbers), least)
    assert meetings.rows.tolist() == numbers.tolist()
    for place, (own, check) in enumerate(rows):
        expected = [
            2 * other
            for other in range(place)
            if other in kept
            and set(own) & set(rows[other][0])
            and CHECK_BITS - bin(check ^ rows[other][1]).count("1") >= least
        ]
        assert meetings.before(2 * place).tolist() == expected
        assert meetings.before(2 * place + 1).tolist() == []
        if place in kept:
            meetings.keep(2 * place)
