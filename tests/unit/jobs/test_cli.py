"""The command: exit codes, and one paragraph instead of a traceback."""

import json
import sys
from pathlib import Path

import pytest

from jobs.cli import main
from jobs.prepare_model import cached_location
from schemas.fingerprint import canonical, digest, run_id_of
from schemas.manifest import FORMAT_VERSION
from tests.builders import make_spec, write_spec
from tests.packaged import specs_with
from tests.terminals import terminal

REPOSITORY = Path(__file__).parents[3]

SCRIPTED = ["--engine", "scripted"]


class Result:
    """What a command did and said."""

    def __init__(self, capfd: pytest.CaptureFixture, *argv: object) -> None:
        capfd.readouterr()
        self.code = main([str(word) for word in argv])
        self.out, self.err = capfd.readouterr()
        self.said = " ".join(self.err.split())
        assert "Traceback" not in self.err + self.out
        assert self.code == 0 or self.out or self.err.startswith("arborist: ")


@pytest.fixture
def command(capfd):
    return lambda *argv: Result(capfd, *argv)


def spec_file(folder: Path, **changes) -> Path:
    """A small spec on disk; its run lies in `folder/runs`."""
    spec = make_spec(fanouts=(2, 1), location=str(folder / "runs"), **changes)
    return write_spec(spec, folder / "spec.yaml")


@pytest.fixture
def sealed(tmp_path, command) -> Path:
    """The folder of a sealed run."""
    assert command("generate", spec_file(tmp_path), *SCRIPTED).code == 0
    [folder] = (tmp_path / "runs").iterdir()
    return folder


def reseal(file: Path, **changes) -> None:
    """Change a sealed file so that its digest is right."""
    content = json.loads(file.read_text()) | changes
    content.pop("digest")
    file.write_text(json.dumps(content | {"digest": digest(canonical(content))}))


def test_a_run_from_plan_to_export(tmp_path, command):
    spec = spec_file(tmp_path)
    assert command("plan", spec).code == 0
    planned = json.loads(command("plan", spec, "--json").out)
    first = json.loads(command("generate", spec, *SCRIPTED, "--json").out)
    again = json.loads(command("generate", spec, *SCRIPTED, "--json").out)
    assert (first["complete"], first["already_done"], again["already_done"]) == (True, False, True)
    assert again | {"already_done": False} == first
    assert 0 < first["kept"] <= planned["totals"]["nodes"]
    status = json.loads(command("status", tmp_path / "runs", "--json").out)
    assert (status["sealed"], status["kept"]) == (True, first["kept"])
    assert command("status", tmp_path / "runs").code == 0
    assert command("verify", tmp_path / "runs").code == 0
    exported = command("export", tmp_path / "runs", "--out", tmp_path / "out", "--json")
    assert exported.code == 0 and json.loads(exported.out)["rows"] > 0


def test_generate_says_that_it_begins_anew_beside_a_run_of_another_identity(tmp_path, command):
    spec = spec_file(tmp_path, generation={"curation": {"diversity": {}}})
    assert "note: " not in command("generate", spec, *SCRIPTED).out
    [folder] = (tmp_path / "runs").iterdir()
    content = json.loads((folder / "run.json").read_text())
    content["identity"]["curation"]["embedder"] = "older"
    other = run_id_of(content["generation"], content["identity"])
    reseal(folder / "run.json", run_id=other, identity=content["identity"])
    folder.rename(folder.with_name(other))
    said = command("generate", spec, *SCRIPTED).out
    assert said.count("note: ") == 1 and "embedder was older, is hashing-1" in said


@pytest.mark.parametrize("argv", [[], ["grow"], ["plan"], ["plan", "a", "--what"]])
def test_a_command_line_that_makes_no_sense_ends_with_two(argv, capsys):
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    assert "usage: arborist" in capsys.readouterr().err


def test_unknown_key_ends_with_two(tmp_path, command):
    file = spec_file(tmp_path)
    file.write_text(file.read_text().replace("fanout:", "fan_out:"))
    for verb in ("plan", "generate"):
        result = command(verb, file)
        assert result.code == 2
        assert str(file) in result.said
        assert "generation.levels.0.fan_out: unknown key" in result.said


@pytest.mark.parametrize("verb", ["plan", "generate"])
def test_missing_spec_ends_with_two(verb, command):
    result = command(verb, "no/such/spec.yaml")
    assert result.code == 2 and "no/such/spec.yaml: cannot be read" in result.said


@pytest.mark.parametrize("verb", ["status", "verify", "export"])
def test_location_without_a_run_ends_with_two(verb, tmp_path, command):
    more = ["--out", tmp_path / "out"] if verb == "export" else []
    (tmp_path / "empty").mkdir()
    for location in (tmp_path / "empty", tmp_path / "nothing"):
        result = command(verb, location, *more)
        assert result.code == 2 and str(location) in result.said


def test_missing_model_directory_ends_with_two(tmp_path, command):
    group = {"backend": "vllm", "model": str(tmp_path / "no-model")}
    result = command("generate", spec_file(tmp_path, group=group))
    assert result.code == 2 and f"{tmp_path}/no-model" in result.said


def test_model_without_a_name_ends_with_two(tmp_path, command):
    result = command("generate", spec_file(tmp_path, group={"backend": "vllm"}))
    assert result.code == 2 and "execution.engines.main.model: missing" in result.said


def packaged_model() -> Path:
    location = cached_location()
    if not (location / "tokenizer.json").is_file():
        pytest.skip("the packaged model was not prepared on this machine")
    return location


def test_model_without_chat_template_ends_with_two(tmp_path, command):
    model = tmp_path / "model"
    model.mkdir()
    for file in packaged_model().iterdir():
        if "template" not in file.name:
            (model / file.name).symlink_to(file)
    config = json.loads((model / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (model / "tokenizer_config.json").unlink()
    (model / "tokenizer_config.json").write_text(json.dumps(config))
    result = command(
        "generate", spec_file(tmp_path, group={"backend": "vllm", "model": str(model)})
    )
    assert result.code == 2
    assert str(model) in result.said and "chat template" in result.said


def test_context_too_small_for_the_real_markers_ends_with_two(tmp_path, command):
    group = {"backend": "vllm", "model": str(packaged_model())}
    model = {"model": {"name": "m", "context": 201}}
    result = command("generate", spec_file(tmp_path, group=group, generation=model))
    assert result.code == 2
    assert "generation.model.context: found 201" in result.said and "markers" in result.said
    assert not (tmp_path / "runs").exists()


def test_unwritable_location_ends_with_two(tmp_path, command):
    (tmp_path / "runs").write_text("a file in the place of the folder")
    result = command("generate", spec_file(tmp_path), *SCRIPTED)
    assert result.code == 2 and f"{tmp_path}/runs" in result.said


@pytest.mark.parametrize("verb", ["status", "verify"])
def test_run_of_a_newer_format_ends_with_two(verb, sealed, command):
    reseal(sealed / "run.json", format=FORMAT_VERSION + 1)
    result = command(verb, sealed)
    assert result.code == 2 and f"run.json: written in format {FORMAT_VERSION + 1}" in result.said


def test_generate_over_a_run_of_a_newer_format_ends_with_two(sealed, command):
    reseal(sealed / "run.json", format=FORMAT_VERSION + 1)
    result = command("generate", sealed.parents[1] / "spec.yaml", *SCRIPTED)
    assert result.code == 2 and "use the newer version" in result.said


def test_damaged_run_file_ends_with_one(sealed, command):
    (sealed / "run.json").write_text("{")
    for verb in ("status", "verify"):
        result = command(verb, sealed)
        assert result.code == 1 and "run.json: not a sealed JSON file" in result.said


def test_damaged_manifest_is_named(sealed, command):
    file = sealed / "ledger" / "000000.json"
    file.write_text(file.read_text().replace('"attempt": "', '"attempt": "x'))
    status = command("status", sealed)
    assert status.code == 1 and "ledger/000000.json: its digest does not match" in status.said
    verified = command("verify", sealed)
    assert verified.code == 1 and "ledger/000000.json: its digest does not match" in verified.out


def test_truncated_shard_is_named(sealed, command):
    shard = min((sealed / "nodes").iterdir())
    shard.write_bytes(shard.read_bytes()[:-10])
    verified = command("verify", sealed)
    assert verified.code == 1 and f"nodes/{shard.name}: " in verified.out
    defects = json.loads(command("verify", sealed, "--json").out)["defects"]
    assert any(shard.name in defect for defect in defects)


def test_too_many_failures_end_with_one_and_say_how_to_go_on(tmp_path, command):
    file = spec_file(
        tmp_path,
        trees=60,
        scripted={"fail_share": 0.9},
        bounds=(8, 64),
        max_failed_share=0.05,
    )
    result = command("generate", file, *SCRIPTED)
    assert result.code == 1
    assert "max_failed_share" in result.said and "same command again" in result.said


@pytest.mark.parametrize(("columns", "widest"), [(60, 60), (200, 100)])
def test_errors_are_no_wider_than_the_terminal(tmp_path, monkeypatch, columns, widest):
    monkeypatch.chdir(tmp_path)
    with terminal(monkeypatch, columns) as (err, said), monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", err)
        assert main(["status", "nowhere"]) == 2
    lengths = [len(line) for line in said[0].splitlines()]
    assert widest - 20 < max(lengths) <= widest


def test_long_words_are_not_broken(tmp_path, command):
    long = tmp_path / ("a-very-long-name-" * 8)
    result = command("status", long)
    assert str(long) in result.err


@pytest.mark.parametrize("spec", specs_with("generation"), ids=str)
def test_every_packaged_spec_is_planned(spec, command, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    result = command("plan", spec, "--json")
    assert result.code == 0, result.said
    assert json.loads(result.out)["totals"]["nodes"] > 0


def test_plan_counts_trees_whose_rows_another_run_has_yet_to_make(command, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    result = command("plan", "jobs/specs/balance-topics.yaml")
    assert result.code == 0 and "8,192 trees" in result.out
    assert "cannot be read yet" in result.out and "runs/topics" in result.out
