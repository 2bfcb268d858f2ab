"""A sealed run as its files, to be changed with all checksums right."""

import functools
import json
import tempfile
import uuid
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from jobs.wiring import rehearsal, resolve
from pipeline.storage.open import open_store
from pipeline.storage.store import Store
from schemas.execution_spec import RunSpec
from schemas.fingerprint import canonical, digest
from tests.builders import make_spec, rows_of, run_scripted, write_spec
from tests.fuzz.outcomes import command

Files = dict[str, bytes]

FEATURES = {
    "logprobs": "tokens",
    "top_logprobs": 2,
    "levels": [
        {"role": "user", "fanout": 2, "max_tokens": 40},
        {
            "role": "assistant",
            "fanout": 1,
            "max_tokens": 40,
            "critique": {"critique": "What is wrong?", "rewrite": "Again."},
        },
    ],
    "turns": {},
}
"""So that every table has rows."""


@functools.cache
def run_spec() -> RunSpec:
    """Of a small run."""
    return make_spec(
        fanouts=(2, 1),
        generation=FEATURES,
        scripted={"mean_tokens": 12, "sigma": 0.3, "duplicate_share": 0.2},
    )


@functools.cache
def run_id() -> str:
    """By which `generate` knows it."""
    return resolve(rehearsal(run_spec())).run_file.run_id


@functools.cache
def sealed_run() -> Files:
    """The files of the run, which was refined."""
    store = open_store(f"memory://{uuid.uuid4().hex}")
    run_scripted(store, run_spec())
    kept = next(row["node_id"] for row in rows_of(store) if row["level"] and not row["drop_reason"])
    store.create("withdrawn.txt", kept.encode())
    withdraw = ("refine", store.location, "--drop", f"{store.location}/withdrawn.txt")
    assert command("sealed: setting up", *withdraw) == 0
    store.delete("withdrawn.txt")
    return {name: store.read(name) for name in store.list("")}


def stored(files: Files) -> Store:
    """The files at a location of their own in this process, where `generate` finds them."""
    store = open_store(f"memory://{uuid.uuid4().hex}/{run_id()}")
    for name, payload in files.items():
        store.create(name, payload)
    return store


def resealed(content: Any) -> bytes:
    """JSON with a digest that is right, wherever there is room for one."""
    if not isinstance(content, dict):
        return json.dumps(content).encode()
    plain = {key: value for key, value in content.items() if key != "digest"}
    return json.dumps(plain | {"digest": digest(canonical(plain))}).encode()


def plain(payload: bytes) -> Any:
    """The content of a sealed file."""
    return json.loads(payload)


def renamed(files: Files, manifest: str, payload: bytes) -> Files:
    """With another manifest, which all snapshots name by its new digest."""
    changed = files | {manifest: payload}
    wave = manifest.removeprefix("ledger/").removesuffix(".json")
    for name in [name for name in files if name.startswith("snapshots/")]:
        content = plain(files[name])
        for entry in content["manifests"]:
            if entry["wave"] == wave:
                entry["digest"] = digest(payload)
        changed[name] = resealed(content)
    return changed


def reshard(files: Files, name: str, payload: bytes, rows: int) -> Files:
    """With other bytes for a shard, which manifest and snapshots name by checksum."""
    changed = files | {name: payload}
    entry = {"rows": rows, "bytes": len(payload), "sha256": digest(payload)}
    for where in [n for n in files if n.startswith(("ledger/", "snapshots/"))]:
        content = plain(changed[where])
        for found in (*content["shards"], content.get("drops") or {}):
            if found.get("name") == name:
                found |= entry
        sealed = resealed(content)
        changed = (
            renamed(changed, where, sealed) if "ledger/" in where else {**changed, where: sealed}
        )
    return changed


READERS = (
    ("status", "{}"),
    ("status", "{}", "--json"),
    ("verify", "{}"),
    ("verify", "{}", "--fast", "--json"),
    ("export", "{}", "--out", "{}/out", "--format", "messages"),
    ("export", "{}", "--out", "{}/out", "--format", "preference"),
    ("export", "{}", "--out", "{}/out", "--format", "nodes", "--json"),
    ("refine", "{}", "--scopes", "openings,turns,conversations"),
    ("refine", "{}", "--near", "--cosine", "0.9"),
    ("explain", "{}", "NODE"),
    ("explain", "{}", "NODE", "--json"),
    ("repair", "{}"),
    ("repair", "{}", "--fast", "--json"),
    ("generate", "SPEC", "--engine", "scripted", "--location", "{}/.."),
    ("generate", "SPEC", "--engine", "scripted", "--location", "{}/..", "--json"),
)
readers = st.sampled_from(READERS)


def read_by(kind: str, reader: tuple[str, ...], files: Files, node_id: str = "") -> int:
    """The exit code of a command that reads these files."""
    location = stored(files).location
    words = {"NODE": node_id or "0", "{}/..": location.rpartition("/")[0]}
    with tempfile.TemporaryDirectory() as folder:
        words["SPEC"] = str(write_spec(run_spec(), Path(folder) / "spec.yaml"))
        asked = (words.get(word) or word.replace("{}", location) for word in reader)
        return command(kind, *asked)
