"""Ids and seeds follow from places."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.tree.identity import node_id, prompt_hash, seed_base, unit_draw
from schemas.generation_spec import MAX_FANOUT
from schemas.records import to_ids
from schemas.wave_id import WaveId

TREES = st.integers(0, 2**40)
PATHS = st.lists(st.integers(0, 64 * MAX_FANOUT), max_size=6).map(tuple)
PLACES = st.tuples(st.text("0123456789abcdef", min_size=1, max_size=16), TREES, PATHS)
LARGEST_CHILD = 64 * MAX_FANOUT
"""The highest oversampling of the highest fan-out."""


@given(st.lists(PLACES, unique=True, max_size=20))
def test_node_id_and_seed_differ_for_different_places(places):
    assert len({node_id(*place) for place in places}) == len(places)
    assert len({seed_base(*place) for place in places}) == len(places)


@given(PLACES)
def test_seed_differs_by_kind_and_leaves_room_for_every_child(place):
    turn, judge = seed_base(*place), seed_base(*place, kind="judge")
    assert turn != judge
    assert turn >= 0 and turn + LARGEST_CHILD < 2**63


def test_identity_never_changes_between_versions():
    assert node_id("run", 0, ()) == "677ca7b97fb0b7da6844025b45b10b88"
    assert node_id("run", 3, (1, 2)) == "dd2e0be8da7d67fcb7702520917fb1d8"
    assert seed_base("run", 3, (1, 2)) == 3102272993009589700
    assert unit_draw("run", 3, (1,), "turns") == 0.5261080878255981
    assert prompt_hash(to_ids([1, 2, 300])) == "e32f21cb3773797f18f1b6db36f359df"


@given(st.lists(PLACES, min_size=2, max_size=2, unique=True))
def test_unit_draw_is_a_share_that_belongs_to_the_place(places):
    first, second = (unit_draw(*place, "turns") for place in places)
    assert 0 <= first < 1 and first != second
    assert first == unit_draw(*places[0], "turns")


@given(st.lists(st.integers(0, 2**31 - 1)))
def test_prompt_hash_depends_on_the_ids_alone(ids):
    padded = to_ids([0, *ids])
    assert prompt_hash(padded[1:]) == prompt_hash(to_ids(ids)) != prompt_hash(padded)


WAVES = st.builds(
    lambda cohort, blocks: WaveId((cohort, *blocks)),
    st.integers(0, 10**7),
    st.lists(st.integers(0, 10**5), max_size=5),
)


@given(WAVES)
def test_wave_name_reads_back(wave):
    assert WaveId.parse(wave.name) == wave


@given(st.sets(WAVES, max_size=20))
def test_wave_names_differ(waves):
    assert len({wave.name for wave in waves}) == len(waves)


@given(WAVES, st.integers(0, 100))
def test_wave_block_is_one_level_below_its_parent(wave, index):
    block = wave.block(index)
    assert block.parent == wave
    assert (block.level, block.cohort) == (wave.level + 1, wave.cohort)
