"""Parents become requests, and outcomes become rows."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.tree.expand import attach, expand
from pipeline.tree.frontier import frontier_of
from pipeline.tree.identity import node_id
from schemas.node_table import to_table
from schemas.records import KEEP, Completion, Failure, Node
from tests.unit.samples import (
    DIALECT,
    RUN_ID,
    answer,
    by_key,
    grow_level,
    make_run,
    make_spec,
    plant_all,
    plant_some,
)

RUN = make_run(make_spec((3, 2), trees=3))
RULE = RUN.recipe.rule(RUN.spec, 1)
PARENTS = plant_all(RUN)
REQUESTS = expand(RUN, "000000", PARENTS, RULE)
OUTCOMES = answer(REQUESTS, fail_share=0.3)


def rows_of(outcomes):
    return attach(RUN, PARENTS, REQUESTS, by_key(outcomes), RULE)


def table_of(candidates):
    return to_table(RUN_ID, [Node(candidate, KEEP) for candidate in candidates])


@given(st.permutations(OUTCOMES))
def test_attach_gives_equal_tables_whatever_the_order_of_arrival(shuffled):
    assert table_of(rows_of(shuffled)).equals(table_of(rows_of(OUTCOMES)))


@given(st.data())
def test_attach_gives_equal_tables_however_the_pool_cuts_requests(data):
    parts = []
    for request in REQUESTS:
        head = data.draw(st.integers(1, request.n))
        parts += request.cut(head) if head < request.n else [request]
    cut = answer(data.draw(st.permutations(parts)), fail_share=0.3)
    assert table_of(rows_of(cut)).equals(table_of(rows_of(OUTCOMES)))


def test_attach_makes_one_row_of_every_child_in_row_order():
    rows = rows_of(OUTCOMES)
    assert [(row.tree_id, row.path) for row in rows] == [
        (tree, (child,)) for tree in range(3) for child in range(RULE.asked)
    ]
    assert [row.node_id for row in rows] == [node_id(RUN_ID, r.tree_id, r.path) for r in rows]


def test_attach_keeps_failures_as_rows_without_text():
    rows = {(row.parent_id, row.child_index): row for row in rows_of(OUTCOMES)}
    failed = [outcome for outcome in OUTCOMES if isinstance(outcome, Failure)]
    said = [outcome for outcome in OUTCOMES if isinstance(outcome, Completion)]
    assert failed and said
    for outcome in failed:
        row = rows[outcome.key.parent_id, outcome.key.child_index]
        assert (row.failure, row.text, len(row.token_ids)) == ("engine", "", 0)
    for outcome in said:
        row = rows[outcome.key.parent_id, outcome.key.child_index]
        assert (row.failure, row.text) == (None, outcome.text)


def test_expand_asks_with_the_stops_of_the_role_and_without_seeds_where_none_are_promised():
    run = make_run(make_spec((3, 2), guarantee="none"))
    requests = expand(run, "000000", plant_some(run, range(2)), run.recipe.rule(run.spec, 1))
    assert [request.seed for request in requests] == [None, None]
    assert requests[0].sampling.stop_ids == DIALECT.user_stop_ids
    assert len({request.seed for request in REQUESTS} - {None}) == len(REQUESTS)


def test_frontier_holds_kept_nodes_of_levels_that_go_on():
    first = grow_level(RUN, PARENTS, 1)
    kept = [row for row, verdict in first if verdict.kept]
    frontier = frontier_of(RUN, PARENTS, kept[1:])
    assert [parent.node_id for parent in frontier] == [row.node_id for row in kept[1:]]
    second = grow_level(RUN, frontier, 2)
    assert frontier_of(RUN, frontier, [row for row, _ in second]) == []
