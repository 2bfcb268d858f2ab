"""The command `arborist probe`, and the conversations it samples."""

import json

import numpy as np
import pytest

from jobs.cli import main
from jobs.probe_samples import ROLES, TEXT, Talk, hold_talks, summarise, summarise_texts
from jobs.probe_start import TEXTS, prove_start
from jobs.probe_start_text import start_text
from pipeline.dialects.derive import derive_dialect, opening_ids
from pipeline.dialects.scripted import ScriptedSpeller, scripted_dialect
from pipeline.dialects.tokenizer import load_tokenizer
from pipeline.engines.scripted import ScriptedConfig, ScriptedEngine
from schemas.records import Message, Sampling, to_ids
from tests.unit.dialects.chat_shapes import CHATML, GEMMA, build


@pytest.fixture
def chatml(tmp_path):
    build(CHATML).save_pretrained(tmp_path)
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": 0}')
    return str(tmp_path)


@pytest.fixture
def scripted(tokenizer_of):
    """The dialect of scripted engines, as a tokenizer with a template."""
    return tokenizer_of("bytes")


def test_scripted_dialect_is_what_is_derived_from_a_template_of_its_shape(scripted):
    derived = derive_dialect(scripted)
    same = {"tokenizer": derived.tokenizer, "template": derived.template}
    assert derived == scripted_dialect().model_copy(update=same)
    for text in ("", "Be brief."):
        opening = ScriptedSpeller().opening((Message("system", text),))
        assert opening_ids(scripted, derived, text).tolist() == opening.ids.tolist()


def test_probe_without_sampling_prints_what_it_read(chatml, capsys):
    assert main(["probe", "--model", chatml, "--no-sampling", "--json", "--system", "Hi."]) == 0
    report = json.loads(capsys.readouterr().out)
    opening = "<|im_start|>system\nHi.<|im_end|>\n<|im_start|>user\n"
    assert report["markers"]["opening"] == opening
    assert [stop["text"] for stop in report["stops"]["user"]] == ["<|im_end|>", "!"]
    assert "talks" not in report


def test_probe_text_shows_markers_and_stops(chatml, capsys):
    assert main(["probe", "--model", chatml, "--no-sampling"]) == 0
    text = capsys.readouterr().out
    assert "  | <|im_start|>user\n" in text
    assert r"'<|im_end|>\n<|im_start|>assistant\n'" in text


def test_probe_of_an_unsupported_template_ends_with_2_and_the_reason(tmp_path, capsys):
    build(CHATML._replace(template="{{ raise_exception('Not today') }}")).save_pretrained(tmp_path)
    assert main(["probe", "--model", str(tmp_path), "--no-sampling"]) == 2
    assert "Not today" in capsys.readouterr().err


@pytest.fixture
def base(tmp_path):
    tokenizer = build(GEMMA)
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path)
    return str(tmp_path)


def test_probe_of_a_base_model_shows_start_and_ends_without_a_template(base, capsys):
    assert main(["probe", "--model", base, "--no-sampling", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["start"]["text"] == "<bos>"
    assert [stop["text"] for stop in report["text_stops"]] == ["<eos>"]
    assert "markers" not in report and "candidates" not in report["start"]
    assert main(["probe", "--model", base, "--no-sampling"]) == 0
    text = capsys.readouterr().out
    assert "template   none" in text and f"<bos> ({report['start']['ids'][0]})" in text


def reading(best):
    """A model that reads texts better after `best`, by a nat a token."""

    def score(texts):
        gains = [0.0 if ids[0] == best else -1.0 for ids in texts]
        return [np.full(len(ids) - 1, gain - 2) for ids, gain in zip(texts, gains, strict=True)]

    return score


@pytest.mark.parametrize(
    ("best", "verdict", "said"),
    [("<|endoftext|>", "proven", "Proven"), ("<|im_start|>", "refuted", "WRONG BY THE WEIGHTS")],
)
def test_prove_start_ranks_candidates_by_what_the_model_reads_best(best, verdict, said, chatml):
    tokenizer = load_tokenizer(chatml)
    dialect = derive_dialect(tokenizer)
    score = reading(tokenizer.convert_tokens_to_ids(best))
    report = prove_start(tokenizer, dialect, score)
    assert report["text"] == "<|endoftext|>"
    assert report["verdict"] == verdict and abs(report["lead"]) == 1
    first, *others = report["candidates"]
    assert (first["text"], first["nll"]) == (best, 2)
    roles = {row["text"]: set(row["roles"]) for row in report["candidates"]}
    assert roles == {
        "<|endoftext|>": {"derived", "end"},
        "<|im_start|>": {"bos"},
        "<|im_end|>": {"end"},
        "": {"nothing"},
    }
    assert {row["nll"] for row in others} == {3}
    assert said in start_text(report)


def test_prove_start_leaves_each_texts_first_token_out(chatml):
    tokenizer = load_tokenizer(chatml)
    dialect = derive_dialect(tokenizer)

    def score(texts):
        found = [np.full(len(ids) - 1, -5.0) for ids in texts]
        for ids, logprobs in zip(texts, found, strict=True):
            # The start is better for a text's first token, and for no other.
            logprobs[0] = -1.0 if ids[0] in dialect.start else -5.0
        return found

    report = prove_start(tokenizer, dialect, score, TEXTS[:2])
    assert {row["nll"] for row in report["candidates"]} == {5}
    assert report["verdict"] == "unclear" and "NOT PROVEN" in start_text(report)


def test_hold_talks_writes_plain_texts_from_the_start(scripted):
    engine = ScriptedEngine(ScriptedConfig(mean_tokens=20))
    engine.start()
    dialect = scripted_dialect()
    talks = [Talk("", to_ids(dialect.start), begins="text") for _ in range(3)]
    hold_talks(engine, scripted, dialect, talks, Sampling(400), TEXT)
    texts = summarise_texts(talks, scripted)["texts"]
    assert [(text["role"], text["prompt"], text["finish"]) for text in texts] == [
        ("text", "<bos>", "stop")
    ] * 3
    assert len({text["text"] for text in texts}) == 3


def hold(scripted, **habits):
    engine = ScriptedEngine(ScriptedConfig(mean_tokens=20, **habits))
    engine.start()
    opening = ScriptedSpeller().opening(()).ids
    talks = [Talk("", opening) for _ in range(8)]
    hold_talks(engine, scripted, derive_dialect(scripted), talks, Sampling(400))
    return summarise(talks, scripted)


def test_hold_talks_grows_every_role_and_prompts_equal_the_templates(scripted):
    report = hold(scripted)
    assert [[turn["role"] for turn in talk] for talk in report["talks"]] == [list(ROLES)] * 8
    assert report["prompts"] == {"asked": 32, "differing": 0}
    first = report["talks"][0]
    assert first[-1]["prompt"] == (
        f"<user>{first[0]['text']}<end><assistant>{first[1]['text']}"
        f"<end><user>{first[2]['text']}<end><assistant>"
    )


@pytest.mark.parametrize(
    ("habit", "reason"),
    [
        ("empty_share", "empty"),
        ("leak_share", "role_leak"),
        ("fail_share", "failed"),
    ],
)
def test_hold_talks_ends_at_turns_without_use_and_counts_them(habit, reason, scripted):
    report = hold(scripted, **{habit: 1.0})
    assert [len(talk) for talk in report["talks"]] == [1] * 8
    assert report["shares"]["user"]["dropped"][reason] == 8
    assert report["shares"]["assistant"]["turns"] == 0


def test_hold_talks_goes_on_from_truncated_turns_and_counts_them(scripted):
    report = hold(scripted, truncate_share=1.0)
    assert [len(talk) for talk in report["talks"]] == [len(ROLES)] * 8
    dropped = {role: shares["dropped"]["truncated"] for role, shares in report["shares"].items()}
    assert dropped == {"user": 16, "assistant": 16}
