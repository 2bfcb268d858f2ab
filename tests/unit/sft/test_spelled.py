"""Conversations and texts as the trainee's own ids, and which of them are learned."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.dialects.derive import derive_dialect
from pipeline.dialects.rendering import FROZEN_DAY
from pipeline.dialects.tokenizer import decode, load_tokenizer
from pipeline.sft.rows.spelled import spell, spell_pair, spell_prompt, spell_text, spell_turns
from pipeline.sft.trainee import Trainee
from schemas.errors import ModelError
from schemas.records import Message
from tests.unit.dialects.chat_shapes import SHAPES, build

relaxed = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
texts = st.text("ab Z7.,!?:#<>[]|-\n\té日😀", min_size=1).filter(lambda t: t == t.strip())
words = st.sampled_from(["Why?", "trees 7", "Жук", "a b\n\nc", "7", "user", "assistant:"])
roles = ("user", "assistant")
CLOSED = [name for name in SHAPES if SHAPES[name].special and not SHAPES[name].glue]
"""A control token follows every text, which shares no token with it."""


@pytest.fixture(scope="module")
def trainee_of(tmp_path_factory):
    known = {}

    def of(name, plain=False):
        if (name, plain) not in known:
            folder = tmp_path_factory.mktemp(name)
            tokenizer = build(SHAPES[name])
            if plain:
                tokenizer.chat_template = None
            tokenizer.save_pretrained(folder)
            tokenizer = load_tokenizer(str(folder))
            dialect = derive_dialect(tokenizer)
            known[name, plain] = Trainee(str(folder), tokenizer, dialect, "weights", 512)
        return known[name, plain]

    return of


def talk(system, said):
    turns = [Message(roles[i % 2], text) for i, text in enumerate(said)]
    return (*([Message("system", system)] if system else []), *turns)


def templated(trainee, frame):
    """What the model's own software makes of the same messages."""
    if frame[0].role == "system" and trainee.dialect.system == "user":
        frame = (Message("user", f"{frame[0].text}\n\n{frame[1].text}"), *frame[2:])
    return trainee.tokenizer.apply_chat_template(
        [{"role": role, "content": text} for role, text in frame],
        return_dict=False,
        strftime_now=FROZEN_DAY.strftime,
    )


def said_by(trainee, frame):
    ids, spans = spell_turns(frame, trainee)
    return [decode(trainee.tokenizer, ids[start:end]) for start, end in spans]


@pytest.mark.parametrize("name", SHAPES)
@relaxed
@given(
    system=st.sampled_from(["", "Be brief."]),
    said=st.integers(1, 3).flatmap(lambda n: st.lists(words, min_size=2 * n, max_size=2 * n)),
    loss=st.sampled_from(["answers", "turns", "all"]),
)
def test_conversation_has_the_templates_own_ids(name, system, said, loss, trainee_of):
    trainee, frame = trainee_of(name), talk(system, said)
    ids, learned = spell(frame, trainee, loss)
    assert ids.tolist() == templated(trainee, frame)
    assert len(learned) == len(ids)
    assert not learned[0]


@pytest.mark.parametrize("name", CLOSED)
@relaxed
@given(said=st.integers(1, 2).flatmap(lambda n: st.lists(texts, min_size=2 * n, max_size=2 * n)))
def test_any_texts_have_the_templates_own_ids_and_are_learned_whole(name, said, trainee_of):
    trainee, frame = trainee_of(name), talk("", said)
    ids, learned = spell(frame, trainee, "answers")
    assert ids.tolist() == templated(trainee, frame)
    stops = {*trainee.dialect.assistant_stop_ids}
    for (start, end), message in zip(spell_turns(frame, trainee).spans, frame, strict=True):
        if message.role == "assistant":
            assert learned[start:end].all()
            ended = int(ids[end - 1]) in stops
            assert message.text in decode(trainee.tokenizer, ids[start : end - ended])
    outside = decode(trainee.tokenizer, ids[~learned])
    assert all(message.text in outside for message in frame if message.role == "user")


SAID = {
    "chatml": ["Why?<|im_end|>", "So.<|im_end|>", "And?<|im_end|>", "Ah.<|im_end|>"],
    "qwen25": ["Why?<|im_end|>", "So.<|im_end|>", "And?<|im_end|>", "Ah.<|im_end|>"],
    "chatml_without_prompt": ["Why?<|im_end|>", "So.<|im_end|>", "And?<|im_end|>", "Ah.<|im_end|>"],
    "llama2": ["Why? [/INST]", "So. </s>", "And? [/INST]", "Ah. </s>"],
    "llama3": ["Why?<|eot_id|>", "So.<|eot_id|>", "And?<|eot_id|>", "Ah.<|eot_id|>"],
    "mistral_system": ["Why?[/INST]", "So.</s>", "And?[/INST]", "Ah.</s>"],
    "gemma": ["Why?<end_of_turn>", "So.<end_of_turn>", "And?<end_of_turn>", "Ah.<end_of_turn>"],
    "phi3": ["Why?<|end|>", "So.<|end|>", "And?<|end|>", "Ah.<|end|>"],
    "zephyr": ["Why?</s>", "So.</s>", "And?</s>", "Ah.</s>"],
    "vicuna": ["Why? ASSISTANT:", "So.</s>", "And? ASSISTANT:", "Ah.</s>"],
    "alpaca": ["Why?\n\n### Response:", "So.\n\n### Instruction:", "And?\n\n### Response:", "Ah."],
    "qwen3": [
        *("Why?<|im_end|>", "So.<|im_end|>", "And?<|im_end|>"),
        "<think>\n\n</think>\n\nAh.<|im_end|>",
    ],
    "r1": ["Why?<|Assistant|>", "So.<|end|>", "And?<|Assistant|>", "Ah.<|end|>"],
    "gemma_channels": ["Why?<turn|>", "So.<turn|>", "And?<turn|>", "Ah.<turn|>"],
    "harmony": [
        *("Why?<|end|>", "<|channel|>final<|message|>So.", "And?<|end|>"),
        "<|channel|>final<|message|>Ah.<|return|>",
    ],
}
"""What a model has to write in each turn: what a prompt leaves to it, the text, what ends it."""


@pytest.mark.parametrize("name", SAID)
@pytest.mark.parametrize("system", ["", "Be brief."])
def test_each_turn_is_what_its_speaker_has_to_write(name, system, trainee_of):
    found = said_by(trainee_of(name), talk(system, ["Why?", "So.", "And?", "Ah."]))
    assert found[bool(system) :] == SAID[name]


@pytest.mark.parametrize("name", [name for name in SAID if name not in ("r1", "gemma_channels")])
def test_learned_starts_where_a_prompt_for_the_answer_ends(name, trainee_of):
    trainee, frame = trainee_of(name), talk("Be brief.", ["Why?", "So.", "And?", "Ah."])
    prompt, nothing = spell_prompt(frame[:-1], trainee)
    ids, learned = spell(frame, trainee, "answers", given=len(frame) - 1)
    assert ids[: learned.argmax()].tolist() == prompt.tolist()
    assert not nothing.any()


def test_reasoning_of_the_last_answer_is_learned_and_that_of_history_is_not_there(trainee_of):
    answers = [f"<think>\nThought {n}.\n</think>\n\nAnswer {n}." for n in range(2)]
    found = said_by(trainee_of("qwen3"), talk("", ["Why?", answers[0], "And?", answers[1]]))
    assert found[1] == "Answer 0.<|im_end|>"
    assert found[3] == f"{answers[1]}<|im_end|>"


@pytest.mark.parametrize("text", [" So. \n", "\n\nSo."])
def test_template_may_trim_texts(text, trainee_of):
    found = said_by(trainee_of("llama3"), talk("", ["Why? ", text, " And?", text]))
    assert found == ["Why?<|eot_id|>", "So.<|eot_id|>", "And?<|eot_id|>", "So.<|eot_id|>"]


def test_text_may_hold_what_stands_between_turns(trainee_of):
    wicked = "Why?\n\n### Response:\nSo.\n\n### Instruction:\nAnd"
    found = said_by(trainee_of("alpaca"), talk("", [wicked, "So.", wicked, wicked]))
    assert found == [
        f"{wicked}\n\n### Response:",
        "So.\n\n### Instruction:",
        f"{wicked}\n\n### Response:",
        wicked,
    ]


@pytest.mark.parametrize("name", [name for name in CLOSED if name in SAID])
@pytest.mark.parametrize("place", range(4))
def test_names_of_control_tokens_stay_text(name, place, trainee_of):
    trainee = trainee_of(name)
    said = ["Why?", "So.", "And?", "Ah."]
    said[place] = f"Say {trainee.tokenizer.eos_token} and {SHAPES[name].special[0]} now"
    ids, spans = spell_turns(talk("Be brief.", said), trainee)
    plain = spell_turns(talk("Be brief.", ["Why?", "So.", "And?", "Ah."]), trainee).ids
    controls = {*trainee.dialect.leak_ids, *trainee.dialect.assistant_stop_ids}
    assert [i for i in ids if i in controls] == [i for i in plain if i in controls]
    texts = [decode(trainee.tokenizer, ids[start:end]) for start, end in spans[1:]]
    assert [text in found for text, found in zip(said, texts, strict=True)] == [True] * 4


@pytest.mark.parametrize(
    ("loss", "given", "expected"),
    [
        ("answers", 0, "So.<|im_end|>Ah.<|im_end|>"),
        ("answers", 3, "Ah.<|im_end|>"),
        ("turns", 0, "Why?<|im_end|>So.<|im_end|>And?<|im_end|>Ah.<|im_end|>"),
        ("turns", 3, "And?<|im_end|>Ah.<|im_end|>"),
    ],
)
def test_loss_says_whose_turns_are_learned(loss, given, expected, trainee_of):
    trainee = trainee_of("chatml")
    frame = talk("Be brief.", ["Why?", "So.", "And?", "Ah."])
    ids, learned = spell(frame, trainee, loss, given=given)
    assert decode(trainee.tokenizer, ids[learned]) == expected


def test_all_is_all_but_the_first_id(trainee_of):
    frame = talk("Be brief.", ["Why?", "So."])
    ids, learned = spell(frame, trainee_of("chatml"), "all")
    assert learned.tolist() == [False] + [True] * (len(ids) - 1)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (talk("", ["Why?"]), "no answer at the end"),
        (talk("", ["Why?", " \n"]), "message 2 is empty"),
        ((Message("assistant", "So."),), "user first"),
        ((), "no answer"),
    ],
)
def test_what_is_no_conversation_is_refused(frame, expected, trainee_of):
    with pytest.raises(ModelError, match=expected):
        spell(frame, trainee_of("chatml"), "answers")


def test_conversation_for_a_model_without_template_is_refused(trainee_of):
    with pytest.raises(ModelError, match="no default chat template"):
        spell(talk("", ["Why?", "So."]), trainee_of("chatml", plain=True), "answers")


@relaxed
@given(text=st.one_of(texts, words))
def test_plain_text_stands_between_what_begins_and_ends_one(text, trainee_of):
    trainee = trainee_of("chatml")
    ids, learned = spell_text(text, trainee)
    assert decode(trainee.tokenizer, ids) == f"<|endoftext|>{text}<|endoftext|>"
    assert learned.tolist() == [False] + [True] * (len(ids) - 1)


@pytest.mark.parametrize("name", ["chatml", "llama2", "bytes", "gemma"])
@relaxed
@given(prompt=texts, completion=texts, space=st.sampled_from(["", " ", "\n"]))
def test_pair_is_one_text_of_which_the_second_part_is_learned(
    name, prompt, completion, space, trainee_of
):
    trainee = trainee_of(name, plain=True)
    completion = space + completion
    ids, learned = spell_pair(prompt, completion, trainee, "answers")
    assert ids.tolist() == spell_text(prompt + completion, trainee)[0].tolist()
    edge = int(learned.argmax())
    assert learned[edge:].all()
    told = decode(trainee.tokenizer, ids[: edge + 1])
    assert len(decode(trainee.tokenizer, ids[:edge])) <= len(prompt) + len("<|endoftext|>") + 1
    # Some tokenizers read spaces back that were not there, or leave some out.
    assert solid(prompt) in solid(told) or re.search("[é日😀]", prompt + completion[:2])


def solid(text: str) -> str:
    """Without white space."""
    return "".join(text.split())


def test_pair_without_completion_is_a_prompt(trainee_of):
    ids, learned = spell_pair("Why do", "", trainee_of("chatml", plain=True), "all")
    assert not learned.any()
    assert decode(trainee_of("chatml").tokenizer, ids).endswith("Why do")
