"""Verdicts: filters, duplicates, surplus, and what they may depend on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.curate.curate import curate
from pipeline.curate.filters import FILTERS
from schemas.generation_spec import CurationSpec
from schemas.records import to_ids
from tests.unit.samples import DIALECT, make_candidate

TEXTS = ["", "a", " a ", "b", "c", "<user>"]
LEAKY = DIALECT.model_copy(update={"leak_strings": ("<user>",)})


def reasons(candidates, *, fanout=99, **spec):
    verdicts = curate(candidates, fanout=fanout, spec=CurationSpec(**spec), dialect=LEAKY)
    return [verdict.drop_reason for verdict in verdicts]


@st.composite
def waves(draw):
    """A wave in row order: some families of any texts, some failures."""
    level, rows = draw(st.integers(1, 3)), []
    for family in range(draw(st.integers(1, 3))):
        above = (family,) * (level - 1)
        for child in range(draw(st.integers(0, 5))):
            failure = draw(st.sampled_from([None, None, None, "engine"]))
            text = draw(st.sampled_from(TEXTS)) if failure is None else ""
            finish = draw(st.sampled_from(["stop", "stop", "length"]))
            rows.append(
                make_candidate(
                    (*above, child),
                    text,
                    tree_id=family,
                    node_id=f"{family}/{above}/{child}",
                    parent_id=f"{family}/{above}",
                    failure=failure,
                    finish_reason=finish,
                )
            )
    return rows


@given(waves(), st.integers(1, 4), st.sampled_from(["exact", "keep"]))
def test_curate_twice_changes_nothing(rows, fanout, duplicates):
    found = reasons(rows, fanout=fanout, duplicates=duplicates)
    kept = [row for row, reason in zip(rows, found, strict=True) if reason is None]
    assert reasons(kept, fanout=fanout, duplicates=duplicates) == [None] * len(kept)


@given(waves(), st.integers(1, 4))
def test_curate_keeps_no_more_than_the_fanout_and_wastes_no_place(rows, fanout):
    found = reasons(rows, fanout=fanout)
    for parent in {row.parent_id for row in rows}:
        own = [r for row, r in zip(rows, found, strict=True) if row.parent_id == parent]
        assert own.count(None) <= fanout
        assert "surplus" not in own or own.count(None) == fanout
        assert "surplus" not in own[: own.index(None) + 1 if None in own else None]


@given(waves())
def test_curate_keeps_the_first_of_equals_in_their_scope(rows):
    verdicts = curate(rows, fanout=99, spec=CurationSpec(), dialect=LEAKY)
    by_id = {row.node_id: (row, verdict) for row, verdict in zip(rows, verdicts, strict=True)}
    seen = set()
    for row, verdict in by_id.values():
        name = (row.parent_id if row.level > 1 else None, row.text.strip())
        if verdict.drop_reason == "duplicate":
            keeper, kept = by_id[verdict.keeper_id]
            assert kept.kept and keeper.text.strip() == row.text.strip()
            assert (keeper.tree_id, keeper.path) < (row.tree_id, row.path)
            assert name in seen
        elif verdict.kept:
            assert name not in seen
            seen.add(name)


def test_duplicates_at_level_one_are_looked_for_in_the_whole_cohort():
    rows = [
        make_candidate((0,), "same", tree_id=t, node_id=str(t), parent_id=f"r{t}") for t in "01"
    ]
    assert reasons(rows) == [None, "duplicate"]
    assert reasons(rows, duplicates="keep") == [None, None]


def test_duplicates_below_level_one_are_looked_for_among_siblings_only():
    rows = [make_candidate((p, c), "same") for p in (0, 1) for c in (0, 1)]
    assert reasons(rows) == [None, "duplicate", None, "duplicate"]


def test_a_dropped_row_is_nobodys_keeper():
    rows = [
        make_candidate((0,), "same", finish_reason="length"),
        make_candidate((1,), "same", failure="engine"),
        make_candidate((2,), "same"),
        make_candidate((3,), " same\n"),
    ]
    assert reasons(rows) == ["truncated", "failed:engine", None, "duplicate"]


def test_the_first_filter_that_hits_names_the_reason():
    row = make_candidate((0,), " ", finish_reason="length")
    assert reasons([row]) == ["empty"]
    assert reasons([row], filters=["truncated", "empty"]) == ["truncated"]
    assert reasons([row], filters=[]) == [None]


THINKING = LEAKY.model_copy(update={"reasoning_close": (61,)})


@pytest.mark.parametrize(
    ("name", "changes", "dropped"),
    [
        ("empty", {"text": "Hm"}, False),
        ("empty", {"text": ""}, True),
        ("empty", {"text": " \n\t\u2003"}, True),
        ("empty", {"text": "ab", "reasoning_tokens": 2}, True),
        ("empty", {"text": "ab", "reasoning_tokens": 1}, False),
        ("truncated", {}, False),
        ("truncated", {"finish_reason": "length"}, True),
        ("truncated", {"finish_reason": ""}, True),
        ("role_leak", {"text": "The users and <use r>."}, False),
        ("role_leak", {"text": "Fine. <user> And then?"}, True),
        ("role_leak", {"token_ids": to_ids([65, 256, 66])}, True),
        ("role_leak", {"token_ids": to_ids([65, 256, 66]), "reasoning_tokens": 2}, False),
        ("role_leak", {"token_ids": to_ids([65, 258, 66])}, False),
    ],
)
def test_filter_drops_what_it_is_for_and_nothing_else(name, changes, dropped):
    row = make_candidate((0, 0), **{"text": "Yes.", **changes})
    assert FILTERS[name](row, THINKING) == (name if dropped else None)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"text": "<think>Hm"}, "truncated"),
        ({"text": "<think>Hm=Yes.", "reasoning_tokens": 10}, None),
        ({"text": "Yes."}, None),
        ({"text": "<think>", "role": "user"}, None),
    ],
)
def test_reasoning_that_never_closes_is_truncated(changes, reason):
    row = make_candidate((0, 0), **changes)
    dialect = THINKING.model_copy(update={"reasoning_open": "<think>"})
    assert FILTERS["truncated"](row, dialect) == reason


def test_reasoning_that_the_prompt_opened_must_close():
    dialect = THINKING.model_copy(update={"ask_assistant": (*THINKING.ask_assistant, 60)})
    assert FILTERS["truncated"](make_candidate((0, 0), "Hm."), dialect) == "truncated"
    closed = make_candidate((0, 0), "Hm=Yes.", reasoning_tokens=3)
    assert FILTERS["truncated"](closed, dialect) is None
