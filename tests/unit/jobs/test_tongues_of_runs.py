"""Which directories let verify read and spell what a run's models said."""

from pathlib import Path

import pytest

from jobs.tongues import tongues_of, unread
from pipeline.dialects.derive import derive_dialect
from pipeline.dialects.scripted import scripted_dialect
from pipeline.dialects.tokenizer import load_tokenizer
from schemas.errors import ModelError
from schemas.fingerprint import ModelIdentity
from schemas.generation_spec import ModelSpec
from schemas.manifest import RunFile
from schemas.records import Message
from tests.stored import make_run_file
from tests.unit.dialects.chat_shapes import SHAPES, build

FRAME = (Message("user", "Why do trees grow?"),)


@pytest.fixture
def models(tmp_path) -> dict[str, Path]:
    """Directories of models by their names."""
    return {name: saved(tmp_path / name, name) for name in ("chatml", "gemma", "alpaca")}


def saved(folder: Path, shape: str, template: str | None = None) -> Path:
    tokenizer = build(SHAPES[shape])
    tokenizer.chat_template = template or tokenizer.chat_template
    tokenizer.save_pretrained(folder)
    return folder


def run_of(*models: Path | None) -> RunFile:
    """A run of some models, the first of which writes most; None is a scripted one."""
    dialects = [
        derive_dialect(load_tokenizer(str(model))) if model else scripted_dialect()
        for model in models
    ]
    run_file = make_run_file()
    names = [model.name if model else "scripted" for model in models]
    specs = [ModelSpec(name=name, context=128) for name in names]
    groups = {f"group{i}": spec for i, spec in enumerate(specs[1:])}
    identities = [
        ModelIdentity(
            weights="w" if model else "scripted",
            tokenizer=dialect.tokenizer,
            template=dialect.template,
            dialect="",
        )
        for model, dialect in zip(models, dialects, strict=True)
    ]
    known = list(dict.fromkeys(dialects))
    parts = {
        "generation": run_file.generation.model_copy(update={"model": specs[0], "models": groups}),
        "identity": run_file.identity.model_copy(update={"models": tuple(identities)}),
        "dialects": tuple(known),
        "tongues": tuple(known.index(dialect) for dialect in dialects),
    }
    return run_file.model_copy(update=parts)


def test_all_directories_in_any_order_read_and_spell_every_tongue(models):
    run_file = run_of(models["chatml"], models["gemma"])
    found = tongues_of(run_file, [str(models["gemma"]), str(models["chatml"])])
    assert found.decoders.keys() == {0, 1} and not found.unlike
    assert unread(run_file, found) == []
    shown = [
        found.decoders[tongue](speller.opening(FRAME).ids)
        for tongue, speller in enumerate(found.spellers)
    ]
    assert "<|im_start|>user" in shown[0] and "<start_of_turn>" in shown[1]


def test_one_of_two_directories_reads_its_own_tongue_and_spells_none(models):
    run_file = run_of(models["chatml"], models["gemma"])
    found = tongues_of(run_file, [str(models["gemma"])])
    assert found.decoders.keys() == {1} and found.spellers == ()
    assert unread(run_file, found) == ["chatml"]


def test_models_of_one_tongue_need_one_directory(models):
    run_file = run_of(models["chatml"], models["chatml"])
    found = tongues_of(run_file, [str(models["chatml"]), str(models["chatml"])])
    assert found.decoders.keys() == {0} and len(found.spellers) == 1
    assert unread(run_file, found) == []


def test_scripted_models_need_none(models):
    run_file = run_of(None, models["gemma"])
    assert tongues_of(run_file, ()).decoders.keys() == {0}
    assert unread(run_file, tongues_of(run_file, ())) == ["gemma"]
    found = tongues_of(run_file, [str(models["gemma"])])
    assert found.decoders.keys() == {0, 1} and len(found.spellers) == 2
    assert found.decoders[0](found.spellers[0].ids("So.")) == "So."


def test_directory_of_another_model_is_refused(models):
    with pytest.raises(ModelError, match=r"alpaca: its tokenizer is of none of the models"):
        tongues_of(run_of(models["chatml"]), [str(models["alpaca"])])


def test_same_tokenizer_under_another_template_reads_and_does_not_spell(models, tmp_path):
    other = SHAPES["chatml"].template.replace("<|im_start|>", "<|im_start|>the ")
    again = saved(tmp_path / "again", "chatml", other)
    found = tongues_of(run_of(models["chatml"]), [str(again)])
    assert found.decoders.keys() == {0} and found.spellers == ()
    assert found.unlike == (str(again),)
