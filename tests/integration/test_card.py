"""Exports as strangers find them: the card read by the hub's own reader, rows found by `datasets`,
and pushes to stores and to a hub."""

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import datasets
import pytest
import yaml
from huggingface_hub import DatasetCard

from jobs.cli import main
from jobs.export_push import EXPORT, MARK, export_at, plan_push, push_to_store
from pipeline.storage.open import open_store
from pipeline.storage.store import Store
from schemas.errors import StoreError
from tests.builders import make_spec, memory_store, run_scripted
from tests.command import run_command
from tests.fake_hub import TOKEN, fake_hub
from tests.faulty_store import MODES, FaultyStore, Killed, Mode
from tests.s3_server import BUCKET, s3_server

TEXT = {
    "recipe": "tg-pt",
    "roots": {"trees": 2, "topics": [{"text": "Once there was"}]},
    "levels": [{"role": "text", "fanout": 3, "oversample": 1, "max_tokens": 60}],
    "turns": {},
}
RUNS = {"messages": None, "text": TEXT, "preference": None, "nodes": None}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Sealed runs: of dialogues, another one, and one of texts."""
    place = tmp_path_factory.mktemp("runs")
    of = {"chat": {}, "other": {"seed": 12}, "text": TEXT}
    for name, generation in of.items():
        run_scripted(open_store(str(place / name)), make_spec(generation=generation))
    return {name: place / name for name in of}


def export(run: Path | str, out: Path, *args: str) -> int:
    return main(["export", str(run), "--out", str(out), *args])


def said_in(capsys: pytest.CaptureFixture[str]) -> str:
    """What the command has said to a person, on one line."""
    return " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("kind", RUNS)
def test_folder_is_loaded_by_its_card_with_the_features_it_tells(
    runs: dict[str, Path], tmp_path: Path, kind: str
):
    run = runs["text" if kind == "text" else "chat"]
    assert export(run, tmp_path / "out", "--format", kind) == 0
    card = DatasetCard.load(tmp_path / "out" / "README.md")
    rows = datasets.load_dataset(
        str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache")
    )
    bare = datasets.load_dataset(
        "parquet",
        data_files=str(tmp_path / "out" / "*.parquet"),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    told = card.data.to_dict()["dataset_info"]["features"]
    assert told == rows.features._to_yaml_list() and rows.features == bare.features
    assert rows.to_list() == bare.to_list() and len(rows) > 1
    assert json.loads((tmp_path / "out" / EXPORT).read_text())["rows"] == len(rows)
    assert card.data.size_categories == ["n<1K"] and card.data.license == "other"
    assert {"synthetic", "arborist", "rehearsal", kind} <= set(card.data.tags)
    assert f"{len(rows):,} rows" in card.text


def test_card_is_the_same_every_time_and_names_no_place(runs: dict[str, Path], tmp_path: Path):
    cards = []
    for name in ("one", "two"):
        assert export(runs["chat"], tmp_path / name) == 0
        cards.append((tmp_path / name / "README.md").read_bytes())
    assert cards[0] == cards[1] and str(tmp_path).encode() not in cards[0]


def test_funnel_of_a_card_adds_up_with_what_the_snapshot_counts(
    runs: dict[str, Path], tmp_path: Path
):
    assert export(runs["chat"], tmp_path / "out") == 0
    text = (tmp_path / "out" / "README.md").read_text()
    [snapshot] = (runs["chat"] / "snapshots").iterdir()
    counts = json.loads(snapshot.read_text())["counts"]
    lines = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    lost = {line[0].strip("| `"): line[2] for line in lines if len(line) == 4}
    assert (
        counts["dropped"]
        and counts["dropped"].items()
        <= {name: int(found.lstrip("-") or 0) for name, found in lost.items()}.items()
    )
    assert f"| kept |  |  | {counts['kept']:,} |" in text


def test_spec_on_a_card_is_the_run(runs: dict[str, Path], tmp_path: Path):
    assert export(runs["chat"], tmp_path / "out", "--turns", "1", "--per-opening", "2") == 0
    text = (tmp_path / "out" / "README.md").read_text()
    spec = yaml.safe_load(text.split("```yaml\n")[1].split("\n```")[0])
    assert spec["generation"] == json.loads((runs["chat"] / "run.json").read_text())["generation"]
    assert "arborist export RUN --format messages --turns 1 --per-opening 2" in text


def test_readme_of_another_hand_stays(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").write_text("Mine.")
    assert export(runs["chat"], tmp_path / "out") == 0
    assert "stays: the card was not written" in capsys.readouterr().out
    assert (tmp_path / "out" / "README.md").read_text() == "Mine."


def test_card_goes_where_it_is_told_or_nowhere(runs: dict[str, Path], tmp_path: Path):
    card = tmp_path / "docs" / "card.md"
    assert export(runs["chat"], tmp_path / "a", "--card", str(card), "--license", "cc0-1.0") == 0
    assert export(runs["chat"], tmp_path / "b", "--card", "none") == 0
    assert DatasetCard.load(card).data.license == "cc0-1.0"
    for name in ("a", "b"):
        assert not (tmp_path / name / "README.md").exists()
        place, cache = str(tmp_path / name), str(tmp_path / "cache")
        assert len(datasets.load_dataset(place, split="train", cache_dir=cache)) > 1


def test_personal_data_are_masked_on_the_card_as_in_the_rows(tmp_path: Path):
    topics = [{"text": "I am ada.lovelace@gmail.com."}]
    filters = [{"filter": "pii", "action": "mask", "roles": ["text"]}]
    generation = {**TEXT, "roots": {"topics": topics}, "curation": {"filters": filters}}
    run_scripted(open_store(str(tmp_path / "run")), make_spec(generation=generation))
    assert export(tmp_path / "run", tmp_path / "out", "--format", "text") == 0
    shown = (tmp_path / "out" / "README.md").read_text().split("## Examples")[1].split("\n## ")[0]
    assert "<EMAIL>" in shown and "lovelace" not in shown


def names(store: Store) -> list[str]:
    return store.list("")


@pytest.fixture(params=["file", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path):
    """Somewhere to push to."""
    if request.param == "s3":
        with s3_server():
            yield f"s3://{BUCKET}/pushed"
    else:
        yield str(tmp_path / "pushed") if request.param == "file" else memory_store().location


def test_push_brings_all_of_it_and_again_nothing(
    runs: dict[str, Path], tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
):
    out, target = tmp_path / "out", open_store(place)
    assert export(runs["chat"], out, "--push", place, "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["pushed"]["sent"] == figures["files"] == 1
    assert names(target) == ["README.md", EXPORT, "messages-00000.parquet"]
    for name in names(target):
        assert target.read(name) == (out / name).read_bytes()
    assert export(runs["chat"], out, "--push", place) == 0
    assert "holds it already" in capsys.readouterr().out


def contents(folder: Path) -> dict[str, bytes]:
    """Of the files in a folder."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def test_push_that_broke_off_is_finished(runs: dict[str, Path], tmp_path: Path):
    out, there = tmp_path / "out", tmp_path / "there"
    assert export(runs["chat"], out) == 0
    shutil.copytree(out, there)
    (there / EXPORT).rename(there / MARK)
    (there / "README.md").unlink()
    (there / "messages-00000.parquet").write_bytes(b"of an earlier export")
    assert export(runs["chat"], out, "--push", str(there)) == 0
    assert contents(there) == contents(out)


def test_push_over_others_is_refused_unless_forced(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    there = tmp_path / "there"
    there.mkdir()
    (there / "data.csv").write_text("a,b")
    assert export(runs["chat"], tmp_path / "a", "--push", str(there)) == 2
    assert "holds 1 files, such as data.csv" in said_in(capsys)
    assert contents(there) == {"data.csv": b"a,b"}
    assert export(runs["chat"], tmp_path / "a", "--push", str(there), "--force") == 0
    assert (there / "data.csv").exists() and (there / EXPORT).exists()
    assert export(runs["other"], tmp_path / "b", "--push", str(there)) == 2
    assert "an export of run" in said_in(capsys)
    assert export(runs["other"], tmp_path / "b", "--push", str(there), "--force") == 0
    assert (there / EXPORT).read_bytes() == (tmp_path / "b" / EXPORT).read_bytes()


def test_push_beside_a_readme_alone_leaves_it(runs: dict[str, Path], tmp_path: Path):
    there = tmp_path / "there"
    there.mkdir()
    (there / "README.md").write_text("To come.")
    assert export(runs["chat"], tmp_path / "a", "--push", str(there)) == 0
    assert (there / "README.md").read_text() == "To come." and (there / EXPORT).exists()


def test_push_of_other_rows_of_a_run_replaces_those_before_but_no_edited_card(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    there = tmp_path / "there"
    assert export(runs["chat"], tmp_path / "a", "--push", str(there)) == 0
    (there / "README.md").write_text("Better words.")
    again = ("--turns", "1", "--push", str(there))
    assert export(runs["chat"], tmp_path / "b", *again) == 0
    assert "of another hand and stays" in capsys.readouterr().out
    assert (there / "README.md").read_text() == "Better words."
    name = "messages-00000.parquet"
    assert (there / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_out_with_another_export_is_refused_before_a_row_is_written(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    assert export(runs["chat"], out) == 0
    before = contents(out)
    assert export(runs["chat"], out, "--format", "nodes") == 2
    assert "holds an export already" in said_in(capsys)
    assert contents(out) == before


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--public"], "--public: is about --push"),
        (["--force"], "--force: is about --push"),
        (["--push", "/tmp/x", "--public"], "--public: is for hf://"),
        (["--push", "hf://owner/name"], "expected hf://datasets/OWNER/NAME"),
        (["--push", "https://user:secret@host/x"], "found a secret"),
    ],
)
def test_pushes_that_make_no_sense_are_refused_first(
    runs: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    args: list[str],
    said: str,
):
    assert export(runs["chat"], tmp_path / "out", *args) == 2
    error = said_in(capsys)
    assert said in error and "secret@" not in error
    assert not (tmp_path / "out").exists()


def pushed(run: Path, out: Path, hub: Any, *args: str, token: str = TOKEN) -> tuple[int, str, str]:
    """The command in a process whose hub is the fake one."""
    place = out.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", hub.endpoint)
        patch.setenv("HF_TOKEN", token)
        patch.setenv("HF_HOME", str(place / "home"))
        patch.setenv("HF_HUB_DISABLE_XET", "1")
        patch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
        where = ["--out", str(out), "--push", "hf://datasets/ada/trees"]
        code, said, error = run_command("export", str(run), *where, *args)
        assert "Traceback" not in error
        return code, said, " ".join(error.split())


def test_push_to_a_hub_is_one_commit_to_a_private_data_set(runs: dict[str, Path], tmp_path: Path):
    with fake_hub() as hub:
        code, out, err = pushed(runs["chat"], tmp_path / "a", hub)
        assert code == 0, err
        assert "pushed to hf://datasets/ada/trees" in out and TOKEN not in out + err
        assert hub.private == {"ada/trees": True} and len(hub.commits) == 1
        found = hub.datasets["ada/trees"]
        for name in ("README.md", EXPORT, "messages-00000.parquet"):
            assert found[name] == (tmp_path / "a" / name).read_bytes()
        code, out, err = pushed(runs["chat"], tmp_path / "a", hub)
        assert code == 0 and "holds it already" in out and len(hub.commits) == 1, err
        code, out, err = pushed(runs["other"], tmp_path / "b", hub)
        assert code == 2 and "an export of run" in err


def test_hub_that_refuses_is_told_in_words_and_changes_nothing(
    runs: dict[str, Path], tmp_path: Path
):
    with fake_hub() as hub:
        code, _, err = pushed(runs["chat"], tmp_path / "a", hub, token="hf_wrong")
        assert code == 2 and "HF_TOKEN" in err
        hub.datasets["ada/trees"], hub.private["ada/trees"] = {}, False
        code, _, err = pushed(runs["chat"], tmp_path / "a", hub)
        assert code == 2 and "say --public" in err
        hub.refuses = 412
        code, _, err = pushed(runs["chat"], tmp_path / "a", hub, "--public")
        assert code == 75 and "changed it meanwhile" in err
        assert not hub.commits and not hub.datasets["ada/trees"]


def test_hub_out_of_reach_stops_with_words_and_can_be_tried_again(
    runs: dict[str, Path], tmp_path: Path
):
    with fake_hub() as hub:
        hub.is_away = True
        code, _, err = pushed(runs["chat"], tmp_path / "a", hub)
        assert code == 75 and "the hub is out of reach" in err
        hub.is_away = False
        code, _, err = pushed(runs["chat"], tmp_path / "a", hub)
        assert code == 0 and len(hub.commits) == 1, err


def pushed_to(source: Store, target: Store) -> None:
    """What the command does between two stores."""
    held = export_at(source)
    assert held is not None
    push_to_store(plan_push(held, source.read("README.md"), target, force=False), source, target)


def looks_whole(store: Store) -> bool:
    """As readers of a push are to tell it."""
    there = set(store.list(""))
    return {EXPORT, "README.md"} <= there and MARK not in there


@pytest.mark.parametrize("mode", MODES)
def test_push_that_fails_anywhere_never_looks_whole_and_is_finished_by_the_next(
    runs: dict[str, Path], mode: Mode
):
    stores = []
    for turns in ("1", "2"):
        out = memory_store()
        assert main(["export", str(runs["chat"]), "--turns", turns, "--out", out.location]) == 0
        stores.append(out)
    before, after = ({name: out.read(name) for name in out.list("")} for out in stores)
    assert before.keys() == after.keys() and before != after
    first = 1
    while True:
        target = memory_store()
        pushed_to(stores[0], target)
        faulty = FaultyStore(target, first, mode)
        with suppress(StoreError, Killed):
            pushed_to(stores[1], faulty)
        if not faulty.failed:
            break
        if looks_whole(target):
            assert {name: target.read(name) for name in target.list("")} in (before, after)
        pushed_to(stores[1], target)
        assert {name: target.read(name) for name in target.list("")} == after
        first += 1
    assert first > 10
