"""Walks from root to leaf."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.tree.conversations import conversations
from tests.unit.samples import grow, make_candidate, make_run, make_spec


def tree(*paths):
    root = make_candidate((), "", parent_id=None, role="system")
    return [root, *(make_candidate(path, str(path)) for path in paths)]


def paths_of(rows):
    return [walk[-1].path for walk in conversations(rows)]


def test_conversation_ends_with_the_last_kept_answer():
    rows = tree((0,), (0, 0), (0, 0, 0), (0, 1), (0, 1, 0), (0, 1, 0, 0), (1,))
    assert paths_of(rows) == [(0, 0), (0, 1, 0, 0)]


def test_conversation_leaves_out_what_hangs_below_a_dropped_node():
    assert paths_of(tree((0, 0), (1,), (1, 0))) == [(1, 0)]


def test_conversations_of_nothing_are_none():
    assert paths_of(tree()) == paths_of([]) == paths_of(tree((0,))) == []


KEPT = [row for row, verdict in grow(make_run(make_spec((2, 2, 2, 1)))) if verdict.kept]


@given(st.permutations(KEPT))
def test_conversations_do_not_depend_on_the_order_of_rows(shuffled):
    walks = list(conversations(shuffled))
    assert [[n.node_id for n in w] for w in walks] == [
        [n.node_id for n in w] for w in conversations(KEPT)
    ]
    assert {walk[-1].node_id for walk in walks} == {n.node_id for n in KEPT if n.level == 4}
    for walk in walks:
        assert [node.level for node in walk] == list(range(len(walk)))
