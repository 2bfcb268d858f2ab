"""`arborist export`: write a snapshot as plain Parquet for trainers."""

import argparse
import json
from collections.abc import Iterator
from itertools import groupby

import pyarrow as pa

from jobs.wiring import open_run_value
from pipeline.curate.personal import mask
from pipeline.plan.plan import make_plan
from pipeline.storage.exports import MESSAGES_SCHEMA, ExportWriter
from pipeline.storage.open import find_run, open_store
from pipeline.storage.reader import read_kept
from pipeline.storage.runs import open_run
from pipeline.storage.snapshots import latest
from pipeline.storage.store import Store
from pipeline.tree.conversations import conversations
from pipeline.tree.run import Run
from schemas.curation_spec import CurationSpec
from schemas.errors import LocationError
from schemas.manifest import Snapshot
from schemas.node_table import from_table
from schemas.records import Candidate

ROWS_PER_FILE = 50_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("uri", help="a run's folder, or the folder with the one run in it")
    parser.add_argument(
        "--format",
        choices=["messages", "nodes"],
        default="messages",
        help="messages: a row a conversation, as TRL and HF datasets read them, personal data "
        "masked where the spec says so (default); nodes: a row a kept node, all columns as sampled",
    )
    parser.add_argument("--out", required=True, help="an empty folder or URI")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Export the latest snapshot."""
    store = find_run(args.uri)
    run_value = open_run_value(open_run(store))
    snapshot = latest(store)
    if snapshot is None:
        raise LocationError(
            f"{store.location}: is not sealed yet; finish it with `arborist generate` first."
        )
    writer = ExportWriter(open_store(args.out), args.format)
    tables = _messages if args.format == "messages" else _nodes
    for table in _in_files(tables(run_value, store, snapshot)):
        writer.write(table)
    figures = {"out": args.out, "files": writer.files, "rows": writer.rows}
    print(
        json.dumps(figures)
        if args.json
        else f"{writer.rows:,} {args.format} rows in {writer.files} files below {args.out}"
    )
    return 0


def _nodes(run_value: Run, store: Store, snapshot: Snapshot) -> Iterator[pa.Table]:
    yield from read_kept(store, snapshot)


def _messages(run_value: Run, store: Store, snapshot: Snapshot) -> Iterator[pa.Table]:
    """A table a cohort: its waves are next to each other in the snapshot."""
    per_cohort = make_plan(run_value.spec, run_value.recipe).trees_per_cohort
    rows = (node.candidate for table in read_kept(store, snapshot) for node in from_table(table))
    for _, kept in groupby(rows, key=lambda row: row.tree_id // per_cohort):
        walks = [as_row(path, run_value.spec.curation) for path in conversations(kept)]
        yield pa.Table.from_pylist(walks, schema=MESSAGES_SCHEMA)


def as_row(path: list[Candidate], curation: CurationSpec) -> dict[str, object]:
    """A conversation, with personal data masked where the spec says so."""
    return {
        "tree_id": path[-1].tree_id,
        "leaf_id": path[-1].node_id,
        "messages": [
            {
                "role": node.role,
                "content": mask(node.text) if curation.masks(node.role) else node.text,
            }
            for node in path
            if node.level or node.text
        ],
    }


def _in_files(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Joined until a file's worth of rows is there."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(part.num_rows for part in waiting) >= ROWS_PER_FILE:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)
