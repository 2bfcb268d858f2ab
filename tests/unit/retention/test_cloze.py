import numpy as np
import pytest

from pipeline.retention import cloze
from pipeline.retention.cloze import likelihoods, measure_choices, plan_questions
from pipeline.retention.items import Question
from pipeline.retention.questions import Cloze, spell_question
from schemas.errors import SpecError
from schemas.records import to_ids
from schemas.sft_spec import ChoicesSpec
from tests.unit.retention.whole import logprobs

TEXT = ChoicesSpec(items="-")
CHAT = ChoicesSpec(items="-", chat=True)
QUESTIONS = [
    Question("Why do trees grow", ("upwards", "in the rain of 1984", "x"), 0),
    Question("The answer is kept", ("short", "long"), 0),
    Question("Tell me", ("more about the roots of an old oak", "nothing", "it", "a"), 3),
    Question("An old oak lives", ("here", "there"), 1),
]


def one_by_one(reader, found):
    return [
        [
            float(logprobs(reader, np.concatenate([c.prefix, rest]))[len(c.prefix) - 1 :].sum())
            for rest in c.rests
        ]
        for c in found
    ]


@pytest.mark.parametrize("spec", [TEXT, CHAT], ids=["text", "chat"])
@pytest.mark.parametrize("batch_rows", [1, 16])
def test_likelihoods_equal_those_of_each_choice_read_alone(trainee, reader, spec, batch_rows):
    found = [spell_question(trainee, question, spec) for question in QUESTIONS]
    told = likelihoods(reader, found, batch_rows)
    for ours, theirs in zip(told, one_by_one(reader, found), strict=True):
        assert ours == pytest.approx(theirs, abs=2e-4)


def test_likelihoods_without_a_cache_that_can_be_handed_on_are_the_same(
    trainee, reader, monkeypatch
):
    found = [spell_question(trainee, question, TEXT) for question in QUESTIONS]
    shared = likelihoods(reader, found, 16)
    monkeypatch.setattr(cloze, "_can_be_handed_on", lambda cache: False)
    for ours, theirs in zip(shared, likelihoods(reader, found, 16), strict=True):
        assert ours == pytest.approx(theirs, abs=2e-4)


def test_text_is_spelled_as_one_after_the_start(trainee):
    start = trainee.dialect.start
    for question in QUESTIONS:
        found = spell_question(trainee, question, TEXT)
        assert start and tuple(found.prefix[: len(start)]) == start
        for rest, choice in zip(found.rests, question.choices, strict=True):
            ids = np.concatenate([found.prefix, rest])[len(start) :]
            assert trainee.tokenizer.decode(ids.tolist()) == f"{question.question} {choice}"
            whole = trainee.tokenizer(f"{question.question} {choice}", add_special_tokens=False)
            assert ids.tolist() == whole["input_ids"]


def test_token_that_joins_question_and_choice_is_scored_for_all_choices(trainee):
    spec = ChoicesSpec(items="-", between="")
    # In the model's vocabulary "answer" is one token.
    found = spell_question(trainee, Question("the an", ("swer", "y"), 0), spec)
    texts = [trainee.tokenizer.decode(rest.tolist()) for rest in found.rests]
    assert texts[0].endswith("answer") and texts[1].endswith("any")
    assert len({len(text) for text in (texts[0][: -len("swer")], texts[1][: -len("y")])}) == 1


def test_white_space_of_the_items_stands_between_instead(trainee):
    found = spell_question(trainee, Question("Answer:\n", ("short", "long"), 0), TEXT)
    ids = np.concatenate([found.prefix, found.rests[0]])[1:]
    assert trainee.tokenizer.decode(ids.tolist()) == "Answer:\nshort"


def test_chat_puts_choices_where_the_template_has_an_answer(trainee):
    found = spell_question(trainee, QUESTIONS[0], CHAT)
    messages = [
        {"role": "user", "content": "Why do trees grow"},
        {"role": "assistant", "content": "upwards"},
    ]
    whole = trainee.tokenizer.apply_chat_template(messages, tokenize=False)
    ids = np.concatenate([found.prefix, found.rests[0]])
    assert whole.startswith(trainee.tokenizer.decode(ids.tolist()))


def test_measured_scores_are_a_byte_and_margins_by_hand(trainee, reader):
    questions = [Question("Tell", ("rööts", "oak"), 1)]
    found = [spell_question(trainee, q, TEXT) for q in questions]
    measured = measure_choices(reader, questions, found, 4, lambda done, of: None)
    sums = likelihoods(reader, found, 4)[0]
    assert measured.scores[0] == pytest.approx((sums[0] / 7, sums[1] / 3))
    assert measured.margins[0] == pytest.approx(sums[1] / 3 - sums[0] / 7)
    assert measured.right == (measured.margins[0] > 0,)
    assert measured.chance == 0.5


def test_question_that_is_longer_than_the_model_is_refused(trainee):
    with pytest.raises(SpecError, match="tokens long; expected at most the 256"):
        spell_question(trainee, Question("7" * 300, ("a", "b"), 0), TEXT)


def test_plan_reads_questions_of_one_length_together_each_once():
    lengths = [3, 5, 3, 3, 5, 2]
    rests = (to_ids([1, 2]), to_ids([3]))
    found = [Cloze(to_ids(list(range(n))), rests) for n in lengths]
    batches = list(plan_questions(found, 20, 1000))
    assert sorted(i for batch in batches for i in batch) == list(range(6))
    for batch in batches:
        assert len({lengths[i] for i in batch}) == 1
        assert len(batch) == 1 or sum(2 * lengths[i] + 3 for i in batch) <= 20
