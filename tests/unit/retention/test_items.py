import gzip
import json

import pytest

from pipeline.retention.items import read_choices, read_texts
from schemas.errors import SpecError
from schemas.sft_spec import ChoicesSpec, TextsSpec

GOOD = {"question": "2 + 2 =", "choices": ["4", "5"], "answer": 0}


def written(tmp_path, *rows, name="items.jsonl"):
    file = tmp_path / name
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    payload = "\n".join(lines).encode()
    file.write_bytes(gzip.compress(payload) if name.endswith(".gz") else payload)
    return str(file)


def test_choices_are_read_in_order_down_to_the_limit(tmp_path):
    rows = [GOOD | {"question": f"{n} is"} for n in range(4)]
    location = written(tmp_path, *rows, name="items.jsonl.gz")
    found = read_choices(ChoicesSpec(items=location, limit=3))
    assert [item.question for item in found] == ["0 is", "1 is", "2 is"]
    assert (found[0].choices, found[0].answer) == (("4", "5"), 0)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"prompt": "x", "choices": ["a", "b"], "answer": 0}, "question: missing; found prompt"),
        (GOOD | {"question": " "}, "question: found str, expected a text that is not empty"),
        (GOOD | {"choices": "4 5"}, "choices: found str, expected a list"),
        (GOOD | {"choices": ["4", None]}, "choices: found one that is empty or no text"),
        (GOOD | {"choices": ["4"]}, "fewer than two"),
        (GOOD | {"choices": ["4", " 4"]}, "one of them twice"),
        (GOOD | {"answer": 2}, "answer: found 2, expected a number from 0 to 1"),
        (GOOD | {"answer": True}, "answer: found True"),
        (GOOD | {"answer": "4"}, "answer: found '4'"),
        ("{", "not JSON"),
        ("[1]", "found list, expected an object"),
    ],
)
def test_item_that_cannot_be_asked_is_named_with_its_line(tmp_path, row, told):
    location = written(tmp_path, GOOD, "", row, GOOD)
    with pytest.raises(SpecError) as error:
        read_choices(ChoicesSpec(items=location))
    said = str(error.value)
    assert "items.jsonl:3: " in said and told in said
    assert "`question`" in said and "`choices`" in said and "`answer`" in said


def test_file_without_items_and_no_file_are_refused(tmp_path):
    with pytest.raises(SpecError, match="holds nothing"):
        read_choices(ChoicesSpec(items=written(tmp_path, "")))
    with pytest.raises(SpecError, match="no such file"):
        read_choices(ChoicesSpec(items=str(tmp_path / "none.jsonl")))


def test_texts_are_rows_lines_or_paragraphs(tmp_path):
    rows = written(tmp_path, {"text": "one\n\ntwo"}, {"text": "three"})
    assert read_texts(TextsSpec(items=rows)) == ["one\n\ntwo", "three"]
    lines = written(tmp_path, "one", "two", name="lines.txt")
    assert read_texts(TextsSpec(items=lines)) == ["one", "two"]
    parted = written(tmp_path, "", "one", "goes on", "", "", "two", name="parted.txt")
    assert read_texts(TextsSpec(items=parted)) == ["one\ngoes on", "two"]
    assert read_texts(TextsSpec(items=parted, limit=1)) == ["one\ngoes on"]


def test_row_without_a_text_is_named(tmp_path):
    location = written(tmp_path, {"text": "one"}, {"content": "two"})
    with pytest.raises(SpecError, match=r"items\.jsonl:2: text: missing; found content"):
        read_texts(TextsSpec(items=location))
