"""The whole refinement over small stored runs, against all pairs compared by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.snapshots import latest
from pipeline.verify.drops import drop_defects
from schemas.errors import AlreadyExists, UserError
from tests.memory import forgotten
from tests.planted import (
    ANSWERS,
    QUESTIONS,
    Turn,
    forests,
    id_of,
    kept_conversations,
    kept_turns,
    likeness,
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

FRANCE, FRANCES, FRANCE_AGAIN, SPAIN, BEES = QUESTIONS[:5]


@ALL_PAIRS
@given(
    forests(), st.sampled_from(["openings", "turns"]), st.sampled_from([0.8, 1.0]), st.booleans()
)
@forgotten()
def test_refine_turns_keeps_what_all_pairs_keep(rows, scope, threshold, signed):
    origin = stored(rows, signed=signed)
    snapshot = refined(origin, scopes=[scope], threshold=threshold)
    assert_kept(origin, snapshot, kept_turns(rows, scope, threshold))


@ALL_PAIRS
@given(forests(), st.sampled_from([0.8, 0.95]))
@forgotten()
def test_refine_conversations_keeps_what_all_pairs_keep(rows, threshold):
    origin = stored(rows)
    snapshot = refined(origin, scopes=["conversations"], threshold=threshold)
    assert_kept(origin, snapshot, kept_conversations(rows, threshold))


@ALL_PAIRS
@given(forests())
@forgotten()
def test_refine_exact_drops_equal_texts_only(rows):
    origin = stored(rows)
    snapshot = refined(origin, duplicates="exact", scopes=["turns"])
    dropped = drops_of(origin, snapshot)
    text_of = {id_of(origin.run_file.run_id, row): row.text.strip() for row in rows}
    for node, drop in dropped.items():
        assert drop["reason"] in ("duplicate", "subtree")
        if drop["reason"] == "duplicate":
            assert text_of[node] == text_of[drop["keeper_id"]]
    roles = {id_of(origin.run_file.run_id, row): row.role for row in rows}
    left = [text_of[node] for node in kept_ids(origin, snapshot) if roles[node] == "user"]
    assert len(left) == len(set(left))


@ALL_PAIRS
@given(forests())
@forgotten()
def test_refine_again_drops_nothing_more(rows):
    """Whatever the order of scopes left, it is a fixed point, and no snapshot is made of it."""
    origin = stored(rows)
    every = {"scopes": ["turns", "conversations"]}
    first = refined(origin, **every)
    again = refined(origin._replace(snapshot=first), **every)
    assert again == first
    assert latest(origin.store) == first


@ALL_PAIRS
@given(forests())
@forgotten()
def test_refine_same_settings_from_the_same_snapshot_gives_the_same_list(rows):
    origin = stored(rows)
    first = refined(origin)
    second = refined(origin, attempt="b")
    assert drops_of(origin, first) == drops_of(origin, second)


@ALL_PAIRS
@given(forests(), st.integers(2, 9))
@forgotten()
def test_refine_partitions_do_not_matter(rows, partitions):
    every = {"scopes": ["turns", "conversations"]}
    origins = [stored(rows), stored(rows)]
    first = refined(origins[0], partition_bytes=24 * 25 * len(rows) // partitions + 1, **every)
    second = refined(origins[1], **every)
    assert drops_of(origins[0], first) == drops_of(origins[1], second)


@ALL_PAIRS
@given(forests(2), forests(2))
@forgotten()
def test_refine_against_an_earlier_run_keeps_as_if_it_came_first(before, rows):
    earlier, origin = stored(before, seed=1), stored(rows)
    snapshot = refined(earlier, origin, scopes=["openings"])
    shifted = [row._replace(tree=row.tree + 10) for row in rows]
    own = _kept_after(before, shifted)
    assert_kept(origin, snapshot, [row._replace(tree=row.tree - 10) for row in own])
    for drop in drops_of(origin, snapshot).values():
        assert drop["keeper_run"] in (None, earlier.run_file.run_id)
    assert latest(earlier.store) == earlier.snapshot


def _kept_after(before: list[Turn], shifted: list[Turn]) -> list[Turn]:
    """By hand; all rows of the earlier run stay, so it may repeat itself."""
    kept: list[Turn] = []
    first = [row for row in before if len(row.path) == 1]
    for row in shifted:
        above = (row.tree, row.path[:-1])
        if row.path and above not in [(k.tree, k.path) for k in kept]:
            continue
        earlier = first + [k for k in kept if len(k.path) == 1]
        if len(row.path) == 1 and any(likeness([row], [k]) >= 0.8 for k in earlier):
            continue
        kept.append(row)
    return kept


FRANCE, FRANCES, FRANCE_AGAIN, SPAIN, BEES = QUESTIONS[:5]


def test_refine_dropped_opening_takes_all_below_and_names_its_keeper():
    rows = ordered(forest(dialogue(0, 0, FRANCE, ANSWERS[0]), dialogue(1, 0, FRANCES, ANSWERS[2])))
    origin = stored(rows)
    snapshot = refined(origin, scopes=["openings"])
    run_id = origin.run_file.run_id
    keeper, opening, answer = (id_of(run_id, row) for row in (rows[1], rows[4], rows[5]))
    dropped = drops_of(origin, snapshot)
    assert set(dropped) == {opening, answer}
    assert dropped[opening]["reason"] == "near_duplicate"
    assert dropped[opening]["keeper_id"] == keeper
    assert 0.8 <= dropped[opening]["similarity"] < 1
    assert (dropped[answer]["reason"], dropped[answer]["keeper_id"]) == ("subtree", opening)
    assert dropped[answer]["path"] == [0, 0]
    assert snapshot.refinement is not None
    assert snapshot.refinement.dropped == {"near_duplicate": 1, "subtree": 1}
    assert (snapshot.number, snapshot.refined_from) == (2, 1)
    assert snapshot.shards == origin.snapshot.shards


TOLD = dialogue(0, 0, SPAIN, ANSWERS[0], BEES, ANSWERS[2])
RETOLD = dialogue(1, 0, FRANCE, ANSWERS[0], BEES, ANSWERS[2])


def test_refine_conversation_falls_by_its_last_answer_and_the_rest_stays():
    """What is left is a shorter conversation, less like a beginning of the other one."""
    origin = stored(ordered(forest(TOLD, RETOLD)))
    snapshot = refined(origin, scopes=["conversations"], threshold=0.8)
    run_id = origin.run_file.run_id
    dropped = drops_of(origin, snapshot)
    assert set(dropped) == {id_of(run_id, RETOLD[3])}
    (drop,) = dropped.values()
    assert (drop["reason"], drop["keeper_id"]) == ("conversation", id_of(run_id, TOLD[3]))
    assert 0.8 <= drop["similarity"] < 1


def test_refine_conversation_left_over_falls_too_if_it_repeats_a_beginning():
    origin = stored(ordered(forest(TOLD, RETOLD)))
    snapshot = refined(origin, scopes=["conversations"], threshold=0.75)
    run_id = origin.run_file.run_id
    found = {node: (d["reason"], d["keeper_id"]) for node, d in drops_of(origin, snapshot).items()}
    opening, answer, question, last = (id_of(run_id, row) for row in RETOLD)
    assert found == {
        answer: ("conversation", id_of(run_id, TOLD[1])),
        question: ("subtree", answer),
        last: ("conversation", id_of(run_id, TOLD[3])),
    }
    assert opening in kept_ids(origin, snapshot)
    assert list(drop_defects(origin.store, snapshot)) == []


def test_refine_turn_for_whose_sake_another_fell_is_not_taken_by_a_conversation():
    """A later tree asks the follow-up of the one that repeats, so that one keeps its answer."""
    asks_again = dialogue(2, 0, QUESTIONS[7], ANSWERS[4], BEES, ANSWERS[0])
    first = [row for row in TOLD if row.text != BEES][:2]
    rows = ordered(forest(first, RETOLD, asks_again))
    origin = stored(rows)
    snapshot = refined(origin, scopes=["turns", "conversations"], threshold=0.75)
    run_id = origin.run_file.run_id
    dropped = drops_of(origin, snapshot)
    assert dropped[id_of(run_id, asks_again[2])]["keeper_id"] == id_of(run_id, RETOLD[2])
    assert id_of(run_id, RETOLD[2]) not in dropped
    assert id_of(run_id, RETOLD[1]) not in dropped
    assert_kept(
        origin,
        snapshot,
        kept_conversations(kept_turns(rows, "turns", 0.75), 0.75, pinned=[RETOLD[2]]),
    )


def test_refine_withdrawn_node_is_no_keeper_and_takes_its_subtree():
    rows = ordered(forest(dialogue(0, 0, FRANCE, ANSWERS[0]), dialogue(1, 0, FRANCE, ANSWERS[2])))
    origin = stored(rows)
    ids = [id_of(origin.run_file.run_id, row) for row in rows]
    snapshot = refined(origin, withdrawn=[ids[1]])
    dropped = drops_of(origin, snapshot)
    assert {node: drop["reason"] for node, drop in dropped.items()} == {
        ids[1]: "withdrawn",
        ids[2]: "subtree",
    }
    later = refined(origin._replace(snapshot=snapshot), withdrawn=[ids[1], ids[5]])
    reasons = {node: (d["reason"], d["round"]) for node, d in drops_of(origin, later).items()}
    assert reasons == {
        ids[1]: ("withdrawn", 1),
        ids[2]: ("subtree", 1),
        ids[5]: ("withdrawn", 2),
    }
    assert list(drop_defects(origin.store, later)) == []


REPEATED = ordered(forest(dialogue(0, 0, FRANCE), dialogue(1, 0, FRANCE, ANSWERS[2])))


def test_refine_from_an_earlier_snapshot_takes_over_later_withdrawals():
    origin = stored(REPEATED)
    ids = [id_of(origin.run_file.run_id, row) for row in REPEATED]
    refined(origin, withdrawn=[ids[3]], duplicates="keep")
    for _ in range(2):
        anew = refined(origin, duplicates="keep")
        reasons = {node: drop["reason"] for node, drop in drops_of(origin, anew).items()}
        assert reasons == {ids[3]: "withdrawn", ids[4]: "subtree"}
        assert list(drop_defects(origin.store, anew)) == []


@pytest.mark.parametrize("node", [3, 4])
def test_refine_withdrawal_of_what_fell_before_is_one_and_stays(node):
    origin = stored(REPEATED)
    ids = [id_of(origin.run_file.run_id, row) for row in REPEATED]
    first = refined(origin)
    assert {drop["reason"] for drop in drops_of(origin, first).values()} == {"duplicate", "subtree"}
    second = refined(origin._replace(snapshot=first), withdrawn=[ids[node]])
    drop = drops_of(origin, second)[ids[node]]
    assert (drop["reason"], drop["keeper_id"], drop["round"]) == ("withdrawn", None, 2)
    assert list(drop_defects(origin.store, second)) == []
    again = refined(origin._replace(snapshot=second), withdrawn=[ids[node]])
    assert again == second
    anew = refined(origin, duplicates="keep")
    assert set(drops_of(origin, anew)) == set(ids[node:5])
    assert list(drop_defects(origin.store, anew)) == []


def test_refine_withdrawals_one_below_the_other_are_both_told():
    origin = stored(REPEATED)
    ids = [id_of(origin.run_file.run_id, row) for row in REPEATED]
    snapshot = refined(origin, withdrawn=[ids[2], ids[3], ids[4]])
    reasons = {node: drop["reason"] for node, drop in drops_of(origin, snapshot).items()}
    assert reasons == dict.fromkeys(ids[2:5], "withdrawn")
    assert list(drop_defects(origin.store, snapshot)) == []


def test_refine_unknown_withdrawn_id_is_named():
    origin = stored(forest(dialogue(0, 0, FRANCE)))
    with pytest.raises(UserError, match=r"1 of the 1 ids .*: nobody\."):
        refined(origin, withdrawn=["nobody"])
    assert latest(origin.store) == origin.snapshot


def test_refine_keeper_may_be_withdrawn_later_and_its_repeats_stay_dropped():
    rows = ordered(forest(dialogue(0, 0, FRANCE), dialogue(1, 0, FRANCE)))
    origin = stored(rows)
    ids = [id_of(origin.run_file.run_id, row) for row in rows]
    first = refined(origin)
    second = refined(origin._replace(snapshot=first), withdrawn=[ids[1]])
    assert set(drops_of(origin, second)) == {ids[1], ids[3]}
    assert list(drop_defects(origin.store, second)) == []
    anew = refined(origin, withdrawn=[ids[1]])
    assert (anew.number, anew.refined_from) == (4, 1)
    assert set(drops_of(origin, anew)) == {ids[1]}


def test_refine_from_an_earlier_snapshot_that_drops_nothing_is_a_snapshot():
    origin = stored(forest(dialogue(0, 0, FRANCE), dialogue(1, 0, FRANCE)))
    refined(origin)
    back = refined(origin, duplicates="keep")
    assert (back.number, back.refined_from, back.drops) == (3, 1, None)
    assert len(kept_ids(origin, back)) == 4


def test_refine_against_itself_is_refused():
    origin = stored(forest(dialogue(0, 0, FRANCE)))
    with pytest.raises(UserError, match="itself"):
        refined(origin, origin)


def test_refine_by_cosine_without_vectors_says_why():
    origin = stored(forest(dialogue(0, 0, FRANCE), dialogue(1, 0, BEES)), signed=False)
    with pytest.raises(UserError, match="no stored vectors"):
        refined(origin, cosine=0.9)


def test_refine_lost_race_for_a_number_leaves_no_list_behind():
    origin = stored(forest(dialogue(0, 0, FRANCE), dialogue(1, 0, FRANCE)))

    class Racing:
        """Another refinement seals between the look for a number and our seal."""

        def __init__(self) -> None:
            self.location = origin.store.location
            self.read, self.list, self.delete = (
                origin.store.read,
                origin.store.list,
                origin.store.delete,
            )

        def create(self, name: str, payload: bytes) -> None:
            if name.startswith("snapshots/"):
                other = origin.snapshot.model_copy(update={"number": 2, "guarantee": "none"})
                origin.store.create(name, other.to_bytes())
            origin.store.create(name, payload)

    with pytest.raises(AlreadyExists):
        refined(origin._replace(store=Racing()))
    assert origin.store.list("drops") == []
