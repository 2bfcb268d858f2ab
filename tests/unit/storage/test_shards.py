import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.storage.encoding import encode
from pipeline.storage.file_store import FileStore
from pipeline.storage.shards import (
    ShardPlace,
    WaveRows,
    read_shard,
    read_wave,
    wave_rows,
    write_shards,
)
from pipeline.storage.store import Store
from schemas.errors import CorruptData, NewerSchema
from schemas.fingerprint import digest
from schemas.manifest import ShardEntry
from schemas.measures import Measures
from schemas.node_table import NODE_SCHEMA, TABLE_VERSION, from_table, to_table
from schemas.records import KEEP, Node, Verdict
from tests.faulty_store import FaultyStore
from tests.stored import RUN, make_node, make_nodes, write_nodes

NODES = make_nodes(3, 5)
KEPT = [node for node in NODES if node.verdict.kept]
DROPPED = [node for node in NODES if not node.verdict.kept]


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path)


def write(store: Store, nodes: list[Node]) -> list[ShardEntry]:
    return list(write_nodes(store, nodes, wave="000000.1"))


def put(store: FileStore, table: pa.Table, rows: int | None = None) -> ShardEntry:
    """A shard of any table, with an entry that fits its bytes."""
    payload = encode(table, {})
    store.create("nodes/000000-x.parquet", payload)
    return entry_of(payload, table.num_rows if rows is None else rows)


def entry_of(payload: bytes, rows: int) -> ShardEntry:
    return ShardEntry(
        name="nodes/000000-x.parquet",
        rows=rows,
        bytes=len(payload),
        sha256=digest(payload),
        table="nodes",
    )


def test_write_shards_parts_kept_from_dropped_in_the_order_given(store: FileStore) -> None:
    kept, dropped = write(store, NODES)
    assert (kept.name, dropped.name) == (
        "nodes/000000.1-a.parquet",
        "dropped/000000.1-a.parquet",
    )
    assert (kept.table, dropped.table) == ("nodes", "dropped")
    assert read_shard(store, kept).equals(to_table(RUN, KEPT), check_metadata=True)
    assert read_shard(store, dropped).equals(to_table(RUN, DROPPED), check_metadata=True)


def test_rows_come_back_as_the_nodes_they_were(store: FileStore) -> None:
    entries = write(store, NODES)
    back = [node for entry in entries for node in from_table(read_shard(store, entry))]
    for before, after in zip(KEPT + DROPPED, back, strict=True):
        assert after.verdict == before.verdict
        assert after.candidate.text == before.candidate.text
        assert after.candidate.path == before.candidate.path
        assert after.candidate.token_ids.tolist() == before.candidate.token_ids.tolist()


@pytest.mark.parametrize(
    ("nodes", "folders"), [(KEPT, ["nodes"]), (DROPPED, ["dropped"]), ([], [])]
)
def test_write_shards_makes_no_file_for_a_side_without_rows(
    store: FileStore, nodes: list[Node], folders: list[str]
) -> None:
    entries = write(store, nodes)
    assert [entry.name.split("/")[0] for entry in entries] == folders
    assert store.list("") == [entry.name for entry in entries]


def test_write_shards_gives_equal_bytes_for_equal_rows(store: FileStore, tmp_path: Path) -> None:
    other = FileStore(tmp_path / "other")
    assert write(store, NODES) == write(other, make_nodes(3, 5))


def test_write_shards_again_is_no_error_and_changes_nothing(store: FileStore) -> None:
    assert write(store, NODES) == write(store, NODES)
    assert len(store.list("")) == 2


def test_write_shards_refuses_a_name_with_other_content(store: FileStore) -> None:
    write(store, NODES)
    with pytest.raises(CorruptData, match=r"000000\.1-a\.parquet is there with other content"):
        write(store, make_nodes(2, 5))


@pytest.mark.parametrize("fail_at", [1, 2])
@pytest.mark.parametrize("mode", ["before", "after"])
def test_write_shards_survives_one_failed_create(
    store: FileStore, tmp_path: Path, fail_at: int, mode: str
) -> None:
    expected = write(FileStore(tmp_path / "other"), NODES)
    assert write(FaultyStore(store, fail_at, mode), NODES) == expected


def test_shard_is_read_by_plain_parquet_readers(store: FileStore, tmp_path: Path) -> None:
    write(store, NODES)
    path = tmp_path / "nodes" / "000000.1-a.parquet"
    assert pq.read_table(tmp_path / "nodes").num_rows == len(KEPT)
    metadata = pq.read_metadata(path).metadata
    assert metadata[b"arborist.run_id"] == RUN.encode()
    assert metadata[b"arborist.wave"] == b"000000.1"
    assert metadata[b"arborist.table_version"] == str(TABLE_VERSION).encode()


def test_read_shard_of_some_columns_gives_them_in_the_order_asked(store: FileStore) -> None:
    kept, _ = write(store, NODES)
    table = read_shard(store, kept, ["text", "node_id"])
    assert table.column_names == ["text", "node_id"]
    assert table.column("text").to_pylist() == [node.candidate.text for node in KEPT]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_read_shard_finds_any_change(store: FileStore, data: st.DataObject) -> None:
    kept, _ = write(store, NODES)
    payload = store.read(kept.name)
    place = data.draw(st.integers(0, len(payload) - 1))
    flipped = bytes([payload[place] ^ data.draw(st.integers(1, 255))])
    damaged = data.draw(
        st.sampled_from(
            [
                payload[:place],
                payload[:place] + flipped + payload[place + 1 :],
                payload + flipped,
            ]
        )
    )
    store.delete(kept.name)
    store.create(kept.name, damaged)
    with pytest.raises(CorruptData, match=r"nodes/000000\.1-a\.parquet"):
        read_shard(store, kept)
    store.delete(kept.name)


def test_read_shard_checks_pages_where_the_manifest_was_made_from_damaged_bytes(
    store: FileStore,
) -> None:
    payload = encode(to_table(RUN, KEPT), {})
    text = pq.ParquetFile(io.BytesIO(payload)).metadata.row_group(0).column(11)
    place = text.data_page_offset + text.total_compressed_size - 5
    damaged = payload[:place] + bytes([payload[place] ^ 1]) + payload[place + 1 :]
    store.create("nodes/000000-x.parquet", damaged)
    with pytest.raises(CorruptData, match=r"nodes/000000-x\.parquet.*damaged"):
        read_shard(store, entry_of(damaged, len(KEPT)))


@pytest.mark.parametrize("payload", [b"", b"PAR1", b"no parquet at all"])
def test_read_shard_of_something_else_names_the_file(store: FileStore, payload: bytes) -> None:
    store.create("nodes/000000-x.parquet", payload)
    with pytest.raises(CorruptData, match=r"nodes/000000-x\.parquet"):
        read_shard(store, entry_of(payload, 1))


def test_read_shard_that_was_removed_names_the_file(store: FileStore) -> None:
    kept, _ = write(store, NODES)
    store.delete(kept.name)
    with pytest.raises(CorruptData, match=r"000000\.1-a\.parquet.*removed"):
        read_shard(store, kept)


def test_read_shard_with_another_number_of_rows_is_refused(store: FileStore) -> None:
    entry = put(store, to_table(RUN, KEPT), rows=len(KEPT) + 1)
    with pytest.raises(CorruptData, match=f"holds {len(KEPT)} rows, its manifest says"):
        read_shard(store, entry)


def test_read_shard_fills_columns_that_an_older_shard_lacks(store: FileStore) -> None:
    older = to_table(RUN, KEPT).drop_columns(["mmr_rank", "scores"])
    table = read_shard(store, put(store, older))
    assert table.schema.equals(NODE_SCHEMA, check_metadata=True)
    assert table.column("mmr_rank").null_count == table.column("scores").null_count == len(KEPT)
    assert table.column("text").to_pylist() == [node.candidate.text for node in KEPT]


def test_read_shard_without_a_needed_column_is_refused(store: FileStore) -> None:
    entry = put(store, to_table(RUN, KEPT).drop_columns(["text"]))
    with pytest.raises(CorruptData, match="column text is missing"):
        read_shard(store, entry)


def test_read_shard_with_another_type_is_refused(store: FileStore) -> None:
    table = to_table(RUN, KEPT)
    wide = table.set_column(1, "tree_id", table.column("tree_id").cast(pa.int64()))
    with pytest.raises(CorruptData, match="column tree_id is int64, expected int32"):
        read_shard(store, put(store, wide))


def test_read_shard_of_a_newer_table_says_to_use_the_newer_version(store: FileStore) -> None:
    newer = to_table(RUN, KEPT).replace_schema_metadata(
        {"arborist.table_version": str(TABLE_VERSION + 1)}
    )
    with pytest.raises(NewerSchema, match="newer version"):
        read_shard(store, put(store, newer))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=8),
    dropped=st.sets(st.integers(0, 7)),
)
def test_any_text_comes_back_as_it_was(
    store: FileStore, texts: list[str], dropped: set[int]
) -> None:
    verdicts = [Verdict("odd") if i in dropped else KEEP for i in range(len(texts))]
    nodes = [
        Node(replace(make_node(0, (i,)).candidate, text=text), verdict)
        for i, (text, verdict) in enumerate(zip(texts, verdicts, strict=True))
    ]
    entries = write(store, nodes)
    found = {
        tuple(row["path"]): row["text"]
        for entry in entries
        for row in read_shard(store, entry, ["path", "text"]).to_pylist()
    }
    for entry in entries:
        store.delete(entry.name)
    assert found == {(i,): text for i, text in enumerate(texts)}


NAMES = ("chars", "judge")


@st.composite
def measured_waves(draw):
    """Rows with a root, failures, and numbers about the others."""
    nodes = [make_node(0, ())]
    for child in range(draw(st.integers(0, 6))):
        verdict = KEEP if draw(st.booleans()) else Verdict("odd")
        row = make_node(0, (child,), verdict)
        failed = draw(st.booleans()) and not verdict.kept
        candidate = replace(row.candidate, failure="engine") if failed else row.candidate
        nodes.append(Node(candidate, Verdict("failed:engine") if failed else verdict))
    known = [node.candidate.level > 0 and node.candidate.failure is None for node in nodes]
    rows = np.where(known, np.cumsum(known) - 1, -1)
    numbers = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    scores = rng.random((sum(known), 2), dtype=np.float32)
    scores[rng.random(scores.shape) < 0.3] = np.nan
    signatures = rng.integers(0, 2**32, (sum(known), numbers[0]), dtype=np.uint32)
    vectors = rng.integers(-127, 128, (sum(known), numbers[1]), dtype=np.int8)
    measures = Measures(NAMES, scores, signatures, vectors)
    asides = [Node(replace(make_node(0, (0, 0)).candidate, kind="judge"), KEEP)]
    return WaveRows(nodes, measures.take(rows), asides if draw(st.booleans()) else ())


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(measured_waves())
def test_wave_comes_back_as_it_was_stored(store: FileStore, rows: WaveRows) -> None:
    entries = write_shards(store, ShardPlace(RUN, "000000", "a"), rows, {"embedder": "abc"})
    back = wave_rows(read_wave(store, entries))
    for entry in entries:
        metadata = pq.read_metadata(pa.BufferReader(store.read(entry.name))).metadata
        assert metadata[b"arborist.curation.embedder"] == b"abc"
        store.delete(entry.name)
    assert [n.candidate.path for n in back.nodes] == [n.candidate.path for n in rows.nodes]
    assert [n.verdict for n in back.nodes] == [n.verdict for n in rows.nodes]
    assert [n.candidate.kind for n in back.asides] == [n.candidate.kind for n in rows.asides]
    for name in NAMES:
        found = back.measures.column(name) if name in back.measures.names else np.nan
        assert np.array_equal(
            np.broadcast_to(found, len(rows.nodes)), rows.measures.column(name), equal_nan=True
        )
    for part in ("signatures", "vectors"):
        stored, made = getattr(back.measures, part), getattr(rows.measures, part)
        assert np.array_equal(stored, made) if made.any() else not stored.any()
