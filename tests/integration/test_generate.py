"""A whole run: from a spec over sealed shards to what others read."""

import json
from collections import Counter
from math import isnan
from pathlib import Path

import pytest

from jobs.cli import main
from jobs.wiring import resolve
from pipeline.plan.plan import make_plan
from pipeline.recipes import RECIPES
from pipeline.report.status import status_of
from pipeline.storage.ledger import Ledger
from pipeline.storage.open import open_store
from pipeline.storage.shards import read_shard
from pipeline.storage.snapshots import latest
from pipeline.storage.store import Store
from pipeline.tree.judge import read_score
from schemas.curation_spec import JudgeSpec
from schemas.execution_spec import RunSpec
from tests.builders import (
    ODD,
    Bystander,
    assert_whole,
    defects_of,
    make_spec,
    memory_store,
    rows_of,
    run_scripted,
)


def folder_of(tmp_path: Path, spec: RunSpec) -> Path:
    """A sealed run on disk."""
    folder = tmp_path / resolve(spec).run_file.run_id
    run_scripted(open_store(str(folder)), spec)
    return folder


def exported(tmp_path: Path, spec: RunSpec, kind: str) -> tuple[Store, list[str]]:
    """A sealed run's store, and the files of its export."""
    folder, out = folder_of(tmp_path, spec), tmp_path / "out"
    assert main(["export", str(folder), "--format", kind, "--out", str(out)]) == 0
    files = sorted(map(str, out.glob(f"{kind}-*.parquet")))
    assert files
    return open_store(str(folder)), files


def test_generate_counts_add_up_from_rows_to_snapshot():
    spec, store = make_spec(trees=6), memory_store()
    snapshot = run_scripted(store, spec)
    rows = rows_of(store)
    sampled = [row for row in rows if row["level"] > 0]
    reasons = Counter(row["drop_reason"] for row in sampled)
    kept = reasons.pop(None)
    counts = snapshot.counts
    assert counts.asked == len(sampled) == counts.kept + counts.num_dropped
    assert (counts.kept, counts.dropped) == (kept, dict(reasons))
    assert counts.output_tokens == sum(row["num_tokens"] for row in sampled)
    assert set(counts.dropped) >= {"duplicate", "empty", "role_leak", "truncated", "failed:engine"}
    assert len(rows) - len(sampled) == 6
    assert len({row["node_id"] for row in rows}) == len(rows)
    assert_whole(store, rows)


def test_generate_every_kept_parent_that_goes_on_has_all_children_asked():
    """An opening's whole subtree has one number of turns; below it nothing is left out."""
    spec, store = make_spec(trees=6), memory_store()
    run_scripted(store, spec)
    rows = rows_of(store)
    children = Counter(row["parent_id"] for row in rows)
    kept = [row for row in rows if row["drop_reason"] is None]
    for row in rows:
        if row["drop_reason"] is not None:
            assert children[row["node_id"]] == 0
    asked = spec.generation.asked
    for row in kept:
        if row["level"] in (0, 1, 3):
            assert children[row["node_id"]] == asked(row["level"] + 1)
    by_opening: dict[tuple, set[int]] = {}
    for row in kept:
        if row["level"] == 2:
            opening = (row["tree_id"], row["path"][0])
            by_opening.setdefault(opening, set()).add(children[row["node_id"]])
    assert all(len(sizes) == 1 for sizes in by_opening.values())
    assert set.union(*by_opening.values()) == {0, asked(3)}


def test_generate_no_guarantee_engines_write_different_openings():
    """All engines draw seeds of their own, so no two candidates say the same by accident."""
    spec = make_spec(
        fanouts=(20, 1),
        trees=4,
        scripted={"mean_tokens": 60},
        bounds=(1, 64),
        generation={"guarantee": "none"},
        group={"replicas": 2, "max_num_seqs": 8},
    )
    store = memory_store()
    snapshot = run_scripted(store, spec)
    texts = [row["text"] for row in rows_of(store) if row["level"] == 1 and row["text"]]
    assert len(texts) == len(set(texts)) == 4 * 30
    assert snapshot.guarantee == "none"
    assert "duplicate" not in snapshot.counts.dropped
    assert defects_of(store) == []


def test_generate_openings_of_one_cohort_are_not_kept_twice():
    spec = make_spec(trees=4, bounds=(4, 64), scripted={"mean_tokens": 20, "duplicate_share": 0.5})
    store = memory_store()
    run_scripted(store, spec)
    rows = rows_of(store)
    openings = [r["text"] for r in rows if r["level"] == 1 and r["drop_reason"] is None]
    assert len(openings) == len(set(openings)) > 4
    of_id = {row["node_id"]: row for row in rows}
    doubles = [row for row in rows if row["drop_reason"] == "duplicate"]
    assert any(of_id[row["keeper_id"]]["tree_id"] != row["tree_id"] for row in doubles)
    assert all(of_id[row["keeper_id"]]["text"] == row["text"] for row in doubles)


def test_generate_mixed_turns_export_has_dialogues_of_both_lengths(tmp_path: Path):
    import datasets

    store, files = exported(tmp_path, make_spec(trees=6), "messages")
    rows = datasets.load_dataset(
        "parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache")
    )
    lengths = set()
    of_id = {row["node_id"]: row for row in rows_of(store)}
    for row in rows:
        system, *dialogue = row["messages"]
        roles = [message["role"] for message in dialogue]
        assert system["role"] == "system"
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert dialogue[-1]["content"] == of_id[row["leaf_id"]]["text"]
        lengths.add(len(dialogue))
    assert lengths == {2, 4}
    assert len(set(rows["leaf_id"])) == len(rows)


def test_export_nodes_is_read_by_others_as_it_was_written(tmp_path: Path):
    import datasets
    import duckdb
    import polars

    store, files = exported(tmp_path, make_spec(trees=6), "nodes")
    kept = [row for row in rows_of(store) if row["drop_reason"] is None]
    pattern = str(tmp_path / "out" / "nodes-*.parquet")
    assert len(files) == 1
    query = f"select node_id, text, token_ids, path from '{pattern}' order by tree_id, path"
    expected = [(row["node_id"], row["text"], row["token_ids"], row["path"]) for row in kept]
    assert duckdb.sql(query).fetchall() == expected
    frame = polars.read_parquet(pattern).sort("tree_id", "path")
    assert frame.select("node_id", "text", "token_ids", "path").rows() == expected
    raw = str(Path(store.location.removeprefix("file://")) / "nodes" / "*.parquet")
    assert duckdb.sql(f"select count(*) from '{raw}'").fetchall() == [(len(kept),)]
    assert polars.read_parquet(raw).height == len(kept)
    for found in (files, raw):
        rows = datasets.load_dataset(
            "parquet", data_files=found, split="train", cache_dir=str(tmp_path / "cache")
        )
        assert sorted(rows["node_id"]) == sorted(row["node_id"] for row in kept)


def test_status_midway_and_at_the_end_is_sane():
    spec, store = make_spec(trees=6), memory_store()
    watch = Bystander()
    run_scripted(store, spec, watch=watch)
    plan = make_plan(spec.generation, RECIPES[spec.generation.recipe], 6)
    halfway = status_of(plan, watch.seen[: len(watch.seen) // 2])
    assert halfway.eta_s is not None
    assert halfway.eta_s > 0
    done = status_of(plan, Ledger(store).all().values())
    snapshot = latest(store)
    assert snapshot is not None
    assert done.kept == snapshot.counts.kept > halfway.kept
    assert done.output_tokens == snapshot.counts.output_tokens
    assert dict(done.dropped) == snapshot.counts.dropped
    assert done.eta_s == pytest.approx(0, abs=1e-9)
    assert done.attempts == 1
    for level in done.levels:
        assert level.expected_waves == level.waves
        assert level.expected_candidates == pytest.approx(level.asked)


def test_commands_on_a_sealed_run_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = folder_of(tmp_path, make_spec())
    assert main(["verify", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["defects"] == []
    assert main(["status", str(tmp_path), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    snapshot = latest(open_store(str(folder)))
    assert snapshot is not None
    assert (status["sealed"], status["kept"]) == (True, snapshot.counts.kept)
    assert status["dropped"] == snapshot.counts.dropped
    assert sum(level["asked"] for level in status["levels"]) == snapshot.counts.asked


def test_verify_damaged_run_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = folder_of(tmp_path, make_spec())
    shard = sorted((folder / "nodes").glob("*.parquet"))[0]
    payload = bytearray(shard.read_bytes())
    payload[len(payload) // 2] ^= 1
    shard.chmod(0o644)
    shard.write_bytes(payload)
    assert main(["verify", str(folder)]) == 1
    assert f"nodes/{shard.name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "changed",
    [
        {"waves_in_flight": 1},
        {"group": {"replicas": 3, "max_num_seqs": 2}},
        {"scripted": {**ODD, "tokens_per_step": 3}},
    ],
)
def test_generate_other_execution_same_rows(changed: dict):
    rows = []
    for spec in (make_spec(), make_spec(**changed)):
        store = memory_store()
        run_scripted(store, spec)
        rows.append(rows_of(store))
    assert rows[0] == rows[1]


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_generate_ray_pool_gives_the_rows_of_the_local_pool(own_ray: None):
    local, by_ray = memory_store(), memory_store()
    run_scripted(local, make_spec())
    group = {"replicas": 2, "cpus": 0.5}
    run_scripted(by_ray, make_spec(pool="ray", ray_address="auto", group=group))
    assert_whole(by_ray, rows_of(local))


JUDGED = {"filters": ["empty", {"filter": "judge", "roles": ["assistant"], "min_score": 3}]}


def test_generate_with_a_judge_keeps_what_it_likes_and_shows_what_it_said():
    failing = {**ODD, "fail_share": 0.2}
    spec = make_spec(trees=8, generation={"curation": JUDGED}, scripted=failing)
    store = memory_store()
    snapshot = run_scripted(store, spec)
    assert_whole(store, rows_of(store))
    asides = [entry for entry in snapshot.shards if entry.table == "asides"]
    judgements = [row for entry in asides for row in read_shard(store, entry).to_pylist()]
    rows = {row["node_id"]: row for row in rows_of(store)}
    scores = {
        node_id: score["value"]
        for node_id, row in rows.items()
        for score in row["scores"] or ()
        if score["name"] == "judge"
    }
    failed = [said for said in judgements if said["drop_reason"] is not None]
    assert {said["drop_reason"] for said in failed} == {"failed:engine"}
    counted = {"judge": len(judgements) - len(failed), "judge failed": len(failed)}
    assert snapshot.counts.asides == counted
    assert all(rows[said["parent_id"]]["drop_reason"] == "judge" for said in failed)
    assert {rows[said["parent_id"]]["role"] for said in judgements} == {"assistant"}
    for said in judgements:
        node = rows[said["parent_id"]]
        score = read_score(said["text"], JudgeSpec())
        assert score == scores.get(node["node_id"]) or isnan(score)
        disliked = scores.get(node["node_id"], 0) < 3
        assert (node["drop_reason"] == "judge") == disliked
    assert {row["drop_reason"] for row in rows.values() if row["role"] == "assistant"} > {"judge"}


def test_generate_judges_only_what_no_other_filter_drops():
    spec, store = make_spec(trees=4, generation={"curation": JUDGED}), memory_store()
    snapshot = run_scripted(store, spec)
    asides = [entry for entry in snapshot.shards if entry.table == "asides"]
    judged = {row["parent_id"] for e in asides for row in read_shard(store, e).to_pylist()}
    for row in rows_of(store):
        passed = row["role"] == "assistant" and row["finish_reason"] != "failed"
        assert (row["node_id"] in judged) == (passed and row["drop_reason"] != "empty")


def test_generate_near_duplicates_fall_among_siblings_and_a_cohorts_openings():
    scripted = {"mean_tokens": 60, "duplicate_share": 0.3}
    spec = make_spec(trees=4, bounds=(4, 64), scripted=scripted)
    store = memory_store()
    run_scripted(store, spec)
    rows = {row["node_id"]: row for row in rows_of(store)}
    doubles = [row for row in rows.values() if row["drop_reason"] == "duplicate"]
    assert any(rows[row["keeper_id"]]["tree_id"] != row["tree_id"] for row in doubles)
    for row in doubles:
        keeper = rows[row["keeper_id"]]
        assert keeper["drop_reason"] is None
        assert row["level"] == 1 or keeper["parent_id"] == row["parent_id"]
