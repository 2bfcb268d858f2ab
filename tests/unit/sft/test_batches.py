"""Batches: padding, what stays with each row, and how steps are dealt out."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sft.training.batches import Collator, counts, learned
from pipeline.sft.training.steps import Steps
from tests.sft_rows import make_rows


def numbered(rows):
    return [row | {"row": index} for index, row in enumerate(rows)]


def row(ids, labels, part=0, **more):
    return {"input_ids": ids, "labels": labels, "part": part, "row": 7} | more


def test_rows_are_padded_at_the_right():
    batch = Collator(9)([row([1, 2, 3], [-100, 2, 3]), row([4, 5], [-100, 5], part=1)])
    assert batch["input_ids"].tolist() == [[1, 2, 3], [4, 5, 9]]
    assert batch["labels"].tolist() == [[-100, 2, 3], [-100, 5, -100]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch["part"].tolist() == [0, 1] and batch["row"].tolist() == [7, 7]


def test_counts_are_of_learned_ids_that_something_predicts():
    batch = Collator(9)([row([1, 2, 3], [1, 2, 3]), row([4, 5], [-100, 5], part=2)])
    assert counts([batch, batch], 3).tolist() == [4, 0, 2]
    assert counts([Collator(9)([])], 3).tolist() == [0, 0, 0]


def test_targets_stand_in_the_order_of_learned_ids_of_rows_that_have_them():
    targets = {
        "target_at": [1, 3],
        "target_ids": [10, 11, 30, 31],
        "target_logprobs": [-1.0, -2.0, -3.0, -4.0],
        "target_tail": [0.5, 0.25],
    }
    narrow = {
        "target_at": [2],
        "target_ids": [20],
        "target_logprobs": [-5.0],
        "target_tail": [0.125],
    }
    rows = [
        row([1, 2, 3, 4], [-100, 2, 3, 4], part=1, **targets),
        row([5, 6, 7], [-100, 6, 7]),
        row([8, 9, 1], [-100, -100, 1], part=1, **narrow),
    ]
    batch = Collator(0, frozenset({1}))(rows)
    assert batch["target_ids"].tolist() == [[10, 11], [30, 31], [20, -1]]
    assert batch["target_logprobs"].tolist() == [[-1, -2], [-3, -4], [-5, -torch.inf]]
    assert batch["target_tail"].tolist() == [0.5, 0.25, 0.125]
    assert learned(batch).tolist() == [
        [True, False, True],
        [True, True, False],
        [False, True, False],
    ]


def test_distributions_of_ids_that_are_not_learned_are_left_out():
    targets = {
        "target_at": [1, 2],
        "target_ids": [10, 20],
        "target_logprobs": [-1.0, -2.0],
        "target_tail": [0.5, 0.25],
    }
    batch = Collator(0, frozenset({0}))([row([1, 2, 3], [-100, -100, 3], **targets)])
    assert batch["target_ids"].tolist() == [[20]] and batch["target_tail"].tolist() == [0.25]


@pytest.mark.parametrize("k", [1, 4])
def test_every_learned_id_of_a_stored_row_has_its_distribution(k):
    rows = numbered(make_rows(6, k=k, part=1))
    batch = Collator(0, frozenset({1}))(rows)
    assert len(batch["target_tail"]) == int(learned(batch).sum()) > 0
    first = batch["target_ids"][0].tolist()
    at = rows[0]["target_at"][0]
    assert first == rows[0]["target_ids"][:k] and batch["labels"][0, at] == rows[0]["labels"][at]


shapes = st.builds(
    Steps,
    rows=st.integers(1, 200),
    batch_rows=st.integers(1, 5),
    accumulate=st.integers(1, 4),
    processes=st.integers(1, 4),
    at_most=st.none() | st.integers(1, 20),
)


@given(shapes)
def test_every_row_is_taken_once_and_in_its_step(steps):
    dealt = [steps.batches(process) for process in range(steps.processes)]
    assert len({len(batches) for batches in dealt}) == 1
    taken = sorted(row for batches in dealt for batch in batches for row in batch)
    assert taken == list(range(steps.rows_used))
    for batches in dealt:
        for index, batch in enumerate(batches):
            assert len(batch) <= steps.batch_rows
            assert {row // steps.rows_a_step for row in batch} <= {index // steps.accumulate}


@given(shapes)
def test_steps_are_as_many_as_rows_and_limit_allow(steps):
    whole = -(-steps.rows // steps.rows_a_step)
    assert len(steps) == min(whole, steps.at_most or whole)
    assert -(-len(steps.batches(0)) // steps.accumulate) == len(steps)


def test_nothing_is_changed_in_the_rows_that_come_in():
    rows = [row(np.array([1, 2, 3]), np.array([-100, 2, 3]), part=0)]
    targets = {name: [] for name in ("target_at", "target_ids", "target_logprobs", "target_tail")}
    batch = Collator(0, frozenset({0}))([rows[0] | targets])
    assert not learned(batch).any() and rows[0]["labels"].tolist() == [-100, 2, 3]
