"""Turns carry what a filter may look at, and are cut without changing any."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.judging import measured_rows, sampled
from pipeline.tree.expand import attach, expand
from pipeline.tree.frontier import frontier_of
from pipeline.tree.prompt import visible_text
from pipeline.tree.turns import turns_of
from tests.unit.samples import (
    DIALECT,
    answer,
    by_key,
    make_candidate,
    make_run,
    make_spec,
    plant_some,
)

RUN = make_run(make_spec((3, 2)))


def second_level(fail_share=0.3):
    """The parents and the candidates of a wave of answers."""
    roots = plant_some(RUN, range(2))
    rule = RUN.recipe.rule(RUN.spec, 1)
    requests = expand(RUN, "wave", roots, rule)
    parents = frontier_of(RUN, roots, attach(RUN, roots, requests, by_key(answer(requests)), rule))
    rule = RUN.recipe.rule(RUN.spec, 2)
    requests = expand(RUN, "below", parents, rule)
    outcomes = by_key(answer(requests, fail_share=fail_share))
    return parents, attach(RUN, parents, requests, outcomes, rule)


PARENTS, CANDIDATES = second_level()
TURNS = turns_of(RUN, PARENTS, sampled(CANDIDATES))


def plain(turn):
    return (*turn[:3], turn.token_ids.tolist(), *turn[4:])


def test_turns_are_the_sampled_candidates_with_the_texts_above_them():
    said = {parent.node_id: parent.said for parent in PARENTS}
    there = sampled(CANDIDATES)
    assert 0 < len(there) < len(CANDIDATES)
    for index, candidate in enumerate(there):
        turn = TURNS[index]
        assert (turn.node_id, turn.text, turn.role) == (
            candidate.node_id,
            candidate.text,
            "assistant",
        )
        assert turn.token_ids.tolist() == candidate.token_ids.tolist()
        assert turn.above == said[candidate.parent_id]
        assert turn.above[0] in ("cats", "dogs")
        assert len(turn.above) == 2


@given(st.integers(0, len(TURNS)), st.integers(0, len(TURNS)))
def test_a_part_holds_the_same_turns(start, stop):
    part = TURNS.part(start, max(start, stop))
    whole = [plain(TURNS[i]) for i in range(start, max(start, stop))]
    assert [plain(part[i]) for i in range(len(part))] == whole


def test_measured_rows_skip_failures():
    rows = measured_rows(CANDIDATES)
    there = [row for row in rows if row >= 0]
    assert there == list(range(len(sampled(CANDIDATES))))
    assert [row < 0 for row in rows] == [c.failure is not None for c in CANDIDATES]


def test_reasoning_is_not_visible():
    dialect = DIALECT.model_copy(update={"reasoning_end": "</think>"})
    thought = make_candidate((0, 0), "<think>hm</think>\n\nYes.", reasoning_tokens=9)
    assert visible_text(thought, dialect) == "Yes."
    assert visible_text(make_candidate((0, 0), "No </think> here"), dialect) == "No </think> here"
