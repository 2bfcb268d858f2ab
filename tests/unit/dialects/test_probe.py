"""The command `arborist probe`, and the conversations it samples."""

import json

import pytest

from jobs.cli import main
from jobs.probe_samples import ROLES, Talk, hold_talks, summarise
from pipeline.dialects.derive import derive_dialect, opening_ids
from pipeline.dialects.scripted import scripted_dialect, scripted_opening
from pipeline.engines.scripted import ScriptedConfig, ScriptedEngine
from schemas.records import Sampling
from tests.unit.dialects.chat_shapes import CHATML, build


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
        assert opening_ids(scripted, derived, text).tolist() == scripted_opening(text).tolist()


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


def hold(scripted, **habits):
    engine = ScriptedEngine(ScriptedConfig(mean_tokens=20, **habits))
    engine.start()
    talks = [Talk("", scripted_opening("")) for _ in range(8)]
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
