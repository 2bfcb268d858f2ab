"""The tokenizer of the packaged chat model, where it was prepared."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.prepare_model import cached_location
from pipeline.dialects.derive import derive_dialect, opening_ids
from pipeline.dialects.frames import Turn
from pipeline.dialects.opening import matches_template
from pipeline.dialects.tokenizer import decode, generation_eos_ids, load_tokenizer
from pipeline.tree.prompt import ask, remember
from schemas.records import Candidate, to_ids

pytestmark = pytest.mark.skipif(
    not cached_location().is_dir(), reason="`arborist prepare-model` was not run here"
)
# White space at the start of a text would melt with the end of the marker into one token.
texts = st.text("abcXYZ 0123.,!?-\n\té日😀", min_size=1).filter(lambda t: not t[0].isspace())


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(str(cached_location()))


@pytest.fixture(scope="module")
def dialect(tokenizer):
    return derive_dialect(tokenizer, eos_ids=generation_eos_ids(str(cached_location())))


def test_packaged_model_speaks_chatml_with_a_default_prompt(tokenizer, dialect):
    assert decode(tokenizer, dialect.after_user) == "<|im_end|>\n<|im_start|>assistant\n"
    assert decode(tokenizer, dialect.after_assistant) == "<|im_end|>\n<|im_start|>user\n"
    assert [decode(tokenizer, [i]) for i in dialect.user_stop_ids] == ["<|im_end|>"]
    opening = decode(tokenizer, opening_ids(tokenizer, dialect, ""))
    assert opening.startswith("<|im_start|>system\nYou are a helpful AI assistant named SmolLM")
    assert opening.endswith("<|im_end|>\n<|im_start|>user\n")


@settings(max_examples=50, deadline=None)
@given(system=texts, spoken=st.lists(texts, min_size=1, max_size=4))
def test_packaged_model_prompts_equal_the_templates_own(tokenizer, dialect, system, spoken):
    history, last, turns = opening_ids(tokenizer, dialect, system), "system", []
    for number, text in enumerate(spoken):
        role = "user" if number % 2 == 0 else "assistant"
        ids = to_ids(tokenizer(text, add_special_tokens=False)["input_ids"])
        turn = Candidate(0, "", None, (), role, ids, text)
        history, last = remember(history, last, turn, dialect), role
        turns.append(Turn(role, text))
    assert matches_template(tokenizer, dialect, system, turns, ask(history, last, dialect))
