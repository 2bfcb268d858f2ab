"""A recipe of one's own, by import path, from another working directory, by the real command."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.architecture.source import REPOSITORY

EXAMPLES = REPOSITORY / "tests" / "examples"
OF_RUN = ("runs/voices", "--recipe-from", ".")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a user has the example."""
    return laid_out(tmp_path)


def laid_out(folder: Path) -> Path:
    for name in ("voices.py", "voices.yaml"):
        shutil.copy(EXAMPLES / name, folder)
    return folder


def arborist(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as it is started in a folder; nothing but our code is found by Python itself."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "jobs.cli", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


def generate(folder: Path) -> dict:
    """The figures of the example's rehearsal."""
    done = arborist(folder, "generate", "voices.yaml", "--engine", "scripted", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """The example after its rehearsal, not to be changed, and the figures."""
    folder = laid_out(tmp_path_factory.mktemp("sealed"))
    return folder, generate(folder)


@pytest.fixture
def grown(sealed: tuple[Path, dict], tmp_path: Path) -> Path:
    """The same as one's own."""
    return shutil.copytree(sealed[0], tmp_path / "grown")


def test_own_recipe_grows_and_all_commands_know_its_run(grown, sealed):
    _, figures = sealed
    planned = json.loads(arborist(grown, "plan", "voices.yaml", "--json").stdout)
    assert figures["complete"] and figures["asked"] <= planned["totals"]["candidates"]
    status = json.loads(arborist(grown, "status", *OF_RUN, "--json").stdout)
    assert (status["sealed"], status["kept"]) == (True, figures["kept"])
    verified = arborist(grown, "verify", *OF_RUN)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    exported = arborist(grown, "export", *OF_RUN, "--out", "messages")
    assert exported.returncode == 0, exported.stderr
    rows = pq.read_table(list((grown / "messages").glob("*.parquet"))).to_pylist()
    assert rows
    for row in rows:
        roles = [message["role"] for message in row["messages"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2), "readers see no system prompt"


def test_own_recipe_shows_who_asks_while_questions_are_asked_only(sealed):
    folder, figures = sealed
    (shard,) = (folder / "runs" / "voices" / figures["run_id"] / "roots").glob("*.parquet")
    child, engineer = pq.read_table(shard).to_pylist()
    said = {
        (o["level"]): bytes(i for i in o["token_ids"] if i < 256).decode()
        for o in child["openings"]
    }
    asking = "The user is a child of seven who wonders about animals."
    assert said == {0: "", 1: asking, 3: asking}
    assert child["messages"] == engineer["messages"] == []


def test_own_recipe_edited_source_is_another_run(grown, sealed):
    _, first = sealed
    again = generate(grown)
    assert (again["run_id"], again["already_done"]) == (first["run_id"], True)
    with (grown / "voices.py").open("a") as file:
        file.write("\n# Changed.\n")
    other = generate(grown)
    assert other["run_id"] != first["run_id"] and not other["already_done"]
    assert len(list((grown / "runs" / "voices").glob("*/run.json"))) == 2


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("nowhere.to.be:Found", ["nowhere.to.be:Found cannot be imported from", "No module named"]),
        ("voices:Choir", ["found no Choir in voices", "derives from pipeline.recipes.Method"]),
        ("voices:RootRow", ["voices:RootRow", "derives from pipeline.recipes.Method"]),
        ("pipeline.recipes:Method", ["has no `name`"]),
        (
            "voices.Voices",
            ["found voices.Voices, expected one of tg-sft", "`package.module:Class`"],
        ),
    ],
)
def test_own_recipe_that_cannot_be_used_is_explained(folder, recipe, said):
    file = folder / "voices.yaml"
    file.write_text(file.read_text().replace("voices:Voices ", f"{recipe} "))
    failed = arborist(folder, "generate", "voices.yaml", "--engine", "scripted")
    message = " ".join(failed.stderr.split())
    assert failed.returncode == 2 and "Traceback" not in message
    assert message.startswith("arborist: voices.yaml: generation.recipe: ")
    for part in said:
        assert part in message


def test_own_recipe_run_without_its_source_says_what_is_missing(sealed, tmp_path_factory):
    folder, _ = sealed
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    failed = arborist(elsewhere, "verify", str(folder / "runs" / "voices"))
    message = " ".join(failed.stderr.split())
    assert failed.returncode != 0 and "Traceback" not in message
    assert "voices:Voices cannot be imported: No module named 'voices'" in message
    assert "--recipe-from" in message


VERBS = {"status": [], "verify": [], "repair": [], "explain": ["0"], "export": ["--out", "rows"]}


@pytest.mark.parametrize("started", [".", "runs/voices"])
def test_stranger_who_sends_a_run_with_its_recipe_gets_no_code_run(grown, started):
    """Whichever folder of theirs a command is started in, whichever way the run lies in it."""
    [run] = (grown / "runs" / "voices").glob("*/run.json")
    here = grown / started
    for folder in {here, run.parent}:
        (folder / "voices.py").write_text(f"open({str(grown / 'proof')!r}, 'w')\n")
    for verb, arguments in VERBS.items():
        refused = arborist(here, verb, str(run.parent.relative_to(here)), *arguments)
        said = " ".join(refused.stderr.split())
        assert refused.returncode == 2, (verb, said)
        assert "cannot be imported" in said and "Traceback" not in said, (verb, said)
    assert arborist(here, "refine", str(run.parent)).returncode == 0
    assert not (grown / "proof").exists()


def test_recipe_from_a_folder_that_is_not_there_is_refused(grown):
    refused = arborist(grown, "status", "runs/voices", "--recipe-from", "nowhere")
    assert refused.returncode == 2
    assert "arborist: --recipe-from: nowhere: expected the folder" in refused.stderr


def test_own_recipe_on_the_module_search_path_needs_no_folder(grown, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(grown))
    assert arborist(grown, "status", "runs/voices").returncode == 0


def test_own_recipe_edited_after_its_run_is_told_apart_by_what_derives_from_it(grown):
    with (grown / "voices.py").open("a") as file:
        file.write("\n# Changed.\n")
    for verb, arguments in VERBS.items():
        refused = arborist(grown, verb, *OF_RUN, *arguments)
        said = " ".join(refused.stderr.split())
        assert refused.returncode == 2, (verb, said)
        assert "was made by recipe voices 1" in said, (verb, said)
    assert not (grown / "rows").exists()
    # Equal texts are equal by whatever recipe they were made.
    assert arborist(grown, "refine", "runs/voices").returncode == 0
