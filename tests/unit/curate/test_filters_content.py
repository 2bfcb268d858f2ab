"""Filters of what a turn holds: refusal, boilerplate, profanity, pii, decontaminate."""

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.curate.benchmark import benchmark_index
from pipeline.curate.personal import find, mask
from schemas.curation_spec import CurationSpec
from tests.unit.curate.prose import ANSWER, GOOD, QUESTION
from tests.unit.curate.turns import fallen, falls, make_turns, measure


@pytest.mark.parametrize("name", ["refusal", "boilerplate", "profanity", "pii"])
@pytest.mark.parametrize("text", GOOD)
def test_content_filters_keep_ordinary_turns(name, text):
    assert not falls(text, name)


@pytest.mark.parametrize(
    "text",
    [
        "I\u2019m sorry, but I can\u2019t help you with that.",
        "I cannot assist with this request, as it may be harmful.",
        "As an AI language model, I have no favourite river.",
        f"{ANSWER} Of course, as a large language model I have never seen it.",
        "Unfortunately, I am unable to provide the address of a private person.",
    ],
)
def test_refusal_drops_answers_that_refuse_or_speak_of_themselves(text):
    assert falls(text, "refusal")


@pytest.mark.parametrize(
    "text",
    [
        "I cannot stress enough how cold the water is.",
        f"{ANSWER} The ferryman said: I cannot assist you tonight.",
        "An AI language model predicts the next token of a text.",
        "She was unable to help with the harvest that year.",
    ],
)
def test_refusal_keeps_answers_that_only_sound_alike(text):
    assert not falls(text, "refusal")


def test_refusal_looks_at_answers_unless_told_otherwise_and_takes_phrases():
    question = make_turns("As an AI model, what do you think?", role="user")
    assert fallen(question, "refusal") == [False]
    assert fallen(question, "refusal", roles=("user",)) == [True]
    assert falls("Das kann ich leider nicht sagen.", "refusal", phrases=("kann ich leider nicht",))
    assert not falls("Das kann ich leidernicht sagen.", "refusal", phrases=("ich leider",))


@pytest.mark.parametrize(
    "text",
    [
        "Lorem ipsum dolor sit amet, consectetur adipiscing elit.",
        "Please enable JavaScript to view this page.",
        "Dear [Recipient's Name],\nI write to you about the flood.\nYours, [Your Name]",
        "### Instruction:\nName three rivers.\n### Response:\nRhine, Rhone, Po.",
        "The Rhine.\nHuman: And the next one?\nAssistant: The Rhone.",
    ],
)
def test_boilerplate_drops_text_of_pages_and_prompts(text):
    assert falls(text, "boilerplate")


@pytest.mark.parametrize(
    "text",
    [
        "JavaScript runs in the browser; a cookie keeps its state.",
        "Use `rows[customer_id]` or `names[Name]`, and print(f'{name}') shows it.",
        "See [your account page](https://bank.example/account) for the fee.",
        "## Response\nWater reacts at once. To be human: to err.",
    ],
)
def test_boilerplate_keeps_code_links_and_talk_about_pages(text):
    assert not falls(text, "boilerplate")


def test_boilerplate_takes_phrases():
    assert falls("Brought to you by ACME.", "boilerplate", phrases=("brought to you by",))


def test_profanity_drops_by_share_and_not_for_one_word():
    assert falls("You bastard, you stupid bastard!", "profanity")
    assert not falls("Which king was called a bastard?", "profanity")
    assert not falls("The cock crowed at dawn, and the ass brayed. " + ANSWER, "profanity")
    assert falls("Which king was called a bastard?", "profanity", min_words=1)


def test_profanity_lets_through_words_that_a_teacher_may_say():
    assert not falls("Which organ makes urine, and where in the womb does it lie?", "profanity")
    assert not falls("Did the slave pray to God that the Nazi would not kill him?", "profanity")


def test_profanity_finds_entries_of_several_words_once():
    measures = measure(make_turns("He is a real mother-fucker."), "profanity")
    assert measures.column("profane_words").tolist() == [2]
    assert measures.column("profanity")[0] == np.float32(2 / 6)


PERSONAL = [
    ("Write to ada.lovelace+maths@engine.co.uk today.", "Write to <EMAIL> today."),
    ("Call +44 20 7946 0958 or (212) 736-5000.", "Call <PHONE> or <PHONE>."),
    ("Card 4111 1111 1111 1111, or 378282246310005.", "Card <CARD>, or <CARD>."),
    ("Pay to GB82 WEST 1234 5698 7654 32 please.", "Pay to <IBAN> please."),
    ("Pay to DE89370400440532013000.", "Pay to <IBAN>."),
    ("The server is at 93.184.216.34.", "The server is at <IP>."),
    ("It answers on 2606:2800:220:1:248:1893:25c8:1946 too.", "It answers on <IP> too."),
    ("Her number is 536-22-8145.", "Her number is <SSN>."),
]


@pytest.mark.parametrize(("text", "masked"), PERSONAL)
def test_pii_is_found_and_masked(text, masked):
    assert falls(text, "pii")
    assert mask(text) == masked
    assert not falls(text, "pii", action="mask")
    measures = measure(make_turns(text), {"filter": "pii", "action": "mask"})
    assert measures.column("pii").tolist() == [masked.count("<")]


@pytest.mark.parametrize(
    "text",
    [
        "Write to someone@example.com or root@localhost.",
        "It was introduced in 4.3.0.38 and gone after 1.11.1.1, long before 10.0.19045.1.",
        "Version 1.2.3.4 and release 100.15.7.2 are out; section 12.14.16.18 explains it.",
        "The router is at 192.168.178.1, your machine at 127.0.0.1, the manual says 203.0.113.9.",
        "Use `std::vector`, `dead::beef`, ::1 and 12:30:45.",
        "Card 4111 1111 1111 1112 does not exist.",
        "GB82 WEST 1234 5698 7654 33 is no account.",
        "In the film she dials (212) 555-0123.",
        "3.14159265358979323846 and 1234567890123456 are numbers, 2024-11-21 is a date.",
        "Between 1914 and 1918, 1,234,567 men; 10 20 30 40 50 60 70 80 90 100 110 120.",
        "000-12-3456 and 12-345-6789 are nobody's, nor is 666-12-1234.",
        "5 + 7 = 12; x+12345678901 @ home",
    ],
)
def test_pii_lets_through_what_is_no_persons(text):
    assert find(text) == []
    assert mask(text) == text


def test_pii_findings_do_not_overlap():
    text = "a@b.org, 4111111111111111@pay.net and +1 212 736 5000"
    assert [finding.kind for finding in find(text)] == ["EMAIL", "EMAIL", "PHONE"]


BENCHMARK = [
    "Which of these rivers flows through four large towns before it reaches the northern sea?",
    "What carries sand and salt down to the sea?",
    "How deep is it?",
]
INDEX = benchmark_index(BENCHMARK, 13)


@pytest.mark.parametrize(
    ("text", "dropped"),
    [
        (BENCHMARK[0], True),
        (f"Well: {BENCHMARK[0].upper().replace(' ', '  ')} I wonder.", True),
        (BENCHMARK[0].replace("four", "five"), False),
        (f"I ask you: {BENCHMARK[1]}", True),
        ("What carries sand and salt down to the lake?", False),
        (BENCHMARK[2], False),
        (ANSWER, False),
        ("", False),
    ],
)
def test_decontaminate_drops_turns_that_hold_a_benchmarks_words(text, dropped):
    assert falls(text, "decontaminate", benchmark=INDEX) == dropped


def test_decontaminate_scores_the_share_of_words_inside():
    turns = make_turns(f"I was asked: {BENCHMARK[1]} By whom?", BENCHMARK[0], QUESTION)
    found = measure(turns, "decontaminate", benchmark=INDEX).column("contaminated")
    assert found.tolist() == [np.float32(9 / 14), 1.0, 0.0]
    assert not falls(turns.texts[0], "decontaminate", benchmark=INDEX, max_share=0.7)


def test_decontaminate_does_not_read_across_turns():
    words = BENCHMARK[0].split()
    for cut in range(1, len(words)):
        turns = make_turns(" ".join(words[:cut]), " ".join(words[cut:]))
        alone = [falls(text, "decontaminate", benchmark=INDEX) for text in turns.texts]
        assert fallen(turns, "decontaminate", benchmark=INDEX) == alone


@pytest.mark.parametrize("ngram", [5, 8, 20, 50])
def test_decontaminate_finds_with_any_length_of_ngram(ngram):
    index = benchmark_index([*BENCHMARK, ANSWER], ngram)
    assert (np.diff(index.astype(object)) > 0).all()
    for text in (BENCHMARK[0], BENCHMARK[1], ANSWER):
        assert falls(f"So: {text}", "decontaminate", benchmark=index, ngram=ngram)
    assert not falls(BENCHMARK[2], "decontaminate", benchmark=index, ngram=ngram)


def test_decontaminate_reads_letters_where_there_are_no_spaces():
    index = benchmark_index(["川は北の山から流れ出し、海に注ぎます。"], 13)
    assert falls("さて、川は北の山から流れ出し海に注ぎますか。", "decontaminate", benchmark=index)


def test_decontaminate_of_no_texts_finds_nothing():
    assert not falls(ANSWER, "decontaminate", benchmark=benchmark_index([], 13))


def test_decontaminate_asks_for_one_length_of_ngram():
    filters = [{"filter": "decontaminate", "ngram": ngram} for ngram in (8, 13)]
    with pytest.raises(ValidationError, match=r"ngram \[8, 13\]"):
        CurationSpec(filters=filters)
