import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.records import BadRecord, Record
from pipeline.storage.row_columns import ALSO
from pipeline.storage.row_fields import RowReader
from schemas.errors import SpecError
from schemas.generation_spec import DataSpec
from schemas.manifest import BadRow
from schemas.records import Message, RootRow

PLACE = "rows.jsonl:17"
CHAT = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
FRAME = (Message("user", "Why?"),)
NAMES = ["text", "messages", "system", "reference", *(n for also in ALSO.values() for n in also)]
ANY = st.one_of(
    st.none(), st.text(max_size=4), st.integers(), st.just(CHAT), st.lists(st.text(max_size=2))
)


def row_of(content, **spec):
    return RowReader(DataSpec(**spec)).row(Record(PLACE, content))


def why(content, **spec):
    row = row_of(content, **spec)
    assert isinstance(row, BadRow) and row.where == PLACE
    return row.why


@given(
    st.dictionaries(st.sampled_from([*NAMES, "other"]), ANY, max_size=5),
    st.dictionaries(
        st.sampled_from(["text", "system", "reference"]), st.sampled_from(NAMES), max_size=2
    ).filter(lambda mapped: len(set(mapped.values())) == len(mapped)),
)
def test_any_record_is_a_row_to_grow_from_or_a_bad_one_with_a_reason(content, mapped):
    row = row_of(content, columns=mapped)
    if isinstance(row, BadRow):
        assert row.where == PLACE and row.why
        return
    assert row.source == PLACE
    assert bool(row.text.strip()) != bool(row.messages)
    assert row.reference is None or row.reference.strip()
    if row.messages:
        assert row.messages[-1].role == "user"
        assert all(message.text.strip() for message in row.messages)
    for ours in mapped.keys() & {"text", "reference"}:
        assert getattr(row, ours) == content[mapped[ours]]


@given(
    st.text(min_size=1).filter(str.strip),
    st.text(),
    st.text(min_size=1).filter(str.strip),
    st.permutations(["q", "s", "r", "text", "prompt", "answer", "system"]),
)
def test_mapped_columns_win_over_all_others(text, system, reference, names):
    content = dict.fromkeys(names, "another") | {"q": text, "s": system, "r": reference}
    row = row_of(content, columns={"text": "q", "system": "s", "reference": "r"})
    assert row == RootRow(text, system, reference=reference, source=PLACE)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"text": "Why?"}, RootRow("Why?")),
        ({"text": " Why? \n"}, RootRow(" Why? \n")),
        ({"text": "Why?", "prompt": "x", "answer": "So."}, RootRow("Why?", reference="So.")),
        ({"question": "Why?", "answer": "So."}, RootRow("Why?", reference="So.")),
        ({"prompt": "Why?", "completion": "So."}, RootRow("Why?", reference="So.")),
        ({"query": "Why?", "system_prompt": "Be brief."}, RootRow("Why?", "Be brief.")),
        ({"instruction": "Why?", "input": None, "output": "So."}, RootRow("Why?", reference="So.")),
        ({"text": "Why?", "system": None, "reference": None}, RootRow("Why?")),
        ({"text": "Why?", "reference": " "}, RootRow("Why?")),
        ({"prompt": "Why?", "answer": "a", "response": "b"}, RootRow("Why?")),
        ({"question": "Why?", "answer": {"text": "So."}}, RootRow("Why?")),
        ({"messages": CHAT}, RootRow(messages=FRAME, reference="So.")),
        ({"messages": CHAT, "prompt": "x"}, RootRow(messages=FRAME, reference="So.")),
        ({"messages": CHAT, "reference": "No."}, RootRow(messages=FRAME, reference="No.")),
        ({"conversations": CHAT, "answer": "x"}, RootRow(messages=FRAME, reference="So.")),
        (
            {"messages": CHAT[:1], "system": "Be brief."},
            RootRow(messages=(Message("system", "Be brief."), *FRAME)),
        ),
        (
            {"messages": [{"role": "system", "content": "A"}, *CHAT[:1]], "system": "A"},
            RootRow(messages=(Message("system", "A"), *FRAME)),
        ),
    ],
)
def test_columns_that_are_not_mapped_are_told_by_their_names(content, expected):
    row = row_of(content)
    assert isinstance(row, RootRow), row
    assert row == RootRow(
        expected.text, expected.system, expected.messages, expected.reference, PLACE
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "no column text or messages; found the columns nothing"),
        ({"body": "x", "id": 1}, "no column text or messages; found the columns body, id"),
        ({"text": None}, "no column text or messages; found the columns text (null)"),
        ({"text": ""}, "column text: empty"),
        ({"text": " \n"}, "column text: empty"),
        ({"text": 7}, "column text: found int, expected a text"),
        ({"prompt": CHAT}, "column prompt: found list, expected a text"),
        ({"text": "x", "system": 1}, "column system: found int, expected a text"),
        ({"text": "x", "reference": ["y"]}, "column reference: found list, expected a text"),
        ({"text": "x", "messages": CHAT}, "text and messages: any of them could be"),
        ({"instruction": "x", "input": "y"}, "instruction and input: any of them could be"),
        ({"messages": CHAT[1:]}, "column messages: message 1: roles out of order"),
        (
            {"messages": [{"role": "system", "content": "A"}, *CHAT], "system": "B"},
            "one system prompt in a column of its own, and another among its messages",
        ),
    ],
)
def test_record_without_a_root_says_why(content, said):
    assert said in why(content)


@pytest.mark.parametrize(
    ("content", "mapped", "said"),
    [
        ({"text": "x"}, {"text": "q"}, "no column q; found the columns text"),
        ({"q": None, "text": "x"}, {"text": "q"}, "no column q; found the columns q (null), text"),
        ({"text": "x", "answer": "y"}, {"reference": "a"}, "no column a, which is mapped as"),
        ({"text": "x", "a": ""}, {"reference": "a"}, "column a: empty"),
        ({"text": "x", "a": 3}, {"reference": "a"}, "column a: found int, expected a text"),
        ({"text": "x"}, {"reference": "text"}, "no column text or messages"),
    ],
)
def test_record_without_what_is_mapped_says_so(content, mapped, said):
    assert said in why(content, columns=mapped)


def test_column_that_is_mapped_plays_no_other_part():
    row = row_of({"reference": "Why?", "text": "So."}, columns={"text": "reference"})
    assert row == RootRow("Why?", source=PLACE)
    row = row_of({"prompt": "Be brief.", "query": "Why?"}, columns={"system": "prompt"})
    assert row == RootRow("Why?", "Be brief.", source=PLACE)


def test_template_is_filled_with_texts_and_never_with_messages():
    template = "Be an expert on {text}. {{}}"
    row = row_of({"text": "{braces}"}, template=template)
    assert isinstance(row, RootRow) and row.text == "Be an expert on {braces}. {}"
    assert "`template` fills in a text" in why({"messages": CHAT}, template=template)


def test_mapping_that_contradicts_itself_is_refused():
    with pytest.raises(SpecError, match="found both text and messages"):
        RowReader(DataSpec(columns={"text": "a", "messages": "b"}))
    with pytest.raises(SpecError, match="one column mapped twice"):
        RowReader(DataSpec(columns={"text": "a", "reference": "a"}))


def test_reason_of_a_bad_row_can_be_kept_in_any_file():
    reader = RowReader(DataSpec())
    row = reader.row(BadRecord(PLACE, "half \ud800"))
    assert row == BadRow(where=PLACE, why="half ?")
    assert len(why({"x" * 10_000: 1})) < 1000
