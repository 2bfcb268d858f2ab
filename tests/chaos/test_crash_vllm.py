"""A real vLLM is killed midway, and then its driver; what was committed stays as it was."""

import os
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from jobs.prepare_model import cached_location
from pipeline.storage.ledger import Ledger
from pipeline.storage.open import find_run
from pipeline.storage.shards import WAVE_TABLES
from pipeline.storage.snapshots import latest
from pipeline.storage.store import Store
from tests.builders import committed_bytes, make_spec, rows_of, write_spec
from tests.command import await_waves, manifests_in, run_command, started
from tests.processes import descendants, is_running, survivors, title, until

PATIENCE_S = 240
FANOUTS = (3, 2, 1, 1)
LEVELS = [
    {"role": role, "fanout": fanout, "oversample": 1, "max_tokens": 16, "temperature": 0.9}
    for role, fanout in zip(("user", "assistant") * 2, FANOUTS, strict=True)
]

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.long,
    pytest.mark.timeout(3 * PATIENCE_S),
    pytest.mark.skipif(
        not cached_location().is_dir(),
        reason="the packaged chat model is not prepared: run `arborist prepare-model` once",
    ),
]


@pytest.fixture
def location(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def ray_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Short enough for Ray's sockets."""
    folder = tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True)
    with folder:
        monkeypatch.setenv("RAY_TMPDIR", folder.name)
        yield


def command(location: Path, pool: Literal["local", "ray"]) -> list[str]:
    """Short turns are cut off, so only empty ones are dropped and the tree reaches its leaves."""
    spec = make_spec(
        trees=1,
        bounds=(1, 3),
        scripted={},
        generation={
            "model": {"name": "packaged", "context": 512},
            "levels": LEVELS,
            "turns": {},
            "curation": {"filters": ["empty"], "duplicates": "keep"},
        },
        group={
            "backend": "vllm",
            "model": "packaged",
            "cpus": 2,
            "max_num_seqs": 8,
            "max_num_batched_tokens": 1024,
            "kv_cache_gib": 0.25,
        },
        location=str(location),
        waves_in_flight=1,
        pool=pool,
    )
    return ["generate", str(write_spec(spec, location.parent / f"{pool}.yaml"))]


def test_generate_vllm_killed_then_its_driver_killed_the_run_is_whole(
    location: Path, ray_folder: None
):
    """Three engines: one is killed, the next replaces it, the last one ends the run."""
    with started(*command(location, "ray")) as driver:
        await_waves(driver, location, 1, PATIENCE_S)
        store = find_run(str(location))
        first = committed_bytes(store)
        engine = engine_of(driver)
        with_it = {engine, *descendants(engine)}
        os.kill(engine, signal.SIGKILL)
        assert survivors(with_it, PATIENCE_S) == []
        await_waves(driver, location, len(manifests_in(location)) + 1, PATIENCE_S)
        assert engine_of(driver) != engine
        below = descendants(driver.pid)
        driver.kill()
        _, err = driver.communicate(timeout=PATIENCE_S)
    assert "main-0" in err and "was lost: its process is gone" in " ".join(err.split())
    assert survivors({pid for pid in below if title(pid).startswith("ray::Engine")}, 60) == []
    assert latest(store) is None
    before = committed_bytes(store)
    assert {name: before[name] for name in first} == first
    committed = len(Ledger(store).waves())

    code, out, err = run_command(*command(location, "local"), patience_s=PATIENCE_S)
    assert code == 0, err
    assert f"continuing after {committed} waves" in out
    assert {name: store.read(name) for name in before} == before
    assert len({manifest.attempt for manifest in Ledger(store).all().values()}) == 2
    assert_one_outcome_a_child(store)

    # It proves every prompt_hash from the ancestors, and every text from its token ids.
    code, out, err = run_command("verify", "--model", "packaged", str(location))
    assert (code, "no defect found" in out) == (0, True), out + err


def engine_of(driver: "subprocess.Popen[str]") -> int:
    """The process of its one engine."""
    engines: list[int] = []

    def found() -> bool:
        below = filter(is_running, descendants(driver.pid))
        engines[:] = [pid for pid in below if title(pid).startswith("ray::EngineActor")]
        return bool(engines)

    until(found, PATIENCE_S)
    return engines[-1]


def assert_one_outcome_a_child(store: Store) -> None:
    """No id twice, no child missing or failed, and nothing beside the shards of the snapshot."""
    rows = rows_of(store)
    assert len({row["node_id"] for row in rows}) == len(rows)
    assert not [row for row in rows if (row["drop_reason"] or "").startswith("failed:")]
    children = Counter(row["parent_id"] for row in rows)
    for row in rows:
        expands = row["drop_reason"] is None and row["level"] < len(FANOUTS)
        assert children[row["node_id"]] == (FANOUTS[row["level"]] if expands else 0)
    assert max(row["level"] for row in rows) == len(FANOUTS)
    snapshot = latest(store)
    assert snapshot is not None
    there = [name for folder in WAVE_TABLES for name in store.list(folder)]
    assert sorted(there) == sorted(entry.name for entry in snapshot.shards)
