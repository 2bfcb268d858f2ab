"""The order of a mixture: its shares hold from the first row on, and its passes are kept."""

from collections import Counter
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sft.rows.mix import Ingredient, blend
from schemas.errors import SpecError
from schemas.sft_spec import MixSpec

lengths = st.lists(st.integers(2, 60), min_size=1, max_size=40)
ingredients = st.lists(st.tuples(lengths, st.integers(1, 20)), min_size=1, max_size=5)
quick = settings(max_examples=50, deadline=None)


def parts_of(found, passes=1.0):
    return [
        Ingredient(f"part{number}", np.array(sizes), float(share), passes)
        for number, (sizes, share) in enumerate(found)
    ]


def sizes_of(parts, order, by):
    if by == "rows":
        return np.ones(len(order.row), np.int64)
    return np.array([parts[p].lengths[r] for p, r in zip(order.part, order.row, strict=True)])


def amount_of(parts, by):
    """So much that no part runs out in 1,000 passes."""
    smallest = min(1000 * (len(p.lengths) if by == "rows" else p.lengths.sum()) for p in parts)
    return int(min(400, smallest))


@quick
@given(found=ingredients, by=st.sampled_from(["rows", "tokens"]), seed=st.integers(0, 2**32 - 1))
def test_every_prefix_is_as_near_to_the_shares_as_one_row_of_each_part_allows(found, by, seed):
    parts = parts_of(found, passes=1000.0)
    order = blend(parts, MixSpec(by=by, amount=amount_of(parts, by), seed=seed))
    sizes, total = sizes_of(parts, order, by), sum(part.share for part in parts)
    longest = [1 if by == "rows" else int(part.lengths.max()) for part in parts]
    taken = np.cumsum(sizes)
    for number, part in enumerate(parts):
        ahead = np.cumsum(sizes * (order.part == number)) - taken * part.share / total
        assert ahead.max() <= longest[number] + 1e-6
        assert -ahead.min() <= sum(longest) - longest[number] + 1e-6


@quick
@given(
    found=ingredients,
    by=st.sampled_from(["rows", "tokens"]),
    passes=st.sampled_from([0.3, 1.0, 2.5, 7.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_row_is_taken_more_often_than_its_part_allows(found, by, passes, seed):
    first, *others = parts_of(found, passes=passes)
    parts = [first, *(other._replace(passes=1e6) for other in others)]
    order = blend(parts, MixSpec(by=by, seed=seed))
    taken = Counter(zip(order.part.tolist(), order.row.tolist(), strict=True))
    of_first = [taken[0, row] for row in range(len(first.lengths))]
    assert max(of_first) <= ceil(passes)
    assert min(of_first) >= int(passes)
    assert sum(of_first) == max(1, int(passes * len(first.lengths) + 1e-9))
    for number in range(len(parts)):
        counts = [taken[number, row] for row in range(len(parts[number].lengths))]
        assert max(counts) - min(counts) <= 1


@quick
@given(found=ingredients, seed=st.integers(0, 2**32 - 1))
def test_order_is_the_same_every_time(found, seed):
    parts, mix = parts_of(found, passes=1e5), MixSpec(by="rows", amount=50, seed=seed)
    one, other = blend(parts, mix), blend(parts, mix)
    assert one.part.tolist() == other.part.tolist()
    assert one.row.tolist() == other.row.tolist()


@pytest.mark.parametrize("amount", [1, 7, 100, 333])
def test_amount_of_rows_is_met_and_of_tokens_by_the_row_that_reaches_it(amount):
    parts = parts_of([([5, 9, 20], 3), ([7, 30], 1)], passes=100)
    assert len(blend(parts, MixSpec(by="rows", amount=amount)).row) == amount
    order = blend(parts, MixSpec(by="tokens", amount=amount))
    sizes = sizes_of(parts, order, "tokens")
    assert sizes.sum() >= amount > sizes[:-1].sum()


def test_seed_and_pass_decide_the_order_of_rows():
    part = parts_of([([3] * 50, 1)], passes=2)
    first, second = (blend(part, MixSpec(seed=seed)).row.tolist() for seed in (0, 1))
    assert first != second
    assert first[:50] != first[50:]
    assert sorted(first[:50]) == sorted(first[50:]) == list(range(50))


def test_parts_of_the_same_size_are_shuffled_differently():
    order = blend(parts_of([([3] * 50, 1), ([3] * 50, 1)]), MixSpec())
    assert order.row[order.part == 0].tolist() != order.row[order.part == 1].tolist()


def test_another_part_leaves_the_order_of_the_first_as_it_is():
    task, replay = ([4, 5, 6, 7] * 5, 1), ([3] * 90, 2)
    alone = blend(parts_of([task]), MixSpec(by="rows"))
    mixed = blend(parts_of([task, replay]), MixSpec(by="rows"))
    assert mixed.row[mixed.part == 0].tolist() == alone.row.tolist()


def test_shuffle_never_changes_with_what_is_installed():
    order = blend(parts_of([([1] * 6, 2), ([1] * 4, 1)]), MixSpec(by="rows", seed=7))
    assert order.part.tolist() == [0, 1, 0, 0, 1, 0, 0, 1, 0]
    assert order.row.tolist() == [1, 2, 2, 4, 3, 3, 5, 1, 0]


def test_without_an_amount_the_first_parts_passes_decide():
    parts = parts_of([([10] * 10, 1), ([10] * 100, 3)])
    order = blend(parts, MixSpec(by="tokens"))
    assert Counter(order.part.tolist()) == {0: 10, 1: 30}


def test_ratio_that_cannot_be_met_is_refused_with_its_numbers():
    parts = parts_of([([300] * 120, 1), ([75] * 119 + [76], 1)])
    expected = (
        r"parts.part1: it has 120 rows of 9,001 tokens, .* 1 times as much; the mixture needs "
        r"36,000 tokens of it, which is 4.00 passes. Raise its `passes`, lower its `share`"
    )
    with pytest.raises(SpecError, match=expected):
        blend(parts, MixSpec(by="tokens"))


def test_amount_beyond_the_rows_of_a_part_is_refused():
    with pytest.raises(SpecError, match=r"it has 4 rows, .* needs 9 rows of it, which is 2.25"):
        blend(parts_of([([5] * 4, 1)]), MixSpec(by="rows", amount=9))


def test_as_much_as_there_is_to_within_half_a_row_is_enough():
    parts = parts_of([([10, 10, 11], 1), ([10, 10, 10], 1)])
    assert len(blend(parts, MixSpec(by="tokens")).row) == 6


def test_part_without_rows_is_refused():
    with pytest.raises(SpecError, match=r"parts.part1: no row is left"):
        blend(parts_of([([5], 1), ([], 1)]), MixSpec())
