"""Walks from root to leaf, and what readers see along them."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.tree.conversations import conversations, messages, passage, said_between
from pipeline.tree.identity import prompt_hash
from schemas.records import Message, RootRow
from tests.unit.samples import DIALECT, grow, make_candidate, make_run, make_spec, plant_all

ALIKE = {"fanout": 2, "oversample": 1, "max_tokens": 60}
TEXTS = make_spec(
    curation={"filters": ["empty"]},
    recipe="tg-pt",
    roots={"trees": 1},
    levels=[{"role": "text", **ALIKE}, {"role": "text", **ALIKE}],
)
ANSWERS = make_spec(
    recipe="topics",
    roots={"trees": 1},
    levels=[
        {"role": "assistant", "say": "Name an area.", **ALIKE},
        {"role": "assistant", "say": "Name one within it.", **ALIKE},
    ],
)


def tree(*paths, role="system", **changes):
    root = make_candidate((), "", parent_id=None, role=role)
    return [root, *(make_candidate(path, str(path), **changes) for path in paths)]


def paths_of(rows):
    return [walk[-1].path for walk in conversations(rows)]


def kept_of(run, **settings):
    return [row for row, verdict in grow(run, **settings) if verdict.kept]


def test_conversation_ends_with_the_last_kept_answer():
    rows = tree((0,), (0, 0), (0, 0, 0), (0, 1), (0, 1, 0), (0, 1, 0, 0), (1,))
    assert paths_of(rows) == [(0, 0), (0, 1, 0, 0)]


def test_conversation_leaves_out_what_hangs_below_a_dropped_node():
    assert paths_of(tree((0, 0), (1,), (1, 0))) == [(1, 0)]


def test_conversations_of_nothing_are_none():
    assert paths_of(tree()) == paths_of([]) == paths_of(tree((0,))) == []
    assert paths_of(tree(role="text")) == paths_of(tree(role="user")) == []


def test_every_continuation_without_another_is_a_leaf():
    rows = tree((0,), (0, 0), (0, 1), (1,), role="text")
    texts = [make_candidate(row.path, row.text, role="text") for row in rows[1:]]
    assert paths_of([rows[0], *texts]) == [(0, 0), (0, 1), (1,)]


KEPT = kept_of(make_run(make_spec((2, 2, 2, 1))))


@given(st.permutations(KEPT))
def test_conversations_do_not_depend_on_the_order_of_rows(shuffled):
    walks = list(conversations(shuffled))
    assert [[n.node_id for n in w] for w in walks] == [
        [n.node_id for n in w] for w in conversations(KEPT)
    ]
    assert {walk[-1].node_id for walk in walks} == {n.node_id for n in KEPT if n.level == 4}
    for walk in walks:
        assert [node.level for node in walk] == list(range(len(walk)))


def test_messages_begin_with_the_whole_frame_and_not_with_the_roots_row():
    run = make_run(
        make_spec(recipe="contextual", roots={"trees": 1}, levels=[{"role": "assistant", **ALIKE}])
    )
    frame = (
        Message("system", "Be brief."),
        Message("user", "Why?"),
        Message("assistant", "So."),
        Message("user", "And then?"),
    )
    root = plant_all(run, [RootRow(messages=frame)])[0].root
    path = [
        make_candidate((), "And then?", role="user"),
        make_candidate((0,), "Then that.", role="assistant"),
    ]
    said = messages(root, path, said_between(run))
    assert said == [*frame, Message("assistant", "Then that.")]


def test_messages_have_what_the_run_says_before_each_turn_of_a_level():
    run = make_run(ANSWERS)
    root = plant_all(run)[0].root
    for path in conversations(kept_of(run)):
        assert messages(root, path, said_between(run)) == [
            Message("user", "Name an area."),
            Message("assistant", path[1].text),
            Message("user", "Name one within it."),
            Message("assistant", path[2].text),
        ]


def test_passage_is_what_the_model_saw_and_sampled():
    run = make_run(TEXTS)
    root = plant_all(run)[0].root
    walks = list(conversations(kept_of(run, truncate_share=0.5)))
    assert len(walks) == 4
    for path in walks:
        text, ids = passage(run, root, path)
        leaf = path[-1]
        ended = leaf.stop_id is not None
        assert prompt_hash(ids[: len(ids) - len(leaf.token_ids) - ended]) == leaf.prompt_hash
        assert ids[0] == DIALECT.start[0]
        body = ids[1 : len(ids) - ended]
        assert (
            bytes(body.tolist()).decode()
            == text
            == root.frame[0].text + "".join(node.text for node in path[1:])
        )
        assert not ended or ids[-1] == leaf.stop_id
    assert {path[-1].stop_id for path in walks} == {None, DIALECT.text_stop_ids[0]}


def test_passage_of_models_with_different_ids_has_none():
    run = make_run(TEXTS)
    root = plant_all(run)[0].root
    two = type(run)(**{**{f: getattr(run, f) for f in run.__dataclass_fields__}, "tongues": (0, 1)})
    path = [
        make_candidate((), "", role="text"),
        make_candidate((0,), " One", role="text", model_index=1),
        make_candidate((0, 0), " two.", role="text"),
    ]
    assert passage(two, root, path) == (f"{root.frame[0].text} One two.", None)
