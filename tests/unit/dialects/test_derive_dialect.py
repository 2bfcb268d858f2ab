"""What is read off the template of each shape."""

from typing import NamedTuple

import pytest

from pipeline.dialects.derive import derive_dialect
from tests.unit.dialects.chat_shapes import SHAPES


class Read(NamedTuple):
    """The expected dialect, as texts."""

    after_user: str
    after_assistant: str
    user_stops: set[str]
    assistant_stops: set[str]
    leaks: set[str]
    ask: str | None = None
    """None where it is the same as `after_user`."""
    close: str = ""
    system: str = "system"


CHATML = Read(
    "<|im_end|>\n<|im_start|>assistant\n",
    "<|im_end|>\n<|im_start|>user\n",
    {"<|im_end|>"},
    {"<|im_end|>"},
    {"<|im_start|>", "<|endoftext|>"},
)
LLAMA3 = Read(
    "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n",
    {"<|eot_id|>"},
    {"<|eot_id|>"},
    {"<|begin|>", "<|end|>", "<|start_header_id|>", "<|end_header_id|>"},
)
GEMMA = Read(
    "<end_of_turn>\n<start_of_turn>model\n",
    "<end_of_turn>\n<start_of_turn>user\n",
    {"<end_of_turn>", "<eos>"},
    {"<end_of_turn>", "<eos>"},
    {"<bos>", "<start_of_turn>"},
    system="user",
)

EXPECTED = {
    "chatml": CHATML,
    "chatml_without_prompt": CHATML,
    "qwen25": CHATML,
    "llama2": Read(
        "[/INST]",
        "</s><s>[INST]",
        {"</s>", "[/INST]"},
        {"</s>"},
        {"<s>", "[INST]", "[/INST]"},
    ),
    "llama3": LLAMA3,
    "dated": LLAMA3,
    "mistral_old": Read(
        "[/INST]",
        "</s>[INST]",
        {"</s>", "[/INST]"},
        {"</s>"},
        {"<s>", "[INST]", "[/INST]"},
        system="user",
    ),
    "mistral_new": Read(
        "[/INST]",
        "</s>[INST]",
        {"[/INST]", "</s>"},
        {"</s>"},
        {"<s>", "[INST]", "[/INST]"},
        system="user",
    ),
    "mistral_system": Read(
        "[/INST]",
        "</s>[INST]",
        {"[/INST]", "</s>"},
        {"</s>"},
        {"<s>", "[INST]", "[/INST]", "[SYSTEM]", "[/SYSTEM]"},
    ),
    "gemma": GEMMA,
    "drops_system": GEMMA,
    "gemma_newer": GEMMA._replace(system="system"),
    "phi3": Read(
        "<|end|><|assistant|>",
        "<|end|><|user|>",
        {"<|end|>", "<|endoftext|>"},
        {"<|end|>", "<|endoftext|>"},
        {"<|system|>", "<|user|>", "<|assistant|>"},
    ),
    "zephyr": Read(
        "</s>\n<|assistant|>\n",
        "</s>\n<|user|>\n",
        {"</s>"},
        {"</s>"},
        {"<s>", "<|user|>", "<|assistant|>"},
    ),
    "vicuna": Read(
        "ASSISTANT:",
        "</s>USER:",
        {"ASSISTANT:", "</s>"},
        {"</s>"},
        {"<s>", "USER:", "ASSISTANT:"},
    ),
    "alpaca": Read(
        "\n\n### Response:\n",
        "\n\n### Instruction:\n",
        {"### Response:", "</s>"},
        {"### Instruction:", "</s>"},
        {"### Instruction:", "### Response:"},
    ),
    "qwen3": CHATML._replace(close="</think>"),
    "r1": Read(
        "<|Assistant|>",
        "<|end|><|User|>",
        {"<|Assistant|>", "<|end|>"},
        {"<|end|>"},
        {"<|begin|>", "<|User|>", "<|Assistant|>"},
        ask="<|Assistant|><think>\n",
        close="</think>",
    ),
    "glm": Read(
        "<|assistant|>\n<think></think>\n",
        "<|user|>\n",
        {"<|assistant|>", "<|endoftext|>"},
        {"<|user|>", "<|endoftext|>"},
        {"<|system|>", "<|user|>", "<|assistant|>"},
        ask="<|assistant|>",
        close="</think>",
    ),
    "gemma_channels": Read(
        "<turn|>\n<|turn>model\n",
        "<turn|>\n<|turn>user\n",
        {"<turn|>"},
        {"<turn|>"},
        {"<bos>", "<|turn>"},
        ask="<turn|>\n<|turn>model\n<|channel>thought\n<channel|>",
        close="<channel|>",
    ),
    "bytes": Read(
        "<end><assistant>",
        "<end><user>",
        {"<end>"},
        {"<end>"},
        {"<user>", "<assistant>", "<bos>"},
    ),
    "harmony": Read(
        "<|end|><|start|>assistant<|channel|>final<|message|>",
        "<|end|><|start|>user<|message|>",
        {"<|end|>", "<|return|>"},
        {"<|return|>"},
        {"<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|call|>"},
        ask="<|end|><|start|>assistant",
        close="<|channel|>final<|message|>",
    ),
}


def test_every_shape_has_an_expected_dialect():
    assert EXPECTED.keys() == SHAPES.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_derive_dialect_reads_markers_stops_and_leaks(name, tokenizer_of, dialect_of):
    tokenizer, dialect = tokenizer_of(name), dialect_of(name)

    def texts(ids):
        return {tokenizer.decode([i]) for i in ids}

    found = Read(
        after_user=_visible(tokenizer, dialect.after_user),
        after_assistant=_visible(tokenizer, dialect.after_assistant),
        user_stops=texts(dialect.user_stop_ids) | set(dialect.user_stop_strings),
        assistant_stops=texts(dialect.assistant_stop_ids) | set(dialect.assistant_stop_strings),
        leaks=texts(dialect.leak_ids) | set(dialect.leak_strings),
        ask=_visible(tokenizer, dialect.ask_assistant),
        close=tokenizer.decode(list(dialect.reasoning_close)),
        system=dialect.system,
    )
    expected = EXPECTED[name]
    assert found == expected._replace(
        after_user=expected.after_user.replace(" ", ""),
        after_assistant=expected.after_assistant.replace(" ", ""),
        ask=(expected.ask or expected.after_user).replace(" ", ""),
    )


def _visible(tokenizer, ids):
    """The text without the spaces that sentencepiece puts around tokens."""
    return tokenizer.decode(list(ids)).replace(" ", "")


def test_derive_dialect_with_eos_ids_stops_both_roles_at_them(tokenizer_of):
    tokenizer = tokenizer_of("chatml")
    end, start, text = (
        tokenizer.convert_tokens_to_ids(token)
        for token in ("<|im_end|>", "<|im_start|>", "<|endoftext|>")
    )
    dialect = derive_dialect(tokenizer, eos_ids=(end, text))
    assert dialect.user_stop_ids == dialect.assistant_stop_ids == (end, text)
    assert dialect.leak_ids == (start,)


@pytest.mark.parametrize(
    ("name", "stripped"),
    [("qwen3", "\n"), ("r1", ""), ("glm", "\n\t "), ("gemma_channels", "\n\t ")],
)
def test_derive_dialect_blank_ids_are_what_the_template_strips(
    name, stripped, tokenizer_of, dialect_of
):
    tokenizer, dialect = tokenizer_of(name), dialect_of(name)
    texts = {tokenizer.decode([i]) for i in dialect.blank_ids}
    assert set("".join(texts)) == set(stripped)


def test_derive_dialect_vocab_size_is_above_every_id(tokenizer_of, dialect_of):
    tokenizer = tokenizer_of("chatml")
    ids = tokenizer.get_vocab().values()
    assert dialect_of("chatml").vocab_size == max(ids) + 1


def test_derive_dialect_twice_gives_the_same(tokenizer_of, dialect_of):
    assert derive_dialect(tokenizer_of("harmony")) == dialect_of("harmony")
