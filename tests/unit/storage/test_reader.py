"""Whole trees at a time, from shards that hold parts of them."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage import reader
from pipeline.storage.drops import write_drops
from pipeline.storage.reader import read_trees
from pipeline.storage.snapshots import build_snapshot
from schemas.drop_list import DROP_SCHEMA
from schemas.node_table import NODE_SCHEMA
from tests.builders import memory_store
from tests.stored import make_manifest, make_nodes, make_run_file, write_nodes

RUN_FILE = make_run_file()


def sealed(store, waves):
    """A snapshot of waves, each by its name and the rows in it."""
    manifests = [
        make_manifest(
            name,
            shards=write_nodes(store, rows, wave=name, run=RUN_FILE.run_id),
            run=RUN_FILE.run_id,
        )
        for name, rows in waves.items()
    ]
    return build_snapshot(RUN_FILE, manifests, number=1, complete=True)


def ids(table):
    return table.column("node_id").to_pylist()


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(1, 3), st.integers(1, 60))
def test_trees_come_whole_in_order_and_every_row_once(sizes, waves, block):
    rows = [
        node
        for tree, size in enumerate(sizes)
        for node in make_nodes(tree + 1, size)
        if node.candidate.tree_id == tree
    ]
    parts = {f"000000.{n}" if n else "000000": rows[n::waves] for n in range(waves)}
    store = memory_store()
    snapshot = sealed(store, {name: part for name, part in parts.items() if part})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "BLOCK_ROWS", block)
        blocks = list(read_trees(store, snapshot, ("nodes", "dropped")))
    seen = []
    for tables in blocks:
        trees = {tree for table in tables.values() for tree in table.column("tree_id").to_pylist()}
        for name, table in tables.items():
            assert sorted(ids(table)) == sorted(
                node.candidate.node_id
                for node in rows
                if node.candidate.tree_id in trees and node.verdict.kept == (name == "nodes")
            )
        assert sum(map(len, tables.values())) <= block + max(sizes)
        seen += sorted(trees)
    assert seen == list(range(len(sizes)))


def test_cohorts_are_read_one_after_the_other():
    store = memory_store()
    waves = {f"00000{cohort}": make_nodes(2, 4) for cohort in range(3)}
    blocks = list(read_trees(store, sealed(store, waves), ("nodes",)))
    assert [len(tables["nodes"]) for tables in blocks] == [6, 6, 6]


@pytest.mark.parametrize("withdrawn", [1, 6])
def test_rows_of_the_drop_list_are_left_out(withdrawn):
    store = memory_store()
    snapshot = sealed(store, {"000000": make_nodes(2, 4)})
    kept = [node.candidate for node in make_nodes(2, 4) if node.verdict.kept]
    drops = [
        {
            "node_id": c.node_id,
            "tree_id": c.tree_id,
            "path": c.path,
            "reason": "withdrawn",
            "round": 1,
        }
        for c in kept[:withdrawn]
    ]
    entry = write_drops(
        store,
        pa.Table.from_pylist(drops, schema=DROP_SCHEMA),
        run_id=RUN_FILE.run_id,
        number=2,
        attempt="a",
    )
    refined = snapshot.model_copy(update={"number": 2, "drops": entry})
    found = [i for tables in read_trees(store, refined, ("nodes",)) for i in ids(tables["nodes"])]
    assert found == [c.node_id for c in kept[withdrawn:]]


def test_columns_that_are_not_needed_are_left_null():
    store = memory_store()
    snapshot = sealed(store, {"000000": make_nodes(2, 4)})
    (whole,) = read_trees(store, snapshot, ("nodes",))
    (part,) = read_trees(store, snapshot, ("nodes",), without=("token_logprobs", "prompt_hash"))
    assert part["nodes"].schema == whole["nodes"].schema == NODE_SCHEMA
    for name in NODE_SCHEMA.names:
        left_out = name in ("token_logprobs", "prompt_hash")
        found = part["nodes"].column(name)
        assert found.null_count == 6 if left_out else found.equals(whole["nodes"].column(name))
