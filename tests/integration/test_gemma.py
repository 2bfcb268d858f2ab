"""Gemma 3 270M, a base model whose tokenizer adds no BOS and that is broken without it."""

import json
from importlib.util import find_spec

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.prepare_base import PACKAGE, prepare_base
from jobs.probe_start import TEXTS, prove_start
from pipeline.dialects.derive import derive_dialect
from pipeline.dialects.spelling import TokenizerSpeller
from pipeline.dialects.tokenizer import generation_eos_ids, load_tokenizer
from schemas.errors import ModelError
from schemas.records import Message
from tests.scoring import scorer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec(PACKAGE) is None, reason=f"{PACKAGE} is not installed"),
]
BOS = 2


@pytest.fixture(scope="module")
def model():
    return str(prepare_base())


@pytest.fixture(scope="module")
def tokenizer(model):
    return load_tokenizer(model)


@pytest.fixture(scope="module")
def dialect(model, tokenizer):
    return derive_dialect(tokenizer, eos_ids=generation_eos_ids(model))


@pytest.fixture(scope="module")
def speller(tokenizer, dialect):
    return TokenizerSpeller(tokenizer, dialect)


def test_gemma_texts_start_with_a_bos_that_its_tokenizer_does_not_add(tokenizer, dialect, speller):
    assert tokenizer("Once")["input_ids"][0] != BOS
    assert dialect.start == (BOS,)
    assert [tokenizer.decode([i]) for i in dialect.text_stop_ids] == ["<eos>"]
    assert speller.opening((Message("text", ""),)).ids.tolist() == [BOS]


@settings(max_examples=60, deadline=None)
@given(
    text=st.text("ab Z7.,\n\té日😀<>", max_size=12) | st.sampled_from(["<bos>", "a<bos> b<eos>"])
)
def test_gemma_prompts_begin_with_bos_exactly_once(tokenizer, speller, text):
    ids = speller.opening((Message("text", text),)).ids.tolist()
    assert ids[0] == BOS and ids.count(BOS) == 1
    assert tokenizer.decode(ids[1:]) == text


def test_gemma_without_a_template_refuses_conversations(speller):
    with pytest.raises(ModelError, match="chat template"):
        speller.opening((Message("user", "Why?"),))


def test_gemma_reads_texts_far_better_after_bos(model, tokenizer, dialect):
    report = prove_start(tokenizer, dialect, scorer(model), TEXTS[:3])
    losses = {tuple(row["ids"]): row["nll"] for row in report["candidates"]}
    assert report["verdict"] == "proven", json.dumps(report, indent=1)
    assert losses[BOS,] < 3.5
    assert min(loss for ids, loss in losses.items() if ids != (BOS,)) > losses[BOS,] + 1
    assert losses[()] > losses[BOS,] + 2
