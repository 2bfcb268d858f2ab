"""How prompts start."""

import pytest
from tokenizers import processors

from pipeline.dialects.derive import derive_dialect
from pipeline.dialects.opening import BosReport, bos_report, opening_ids
from pipeline.dialects.tokenizer import load_tokenizer
from tests.unit.dialects.chat_shapes import ZEPHYR, build

OPENINGS = {
    "chatml": ("<|im_start|>user\n", "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n"),
    "qwen25": (
        "<|im_start|>system\nA default prompt.<|im_end|>\n<|im_start|>user\n",
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n",
    ),
    "llama2": ("<s>[INST]", "<s>[INST]<<SYS>>\nBebrief.\n<</SYS>>\n\n"),
    "mistral_old": ("<s>[INST]", "<s>[INST]Bebrief.\n\n"),
    "mistral_new": ("<s>[INST]", "<s>[INST]Bebrief.\n\n"),
    "gemma": ("<bos><start_of_turn>user\n", "<bos><start_of_turn>user\nBebrief.\n\n"),
    "gemma_newer": ("<bos><start_of_turn>user\n", "<bos><start_of_turn>user\nBebrief.\n\n"),
    "phi3": ("<|user|>", "<|system|>Bebrief.<|end|><|user|>"),
    "r1": ("<|begin|><|User|>", "<|begin|>Be brief.<|User|>"),
}


@pytest.mark.parametrize("name", OPENINGS)
def test_opening_ids_end_where_the_users_text_starts(name, tokenizer_of, dialect_of):
    tokenizer, dialect = tokenizer_of(name), dialect_of(name)
    for system, expected in zip(("", "Be brief."), OPENINGS[name], strict=True):
        found = tokenizer.decode(opening_ids(tokenizer, dialect, system).tolist())
        # Sentencepiece tokens carry spaces that are not in the text.
        assert found.replace(" ", "") == expected.replace(" ", "")


@pytest.mark.parametrize("name", ["dated", "harmony"])
def test_opening_ids_with_a_date_are_those_of_a_fixed_day(name, tokenizer_of, dialect_of):
    tokenizer, dialect = tokenizer_of(name), dialect_of(name)
    text = tokenizer.decode(opening_ids(tokenizer, dialect, "").tolist())
    assert "26 Jul 2024" in text or "2024-07-26" in text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("llama3", BosReport("<|begin|>", template_writes_it=True, tokenizer_adds_it=False)),
        ("zephyr", BosReport("<s>", template_writes_it=False, tokenizer_adds_it=False)),
        ("qwen25", BosReport(None, template_writes_it=False, tokenizer_adds_it=False)),
    ],
)
def test_bos_report_says_whether_the_template_writes_it(name, expected, tokenizer_of, dialect_of):
    assert bos_report(tokenizer_of(name), dialect_of(name)) == expected


def test_bos_report_tells_a_tokenizer_that_adds_it_to_plain_text(tmp_path):
    tokenizer = build(ZEPHYR)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.bos_token_id)]
    )
    tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(str(tmp_path))
    dialect = derive_dialect(loaded)
    assert bos_report(loaded, dialect) == BosReport("<s>", False, True)
    assert opening_ids(loaded, dialect, "")[0] != loaded.bos_token_id
