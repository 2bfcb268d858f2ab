"""Which turns are learned where: all of them once, and caps, cuts and seeds as asked."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sft.rows.linearise import Order, linearise
from pipeline.tree.conversations import conversations
from schemas.sft_spec import LineariseSpec
from tests.unit.samples import make_candidate

THINKS = 3
"""How many tokens of reasoning a turn has that only its own row can teach."""

quick = settings(max_examples=80, deadline=None)
losses = st.sampled_from(["answers", "turns", "all"])
eaches = st.sampled_from(["node", "leaf"])
rounds = st.one_of(
    st.none(), st.integers(1, 3), st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple)
)
caps = st.one_of(st.none(), st.integers(1, 4))


def make(tree, path, role, **changes):
    place = f"{tree}/{path}"
    return make_candidate(
        path,
        place,
        tree_id=tree,
        node_id=place,
        parent_id=f"{tree}/{path[:-1]}" if path else None,
        role=role,
        **changes,
    )


@st.composite
def kept_rows(draw, trees=2):
    """Kept rows of some trees: dialogues, or plain texts, of any shape, some of which think."""
    kept = []
    for tree in draw(st.lists(st.integers(0, 9), min_size=1, max_size=trees, unique=True)):
        kind = draw(st.sampled_from(["system", "user", "text"]))
        kept.append(make(tree, (), kind))
        edge = [()]
        for level in range(1, draw(st.integers(1, 5)) + 1):
            asks = (level % 2 == 1) == (kind == "system")
            role = "text" if kind == "text" else "user" if asks else "assistant"
            edge = [(*path, 2 * child) for path in edge for child in range(draw(st.integers(0, 2)))]
            for path in edge:
                thinks = role == "assistant" and draw(st.integers(0, 3)) == 0
                kept.append(make(tree, path, role, reasoning_tokens=THINKS if thinks else 0))
    return kept


def rows_of(kept, *, loss="answers", seed=0, last_only=None, **spec):
    order = Order(
        LineariseSpec(**spec),
        loss,
        f"run/{seed}",
        last_only or (lambda node: node.reasoning_tokens == THINKS),
    )
    return list(linearise(conversations(kept), order))


def carries(node, loss):
    return loss == "all" or (node.level > 0 and (loss == "turns" or node.role != "user"))


def places(rows):
    return [(row.path[-1].tree_id, row.path[-1].path) for row in rows]


def learned(rows):
    return Counter(
        node.node_id
        for row in rows
        for node, learns in zip(row.path, row.learns, strict=True)
        if learns
    )


def said(node):
    return bool(node.level) and node.role != "user"


@quick
@given(kept=kept_rows(), loss=losses)
def test_every_turn_is_learned_in_just_one_row_and_the_first_that_can(kept, loss):
    rows = rows_of(kept, loss=loss)
    there = {n.node_id: n for path in conversations(kept) for n in path if carries(n, loss)}
    assert learned(rows) == Counter(there.keys())
    seen = set()
    for row in rows:
        assert len(row.learns) == len(row.path)
        assert row.learns[-1]
        for node, learns in zip(row.path, row.learns, strict=True):
            is_last = node is row.path[-1]
            able = carries(node, loss) and (is_last or node.reasoning_tokens != THINKS)
            assert learns == (able and node.node_id not in seen)
            seen |= {node.node_id} if learns else set()


@quick
@given(kept=kept_rows(), loss=losses, each=eaches, turns=rounds, cap=caps, seed=st.integers(0, 9))
def test_rows_are_in_order_and_each_ends_in_a_place_of_its_own(kept, loss, each, turns, cap, seed):
    spec = {"each": each, "turns": turns, "per_opening": cap, "seed": seed, "loss": loss}
    rows = rows_of(kept, **spec)
    assert all(before < after for before, after in pairwise(places(rows)))
    whole = {n.node_id: path for path in conversations(kept) for n in path}
    for row in rows:
        assert said(row.path[-1]) and row.learns[-1]
        assert list(row.path) == whole[row.path[-1].node_id][: len(row.path)]
        for node, learns in zip(row.path[:-1], row.learns, strict=False):
            assert not learns or (carries(node, loss) and node.reasoning_tokens != THINKS)
    if each == "node":
        assert set(learned(rows).values()) <= {1}


@quick
@given(kept=kept_rows(), loss=losses)
def test_leaves_are_whole_conversations_with_all_turns_learned(kept, loss):
    rows = rows_of(kept, loss=loss, each="leaf", last_only=lambda node: False)
    assert [list(row.path) for row in rows] == list(conversations(kept))
    assert all(row.learns == tuple(carries(n, loss) for n in row.path) for row in rows)


@quick
@given(kept=kept_rows(), loss=losses)
def test_leaves_leave_reasoning_in_the_middle_to_a_row_of_its_own(kept, loss):
    rows = rows_of(kept, loss=loss, each="leaf")
    leaves = {path[-1].node_id: path for path in conversations(kept)}
    for row in rows:
        if row.path[-1].node_id in leaves:
            may = [carries(n, loss) and n.reasoning_tokens != THINKS for n in row.path[:-1]]
            assert row.learns == (*may, True)
        else:
            assert row.path[-1].reasoning_tokens == THINKS
            assert row.learns == (*(False for _ in row.path[1:]), True)
    thinking = {n.node_id for path in leaves.values() for n in path if n.reasoning_tokens == THINKS}
    assert {row.path[-1].node_id for row in rows} == leaves.keys() | thinking


@quick
@given(kept=kept_rows(), each=eaches, turns=st.integers(1, 3))
def test_cut_rows_have_so_many_answers_or_end_with_their_dialogue(kept, each, turns):
    rows = rows_of(kept, each=each, turns=turns, last_only=lambda node: False)
    leaves = {path[-1].node_id for path in conversations(kept)}
    for row in rows:
        answers = sum(map(said, row.path))
        assert answers == turns or (answers < turns and row.path[-1].node_id in leaves)
    expected = {
        node.node_id
        for path in conversations(kept)
        for number, node in enumerate(filter(said, path), start=1)
        if number <= turns
    }
    assert learned(rows).keys() == expected


@quick
@given(kept=kept_rows(), each=eaches, turns=rounds, cap=st.integers(1, 4), seed=st.integers(0, 9))
def test_openings_have_at_most_so_many_rows_chosen_from_all(kept, each, turns, cap, seed):
    spec = {"each": each, "turns": turns, "seed": seed}
    every, some = places(rows_of(kept, **spec)), places(rows_of(kept, per_opening=cap, **spec))
    asked = {n.tree_id for n in kept if not n.level and n.role == "user"}
    opening = {(tree, path): (tree, () if tree in asked else path[:1]) for tree, path in every}
    assert set(some) <= set(every)
    full, left = Counter(opening.values()), Counter(opening[place] for place in some)
    assert left == Counter({name: min(cap, count) for name, count in full.items()})


@quick
@given(kept=kept_rows(trees=3), turns=rounds, cap=caps, each=eaches)
def test_rows_of_a_tree_do_not_depend_on_the_other_trees(kept, turns, cap, each):
    spec = {"turns": turns, "per_opening": cap, "each": each}
    alone = [
        row
        for tree in sorted({node.tree_id for node in kept})
        for row in rows_of([node for node in kept if node.tree_id == tree], **spec)
    ]
    assert rows_of(kept, **spec) == alone
    assert rows_of(kept[::-1], **spec) == alone


def broad(openings, answers=1, rounds_below=1):
    """One tree with many openings, each with dialogues of two rounds."""
    kept = [make(0, (), "system")]
    for i in range(openings):
        kept += [make(0, (i,), "user")]
        for j in range(answers):
            kept += [make(0, (i, j), "assistant")]
            for k in range(rounds_below):
                kept += [make(0, (i, j, k), "user"), make(0, (i, j, k, 0), "assistant")]
    return kept


def test_several_lengths_share_the_leaves_evenly_and_by_seed():
    kept = broad(600)
    lengths = [len(row.path) for row in rows_of(kept, turns=(1, 2))]
    assert len(lengths) == 600
    assert 240 < lengths.count(3) < 360
    assert lengths == [len(row.path) for row in rows_of(kept, turns=(1, 2))]
    assert lengths != [len(row.path) for row in rows_of(kept, turns=(1, 2), seed=1)]


def test_which_rows_a_cap_leaves_depends_on_the_seed_and_favours_none():
    kept = broad(1, answers=4)
    counts = Counter(
        place for seed in range(400) for place in places(rows_of(kept, per_opening=1, seed=seed))
    )
    assert len(counts) == 4
    assert all(60 < count < 140 for count in counts.values())


@pytest.mark.parametrize("each", ["node", "leaf"])
def test_dialogues_that_are_the_same_once_cut_are_one_row(each):
    rows = rows_of(broad(2, answers=2, rounds_below=3), each=each, turns=1)
    assert places(rows) == [(0, (i, j)) for i in range(2) for j in range(2)]


def test_a_cut_that_falls_on_reasoning_is_a_whole_row_still():
    kept = broad(1, rounds_below=40)
    thinking = replace(kept[2], reasoning_tokens=THINKS)
    rows = rows_of([*kept[:2], thinking, *kept[3:]], each="leaf", loss="turns", turns=(1, 2))
    assert rows[0].path[-1] is thinking and rows[0].learns == (False, True, True)
    assert {row.learns for row in rows[1:]} == {(False, True, False, True, True)}
