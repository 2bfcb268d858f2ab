import json
from pathlib import Path

import pytest

from pipeline.storage.file_store import FileStore
from pipeline.storage.runs import create_run, open_run
from schemas.errors import CorruptData, EnvironmentMismatch, LocationError, NewerSchema
from schemas.manifest import BadRow, RowCount, RunFile
from schemas.node_table import TABLE_VERSION
from tests.faulty_store import FaultyStore
from tests.stored import make_run_file


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path)


def test_create_run_begins_and_then_joins_the_same_run(store: FileStore) -> None:
    begun = make_run_file(arborist="0.1.0")
    assert create_run(store, begun) == begun
    assert create_run(store, make_run_file(arborist="0.2.0")) == begun
    assert open_run(store) == begun


@pytest.mark.parametrize("mode", ["before", "after"])
def test_create_run_survives_one_failed_create(store: FileStore, mode: str) -> None:
    assert create_run(FaultyStore(store, 1, mode), make_run_file()) == open_run(store)


def test_create_run_where_another_run_lies_is_refused(store: FileStore) -> None:
    create_run(store, make_run_file(seed=1))
    with pytest.raises(CorruptData, match="another run"):
        create_run(store, make_run_file(seed=2))


def test_create_run_with_another_dialect_names_both_versions(store: FileStore) -> None:
    create_run(store, make_run_file(arborist="0.1.0"))
    with pytest.raises(EnvironmentMismatch, match=r"dialect.*begun with arborist 0\.1\.0"):
        create_run(store, make_run_file(arborist="0.2.0", after_user=99))


def with_rows(good: int, bad: int, where: str) -> RunFile:
    row = BadRow(where=where, why="no text")
    rows = RowCount(good=good, bad=bad, examples=(row,))
    return make_run_file().model_copy(update={"rows": rows})


def test_create_run_whose_data_file_was_renamed_joins_it(store: FileStore) -> None:
    begun = create_run(store, with_rows(5, 1, "a.jsonl:3"))
    assert create_run(store, with_rows(5, 1, "b.jsonl:3")) == begun


@pytest.mark.parametrize("rows", [(4, 1), (5, 2)])
def test_create_run_that_finds_other_rows_in_the_same_data_says_how_many(
    store: FileStore, rows: tuple[int, int]
) -> None:
    create_run(store, with_rows(5, 1, "a.jsonl:3"))
    said = rf"5 rows to grow from and 1 .* finds {rows[0]} and {rows[1]} in the same data"
    with pytest.raises(EnvironmentMismatch, match=said):
        create_run(store, with_rows(*rows, "a.jsonl:3"))


def test_open_run_of_a_newer_table_is_refused(store: FileStore) -> None:
    newer = make_run_file().model_copy(update={"table_version": TABLE_VERSION + 1})
    store.create("run.json", newer.to_bytes())
    for refused in (lambda: open_run(store), lambda: create_run(store, make_run_file())):
        with pytest.raises(NewerSchema, match=r"0\.1\.0, which began the run"):
            refused()


def test_open_run_of_an_edited_file_is_refused(store: FileStore) -> None:
    content = json.loads(make_run_file().to_bytes())
    content["generation"]["seed"] = 5
    store.create("run.json", json.dumps(content).encode())
    with pytest.raises(CorruptData, match=r"run\.json.*edited"):
        open_run(store)


def test_open_run_where_none_is_says_so(store: FileStore) -> None:
    with pytest.raises(LocationError, match=r"holds no run"):
        open_run(store)


def test_run_file_comes_back_as_it_was(store: FileStore) -> None:
    begun = create_run(store, make_run_file())
    assert RunFile.from_bytes(store.read("run.json"), name="x").to_bytes() == begun.to_bytes()
