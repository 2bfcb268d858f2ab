"""Rows to grow from as people have them: files on every store, saved data sets, sealed runs."""

import io
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.cli import main
from jobs.wiring import resolve
from pipeline.storage.open import join, open_store
from pipeline.storage.records import Record, read_records
from pipeline.storage.rows import read_rows, topic_rows
from pipeline.storage.runs import create_run
from pipeline.storage.snapshots import latest
from schemas.errors import SpecError
from schemas.generation_spec import DataSpec, Topic
from schemas.manifest import BadRow
from schemas.records import Message, RootRow
from tests.builders import make_spec, rows_of, run_scripted

CHAT = [
    {"role": "user", "content": "Why?"},
    {"role": "assistant", "content": "So."},
    {"role": "user", "content": "And then?"},
    {"role": "assistant", "content": "Then that."},
]
QUESTIONS = [{"question": f"What is {n}?", "answer": f"It is {n}."} for n in range(3000)]


@pytest.fixture(params=["file", "memory", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A location of its own on each store."""
    if request.param == "s3":
        request.getfixturevalue("s3")
        return f"s3://runs/{uuid.uuid4().hex}"
    return str(tmp_path) if request.param == "file" else f"memory://{uuid.uuid4().hex}"


def as_lines(rows: list[Any]) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def as_parquet(rows: list[dict], rows_in_group: int = 500) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink, row_group_size=rows_in_group)
    return sink.getvalue()


def put(folder: str, files: Mapping[str, bytes]) -> str:
    store = open_store(folder)
    for name, payload in files.items():
        store.create(name, payload)
    return folder


def texts(*locations: str, **spec: Any) -> list[str]:
    return [row.text for row in read_rows(DataSpec(**spec), locations)]


def test_rows_of_files_are_the_same_from_every_store_and_format(folder: str) -> None:
    put(
        folder,
        {
            "lines/q.jsonl": as_lines(QUESTIONS),
            "array/q.json": json.dumps(QUESTIONS).encode(),
            "hub/README.md": b"# Questions",
            "hub/data/train-00000-of-00002.parquet": as_parquet(QUESTIONS[:1000]),
            "hub/data/train-00001-of-00002.parquet": as_parquet(QUESTIONS[1000:]),
        },
    )
    lists = [
        read_rows(DataSpec(), join(folder, name), in_memory_bytes=10_000)
        for name in ("lines/q.jsonl", "lines", "array", "hub", "hub/data/train-*.parquet")
    ]
    assert len({rows.digest for rows in lists}) == 1
    for rows in lists:
        assert rows.row_count.model_dump() == {"good": 3000, "bad": 0, "examples": ()}
        found = [(row.text, row.reference) for row in rows]
        assert found == [(q["question"], q["answer"]) for q in QUESTIONS]
    assert lists[0][17].source == "q.jsonl:18"
    assert lists[3][1000].source == "train-00001-of-00002.parquet:1"


def test_rows_of_a_file_directly_in_a_bucket(s3: None) -> None:
    name = f"{uuid.uuid4().hex}.jsonl"
    put("s3://runs", {name: as_lines(QUESTIONS[:3])})
    assert texts(f"s3://runs/{name}") == texts(f"s3://runs/{name[:20]}*")
    assert texts(f"s3://runs/{name}") == [row["question"] for row in QUESTIONS[:3]]


def test_rows_of_a_large_object_are_read_by_ranges(folder: str) -> None:
    """Of several megabytes, so that a line lies across two requests."""
    rows = [{"text": f"{n} " + "long " * 2000} for n in range(1200)]
    put(folder, {"a.jsonl": as_lines(rows), "b.parquet": as_parquet(rows, 100)})
    for name in ("a.jsonl", "b.parquet"):
        assert texts(join(folder, name)) == [row["text"] for row in rows]


def saved(data: datasets.Dataset | datasets.DatasetDict, folder: Path, **options: Any) -> str:
    data.save_to_disk(str(folder), **options)
    return str(folder)


def test_rows_of_a_saved_data_set_are_its_rows_in_order(folder: str, tmp_path: Path) -> None:
    rows = [{"id": n, "messages": CHAT, "note": f"é{n}"} for n in range(2500)]
    data = datasets.Dataset.from_list(rows).select(range(2499, -1, -1))
    local = saved(data, tmp_path / "saved", num_shards=2)
    files = {file.name: file.read_bytes() for file in Path(local).iterdir()}
    location = local if folder == str(tmp_path) else put(folder, files)
    records = list(read_records([location]))
    assert [record.content for record in records if isinstance(record, Record)] == rows[::-1]
    found = read_rows(DataSpec(limit=3), location)
    frame = tuple(Message(m["role"], m["content"]) for m in CHAT[:3])  # type: ignore[arg-type]
    source = "data-00000-of-00002.arrow"
    assert list(found) == [
        RootRow(messages=frame, reference="Then that.", source=f"{source}:{n}") for n in (1, 2, 3)
    ]


def test_rows_of_a_folder_with_splits_are_asked_for_by_split(tmp_path: Path) -> None:
    data = datasets.Dataset.from_list(QUESTIONS)
    both = datasets.DatasetDict({"train": data.select(range(5)), "test": data.select([7])})
    location = saved(both, tmp_path / "both")
    with pytest.raises(SpecError, match=r"execution.roots: .*test, train; .* such as .*both/test"):
        read_rows(DataSpec(), location)
    assert texts(f"{location}/test") == ["What is 7?"]
    assert len(texts(f"{location}/train", f"{location}/test")) == 6


def test_rows_of_a_file_that_datasets_wrote_to_parquet_and_json(tmp_path: Path) -> None:
    data = datasets.Dataset.from_list([{"conversations": CHAT}] * 4)
    data.to_parquet(str(tmp_path / "a.parquet"))
    data.to_json(str(tmp_path / "b.json"))
    data.to_json(str(tmp_path / "c.jsonl"))
    lists = [read_rows(DataSpec(), str(file)) for file in sorted(tmp_path.iterdir())]
    assert [len(rows) for rows in lists] == [4, 4, 4]
    assert len({rows.digest for rows in lists}) == 1


def test_digest_survives_moving_and_changes_with_what_is_read(tmp_path: Path) -> None:
    def digest(name: str, rows: list[Any], **spec: Any) -> str:
        location = put(f"{tmp_path}/{uuid.uuid4().hex}", {name: as_lines(rows)})
        return read_rows(DataSpec(**{"max_bad_share": 1.0, **spec}), location).digest

    rows = [*QUESTIONS[:3], {"question": None}]
    first = digest("a.jsonl", rows)
    assert first == digest("b.jsonl", rows)
    assert first == digest("a.jsonl", [{"id": n, **row} for n, row in enumerate(rows)])
    others = [
        digest("a.jsonl", rows[:3]),
        digest("a.jsonl", rows[::-1]),
        digest("a.jsonl", [*QUESTIONS[:2], {"question": "Else?"}, rows[3]]),
        digest("a.jsonl", rows, limit=2),
        digest("a.jsonl", rows, columns={"text": "answer"}),
        digest("a.jsonl", rows, template="Say: {text}"),
    ]
    assert len({first, *others}) == 1 + len(others)


def test_bad_rows_are_counted_and_named_below_the_share(tmp_path: Path) -> None:
    lines = as_lines(QUESTIONS[:95]) + b'{"question": 7}\n{"question": " "}\n[]\n{\n{"a": 1}\n'
    location = put(str(tmp_path), {"q.jsonl": lines})
    rows = read_rows(DataSpec(max_bad_share=0.05), location)
    assert (rows.row_count.good, rows.row_count.bad) == (95, 5)
    assert rows.row_count.examples[:3] == (
        BadRow(where="q.jsonl:96", why="column question: found int, expected a text"),
        BadRow(where="q.jsonl:97", why="column question: empty"),
        BadRow(where="q.jsonl:98", why="found list, expected an object with columns"),
    )
    with pytest.raises(SpecError) as caught:
        read_rows(DataSpec(max_bad_share=0.049), location)
    said = str(caught.value)
    for part in ("5 of 100 rows", "q.jsonl:96: column question: found int", "0.049", "Raise"):
        assert part in said


def test_limit_stops_after_so_many_good_rows_and_reads_no_further(tmp_path: Path) -> None:
    lines = b"{\n" + as_lines(QUESTIONS[:5]) + b"{\n" * 50
    location = put(str(tmp_path), {"q.jsonl": lines})
    rows = read_rows(DataSpec(limit=5, max_bad_share=0.2), location)
    assert (rows.row_count.good, rows.row_count.bad) == (5, 1)


def test_row_with_half_a_character_is_bad(tmp_path: Path) -> None:
    lines = as_lines([{"text": "whole"}]) + b'{"text": "half \\ud83d"}\n'
    location = put(str(tmp_path), {"q.jsonl": lines})
    rows = read_rows(DataSpec(max_bad_share=0.5), location)
    assert [row.text for row in rows] == ["whole"]
    assert rows.row_count.examples[0].where == "q.jsonl:2"


@pytest.mark.parametrize("name", ["q.jsonl", "q.parquet"])
def test_mapped_column_that_no_row_has_is_refused_with_those_there_are(
    tmp_path: Path, name: str
) -> None:
    payload = as_lines(QUESTIONS[:9]) if name == "q.jsonl" else as_parquet(QUESTIONS[:9])
    location = put(str(tmp_path), {name: payload})
    with pytest.raises(SpecError) as caught:
        read_rows(DataSpec(columns={"text": "question", "reference": "anwser"}), location)
    assert str(caught.value) == (
        "generation.roots.data.columns.reference: no row has a column anwser (did you mean "
        "answer?); found the columns question, answer."
    )


@pytest.mark.parametrize(
    ("content", "spec", "said"),
    [
        (b"", {}, "execution.roots: found no row at all"),
        (b"{\n{\n", {}, "nothing can grow from any of the 2 rows. The first: q.jsonl:1: not JSON"),
        (as_lines([{"body": "x"}]), {}, "found the columns body. Name the columns"),
        (as_lines([{"text": "x"}]), {"level": 1}, "data.level asks for a run"),
    ],
)
def test_data_without_a_row_to_grow_from_is_refused(
    tmp_path: Path, content: bytes, spec: dict, said: str
) -> None:
    (tmp_path / "q.jsonl").write_bytes(content)
    with pytest.raises(SpecError, match=said):
        read_rows(DataSpec(**spec), str(tmp_path / "q.jsonl"))


def nodes_at(location: str, level: int) -> list[tuple[str, str]]:
    """Id and text of the kept nodes of a run at a level, by its tables."""
    kept = [row for row in rows_of(open_store(location)) if row["drop_reason"] is None]
    return [(row["node_id"], row["text"]) for row in kept if row["level"] == level]


def test_rows_of_a_run_are_its_kept_nodes_at_a_level(folder: str) -> None:
    spec = make_spec(trees=3)
    location = join(folder, "runs", resolve(spec).run_file.run_id)
    run_scripted(open_store(location), spec)
    for level in (1, 2):
        expected = nodes_at(location, level)
        rows = read_rows(DataSpec(level=level, template="On {text}"), join(folder, "runs"))
        plain = [(row.source, row.text) for row in rows]
        assert plain == [(name, f"On {' '.join(text.split())}") for name, text in expected]
        assert len(rows) > 3 and rows.digest
    assert read_rows(DataSpec(level=1), location)[0].source == nodes_at(location, 1)[0][0]


def test_rows_of_a_refined_run_are_without_its_drop_list(tmp_path: Path) -> None:
    repeating = {"mean_tokens": 20, "duplicate_share": 0.5}
    spec = make_spec(trees=6, fanouts=(6, 2, 1, 1), scripted=repeating, bounds=(1, 40))
    location = str(tmp_path / "run")
    run_scripted(open_store(location), spec)
    before = read_rows(DataSpec(level=1), location)
    assert main(["refine", location]) == 0
    after = read_rows(DataSpec(level=1), location)
    assert 0 < len(after) < len(before)
    assert {row.source for row in after} < {row.source for row in before}
    assert after.digest != before.digest
    assert [row.source for row in after] == [name for name, _ in nodes_at(location, 1)]


def test_rows_of_a_partial_snapshot_are_those_that_it_names(tmp_path: Path) -> None:
    spec = make_spec(trees=6, budget={"nodes": 40})
    location = str(tmp_path / "run")
    snapshot = run_scripted(open_store(location), spec)
    assert not snapshot.complete
    rows = read_rows(DataSpec(level=1), location)
    assert [row.source for row in rows] == [name for name, _ in nodes_at(location, 1)]


def test_run_that_cannot_be_read_from_says_what_to_do(tmp_path: Path) -> None:
    spec = make_spec()
    store = open_store(str(tmp_path / "run"))
    create_run(store, resolve(spec).run_file)
    assert latest(store) is None
    with pytest.raises(SpecError, match=r"run is not sealed.*arborist generate"):
        read_rows(DataSpec(level=1), str(tmp_path))
    levels = r"1 \(user\), 2 \(assistant\), 3 \(user\), 4 \(assistant\)"
    for level in (None, 5):
        with pytest.raises(SpecError, match=rf"data.level: found .* {levels}"):
            read_rows(DataSpec(level=level), str(tmp_path))
    with pytest.raises(SpecError, match=r"data.columns: found .* leave it out"):
        read_rows(DataSpec(level=1, columns={"text": "q"}), str(tmp_path))
    (tmp_path / "q.txt").write_text("Why?")
    with pytest.raises(SpecError, match=r"beside .*expected runs only"):
        read_rows(DataSpec(), [str(tmp_path / "run"), str(tmp_path / "q.txt")])


def test_level_of_what_is_no_run_and_several_runs_are_refused(tmp_path: Path) -> None:
    put(str(tmp_path / "data"), {"q.txt": b"Why?"})
    with pytest.raises(SpecError, match=r"execution.roots: .*expected a run \(run.json\)"):
        read_rows(DataSpec(level=1), str(tmp_path / "data"))
    for name in ("a", "b"):
        create_run(open_store(str(tmp_path / "runs" / name)), resolve(make_spec()).run_file)
    for level in (None, 1):
        with pytest.raises(SpecError, match="holds 2 runs, name one"):
            read_rows(DataSpec(level=level), str(tmp_path / "runs"))


def test_topic_rows_name_their_topics() -> None:
    assert topic_rows([Topic(text="On rivers."), Topic(text="On bread.", weight=3)]) == [
        RootRow("On rivers.", source="topic 1"),
        RootRow("On bread.", source="topic 2"),
    ]
