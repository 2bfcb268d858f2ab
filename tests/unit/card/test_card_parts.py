"""The parts of a card: what is drawn, what is escaped, what the front matter says."""

import re
from itertools import pairwise

import pyarrow as pa
import pytest
import yaml
from datasets import Features
from hypothesis import given
from hypothesis import strategies as st

from pipeline.card.front_matter import features, size_category
from pipeline.card.markdown import block, code, plain, table
from pipeline.card.papers import papers_of
from pipeline.card.sample import Sample
from pipeline.card.shown import said_in
from pipeline.recipes import RECIPES
from pipeline.storage.exports import MESSAGES_SCHEMA, TEXT_SCHEMA, preference_schema
from schemas.node_table import NODE_SCHEMA


@pytest.mark.parametrize(
    "schema",
    [
        MESSAGES_SCHEMA,
        TEXT_SCHEMA,
        preference_schema(chats=True),
        preference_schema(chats=False),
        NODE_SCHEMA,
    ],
    ids=["messages", "text", "chats", "texts", "nodes"],
)
def test_features_are_spelled_as_datasets_spells_them(schema: pa.Schema):
    own = features(schema)
    assert own == Features.from_arrow_schema(schema)._to_yaml_list()
    assert Features._from_yaml_list(yaml.safe_load(yaml.safe_dump(own))).arrow_schema == (
        Features.from_arrow_schema(schema).arrow_schema
    )


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (0, "n<1K"),
        (999, "n<1K"),
        (1_000, "1K<n<10K"),
        (999_999, "100K<n<1M"),
        (10**9, "1B<n<10B"),
        (10**12, "n>1T"),
    ],
)
def test_size_category_is_the_one_of_the_hub(rows: int, said: str):
    assert size_category(rows) == said


@given(st.text())
def test_no_text_ends_the_block_it_stands_in(text: str):
    lines = block(text).split("\n")
    fence = lines[0].removesuffix("text")
    assert lines[-1] == fence and len(fence) >= 3
    assert not any(re.match(rf"\s*{fence}", line) for line in lines[1:-1])


@given(st.text(), st.text())
def test_no_text_makes_another_cell_or_line_of_a_table(one: str, other: str):
    rows = table(("a", "b"), [(code(one), plain(other))]).split("\n")
    assert len(rows) == 3
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", rows[2])) == 3


def test_marks_that_turn_a_text_around_are_spelled_out():
    assert plain("a\u202eb") == "a\\\\u202eb" and code("a\x1b[31m") == "`a\\x1b[31m`"


ROWS = st.lists(
    st.text("0123456789abcdef", min_size=8, max_size=8), unique=True, min_size=1, max_size=60
)


@given(ROWS, st.lists(st.integers(0, 60), max_size=4), st.integers(1, 20))
def test_sample_is_the_same_however_the_rows_come(ids: list[str], cuts: list[int], size: int):
    whole = pa.table({"leaf_id": ids, "number": list(range(len(ids)))})
    drawn = Sample("text", size)
    for first, last in pairwise([0, *sorted(min(cut, len(ids)) for cut in cuts), len(ids)]):
        drawn.add(whole.slice(first, last - first))
    expected = sorted(whole.to_pylist(), key=lambda row: row["leaf_id"])[:size]
    assert drawn.rows == expected


def test_preferences_show_the_pair_or_else_some_answers():
    row = {
        "prompt": [{"role": "user", "content": "Why?"}],
        "completions": [{"content": "So."}, {"content": "No."}, {"content": "Well."}],
        "chosen": [{"role": "assistant", "content": "So."}],
        "rejected": [{"role": "assistant", "content": "No."}],
        "chosen_by": "judge",
    }
    ask, better, worse = said_in("preference", row)
    assert (ask, better, worse) == (("user", "Why?"), ("chosen", "So."), ("rejected", "No."))
    unsure = {**row, "chosen": None, "rejected": None, "chosen_by": None}
    assert [text for _, text in said_in("preference", unsure)] == ["Why?", "So.", "No."]


def test_every_recipe_of_ours_is_cited():
    for name in RECIPES:
        assert len(papers_of(name, critique=False)) == 1
        assert len({paper.arxiv for paper in papers_of(name, critique=True)}) == 2
    assert papers_of("voices:Voices", critique=False) == []
