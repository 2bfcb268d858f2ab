"""A conversation's ids are what the model saw and sampled, and each turn's place is known."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dialects.derive import derive_dialect
from pipeline.dialects.spelling import TokenizerSpeller
from pipeline.dialects.tokenizer import load_tokenizer
from pipeline.sft.rows.path_ids import is_whole_last_only, learned_ids, path_ids
from pipeline.tree.conversations import conversations, messages, passage, said_between
from pipeline.tree.frontier import grown, prompt_of
from pipeline.tree.identity import prompt_hash
from pipeline.tree.roots import plant, root_candidate, root_parents
from schemas.records import Message, Opening, RootRow, to_ids
from tests.unit.dialects.chat_shapes import SHAPES, build
from tests.unit.samples import DIALECT, grow, make_candidate, make_run, make_spec, rows_of

THINK, CLOSE, END = 60, (61, 62), 258
DIALECTS = {
    "as history": DIALECT,
    "strips": DIALECT.model_copy(update={"reasoning_close": CLOSE}),
    "opens": DIALECT.model_copy(
        update={"reasoning_close": CLOSE, "ask_assistant": (*DIALECT.ask_assistant, THINK)}
    ),
}
ANSWER = {"role": "assistant", "fanout": 2, "oversample": 1, "max_tokens": 60}
QUESTION = {**ANSWER, "role": "user"}
TEXT = {**ANSWER, "role": "text"}
SAYS = {**ANSWER, "say": "Name one."}
SPECS = {
    "tg-sft": {},
    "says": {"recipe": "topics", "levels": [SAYS, SAYS, SAYS]},
    "contextual": {"recipe": "contextual", "levels": [ANSWER, QUESTION, ANSWER, QUESTION]},
    "text": {"recipe": "tg-pt", "roots": {"trees": 1}, "levels": [TEXT, TEXT, TEXT]},
}
FRAMES = [
    RootRow("Why?"),
    RootRow(messages=(Message("system", "Be brief."), Message("user", "Why?"))),
    RootRow(messages=tuple(map(Message, ("user", "assistant", "user"), ("Why?", "So.", "Oh?")))),
]


def run_of(name, dialect=DIALECT):
    spec = make_spec((2, 2, 1, 1), curation={"filters": ["empty"]}, **SPECS[name])
    return replace(make_run(spec), dialects=(dialect,))


def prompt_before(run, root, path):
    """What the frontier asks the last turn of a path from."""
    parent = root_parents(run, [root])[0]
    for node in path[1:-1]:
        parent = grown(run, parent, node)
    return prompt_of(run, parent, run.rules[path[-1].level - 1])


@st.composite
def turns(draw, run, depth):
    """A path of turns with any ids, some of which are reasoning, down to a level."""
    path = []
    for level in range(1, depth + 1):
        role = run.rules[level - 1].role
        ids = draw(st.lists(st.integers(0, 255), max_size=6))
        thinks = role == "assistant" and run.dialects[0].reasoning_close
        path.append(
            make_candidate(
                (0,) * level,
                role=role,
                token_ids=to_ids(ids),
                stop_id=draw(st.sampled_from([None, END, 259])),
                reasoning_tokens=draw(st.integers(0, len(ids))) if thinks else 0,
            )
        )
    return path


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
@pytest.mark.parametrize("name", SPECS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_ids_are_the_prompt_of_the_last_turn_the_turn_and_its_end(name, dialect, data):
    run = run_of(name, dialect)
    rows = FRAMES if name == "contextual" else rows_of(run.spec)
    root = plant(run, [data.draw(st.sampled_from(rows))], [0])[0]
    depth = data.draw(st.integers(1, len(run.rules)))
    path = [root_candidate(run, root), *data.draw(turns(run, depth))]
    found, leaf = path_ids(run, root, path), path[-1]
    prompt = prompt_before(run, root, path)
    end = [] if leaf.stop_id is None else [leaf.stop_id]
    assert found.ids.dtype == np.int32
    assert found.ids.tolist() == [*prompt.tolist(), *leaf.token_ids.tolist(), *end]
    assert found.ids[: found.opening].tolist() == root.opening(0, 0).ids.tolist()
    for node, (start, stop, ended) in zip(path[1:], found.spans, strict=True):
        visible = node.token_ids if node is leaf else node.token_ids[node.reasoning_tokens :]
        assert found.ids[start:stop].tolist() == visible.tolist()
        assert not ended or found.ids[stop] == node.stop_id
        if node is leaf:
            assert ended == (node.stop_id is not None)
        else:
            assert ended == (node.stop_id == END and node.role != "text")


@pytest.mark.parametrize("name", SPECS)
def test_every_turn_of_a_run_stands_behind_the_prompt_it_was_sampled_from(name):
    run = run_of(name)
    roots = plant(run, rows_of(run.spec), range(run.trees))
    kept = [node for node, verdict in grow(run, truncate_share=0.3) if verdict.kept]
    walks = list(conversations(kept))
    assert walks
    for path in walks:
        found = path_ids(run, roots[path[0].tree_id], path)
        for node, (start, stop, ended) in zip(path[1:], found.spans, strict=True):
            assert prompt_hash(found.ids[:start]) == node.prompt_hash
            assert found.ids[start:stop].tolist() == node.token_ids.tolist()
            went_on = node.role == "text" and node is not path[-1]
            assert ended == (node.stop_id is not None and not went_on)
    ends = {node.stop_id for path in walks for node in path[1:]}
    assert ends == {None, END}


def test_texts_are_the_passages_that_are_exported():
    run = run_of("text")
    root = plant(run, rows_of(run.spec), [0])[0]
    shown = Opening(to_ids([*root.opening(0, 0).ids, 7]), "text")
    at_level = replace(root, openings={**root.openings, (2, 0): shown})
    text = make_candidate((0,), "One", role="text", stop_id=END)
    path = [root_candidate(run, root), text, replace(text, path=(0, 0))]
    for some in (path, path[:2]):
        found = path_ids(run, at_level, some)
        assert found.ids.tolist() == passage(run, at_level, some).token_ids.tolist()
        assert found.opening == len(at_level.opening(len(some) - 1, 0).ids)


def test_what_was_given_stands_as_history_has_it():
    run = run_of("contextual", DIALECTS["opens"])
    root = plant(run, FRAMES, [0])[0]
    path = [root_candidate(run, root), make_candidate((0,), "So.", role="assistant")]
    asked = path_ids(run, root, path).ids.tolist()
    given_one = path_ids(run, root, [path[0], replace(path[1], origin="given")]).ids.tolist()
    assert asked == [*asked[:-4], THINK, *b"So."]
    assert given_one == [*asked[:-4], *b"So."]


def test_turns_of_models_with_different_ids_have_none():
    run = replace(run_of("tg-sft"), tongues=(0, 1), dialects=(DIALECT, DIALECTS["strips"]))
    root = plant(run_of("tg-sft"), rows_of(run.spec), [0])[0]
    path = [make_candidate(()), make_candidate((0,)), make_candidate((0, 0), model_index=1)]
    assert path_ids(run, root, path) is None
    assert path_ids(run, root, path[:2]) is not None


@pytest.mark.parametrize(
    ("dialect", "changes", "expected"),
    [
        ("as history", {}, False),
        ("strips", {}, False),
        ("strips", {"reasoning_tokens": 1}, True),
        ("opens", {}, True),
        ("opens", {"role": "user"}, False),
        ("opens", {"origin": "given"}, False),
        ("strips", {"origin": "rewritten", "reasoning_tokens": 1}, True),
    ],
)
def test_answers_that_history_changes_are_whole_at_the_end_only(dialect, changes, expected):
    run = run_of("tg-sft", DIALECTS[dialect])
    node = make_candidate((0, 0), **{"role": "assistant", **changes})
    assert is_whole_last_only(run, node) == expected


QUESTION_IDS, ANSWER_IDS = [*b"Why?"], [*b"So."]


def learned_of(everything, *learns, stop_ids=(END, END)):
    """What is learned of a question and an answer below `cats`, with all other ids as 0."""
    run = run_of("tg-sft")
    root = plant(run, rows_of(run.spec), [0])[0]
    path = [
        root_candidate(run, root),
        make_candidate((0,), "Why?", stop_id=stop_ids[0]),
        make_candidate((0, 0), "So.", stop_id=stop_ids[1]),
    ]
    found = path_ids(run, root, path)
    return np.where(learned_ids(found, learns, everything=everything), found.ids, 0).tolist()


CATS = [*b"cats", 256]
NOTHING = [0] * len(CATS)


def test_learned_ids_are_those_of_the_turn_and_its_terminator():
    no_answer, no_question = [0] * 4, [0] * 4
    assert learned_of(False, True, True, False) == [*NOTHING, *QUESTION_IDS, END, 0, *no_answer]
    assert learned_of(False, False, False, True) == [
        *NOTHING, *no_question, 0, 0, *ANSWER_IDS, END
    ]  # fmt: skip
    assert learned_of(False, True, True, True, stop_ids=(None, None)) == [
        *NOTHING, *QUESTION_IDS, 0, 0, *ANSWER_IDS
    ]  # fmt: skip
    assert learned_of(False, True, True, False, stop_ids=(7, END))[9] == 0


def test_learned_ids_of_everything_are_what_each_node_adds():
    first = [0, *CATS[1:]]
    assert learned_of(True, True, False, False) == [*first, *([0] * 10)]
    assert learned_of(True, False, True, False) == [*NOTHING, *QUESTION_IDS, END, *([0] * 5)]
    assert learned_of(True, False, False, True) == [*NOTHING, *([0] * 5), 257, *ANSWER_IDS, END]
    assert learned_of(True, True, True, True) == [*first, *QUESTION_IDS, END, 257, *ANSWER_IDS, END]


words = st.lists(
    st.sampled_from(["Why", "trees", "grow", "7", "and 1984", "日本", "éa."]),
    min_size=1,
    max_size=4,
).map(" ".join)


@pytest.fixture(scope="module")
def tokenizer_of(tmp_path_factory):
    """The tokenizer of a shape, loaded as those of real models are."""

    def load(name):
        folder = tmp_path_factory.mktemp(name)
        build(SHAPES[name]).save_pretrained(folder)
        return load_tokenizer(str(folder))

    return load


@pytest.mark.parametrize("name", ["bytes", "chatml", "qwen25", "llama3", "mistral_system"])
def test_ids_are_those_of_the_template_where_it_keeps_history(name, tokenizer_of):
    tokenizer = tokenizer_of(name)
    dialect = derive_dialect(tokenizer)
    speller = TokenizerSpeller(tokenizer, dialect)
    run = replace(run_of("tg-sft", dialect), spellers=(speller,))
    roots = plant(run, rows_of(run.spec), [0])

    @settings(max_examples=25, deadline=None)
    @given(texts=st.lists(words, min_size=2, max_size=4).filter(lambda said: len(said) % 2 == 0))
    def equal(texts):
        path = [root_candidate(run, roots[0])]
        for level, text in enumerate(texts, start=1):
            role = run.rules[level - 1].role
            stops = dialect.user_stop_ids if role == "user" else dialect.assistant_stop_ids
            ids = speller.ids(text)
            path.append(
                make_candidate((0,) * level, text, role=role, token_ids=ids, stop_id=stops[0])
            )
        found = path_ids(run, roots[0], path)
        said = messages(roots[0], path, said_between(run))
        whole = tokenizer.apply_chat_template(
            [{"role": role, "content": text} for role, text in said], return_dict=False
        )
        assert found.ids.tolist() == whole[: len(found.ids)]
        assert not tokenizer.decode(whole[len(found.ids) :]).strip()
        assert all(span.ended for span in found.spans[1::2])

    equal()
