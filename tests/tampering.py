"""Changes to the files of a sealed run on disk that leave all checksums right."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.storage.encoding import encode
from pipeline.storage.shards import read_shard
from pipeline.storage.snapshots import add_counts
from pipeline.storage.store import Store
from schemas.feature_table import FEATURE_SCHEMA
from schemas.fingerprint import canonical, digest
from schemas.logprob_table import LOGPROB_SCHEMA
from schemas.manifest import Counts, Manifest, ShardEntry, Table
from schemas.node_table import NODE_SCHEMA
from schemas.root_table import ROOT_SCHEMA
from tests.builders import defects_of

WAVE = "000000"

Rows = list[dict[str, Any]]

SCHEMAS = {"features": FEATURE_SCHEMA, "logprobs": LOGPROB_SCHEMA, "roots": ROOT_SCHEMA}
"""Of the tables that do not hold nodes."""


def manifest_file(folder: Path, wave: str = WAVE) -> Path:
    return folder / "ledger" / f"{wave}.json"


def read_manifest(folder: Path, wave: str = WAVE) -> Manifest:
    return Manifest.from_bytes(manifest_file(folder, wave).read_bytes(), name=wave)


def reseal(folder: Path, wave: str = WAVE, **changes: Any) -> None:
    """Edit a manifest so that its own digest is right, and make the snapshot name the new one."""
    manifest = read_manifest(folder, wave).model_copy(update=changes)
    manifest_file(folder, wave).write_bytes(manifest.to_bytes())
    for entry in (content := read_snapshot(folder))["manifests"]:
        if entry["wave"] == wave:
            entry["digest"] = digest(manifest.to_bytes())
    named = [read_manifest(folder, entry["wave"]) for entry in content["manifests"]]
    content["shards"] = [e.model_dump(mode="json") for m in named for e in m.shards]
    content["counts"] = add_counts(m.counts for m in named).model_dump(mode="json")
    reseal_snapshot(folder, content)


def recount(folder: Path, wave: str = WAVE, **changes: Any) -> Counts:
    """Change what a manifest counts, and the snapshot's sums with it; the counts before."""
    counts = read_manifest(folder, wave).counts
    reseal(folder, wave, counts=counts.model_copy(update=changes))
    return counts


def read_snapshot(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "snapshots" / "00001.json").read_text())
    return content


def reseal_snapshot(folder: Path, content: dict[str, Any]) -> None:
    """Replace the snapshot, its own digest right."""
    plain = {key: value for key, value in content.items() if key != "digest"}
    sealed = json.dumps(plain | {"digest": digest(canonical(plain))})
    (folder / "snapshots" / "00001.json").write_text(sealed)


def entry_of(folder: Path, table: Table, wave: str = WAVE) -> ShardEntry:
    return next(entry for entry in read_manifest(folder, wave).shards if entry.table == table)


def rows_in(store: Store, folder: Path, table: Table, wave: str = WAVE) -> Rows:
    rows: Rows = read_shard(store, entry_of(folder, table, wave)).to_pylist()
    return rows


def rewrite(
    store: Store,
    folder: Path,
    change: Callable[[Rows], object],
    wave: str = WAVE,
    table: Table = "nodes",
) -> str:
    """Change the rows of a wave's table, and make its manifest name the new bytes."""
    rows = rows_in(store, folder, table, wave)
    change(rows)
    old = entry_of(folder, table, wave)
    rewrite_shard(folder, old, rows, wave)
    return old.name


def rewrite_shard(folder: Path, old: ShardEntry, rows: Rows, wave: str = WAVE) -> None:
    payload = encode(pa.Table.from_pylist(rows, schema=SCHEMAS.get(old.table, NODE_SCHEMA)), {})
    (folder / old.name).write_bytes(payload)
    entry = old.model_copy(
        update={"rows": len(rows), "bytes": len(payload), "sha256": digest(payload)}
    )
    shards = read_manifest(folder, wave).shards
    reseal(folder, wave, shards=tuple(entry if e.name == old.name else e for e in shards))


def remove_shard(folder: Path, table: Table, wave: str = WAVE) -> None:
    """As if the wave never had one."""
    gone = entry_of(folder, table, wave)
    (folder / gone.name).unlink()
    shards = read_manifest(folder, wave).shards
    reseal(folder, wave, shards=tuple(entry for entry in shards if entry.name != gone.name))


def change_row(
    store: Store,
    folder: Path,
    change: Callable[[dict[str, Any]], object],
    *,
    wave: str = WAVE,
    table: Table = "nodes",
    which: Callable[[dict[str, Any]], bool] = lambda row: True,
) -> dict[str, Any]:
    """Change the last row of a kind; the row as it was."""
    rows = rows_in(store, folder, table, wave)
    row = [row for row in rows if which(row)][-1]
    before = json.loads(json.dumps(row))
    change(row)
    rewrite_shard(folder, entry_of(folder, table, wave), rows, wave)
    return before


def only_defect(store: Store, *parts: str) -> bool:
    """Whether there is one defect, and it says all of this."""
    defects = defects_of(store)
    assert len(defects) == 1, defects
    assert all(part in defects[0] for part in parts), defects
    return True
