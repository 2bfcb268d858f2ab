"""What dedup over a whole run costs: `arborist refine` on synthetic runs of short turns.

    python tests/bench/refine.py
    python tests/bench/refine.py --nodes 1000000 --cosine 0.9 --json

A run of about so many nodes is written as real shards with signatures: cohorts of 8 trees, an
opening with an answer, a follow-up and its answer each. Of the openings a share is planted that
repeats an earlier one, word for word or with a word changed; of the other dialogues, a share that
says what an earlier one says under half another opening. The smaller run has a tenth of the nodes.

us_per_node  wall time of the refinement over all nodes, in a process of its own.
rss_mib      the most memory that process held.
steps        when each step began, and how many rows it is about.
found        planted repeats that fell, over all planted; the rest fall as a part of those.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY))

TREES = 8
OPENINGS = 256
"""A tree."""
EQUAL, EDITED, RETOLD = 0.05, 0.10, 0.05
WORDS = {1: 8, 2: 60, 3: 8, 4: 60}
"""Of the turns of a level."""
VOCABULARY = 20_000
DIMENSIONS = 256


def main() -> None:
    args = arguments()
    if args.alone:
        print(json.dumps(measure(args)))
        return
    runs = [compare(args, size) for size in (max(1, args.nodes // 10), args.nodes)]
    if args.json:
        print(json.dumps({"runs": runs}, indent=1))
    else:
        for run in runs:
            print("  ".join(f"{name} {value}" for name, value in run.items()))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=1_000_000)
    parser.add_argument("--cosine", type=float, help="compare vectors of openings, too")
    parser.add_argument("--scopes", nargs="+", default=["openings", "conversations"])
    parser.add_argument("--folder", help="for the runs (default: the one for temporary files)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    return parser.parse_args()


def compare(args: argparse.Namespace, nodes: int) -> dict:
    """Write a run, refine it in a process of its own, and remove it."""
    with tempfile.TemporaryDirectory(dir=args.folder, prefix="bench-refine-") as folder:
        begun = time.monotonic()
        written, planted = write_run(folder, nodes)
        write_s = time.monotonic() - begun
        command = [sys.executable, __file__, "--alone", folder, "--scopes", *args.scopes]
        if args.cosine is not None:
            command += ["--cosine", str(args.cosine)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        found = json.loads(done.stdout)
    figures = {"nodes": written, "write_s": round(write_s, 1), **found}
    figures["us_per_node"] = round(1e6 * found["seconds"] / written, 1)
    figures["found"] = {
        "openings": round(_fell(found, "duplicate", "near_duplicate") / planted["openings"], 5),
        "dialogues": round(figures.pop("whole_dialogues") / max(1, planted["dialogues"]), 5),
    }
    return figures


def _fell(found: dict, *reasons: str) -> int:
    return sum(found["dropped"].get(reason, 0) for reason in reasons)


def measure(args: argparse.Namespace) -> dict:
    """One refinement in this process."""
    from pipeline.pool.tasks import LocalTasks
    from pipeline.refine.loop import Asked, Origin, refine
    from pipeline.storage.open import open_store
    from pipeline.storage.runs import open_run
    from pipeline.storage.snapshots import latest
    from schemas.refine_spec import RefineSpec

    store = open_store(args.alone)
    origin = Origin(store, open_run(store), latest(store))
    spec = RefineSpec(cosine=args.cosine, scopes=tuple(args.scopes))
    steps: list[dict[str, object]] = []
    begun = time.monotonic()

    def note(doing: str) -> None:
        steps.append({"at_s": round(time.monotonic() - begun, 1), "step": doing})

    snapshot = refine([origin], Asked(spec), LocalTasks(), attempt="bench", note=note)
    return {
        "seconds": round(time.monotonic() - begun, 2),
        "steps": steps,
        "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "dropped": snapshot.refinement.dropped if snapshot.refinement else {},
        "whole_dialogues": sum(whole_dialogues(origin.store, snapshot)),
    }


def whole_dialogues(store, snapshot) -> Iterator[bool]:
    """Of those dropped as conversations, which end at the last level."""
    from pipeline.storage.drops import read_drops

    if snapshot.drops is not None:
        for row in read_drops(store, snapshot.drops, ["reason", "path"]).to_pylist():
            yield row["reason"] == "conversation" and len(row["path"]) == max(WORDS)


# A synthetic run.


class Author:
    """Random words, and repeats of what it wrote."""

    def __init__(self) -> None:
        self.draw = np.random.default_rng(1)
        letters = self.draw.integers(97, 123, (VOCABULARY, 9), dtype=np.uint8)
        ends = self.draw.integers(3, 10, VOCABULARY)
        self.words = [bytes(w[:end]).decode() for w, end in zip(letters, ends, strict=True)]
        self.dialogues: list[tuple[str, ...]] = []
        self.planted = {"openings": 0, "dialogues": 0}

    def fresh(self, level: int) -> str:
        numbers = self.draw.integers(0, VOCABULARY, WORDS[level]).tolist()
        return " ".join(self.words[number] for number in numbers)

    def dialogue(self) -> tuple[str, ...]:
        """Four turns."""
        rest = tuple(self.fresh(level) for level in (2, 3, 4))
        chance = self.draw.random() if self.dialogues else 1.0
        if chance >= EQUAL + EDITED + RETOLD:
            self.dialogues.append((self.fresh(1), *rest))
            return self.dialogues[-1]
        opening, *told = self.dialogues[int(self.draw.integers(len(self.dialogues)))]
        if chance >= EQUAL + EDITED:
            self.planted["dialogues"] += 1
            return (f"{opening.rsplit(' ', 2)[0]} {self.fresh(1).rsplit(' ', 6)[0]}", *told)
        self.planted["openings"] += 1
        # A short word more: nine of ten shingles stay.
        return (opening if chance < EQUAL else f"{opening} so", *rest)


def write_run(folder: str, nodes: int) -> tuple[int, dict]:
    """A sealed run; its nodes, and what was planted."""
    from pipeline.curate.signature import DESCRIPTION
    from pipeline.curate.versions import TEXT
    from pipeline.storage.ledger import Ledger
    from pipeline.storage.open import open_store
    from pipeline.storage.runs import create_run
    from pipeline.storage.snapshots import build_snapshot, seal_snapshot
    from tests.stored import make_manifest, make_run_file

    store = open_store(folder)
    plain = make_run_file()
    curation = {"signature": DESCRIPTION, "text": TEXT, "embedder": "bench"}
    identity = plain.identity.model_copy(update={"curation": curation})
    run_file = create_run(store, plain.model_copy(update={"identity": identity}))
    author, manifests, written = Author(), [], 0
    for cohort in range(max(1, round(nodes / (TREES * OPENINGS * 4)))):
        for wave, shards in write_cohort(store, run_file.run_id, cohort, author):
            manifest = make_manifest(wave, "bench", shards=shards, run=run_file.run_id)
            manifests.append(Ledger(store).commit(manifest))
        written += TREES * OPENINGS * 4
    seal_snapshot(store, build_snapshot(run_file, manifests, number=1, complete=True))
    return written, author.planted


def write_cohort(store, run_id: str, cohort: int, author: Author) -> Iterator[tuple[str, tuple]]:
    """Four waves: one a level."""
    dialogues = [author.dialogue() for _ in range(TREES * OPENINGS)]
    trees = [cohort * TREES + index // OPENINGS for index in range(len(dialogues))]
    for level in range(1, 5):
        paths = [(index % OPENINGS, *([0] * (level - 1))) for index in range(len(dialogues))]
        texts = [dialogue[level - 1] for dialogue in dialogues]
        wave = ".".join([f"{cohort:06d}", *(["0"] * (level - 1))])
        yield wave, tuple(write_wave(store, run_id, wave, level, (trees, paths, texts), author))


def write_wave(store, run_id, wave, level, rows, author) -> Iterator:
    from pipeline.curate.shingles import shingle_sets
    from pipeline.curate.signature import signatures
    from pipeline.storage.encoding import encode
    from pipeline.tree.identity import node_id
    from schemas.feature_table import to_feature_table
    from schemas.fingerprint import digest
    from schemas.manifest import ShardEntry
    from schemas.measures import Measures

    trees, paths, texts = rows
    ids = [node_id(run_id, *place) for place in zip(trees, paths, strict=True)]
    role = "user" if level % 2 else "assistant"
    found = signatures(shingle_sets(texts, role))
    vectors = author.draw.integers(-127, 128, (len(texts), DIMENSIONS), dtype=np.int8)
    measures = Measures((), np.zeros((len(texts), 0), dtype=np.float32), found, vectors)
    tables = {
        "nodes": node_table(run_id, (trees, paths, texts, ids), level, role),
        "features": to_feature_table(ids, measures),
    }
    for table, content in tables.items():
        name, payload = f"{table}/{wave}-bench.parquet", encode(content, {})
        store.create(name, payload)
        yield ShardEntry(
            name=name,
            rows=len(ids),
            bytes=len(payload),
            sha256=digest(payload),
            table=table,
        )


def node_table(run_id: str, rows: tuple, level: int, role: str):
    import pyarrow as pa

    from pipeline.tree.identity import node_id
    from schemas.node_table import NODE_SCHEMA

    trees, paths, texts, ids = rows
    same = {
        "run_id": run_id,
        "level": level,
        "role": role,
        "kind": "turn",
        "origin": "sampled",
        "model_index": 0,
        "reasoning_tokens": 0,
        "finish_reason": "stop",
        "num_tokens": 0,
    }
    columns = {
        "tree_id": trees,
        "node_id": ids,
        "parent_id": [node_id(run_id, t, p[:-1]) for t, p in zip(trees, paths, strict=True)],
        "path": paths,
        "child_index": [path[-1] for path in paths],
        "text": texts,
        "token_ids": [[] for _ in ids],
        **{name: [value] * len(ids) for name, value in same.items()},
    }
    arrays = [
        pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(len(ids), f.type)
        for f in NODE_SCHEMA
    ]
    return pa.table(arrays, schema=NODE_SCHEMA)


if __name__ == "__main__":
    main()
