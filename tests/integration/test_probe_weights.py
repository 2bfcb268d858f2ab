"""The whole of `arborist probe` on the packaged chat model."""

import json

import pytest

from jobs.prepare_model import prepare
from jobs.probe_start import prove_start
from pipeline.dialects.derive import derive_dialect
from pipeline.dialects.tokenizer import load_tokenizer
from tests.command import run_command
from tests.scoring import scorer

pytestmark = [pytest.mark.vllm, pytest.mark.long]


def test_probe_proves_the_start_by_the_weights_and_samples_from_it():
    location = str(prepare())
    code, out, err = run_command(
        *("probe", "--model", "packaged", "--json"),
        *("--samples", "2", "--max-tokens", "12", "--system", "Be brief."),
        patience_s=500,
    )
    assert code == 0, err
    report = json.loads(out)
    start = report["start"]
    assert (start["text"], start["verdict"]) == ("<|endoftext|>", "proven")
    tokenizer = load_tokenizer(location)
    expected = prove_start(tokenizer, derive_dialect(tokenizer), scorer(location))
    assert losses(start) == pytest.approx(losses(expected), abs=0.02)
    # What its tokenizer calls BOS opens turns, and reads worse than nothing in front.
    assert losses(start)["<|im_start|>"] > losses(start)[""]
    assert [text["prompt"] for text in report["texts"]] == ["<|endoftext|>"] * 2
    assert [len(talk) for talk in report["talks"]] == [4, 4]
    assert report["prompts"]["differing"] == 0


def losses(start):
    return {row["text"]: row["nll"] for row in start["candidates"]}
