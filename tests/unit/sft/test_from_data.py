"""Rows of data sets as examples: what is found in them, what is bad, what is refused."""

import gzip
import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.dialects.derive import derive_dialect
from pipeline.dialects.tokenizer import decode, load_tokenizer
from pipeline.sft.rows.from_data import data_examples
from pipeline.sft.trainee import Trainee
from schemas.errors import ModelError, SpecError
from schemas.manifest import BadRow
from schemas.sft_spec import DataSource
from tests.unit.dialects.chat_shapes import CHATML, build


def trainee_in(folder, template):
    tokenizer = build(CHATML)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    tokenizer = load_tokenizer(str(folder))
    return Trainee(str(folder), tokenizer, derive_dialect(tokenizer), "weights", 512)


@pytest.fixture(scope="module")
def chat(tmp_path_factory):
    return trainee_in(tmp_path_factory.mktemp("chat"), CHATML.template)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return trainee_in(tmp_path_factory.mktemp("base"), None)


@pytest.fixture
def told(tmp_path, chat):
    """Rows as text, the learned part between ( and ); of bad ones the reason."""

    def of(rows, trainee=chat, loss="answers", **settings):
        file = tmp_path / "rows.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        source = DataSource(files=str(file), **{"max_bad_share": 1.0} | settings)
        return [shown(row, trainee) for row in data_examples(source, loss, trainee)]

    return of


def shown(row, trainee):
    if isinstance(row, BadRow):
        return row.why
    text, inside = "", False
    for token_id, learned in zip(row.ids.tolist(), row.learned.tolist(), strict=True):
        text += "(" * (learned and not inside) + ")" * (inside and not learned)
        text += decode(trainee.tokenizer, [token_id])
        inside = learned
    return (text + ")" * inside).replace("<|im_start|>", "<").replace("<|im_end|>\n", ">")


def said(*texts):
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]


ANSWERED = "<user\nWhy?><assistant\n(So<|im_end|>)\n"


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Why?", "completion": "So"},
        {"question": "Why?", "answer": "So"},
        {"instruction": "Why?", "output": "So", "input": ""},
        {"problem": "Why?", "solution": "So", "level": 3},
        {"messages": said("Why?", "So")},
        {"messages": said("Why?", "So"), "prompt": "Why?", "prompt_id": "7"},
        {"conversations": [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "So"}]},
        {"prompt": said("Why?"), "completion": [{"role": "assistant", "content": "So"}]},
        {"prompt": said("Why?"), "completion": "So"},
        {"prompt": "Why?", "completion": "So", "text": "Why? So"},
        {"text": None, "prompt": "Why?", "completion": "So"},
    ],
    ids=lambda row: "+".join(row),
)
def test_question_and_answer_are_found_by_usual_names(row, told):
    assert told([row]) == [ANSWERED]


def test_system_prompt_leads_in(told):
    rows = [
        {"system": "Be brief.", "prompt": "Why?", "completion": "So"},
        {"system_prompt": "Be brief.", "messages": said("Why?", "So")},
        {"messages": [{"role": "system", "content": "Be brief."}, *said("Why?", "So")]},
    ]
    assert told(rows) == [f"<system\nBe brief.>{ANSWERED}"] * 3


def test_input_goes_on_from_an_instruction(told):
    (row,) = told([{"instruction": "Add.", "input": "1 and 2", "output": "3"}])
    assert row.startswith("<user\nAdd.\n\n1 and 2><assistant\n(3")


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("answers", "<user\nA><assistant\n(B<|im_end|>)\n<user\nC><assistant\n(D<|im_end|>)\n"),
        ("turns", "<user\n(A<|im_end|>)\n<assistant\n(B<|im_end|>)\n<user\n(C<|im_end|>)\n"),
        ("all", "<(user\nA><assistant\nB><user\nC><assistant\nD>)"),
    ],
)
def test_all_answers_of_a_conversation_are_learned(loss, expected, told):
    (row,) = told([{"messages": said("A", "B", "C", "D")}], loss=loss)
    assert row.startswith(expected)


def test_answers_of_a_prompt_are_context(told):
    (row,) = told([{"prompt": said("A", "B", "C"), "completion": "D"}])
    assert row == "<user\nA><assistant\nB><user\nC><assistant\n(D<|im_end|>)\n"


@pytest.mark.parametrize("row", [{"prompt": "Why?"}, {"messages": said("Why?")}])
def test_row_without_an_answer_is_a_prompt_of_which_nothing_is_learned(row, told):
    assert told([row], loss="all") == ["<user\nWhy?><assistant\n"]


def test_text_is_learned_down_to_its_end(told, base):
    rows = [{"text": "All trees grow."}]
    assert told(rows) == ["<|endoftext|>(All trees grow.<|endoftext|>)"]
    assert told(rows, base) == ["<(All trees grow.<|im_end|>)"]


def test_pair_for_a_model_without_template_is_one_text(told, base):
    rows = [{"prompt": "All trees", "completion": " grow."}]
    assert told(rows, base) == ["<All trees( grow.<|im_end|>)"]
    assert told(rows, base, loss="all") == ["<(All trees grow.<|im_end|>)"]


@pytest.mark.parametrize("row", [{"messages": said("A", "B")}, {"prompt": said("A")}])
def test_conversation_for_a_model_without_template_is_refused_at_once(row, told, base):
    with pytest.raises(ModelError, match="no default chat template"):
        told([row], base)


LLAVA = [
    {"from": "human", "value": "<image>\nWhat is this?"},
    {"from": "gpt", "value": "A tree."},
]


@pytest.mark.parametrize(
    "row",
    [
        {"id": 1, "image": "1.jpg", "conversations": LLAVA},
        {"id": 1, "conversations": LLAVA},
        {"images": [{"bytes": "x"}], "messages": said("A", "B")},
        {"messages": [{"role": "user", "content": [{"type": "image"}]}, *said("A", "B")[1:]]},
    ],
)
def test_row_with_an_image_is_bad_and_says_so(row, told):
    text_only = {"image": None, "conversations": [{"from": "human", "value": "Why?"}]}
    text_only["conversations"].append({"from": "gpt", "value": "So"})
    assert told([row, text_only]) == ["has an image", ANSWERED]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ([1], "found list, expected an object"),
        ({"body": "A"}, "no column messages or prompt or text; found the columns body"),
        ({"question": "A", "instruction": "B"}, "question and instruction: any of them could be"),
        ({"prompt": "A", "answer": "B", "output": "C"}, "answer and output: any of them"),
        ({"prompt": " ", "completion": "B"}, "column prompt: empty"),
        ({"prompt": "A", "completion": ""}, "column completion: empty"),
        ({"prompt": "A", "completion": 7}, "column completion: found int, expected a text or mess"),
        ({"text": 7}, "column text: found int, expected a text"),
        ({"messages": said("A", "")}, "column messages: message 2 is empty"),
        ({"messages": [{"role": "tool", "content": "A"}]}, "found the role 'tool'"),
        ({"messages": said("A") + said("B")}, "roles out of order"),
        ({"messages": [{"role": "system", "content": "A"}]}, "no message of a user"),
        ({"messages": "A"}, "found str, expected a list of messages"),
        ({"text": "\ud800"}, "half of a surrogate pair"),
    ],
)
def test_bad_row_says_what_is_wrong_with_it(row, why, told):
    bad, good = told([row, {"prompt": "Why?", "completion": "So"}])
    assert re.search(why, bad)
    assert good == ANSWERED


def test_mapped_columns_are_read_and_no_others(told):
    row = {"q": "Why?", "a": "So", "messages": said("A", "B"), "completion": "No"}
    assert told([row], columns={"prompt": "q", "completion": "a"}) == [ANSWERED]


def test_mapped_column_that_no_row_has_is_refused_with_a_near_one(told):
    expected = r"columns.prompt: no row of .*rows.jsonl has a column qestion \(did you mean quest"
    with pytest.raises(SpecError, match=expected):
        told([{"question": "A", "answer": "B"}], columns={"prompt": "qestion"})


def test_contradicting_columns_are_refused(told):
    with pytest.raises(SpecError, match="found messages and text; expected"):
        told([], columns={"messages": "m", "text": "t"})
    with pytest.raises(SpecError, match="one column mapped twice"):
        told([], columns={"prompt": "t", "completion": "t"})


def test_data_without_a_usable_column_is_refused_with_those_found(tmp_path, chat):
    file = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"propmt": ["A"] * 7, "score": [1] * 7}), file)
    expected = r"any of the 7 rows, which have the columns propmt, score \(is propmt meant as prom"
    with pytest.raises(SpecError, match=expected):
        list(data_examples(DataSource(files=str(file)), "answers", chat))


def test_data_without_a_row_is_refused(told):
    with pytest.raises(SpecError, match="found no row at all"):
        told([])


def test_too_many_bad_rows_are_refused_after_the_last(told):
    rows = [{"prompt": "A", "completion": "B"}] * 9 + [{"prompt": 1}]
    assert len(told(rows, max_bad_share=0.1)) == 10
    expected = r"1 of 10 rows cannot be trained on, a share of 0.1, more than 0.05. The first: rows"
    with pytest.raises(SpecError, match=expected):
        told(rows, max_bad_share=0.05)


def test_limit_counts_good_rows(told):
    rows = [{"prompt": 1}, *[{"prompt": "A", "completion": "B"}] * 5]
    assert len(told(rows, limit=2)) == 3


ROWS = [{"prompt": f"Why {n}?", "completion": f"So {n}"} for n in range(5)]


def as_jsonl_gz(folder):
    text = "\n".join(map(json.dumps, ROWS))
    (folder / "rows.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    return "rows.jsonl.gz"


def as_json(folder):
    (folder / "rows.json").write_text(json.dumps(ROWS))
    return "rows.json"


def as_parquet_parts(folder):
    for number, some in enumerate((ROWS[:2], ROWS[2:])):
        pq.write_table(pa.Table.from_pylist(some), folder / f"part-{number}.parquet")
    return "part-*.parquet"


def as_data_set(folder):
    from datasets import Dataset

    Dataset.from_list(ROWS).save_to_disk(folder / "saved")
    return "saved"


@pytest.mark.parametrize("make", [as_jsonl_gz, as_json, as_parquet_parts, as_data_set])
def test_rows_are_the_same_in_every_kind_of_file(make, tmp_path, chat):
    source = DataSource(files=str(tmp_path / make(tmp_path)))
    found = [shown(row, chat) for row in data_examples(source, "answers", chat)]
    assert found == [f"<user\nWhy {n}?><assistant\n(So {n}<|im_end|>)\n" for n in range(5)]


def test_rows_are_streamed(tmp_path, chat):
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(ROWS[0]) + "\n" + "not JSON\n")
    found = data_examples(DataSource(files=str(file)), "answers", chat)
    assert next(found).source == "rows.jsonl:1"
