"""What docs/reading.md tells readers to do gives the rows and conversations that it promises."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from jobs.cli import main
from jobs.sealed_runs import open_sealed
from pipeline.sft.rows.path_ids import learned_ids, path_ids
from pipeline.storage.open import find_run, open_store
from pipeline.storage.reader import read_kept, read_trees
from pipeline.storage.snapshots import latest
from pipeline.storage.store import Store
from pipeline.tree.conversations import conversations
from schemas.node_table import from_table
from schemas.root_table import from_root_table
from schemas.sft_spec import RunSource
from tests.builders import make_spec, run_scripted
from tests.integration.reading_page import Block, blocks, missing
from tests.s3_server import BUCKET, s3_server
from tests.tiny_llama import tiny_llama

PATIENCE_S = 500
REPEATING = {"mean_tokens": 12, "duplicate_share": 0.5}
FILES = "Which files count"
PAGE = blocks()


class Library(NamedTuple):
    """A folder as the page has it: runs, their exports, a model."""

    folder: Path
    ray: str
    """A folder for Ray, whose sockets want a short name."""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    folder = tmp_path_factory.mktemp("reading")
    short = tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True)
    with short as ray, s3_server(), pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for place in ("runs/demo", f"s3://{BUCKET}/demo"):
            grow(f"{place}/run")
            assert main(["refine", place]) == 0
        grow("runs/plain/run")
        text = {"role": "text", "fanout": 3, "max_tokens": 12}
        grow("runs/texts/run", {"recipe": "tg-pt", "levels": [text], "turns": {}})
        assert main(["export", "runs/demo", "--out", "runs/messages"]) == 0
        assert main(["export", "runs/texts", "--format", "text", "--out", "runs/ids"]) == 0
        tiny_llama(folder / "models" / "trainee")
        yield Library(folder, ray)


def grow(location: str, generation: dict[str, Any] | None = None) -> None:
    """A run of several cohorts, in many of which the same is said."""
    spec = make_spec(
        trees=4,
        fanouts=(4, 2, 1, 1),
        scripted=REPEATING,
        bounds=(1, 30),
        generation=generation,
        location=location,
    )
    run_scripted(open_store(location), spec)


def chosen(section: str, *order: int) -> list[int]:
    """The numbers of some blocks of a section, counted from 0; without any, of all."""
    numbers = [number for number, block in enumerate(PAGE) if block.section == section]
    return [numbers[place] for place in order] if order else numbers


def read(library: Library, location: str, *numbers: int) -> dict[str, Any]:
    """What blocks of the page find at a location, after the one that lists its files."""
    numbers = (*chosen(FILES, 0), *numbers)
    if lacking := missing([PAGE[number] for number in numbers]):
        pytest.skip(f"not installed: {', '.join(lacking)}")
    answer = library.folder / "answer.json"
    words = (answer, location, *numbers)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.reading_page", *map(str, words)],
        cwd=library.folder,
        env=environment(library),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _, said = process.communicate(timeout=PATIENCE_S)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, said[-3000:]
    return json.loads(answer.read_text())


def environment(library: Library) -> dict[str, str]:
    """A reader's."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path[1:]]),
        "AWS_ALLOW_HTTP": "true",
        "HF_HOME": str(library.folder / "huggingface"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        # Where nobody answers, as `datasets` takes no store for reachable when it is told to stay
        # off the hub.
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "OMP_NUM_THREADS": "1",
        "RAY_AUTH_MODE": "disabled",
        "RAY_TMPDIR": library.ray,
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def store_of(location: str) -> Store:
    return find_run(location, {})


def kept_at(store: Store) -> list[str]:
    """The nodes that count, by our own reader."""
    snapshot = latest(store)
    assert snapshot is not None
    return [i for t in read_kept(store, snapshot, ["node_id"]) for i in t["node_id"].to_pylist()]


def exported(library: Library) -> dict[str, list[list[str]]]:
    """The conversations that count, by our own export."""
    import pyarrow.dataset as ds

    files = sorted((library.folder / "runs" / "messages").glob("*.parquet"))
    table = ds.dataset(files, format="parquet").to_table()
    return {
        row["leaf_id"]: [[said["role"], said["content"]] for said in row["messages"]]
        for row in table.to_pylist()
    }


def test_refined_run_leaves_rows_out_that_lie_in_nodes(library: Library) -> None:
    snapshot = latest(store_of("runs/demo"))
    assert snapshot is not None and snapshot.drops is not None and snapshot.drops.rows > 3
    assert len(kept_at(store_of("runs/demo"))) > 20


PLACES = ["runs/demo", "runs/plain", f"s3://{BUCKET}/demo"]


@pytest.mark.parametrize("location", PLACES)
@pytest.mark.parametrize("section", ["DuckDB", "Polars", "pandas and pyarrow"])
def test_reader_finds_what_counts_and_walks_it(
    section: str, location: str, library: Library
) -> None:
    numbers = chosen(section, 0, 1)
    found = read(library, location, *numbers)
    assert sorted(found["kept"]) == sorted(kept_at(store_of(location)))
    if location == "runs/demo":
        assert found["conversations"] == exported(library)
    else:
        assert found["conversations"]


def test_glob_of_a_complete_run_without_drops_is_what_counts(library: Library) -> None:
    found = read(library, "runs/plain", *chosen(FILES, 1))
    assert sorted(found["kept"]) == sorted(kept_at(store_of("runs/plain")))


def test_duckdb_reads_s3_with_its_own_client(library: Library) -> None:
    import duckdb

    try:
        duckdb.sql("load httpfs")
    except duckdb.Error:
        pytest.skip("not installed: DuckDB's extension httpfs")
    found = read(library, f"s3://{BUCKET}/demo", *chosen("DuckDB", 2))
    assert sorted(found["kept"]) == sorted(kept_at(store_of(f"s3://{BUCKET}/demo")))


def test_datasets_reads_what_counts_and_what_was_exported(library: Library) -> None:
    found = read(library, "runs/demo", *chosen("Hugging Face datasets", 0, 2))
    assert sorted(found["kept"]) == sorted(kept_at(store_of("runs/demo")))
    assert found["messages"] == len(exported(library))


@pytest.mark.parametrize("blocks_read", [(0,), (0, 1)], ids=["at once", "streaming"])
def test_datasets_reads_a_store(blocks_read: tuple[int, ...], library: Library) -> None:
    location = f"s3://{BUCKET}/demo"
    found = read(library, location, *chosen("Hugging Face datasets", *blocks_read))
    assert sorted(found["kept"]) == sorted(kept_at(store_of(location)))


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("location", ["runs/demo", f"s3://{BUCKET}/demo"])
def test_ray_data_reads_what_counts(location: str, library: Library) -> None:
    found = read(library, location, *chosen("Ray Data"))
    assert sorted(found["kept"]) == sorted(kept_at(store_of(location)))


def test_spark_reads_what_counts_and_walks_it(library: Library) -> None:
    found = read(library, "runs/demo", *chosen("Spark SQL"))
    assert sorted(found["kept"]) == sorted(kept_at(store_of("runs/demo")))
    assert found["conversations"] == exported(library)


@pytest.mark.slow
def test_trl_learns_from_messages_and_from_the_ids_of_texts_and_conversations(
    library: Library,
) -> None:
    found = read(library, "runs/demo", *chosen("TRL"))
    (loss,) = found["trainer"]
    assert 0 < loss < 20
    assert sorted(map(tuple_of, found["rows"])) == sorted(map(tuple_of, examples_at("runs/demo")))


def tuple_of(row: dict[str, list[int]]) -> tuple[tuple[int, ...], ...]:
    return tuple(row["input_ids"]), tuple(row["labels"])


def examples_at(location: str) -> Iterator[dict[str, list[int]]]:
    """The ids of every conversation and those of them that the model answered, by our trainer."""
    sealed = open_sealed(RunSource(location=location))
    for tables in read_trees(sealed.store, sealed.snapshot, ("nodes", "roots")):
        roots = {root.tree_id: root for root in from_root_table(tables["roots"])}
        for path in conversations(node.candidate for node in from_table(tables["nodes"])):
            found = path_ids(sealed.run, roots[path[0].tree_id], path)
            assert found is not None
            answered = [bool(node.level) and node.role == "assistant" for node in path]
            learned = learned_ids(found, answered, everything=False)
            labels = np.where(learned, found.ids, -100)
            yield {"input_ids": found.ids.tolist(), "labels": labels.tolist()}


def test_every_block_of_the_page_is_run_here() -> None:
    tried = {FILES, "DuckDB", "Polars", "pandas and pyarrow", "Hugging Face datasets"}
    tried |= {"Ray Data", "Spark SQL", "TRL"}
    assert {block.section for block in PAGE} == tried
    assert all(block.language == "python" for block in PAGE)
    assert [len(chosen(name)) for name in (FILES, "DuckDB", "Polars")] == [2, 3, 2]


def test_missing_library_is_named() -> None:
    block = Block("", "python", "import json\nfrom nowhere_to_be_found import it\n")
    assert missing([block]) == ["nowhere_to_be_found"]
