"""Which rows trees grow from, and how many trees there are."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.recipes import RECIPES
from schemas.generation_spec import GenerationSpec
from schemas.records import RootRow
from tests.golden.methods import ROWS, level, make_method_spec


def picks(spec: GenerationSpec, rows: int) -> list[tuple[int, ...]]:
    """By tree."""
    recipe = RECIPES[spec.recipe]
    return [recipe.picks(spec, rows, tree) for tree in range(recipe.num_trees(spec, rows))]


@pytest.mark.parametrize("method", ["contextual", "self-distill"])
def test_picks_rows_of_data_are_one_tree_each_in_order(method):
    assert picks(make_method_spec(method), 5) == [(0,), (1,), (2,), (3,), (4,)]


@given(trees=st.integers(1, 40), rows=st.integers(1, 12))
def test_picks_more_trees_than_rows_begin_again_and_fewer_stop_early(trees, rows):
    spec = make_method_spec("contextual", roots={"data": {}, "trees": trees})
    assert picks(spec, rows) == [(tree % rows,) for tree in range(trees)]


def test_picks_trees_that_share_a_large_fan_out_grow_from_one_row():
    levels = [level("user", 3000), level("assistant")]
    spec = make_method_spec("tg-sft", roots={"data": {}}, levels=levels, turns={})
    assert picks(spec, 2) == [(0,)] * 3 + [(1,)] * 3
    assert RECIPES["tg-sft"].rule(spec, 1).fanout == 1000


@pytest.mark.parametrize("method", ["magpie", "context-free", "tg-pt", "topics"])
def test_picks_nothing_to_grow_from_is_one_empty_row(method):
    assert picks(make_method_spec(method), 1) == [(0,)]


def drawn(seed: int, rows: int, trees: int, examples: int = 3) -> list[tuple[int, ...]]:
    roots = {"data": {}, "trees": trees, "examples": examples}
    return picks(make_method_spec("rehearsal", roots=roots, seed=seed), rows)


@given(st.integers(0, 2**63 - 1), st.integers(1, 30), st.integers(1, 8))
def test_picks_rehearsal_draws_different_rows_for_a_tree(seed, rows, examples):
    for found in drawn(seed, rows, 4, examples):
        assert len(set(found)) == len(found) == min(rows, examples)
        assert set(found) <= set(range(rows))


def test_picks_rehearsal_depend_on_seed_and_tree_only():
    first, again, other = drawn(1, 1000, 50), drawn(1, 1000, 80)[:50], drawn(2, 1000, 50)
    assert first == again
    assert len(set(first)) == len(set(other)) == 50
    assert not set(first) & set(other)


def test_picks_rehearsal_draws_all_rows_alike():
    times = Counter(row for found in drawn(3, 10, 2000) for row in found)
    # 600 each are expected, with a deviation of about 20.
    assert all(500 < times[row] < 700 for row in range(10))


def unfit(method: str) -> dict[str, str]:
    """What each row of the small data set lacks, by what it asks."""
    bare = RootRow("What flies?")
    reasons = {row.source: RECIPES[method].unfit(row) for row in [*ROWS, bare]}
    return {source: reason for source, reason in reasons.items() if reason is not None}


@pytest.mark.parametrize("method", ["self-distill", "rehearsal"])
def test_unfit_rows_lack_the_reference(method):
    assert unfit(method) == {"": f"no reference, which recipe {method} needs"}


@pytest.mark.parametrize("method", ["tg-sft", "tg-pt", "magpie", "topics"])
def test_unfit_rows_are_conversations_where_a_text_is_needed(method):
    said = f"a conversation, but recipe {method} needs a text"
    assert unfit(method) == {"rows.jsonl:4": said}


def test_unfit_rows_to_answer_are_none():
    assert unfit("contextual") == {}
