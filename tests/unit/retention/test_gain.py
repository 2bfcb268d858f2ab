import numpy as np
import pytest

from pipeline.retention.answers import agrees, references, write_answers
from pipeline.retention.rows import Row, masked_row
from pipeline.sft.rows.from_data import data_examples
from schemas.records import to_ids
from schemas.sft_spec import DataSource


@pytest.mark.parametrize(
    ("written", "reference", "right"),
    [
        ("so 3 x 4 = 12.\n#### 12", "It is 12.0", True),
        ("12 and then 13", "#### 12", False),
        ("no number", "#### 12", False),
        ("It is Paris.\nParis", "paris", True),
        ("Rome", "Paris", False),
        ("", "...", False),
    ],
)
def test_answers_agree_by_their_last_number_or_line(written, reference, right):
    assert agrees(written, reference) is right


def rows_of(tmp_path, trainee, prompts):
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(f'{{"prompt": "{p}", "completion": "so 1984"}}\n' for p in prompts))
    found = data_examples(DataSource(files=str(file)), "answers", trainee)
    return [masked_row(example.ids, example.learned) for example in found]


def test_written_answers_are_the_likeliest_tokens_one_by_one(tmp_path, trainee, reader):
    import torch

    rows = rows_of(tmp_path, trainee, ["Why?", "Why do trees grow upwards?", "x", "the rain"])
    assert references(trainee, rows) == ["so 1984"] * 4
    told = write_answers(reader, trainee, rows, (3, 5))
    stops = {*trainee.dialect.assistant_stop_ids, *trainee.dialect.text_stop_ids}
    for row, text in zip(rows, told, strict=True):
        ids = row.ids[: row.asked[0]].tolist()
        answer = []
        for _ in range(5):
            logits = reader.model(input_ids=torch.tensor([ids + answer])).logits[0, -1]
            if int(logits.argmax()) in stops:
                break
            answer.append(int(logits.argmax()))
        assert text == trainee.tokenizer.decode(answer)


def test_answer_is_the_last_of_several_in_a_row(trainee):
    ids = to_ids(trainee.tokenizer("a b c d e")["input_ids"])
    row = Row(ids, np.array([1, 2, len(ids) - 2, len(ids) - 1]))
    assert references(trainee, [row]) == [trainee.tokenizer.decode(ids[-2:].tolist())]
