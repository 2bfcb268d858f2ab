"""The driver of a real vLLM is killed midway; what was committed stays as it was."""

import signal
from collections import Counter
from pathlib import Path

import pytest

from jobs.prepare_model import cached_location
from pipeline.storage.ledger import Ledger
from pipeline.storage.open import find_run
from pipeline.storage.snapshots import latest
from tests.builders import committed_bytes, make_spec, rows_of, write_spec
from tests.command import run_command, stop_when_committed

PATIENCE_S = 240
FANOUTS = (3, 2, 1, 1)
LEVELS = [
    {"role": role, "fanout": fanout, "oversample": 1, "max_tokens": 16, "temperature": 0.9}
    for role, fanout in zip(("user", "assistant") * 2, FANOUTS, strict=True)
]

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.slow,
    pytest.mark.timeout(3 * PATIENCE_S),
    pytest.mark.skipif(
        not cached_location().is_dir(),
        reason="the packaged chat model is not prepared: run `arborist prepare-model` once",
    ),
]


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
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
        location=str(tmp_path / "runs"),
        waves_in_flight=2,
    )
    return ["generate", str(write_spec(spec, tmp_path / "spec.yaml"))]


def test_generate_vllm_sigkilled_and_started_again_is_whole(command: list[str], tmp_path: Path):
    location = tmp_path / "runs"
    code, _, _ = stop_when_committed(location, 1, signal.SIGKILL, *command, patience_s=PATIENCE_S)
    assert code == -signal.SIGKILL
    store = find_run(str(location))
    assert latest(store) is None
    before = committed_bytes(store)
    committed = len(Ledger(store).waves())
    code, out, err = run_command(*command, patience_s=PATIENCE_S)
    assert code == 0, err
    assert f"continuing after {committed} waves" in out
    assert {name: store.read(name) for name in before} == before
    assert len({manifest.attempt for manifest in Ledger(store).all().values()}) == 2

    rows = rows_of(store)
    assert len({row["node_id"] for row in rows}) == len(rows)
    assert not [row for row in rows if (row["drop_reason"] or "").startswith("failed:")]
    children = Counter(row["parent_id"] for row in rows)
    for row in rows:
        expands = row["drop_reason"] is None and row["level"] < len(FANOUTS)
        assert children[row["node_id"]] == (FANOUTS[row["level"]] if expands else 0)
    assert max(row["level"] for row in rows) == len(FANOUTS)

    # It proves every prompt_hash from the ancestors, and every text from its token ids.
    code, out, err = run_command("verify", "--model", "packaged", str(location))
    assert (code, "no defect found" in out) == (0, True), out + err
