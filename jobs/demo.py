"""The demo: grows a Balance-Tree and a Wide-Tree of real text on this machine and shows them.

Run by `make demo`. It only calls the commands that a user would call, and reads the shards as a
stranger would, with pyarrow.
"""

import subprocess
import sys
import textwrap
import time

import pyarrow.parquet as pq

from jobs.cli import main
from pipeline.storage.file_store import FileStore
from pipeline.storage.open import find_run
from pipeline.storage.reader import read_kept
from pipeline.storage.snapshots import latest
from pipeline.tree.conversations import conversations
from schemas.node_table import from_table
from schemas.records import Candidate

RUNS = (("jobs/specs/demo.yaml", "runs/demo"), ("jobs/specs/demo-wide.yaml", "runs/demo-wide"))
SHOWN = 3


def demo() -> int:
    """Prepare, grow, show."""
    began = time.monotonic()
    print("== The model: SmolLM2-135M-Instruct, prepared once into the local cache", flush=True)
    _must(main(["prepare-model"]))
    for spec, location in RUNS:
        print(f"\n== arborist generate {spec}", flush=True)
        # A process of its own, as a user would start it, with its engines' noise left aside.
        _must(subprocess.run([sys.executable, "-m", "jobs.cli", "generate", spec]).returncode)
        print(f"\n== arborist status {location}", flush=True)
        _must(main(["status", location]))
    print(f"\n== {SHOWN} dialogues in full", flush=True)
    for path in _dialogues(RUNS[0][1])[:SHOWN]:
        _show(path)
    print(f"\n== Read the rows ({_rows(RUNS[0][1])} kept in the first run, roots included)")
    print(_reading(find_run(RUNS[0][1]).location.removeprefix("file://")))
    print(
        f"\nDone in {time.monotonic() - began:.0f} s. Next: .venv/bin/arborist verify {RUNS[0][1]}"
    )
    return 0


def _must(code: int) -> None:
    if code:
        sys.exit(code)


def _kept(location: str) -> list[Candidate]:
    store = find_run(location)
    snapshot = latest(store)
    assert snapshot is not None
    return [node.candidate for table in read_kept(store, snapshot) for node in from_table(table)]


def _dialogues(location: str) -> list[list[Candidate]]:
    """The longest first, no two from one opening question."""
    walks = sorted(conversations(_kept(location)), key=len, reverse=True)
    firsts = {(path[0].tree_id, path[-1].path[:1]): path for path in reversed(walks)}
    return sorted(firsts.values(), key=len, reverse=True)


def _show(path: list[Candidate]) -> None:
    leaf = path[-1]
    print(f"\n-- tree {leaf.tree_id}, path {list(leaf.path)}")
    for node in path:
        body = textwrap.indent(textwrap.fill(" ".join(node.text.split()), width=88), "   ")
        print(f"{node.role}:\n{body}")


def _rows(location: str) -> int:
    folder = find_run(location).location.removeprefix("file://")
    store = FileStore(folder)
    return sum(pq.ParquetFile(f"{folder}/{n}").metadata.num_rows for n in store.list("nodes"))


def _reading(folder: str) -> str:
    glob = f"{folder}/nodes/*.parquet"
    return textwrap.dedent(
        f"""\
        DuckDB       duckdb.sql("select role, text from '{glob}' order by tree_id, path")
        HF datasets  datasets.load_dataset("parquet", data_files="{glob}", split="train")
        Polars       polars.read_parquet("{glob}")
        (A glob over nodes/ of a sealed run is its kept rows. Where a snapshot has a drop list, read
        through `arborist export`, which honours it.)"""
    )


if __name__ == "__main__":
    sys.exit(demo())
