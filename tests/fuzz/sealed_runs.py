"""A sealed run as its files, to be changed with all checksums right."""

import functools
import json
import uuid
from typing import Any

from hypothesis import strategies as st

from pipeline.storage.open import open_store
from pipeline.storage.store import Store
from schemas.fingerprint import canonical, digest
from tests.builders import make_spec, rows_of, run_scripted
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
def sealed_run() -> Files:
    """The files of a small run that was refined."""
    location = f"memory://{uuid.uuid4().hex}"
    store = open_store(location)
    spec = make_spec(
        fanouts=(2, 1),
        generation=FEATURES,
        scripted={"mean_tokens": 12, "sigma": 0.3, "duplicate_share": 0.2},
    )
    run_scripted(store, spec)
    kept = next(row["node_id"] for row in rows_of(store) if row["level"] and not row["drop_reason"])
    store.create("withdrawn.txt", kept.encode())
    withdraw = ("refine", location, "--drop", f"{location}/withdrawn.txt")
    assert command("sealed: setting up", *withdraw) == 0
    store.delete("withdrawn.txt")
    return {name: store.read(name) for name in store.list("")}


def stored(files: Files) -> Store:
    """The files at a location of their own in this process."""
    store = open_store(f"memory://{uuid.uuid4().hex}")
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
)
readers = st.sampled_from(READERS)


def read_by(kind: str, reader: tuple[str, ...], files: Files, node_id: str = "") -> int:
    """The exit code of a command that reads these files."""
    location = stored(files).location
    words = (word.replace("NODE", node_id or "0").replace("{}", location) for word in reader)
    return command(kind, *words)
