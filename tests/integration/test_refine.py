"""Refinement of whole runs by the command: what it leaves out, and who honours it."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from jobs.cli import main
from jobs.wiring import resolve
from pipeline.storage.open import open_store
from pipeline.storage.snapshots import latest
from pipeline.storage.store import Store
from pipeline.verify.drops import drop_defects
from schemas.execution_spec import RunSpec
from tests.builders import defects_of, make_spec, rows_of, run_scripted, write_spec

REPEATING = {"mean_tokens": 20, "duplicate_share": 0.5}


def repeating_spec(seed: int = 11, **changes: Any) -> RunSpec:
    """Openings of different cohorts often say the same: each cohort sees its own only."""
    return make_spec(
        trees=6,
        fanouts=(6, 2, 1, 1),
        scripted=REPEATING,
        bounds=(1, 40),
        generation={"seed": seed, **changes},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return folder_of(tmp_path, repeating_spec())


def folder_of(tmp_path: Path, spec: RunSpec) -> Path:
    folder = tmp_path / resolve(spec).run_file.run_id
    run_scripted(open_store(str(folder)), spec)
    return folder


def refined(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> dict:
    capsys.readouterr()
    assert main(["refine", str(folder), "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def exported_messages(folder: Path, out: Path) -> list[dict]:
    import polars

    assert main(["export", str(folder), "--out", str(out)]) == 0
    return polars.read_parquet(out / "messages-*.parquet").to_dicts()


def assert_sound(store: Store) -> None:
    snapshot = latest(store)
    assert snapshot is not None
    assert list(drop_defects(store, snapshot)) == []
    assert defects_of(store) == []


def test_refine_run_exports_no_opening_twice(folder, tmp_path, capsys):
    before = exported_messages(folder, tmp_path / "before")
    figures = refined(capsys, folder)
    after = exported_messages(folder, tmp_path / "after")
    assert figures["dropped"]["duplicate"] > 0
    assert (figures["refined"], figures["snapshot"], figures["new"]) == (1, 2, True)
    openings = {
        (row["tree_id"], next(m["content"] for m in row["messages"] if m["role"] == "user"))
        for row in after
    }
    assert len({text for _, text in openings}) == len(openings)
    assert 0 < len(after) < len(before)
    # Where the end of a dialogue fell, the answer before may end one now.
    ends = {row["leaf_id"] for row in after} - {row["leaf_id"] for row in before}
    children = {row["parent_id"] for row in rows_of(open_store(str(folder)))}
    assert ends <= children
    assert len(ends) <= figures["dropped"].get("conversation", 0)
    assert_sound(open_store(str(folder)))


def test_refine_turns_also_drops_follow_ups(folder, tmp_path, capsys):
    refined(capsys, folder, "--scopes", "turns")
    rows = rows_of(open_store(str(folder)))
    said = [r["text"].strip() for r in rows if r["role"] == "user" and not r["drop_reason"]]
    assert len(said) == len(set(said)) > 0
    assert_sound(open_store(str(folder)))


def test_refine_again_changes_nothing(folder, capsys):
    first = refined(capsys, folder)
    files = sorted(file.name for file in folder.rglob("*") if file.is_file())
    second = refined(capsys, folder)
    assert second["dropped"] == {}
    assert (second["snapshot"], second["new"]) == (first["snapshot"], False)
    assert sorted(file.name for file in folder.rglob("*") if file.is_file()) == files


def test_refine_from_the_first_snapshot_gives_the_same_list(folder, capsys):
    first = refined(capsys, folder)
    second = refined(capsys, folder, "--from", "1")
    assert second["snapshot"] == 3
    assert second["dropped"] == first["dropped"]
    lists = [file.read_bytes() for file in sorted((folder / "drops").iterdir())]
    assert len(lists) == 2


def test_refine_tighter_later_keeps_what_fell_before(folder, capsys):
    store = open_store(str(folder))
    first = refined(capsys, folder, "--exact")
    second = refined(capsys, folder, "--near", "--threshold", "0.7", "--scopes", "turns")
    assert second["refined"] == first["snapshot"]
    for reason, count in first["dropped"].items():
        assert second["dropped_in_all"][reason] >= count
    assert_sound(store)


def test_refine_against_another_run_keeps_that_one_whole(folder, tmp_path, capsys):
    # Another seed of the run, the same engine: what it says twice, it says in both runs.
    other = folder_of(tmp_path / "other", repeating_spec(seed=12))
    figures = refined(capsys, folder, "--against", str(other))
    assert figures["against"] == [other.name]
    assert sorted(file.name for file in (other / "snapshots").iterdir()) == ["00001.json"]
    assert not (other / "drops").exists()
    theirs = {r["text"].strip() for r in rows_of(open_store(str(other))) if r["level"] == 1}
    ours = [r for r in rows_of(open_store(str(folder))) if r["level"] == 1]
    kept = {r["text"].strip() for r in ours if not r["drop_reason"]}
    assert kept
    assert not kept & theirs
    assert_sound(open_store(str(folder)))


def test_refine_withdraws_by_file_and_nothing_else(folder, tmp_path, capsys):
    store = open_store(str(folder))
    kept = [row for row in rows_of(store) if not row["drop_reason"]]
    parents = {row["parent_id"] for row in kept}
    gone = next(row for row in kept if row["level"] == 2 and row["node_id"] in parents)
    (tmp_path / "ids.txt").write_text(f"# asked for by mail\n{gone['node_id']}  # an answer\n")
    figures = refined(capsys, folder, "--no-dedup", "--drop", str(tmp_path / "ids.txt"))
    below = [r for r in kept if (r["tree_id"], r["path"][:2]) == (gone["tree_id"], gone["path"])]
    assert figures["dropped"] == {"withdrawn": 1, "subtree": len(below) - 1}
    left = {row["node_id"] for row in rows_of(store) if not row["drop_reason"]}
    assert left == {row["node_id"] for row in kept} - {row["node_id"] for row in below}
    assert_sound(store)


def ids_file(folder: Path, *ids: str) -> str:
    (folder / "ids.txt").write_text("\n".join(ids))
    return str(folder / "ids.txt")


def test_refine_anew_never_exports_what_was_withdrawn(folder, tmp_path, capsys):
    store = open_store(str(folder))
    gone = next(row for row in rows_of(store) if row["level"] == 1 and not row["drop_reason"])
    refined(capsys, folder, "--drop", ids_file(tmp_path, gone["node_id"]))
    anew = refined(capsys, folder, "--from", "1", "--threshold", "0.75")
    assert (anew["snapshot"], anew["refined"], anew["dropped"]["withdrawn"]) == (3, 1, 1)
    left = {row["node_id"] for row in rows_of(store) if not row["drop_reason"]}
    below = [row for row in rows_of(store) if row["path"][:1] == gone["path"]]
    assert not left & {row["node_id"] for row in below if row["tree_id"] == gone["tree_id"]}
    for row in exported_messages(folder, tmp_path / "out"):
        first = next(m["content"] for m in row["messages"] if m["role"] == "user")
        assert (row["tree_id"], first) != (gone["tree_id"], gone["text"])
    assert_sound(store)


def test_refine_drop_tells_how_to_export_without_it(folder, tmp_path, capsys):
    kept = [row["node_id"] for row in rows_of(open_store(str(folder))) if not row["drop_reason"]]
    file = ids_file(tmp_path, kept[1])
    for _ in range(2):
        assert main(["refine", str(folder), "--no-dedup", "--drop", file]) == 0
        said = capsys.readouterr().out
        assert "nothing exports again by itself" in said
        assert said.endswith(f"  arborist export {folder} --out NEW_FOLDER\n")
    assert main(["refine", str(folder)]) == 0
    assert "export" not in capsys.readouterr().out


def test_refine_options_leave_the_run_to_the_positional(folder, tmp_path, capsys):
    others = [str(folder_of(tmp_path / str(n), repeating_spec(seed=n))) for n in (12, 13)]
    capsys.readouterr()
    options = ["--json", "--against", others[0], "--against", others[1]]
    assert main(["refine", *options, "--scopes", "turns,openings", str(folder)]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["against"] == [Path(other).name for other in others]
    snapshot = latest(open_store(str(folder)))
    assert snapshot is not None and snapshot.refinement is not None
    assert snapshot.refinement.spec.scopes == ("openings", "turns")


def test_refine_ray_options_leave_the_run_to_the_positional(capsys):
    for options in (["--ray"], ["--ray-address", "10.0.0.1:6379"]):
        assert main(["refine", *options, "/absent/run"]) == 2
        assert "/absent/run" in capsys.readouterr().err


def test_refine_unknown_scope_names_those_there_are(folder, capsys):
    with pytest.raises(SystemExit):
        main(["refine", str(folder), "--scopes", "turns,answers"])
    said = capsys.readouterr().err
    assert "openings,turns,conversations" in said
    assert "'answers'" in said


def status_of(capsys: pytest.CaptureFixture[str], folder: Path) -> tuple[dict, str]:
    capsys.readouterr()
    assert main(["status", str(folder), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert main(["status", str(folder)]) == 0
    return figures, capsys.readouterr().out


def test_status_tells_what_refinements_dropped(folder, tmp_path, capsys):
    store = open_store(str(folder))
    before, text = status_of(capsys, folder)
    assert (before["snapshot"], before["refined"], before["kept_after_refine"]) == (1, None, None)
    assert "snapshot 1," in text
    assert "remain" not in text
    refined(capsys, folder)
    rows = [row for row in rows_of(store) if not row["drop_reason"]]
    root = next(row["node_id"] for row in rows if row["level"] == 0)
    figures = refined(capsys, folder, "--drop", ids_file(tmp_path, root))
    after, text = status_of(capsys, folder)
    left = [row for row in rows_of(store) if not row["drop_reason"] and row["level"]]
    assert (after["snapshot"], after["refined"]) == (3, figures["dropped_in_all"])
    assert (after["kept"], after["kept_after_refine"]) == (before["kept"], len(left))
    assert "snapshot 3," in text
    assert "1 withdrawn" in text
    assert f"{len(left):,} of {before['kept']:,} kept rows remain" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--threshold", "0.5"], "--threshold: "),
        (["--cosine", "0.1"], "--cosine: "),
        (["--cosine", "0.9", "--scopes", "conversations"], "vectors are of turns"),
        (["--from", "7"], "there is no snapshot 7; expected one of 1"),
        (["--against", "."], "itself"),
        (["--drop", "absent.txt"], "absent.txt: there is no such file"),
    ],
)
def test_refine_asked_for_what_cannot_be_says_so(folder, capsys, monkeypatch, arguments, said):
    monkeypatch.chdir(folder)
    assert main(["refine", str(folder), *arguments]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_refine_unknown_ids_are_listed(folder, tmp_path, capsys):
    (tmp_path / "ids.txt").write_text("nobody\nno-one\n")
    assert main(["refine", str(folder), "--drop", str(tmp_path / "ids.txt")]) == 2
    assert "no-one, nobody" in capsys.readouterr().err


def test_refine_unsealed_run_says_so(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    assert main(["refine", str(tmp_path / "run")]) == 2
    assert "expected a run" in " ".join(capsys.readouterr().err.split())


def test_refine_by_cosine_drops_what_vectors_call_alike(folder, capsys):
    figures = refined(capsys, folder, "--no-dedup", "--cosine", "0.99")
    assert figures["dropped"]["similar"] > 0
    rows = rows_of(open_store(str(folder)))
    said = [r["text"] for r in rows if r["level"] == 1 and not r["drop_reason"]]
    assert len(said) == len(set(said))
    assert_sound(open_store(str(folder)))


def test_generate_again_leaves_a_refined_run_as_it_is(tmp_path, capsys):
    spec = repeating_spec()
    moved = spec.execution.model_copy(update={"location": str(tmp_path)})
    file = write_spec(spec.model_copy(update={"execution": moved}), tmp_path / "spec.yaml")
    assert main(["generate", str(file)]) == 0
    figures = refined(capsys, tmp_path)
    before = {f: f.read_bytes() for f in tmp_path.rglob("*") if f.is_file()}
    assert main(["generate", str(file), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["already_done"], again["snapshot"]) == (True, figures["snapshot"])
    assert {f: f.read_bytes() for f in tmp_path.rglob("*") if f.is_file()} == before


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_refine_on_ray_gives_the_list_of_this_process(tmp_path, capsys, own_ray: None):
    folder = folder_of(tmp_path, repeating_spec())
    every = ["--scopes", "turns,conversations", "--cosine", "0.95"]
    here = refined(capsys, folder, *every)
    there = refined(capsys, folder, "--from", "1", "--ray", *every)
    assert there["dropped"] == here["dropped"]
    assert sum(here["dropped"].values()) > 0
    first, second = sorted((folder / "drops").iterdir())
    assert pq.read_table(first).equals(pq.read_table(second))
    assert_sound(open_store(str(folder)))
