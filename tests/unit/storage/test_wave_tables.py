"""The tables beside a wave's rows: most likely tokens, and what trees grow from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.storage.file_store import FileStore
from pipeline.storage.shards import (
    ShardPlace,
    WaveRows,
    read_logprobs,
    read_wave,
    wave_rows,
    write_shards,
)
from schemas.errors import CorruptData
from schemas.manifest import ShardEntry
from schemas.measures import no_measures
from schemas.records import Message, Node, Opening, Root, TopLogprobs, to_ids
from tests.stored import RUN, make_nodes

ROOT = Root(
    3,
    (Message("system", "Be kind."), Message("user", "What is ice?")),
    {(0, 0): Opening(to_ids([1, 2]), "user"), (1, 1): Opening(to_ids([7]), "system")},
    reference="Frozen water.",
    reference_ids=to_ids([9, 9]),
    source="rows.jsonl:4",
)
TOP = TopLogprobs(
    np.asarray([[5, 6], [8, 7]], np.int32),
    np.asarray([[-0.5, -2.0], [-0.25, -3.0]], np.float32),
    np.asarray([0.25, 0.125], np.float32),
)


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path)


def write(store: FileStore, *, roots: tuple[Root, ...] = (), tops: int = 0) -> list[ShardEntry]:
    """A wave whose first candidates have their most likely tokens."""
    nodes = [
        Node(replace(node.candidate, top=TOP if i < tops else None), node.verdict)
        for i, node in enumerate(make_nodes(1, 4))
    ]
    rows = WaveRows(nodes, no_measures(len(nodes)), roots=roots)
    return list(write_shards(store, ShardPlace(RUN, "000000", "a"), rows, {}))


def test_write_shards_makes_no_file_for_what_a_wave_does_not_have(store):
    assert {entry.table for entry in write(store)} == {"nodes", "dropped"}


def test_wave_gives_back_its_roots(store):
    entries = write(store, roots=(ROOT, Root(4, (), {(0, 0): Opening(to_ids([1]), "system")})))
    assert entries[-1].name == "roots/000000-a.parquet"
    first, second = wave_rows(read_wave(store, entries)).roots
    assert (first.tree_id, first.frame, first.reference) == (3, ROOT.frame, "Frozen water.")
    assert (first.source, first.reference_ids.tolist()) == ("rows.jsonl:4", [9, 9])
    assert first.opening(1, 1).ids.tolist() == [7]
    assert (first.opening(2, 0).ids.tolist(), first.opening(2, 0).last) == ([1, 2], "user")
    assert (second.frame, second.reference, second.reference_ids) == ((), None, None)


def test_read_logprobs_gives_those_of_kept_and_dropped_alike(store):
    entries = write(store, tops=3)
    found = dict(read_logprobs(store, entries))
    assert list(found) == [node.candidate.node_id for node in make_nodes(1, 3)]
    for top in found.values():
        assert [part.tolist() for part in top] == [part.tolist() for part in TOP]
    assert all(node.candidate.top is None for node in wave_rows(read_wave(store, entries)).nodes)


def test_read_logprobs_of_a_changed_file_names_it(store):
    (entry,) = (entry for entry in write(store, tops=1) if entry.table == "logprobs")
    store.delete(entry.name)
    store.create(entry.name, b"something else")
    with pytest.raises(CorruptData, match=r"logprobs/000000-a\.parquet"):
        dict(read_logprobs(store, [entry]))
