"""What must stay as it is from version to version.

A difference is a decision: raise the recipe's, the table's, the format's or the fingerprint's
version, then write the files anew with `python -m tests.golden.test_golden`.
"""

import json
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from pipeline.engines.scripted_author import decode
from pipeline.sft.rows.linearise import Order, linearise
from pipeline.sft.rows.path_ids import learned_ids, path_ids
from pipeline.storage.shards import WAVE_TABLES
from pipeline.storage.snapshots import build_snapshot
from pipeline.tree.conversations import conversations
from schemas.feature_table import FEATURE_SCHEMA
from schemas.logprob_table import LOGPROB_SCHEMA
from schemas.manifest import Counts, ShardEntry, Table
from schemas.node_table import NODE_SCHEMA, TABLE_VERSION
from schemas.records import Ids
from schemas.root_table import ROOT_SCHEMA
from schemas.sft_spec import LineariseSpec
from tests.golden.methods import METHODS, make_method_spec, requests_of
from tests.stored import make_manifest, make_run_file
from tests.unit.samples import grow, make_run, make_spec, plant_all

FOLDER = Path(__file__).parent
SPEC = make_spec((2, 2, 1, 1), trees=2, turns={1: 1, 2: 2}, bounds={"trees_per_cohort": 2})


def requests(name: str) -> str:
    """What a method asks for at every level: prompts, sampling, children and seeds."""
    return text(requests_of(make_method_spec(name)))


def linearised() -> str:
    """One run as trainers see it."""
    kept = [row for row, verdict in grow(make_run(SPEC), duplicate_share=0.3) if verdict.kept]
    walks = [
        [{"role": node.role, "content": node.text} for node in walk] for walk in conversations(kept)
    ]
    return text(walks)


def training_rows() -> str:
    """The same run as training sees it: rows as stretches of text, and what is learned marked."""
    run = make_run(SPEC)
    roots = {parent.tree_id: parent.root for parent in plant_all(run)}
    kept = [row for row, verdict in grow(run, duplicate_share=0.3) if verdict.kept]
    spec = LineariseSpec(turns=(1, 2), per_opening=2)
    order = Order(spec, "turns", f"{run.run_id}/0", lambda node: False)
    rows = []
    for row in linearise(conversations(kept), order):
        found = path_ids(run, roots[row.path[0].tree_id], row.path)
        assert found is not None
        learned = learned_ids(found, row.learns, everything=False)
        edges = [0, *(np.flatnonzero(np.diff(learned)) + 1).tolist(), len(learned)]
        rows.append([_stretch(found.ids[a:b], learned=learned[a]) for a, b in pairwise(edges)])
    return text(rows)


def _stretch(ids: Ids, *, learned: bool) -> str:
    return f"{'learn' if learned else '     '} {decode(ids)}"


def node_table() -> str:
    """The schemas of all shards: nodes, features, roots, log-probabilities."""
    tables = (NODE_SCHEMA, FEATURE_SCHEMA, ROOT_SCHEMA, LOGPROB_SCHEMA)
    return f"version {TABLE_VERSION}\n" + "\n\n".join(t.to_string() for t in tables) + "\n"


def shard(table: Table) -> ShardEntry:
    """An entry of a shard."""
    return ShardEntry(
        name=f"{table}/000000-a.parquet", rows=3, bytes=99, sha256="5" * 64, table=table
    )


def manifest() -> str:
    """The bytes of a manifest."""
    return _manifest().to_bytes().decode()


def _manifest():
    counts = Counts(asked=4, kept=3, dropped={"empty": 1}, prompt_tokens=40, output_tokens=30)
    shards = tuple(map(shard, WAVE_TABLES))
    return make_manifest(counts=counts, shards=shards, run="00000000000000ff")


def snapshot() -> str:
    """The bytes of a snapshot."""
    run_file = make_run_file().model_copy(update={"run_id": "00000000000000ff"})
    return build_snapshot(run_file, [_manifest()], number=1, complete=True).to_bytes().decode()


def text(value: object) -> str:
    """JSON for people who read a difference."""
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


GOLDEN = {
    **{f"requests/{name}.json": partial(requests, name) for name in METHODS},
    "conversations.json": linearised,
    "training_rows.json": training_rows,
    "node_table.txt": node_table,
    "manifest.json": manifest,
    "snapshot.json": snapshot,
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_file_is_what_this_version_makes(name):
    assert GOLDEN[name]() == (FOLDER / name).read_text("utf-8")


if __name__ == "__main__":
    for name, make in GOLDEN.items():
        (FOLDER / name).write_text(make(), "utf-8")
