"""Refinement by what trees grow from: texts, prompts, our own messages."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.pool.tasks import LocalTasks
from pipeline.refine.loop import Asked, Origin, refine
from pipeline.verify.drops import drop_defects
from schemas.errors import CorruptData
from schemas.manifest import Snapshot
from schemas.refine_spec import RefineSpec
from tests.memory import forgotten
from tests.planted import (
    ANSWERS,
    PROMPTS,
    QUESTIONS,
    REPLIES,
    Turn,
    continued_texts,
    id_of,
    kept_conversations,
    kept_turns,
    prompted_forests,
)
from tests.refining import (
    ALL_PAIRS,
    assert_kept,
    dialogue,
    drops_of,
    forest,
    kept_ids,
    ordered,
    refined,
    stored,
)

FRANCE = QUESTIONS[0]
PARIS, NEARLY = REPLIES[-2:]


@ALL_PAIRS
@given(continued_texts(), st.sampled_from([0.8, 1.0]), st.booleans())
@forgotten()
def test_refine_continued_texts_keeps_what_all_pairs_keep(rows, threshold, signed):
    origin = stored(rows, signed=signed)
    snapshot = refined(origin, scopes=["openings"], threshold=threshold)
    assert_kept(origin, snapshot, kept_turns(rows, "openings", threshold))
    snapshot = refined(origin, scopes=["conversations"], threshold=threshold)
    assert_kept(origin, snapshot, kept_conversations(rows, threshold))


def test_refine_text_to_be_continued_is_no_conversation():
    said: list[str] = []
    origin = stored([Turn(0, (), "Some facts:", "text"), Turn(0, (0,), PARIS, "text")])
    refine([origin], Asked(RefineSpec()), LocalTasks(), attempt="a", note=said.append)
    assert "comparing 1 conversations and their beginnings" in said


@ALL_PAIRS
@given(prompted_forests(), st.sampled_from([0.7, 0.95]), st.booleans())
@forgotten()
def test_refine_answers_to_prompts_keeps_what_all_pairs_of_one_prompt_keep(rows, threshold, signed):
    origin = stored(rows, signed=signed)
    snapshot = refined(origin, threshold=threshold)
    assert_kept(origin, snapshot, kept_conversations(rows, threshold))


@ALL_PAIRS
@given(prompted_forests())
@forgotten()
def test_refine_answers_to_prompts_exact_drops_equal_ones_to_one_prompt(rows):
    """Stand-ins have no signatures of their own, and meet all the same."""
    origin = stored(rows)
    snapshot = refined(origin, duplicates="exact")
    assert_kept(origin, snapshot, kept_conversations(rows, 2.0))


def topics(*texts: str, stand_ins: Sequence[int] = ()) -> list[Turn]:
    """A tree for each, whose opening is an assistant's; some of these were given."""
    trees = [
        [Turn(n, (), "On things."), Turn(n, (0,), text, "assistant", n in stand_ins)]
        for n, text in enumerate(texts)
    ]
    return [row for rows in trees for row in rows]


def fallen(origin: Origin, rows: Sequence[Turn], snapshot: Snapshot) -> dict[int, str]:
    """Reasons by tree."""
    dropped = drops_of(origin, snapshot)
    ids = {id_of(origin.run_file.run_id, row): row.tree for row in rows}
    return {ids[node]: drop["reason"] for node, drop in dropped.items()}


def test_refine_openings_of_assistants_are_compared_over_all_trees():
    rows = topics(PARIS, NEARLY, ANSWERS[2], PARIS)
    origin = stored(rows)
    snapshot = refined(origin, scopes=["openings"], threshold=0.75)
    assert fallen(origin, rows, snapshot) == {1: "near_duplicate", 3: "duplicate"}


def test_refine_opening_that_stands_in_falls_only_if_it_says_the_very_same():
    rows = topics(PARIS, NEARLY, ANSWERS[2], PARIS, stand_ins=[1, 3])
    origin = stored(rows)
    snapshot = refined(origin, scopes=["openings"], threshold=0.75)
    assert fallen(origin, rows, snapshot) == {3: "duplicate"}
    sampled = refined(origin._replace(snapshot=origin.snapshot), duplicates="exact")
    assert fallen(origin, rows, sampled) == {3: "duplicate"}


def test_refine_by_cosine_leaves_out_what_was_given():
    rows = topics(PARIS, PARIS, PARIS, stand_ins=[1])
    origin = stored(rows)
    snapshot = refined(origin, duplicates="keep", cosine=0.95)
    assert fallen(origin, rows, snapshot) == {2: "similar"}


def prompted(tree: int, prompt: str, answer: str, *, stands_in: bool = False) -> list[Turn]:
    return [
        Turn(tree, (), prompt, "user"),
        Turn(tree, (0,), answer, "assistant", stands_in),
    ]


def test_refine_answers_to_prompts_says_that_openings_are_compared_as_conversations():
    said: list[str] = []
    for rows in (forest(dialogue(0, 0, FRANCE)), prompted(0, PROMPTS[0], "Yes.")):
        origin = stored(rows)
        refine([origin], Asked(RefineSpec()), LocalTasks(), attempt="a", note=said.append)
    assert [line for line in said if "prompt" in line] == [
        "in 1 of 1 trees the openings answer prompts: these are compared as conversations only, "
        "with answers to the very same prompt"
    ]


def test_refine_answers_to_prompts_may_be_compared_with_those_of_an_earlier_run():
    before = [*prompted(0, PROMPTS[1], "Yes."), *prompted(1, PROMPTS[0], "No.")]
    rows = [*prompted(0, PROMPTS[0], "Yes."), *prompted(1, PROMPTS[0], "No.")]
    earlier, origin = stored(before, seed=1), stored(rows)
    snapshot = refined(earlier, origin)
    assert fallen(origin, rows, snapshot) == {1: "conversation"}
    (drop,) = drops_of(origin, snapshot).values()
    assert drop["keeper_id"] == id_of(earlier.run_file.run_id, before[3])
    assert list(drop_defects(origin.store, snapshot)) == []


def test_refine_prompt_that_no_root_table_holds_is_named():
    origin = stored(prompted(0, PROMPTS[0], "Yes."))
    shards = [entry for entry in origin.snapshot.shards if entry.table != "roots"]
    snapshot = origin.snapshot.model_copy(update={"shards": tuple(shards)})
    with pytest.raises(CorruptData, match="tree 0 grows from a prompt, which no root table holds"):
        refined(origin._replace(snapshot=snapshot))


@pytest.mark.parametrize("biases", [(), ("temperature 0.5",)])
def test_refine_drop_list_is_one_of_the_biases_once(biases):
    origin = stored(ordered(forest(dialogue(0, 0, FRANCE), dialogue(1, 0, FRANCE))))
    fair = origin._replace(snapshot=origin.snapshot.model_copy(update={"biases": biases}))
    first = refined(fair)
    assert first.biases == (*biases, "drop list")
    second = refined(fair._replace(snapshot=first), withdrawn=[kept_ids(origin, first)[-1]])
    assert second.biases == (*biases, "drop list")
    assert list(drop_defects(origin.store, second)) == []


def test_refine_that_drops_nothing_adds_no_bias():
    origin = stored(forest(dialogue(0, 0, FRANCE), dialogue(1, 0, FRANCE)))
    fair = origin._replace(snapshot=origin.snapshot.model_copy(update={"biases": ()}))
    refined(fair)
    back = refined(fair, duplicates="keep")
    assert (back.refined_from, back.drops, back.biases) == (1, None, ())


def test_refine_makes_no_claim_for_a_run_that_claims_no_fair_sample():
    origin = stored(forest(dialogue(0, 0, FRANCE), dialogue(1, 0, FRANCE)))
    assert refined(origin).biases is None
