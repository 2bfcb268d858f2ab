"""Files of rows as strangers have them, and lists of ids."""

import functools
import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage import json_values
from pipeline.storage.data_files import KINDS
from pipeline.storage.ids import read_ids
from pipeline.storage.rows import read_rows
from pipeline.storage.texts import read_benchmarks
from schemas.errors import SpecError
from schemas.generation_spec import DataSpec
from tests.fuzz.mutations import HOSTILE, damaged
from tests.fuzz.outcomes import bounded, fuzzed, refusal

ROWS = [
    {"prompt": "Why is the sea salt?", "answer": "Rivers.", "n": 1},
    {"messages": [{"role": "user", "content": "Hello."}], "system": "Be kind."},
    {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}]},
]
COLUMNS = {"prompt": ["a", "b"], "answer": ["c", None], "when": [1, 2]}


@functools.cache
def payloads() -> dict[str, bytes]:
    table = pa.table(COLUMNS)
    parquet, file, stream = pa.BufferOutputStream(), io.BytesIO(), io.BytesIO()
    pq.write_table(table, parquet)
    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write(table)
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write(table)
    lines = "\n".join(map(json.dumps, ROWS)).encode()
    return {
        ".jsonl": lines,
        ".json": json.dumps(ROWS).encode(),
        ".txt": "One line.\nAnd another. 漢字".encode(),
        ".jsonl.gz": gzip.compress(lines, mtime=0),
        ".parquet": parquet.getvalue().to_pybytes(),
        ".arrow": file.getvalue(),
        "-stream.arrow": stream.getvalue(),
    }


def read(folder, ending: str, payload: bytes) -> None:
    file = folder / f"rows{ending}"
    file.write_bytes(payload)
    rows = read_rows(DataSpec(max_bad_share=1.0), str(file))
    for row in rows[:]:
        f"{row.text} {row.system} {row.messages} {row.reference}".encode()
    assert rows.row_count.model_dump_json()


def tried(factory, ending: str, payload: bytes) -> None:
    folder = factory.getbasetemp()
    refusal(f"rows: {ending}", lambda: read(folder, ending, payload))
    file = folder / f"rows{ending}"
    refusal("benchmarks", lambda: read_benchmarks([str(file)]))
    refusal("ids", lambda: read_ids(str(file)))


@fuzzed
@given(data=st.data())
def test_rows_damaged_are_read_or_refused(tmp_path_factory, data):
    ending = data.draw(st.sampled_from(sorted(payloads())))
    tried(tmp_path_factory, ending, data.draw(damaged(payloads()[ending])))


@fuzzed
@given(values=st.lists(st.sampled_from(HOSTILE) | st.text(), max_size=5), data=st.data())
def test_rows_of_hostile_values_are_read_or_refused(tmp_path_factory, values, data):
    keys = st.sampled_from(["prompt", "messages", "system", "answer", "role", "content", "", "é"])
    rows = [{data.draw(keys): value, data.draw(keys): value} for value in values]
    lines = "\n".join(json.dumps(row) for row in [*rows, *values])
    for ending, text in {".jsonl": lines, ".json": json.dumps(rows), ".txt": lines}.items():
        tried(tmp_path_factory, ending, text.encode("utf-8", "surrogatepass"))


AWKWARD = {
    "bom": b"\xef\xbb\xbf" + b'{"prompt": "a"}\n',
    "utf-16": '{"prompt": "a"}\n'.encode("utf-16"),
    "latin-1": b'{"prompt": "\xe9"}\n',
    "nul": b'{"prompt": "a\\u0000b"}\n\x00\x00\n',
    "half a pair": b'{"prompt": "\\ud800"}\n',
    "half a pair in a key": b'{"\\ud800": "a", "prompt": "b"}\n',
    "deep": b"[" * 100_000,
    "deep in a row": b'{"prompt": ' + b"[" * 50_000 + b"]" * 50_000 + b"}\n",
    "digits": b'{"prompt": ' + b"9" * 10_000 + b"}\n",
    "beyond 64 bit": b'{"prompt": 99999999999999999999999999}\n',
    "not a number": b'{"prompt": NaN}\n{"prompt": Infinity}\n',
    "empty": b"",
    "no gzip": b"\x1f\x8b\x08\x00",
    "magic": b"PAR1PAR1",
    "arrow magic": b"ARROW1\x00\x00",
    "arrow length": b"\xff\xff\xff\xff\xff\xff\xff\x7f" + b"\x00" * 64,
}


@pytest.mark.parametrize("payload", AWKWARD.values(), ids=AWKWARD.keys())
@pytest.mark.parametrize("ending", [*KINDS, ".jsonl.gz"])
def test_awkward_rows_are_read_or_refused(tmp_path_factory, ending, payload):
    tried(tmp_path_factory, ending, payload)
    if ending.endswith(".gz"):
        tried(tmp_path_factory, ending, gzip.compress(payload))


@pytest.mark.parametrize(
    "column",
    [
        pa.array([2**40, -(2**40)], pa.date64()),
        pa.array([2**62], pa.timestamp("us")),
        pa.array([1], pa.timestamp("s", tz="No/Where")),
        pa.array([2**62], pa.duration("s")),
        pa.array(["a"]).dictionary_encode(),
        pa.array([b"\xff"]).cast(pa.binary()),
        pa.array([{"role": "user", "content": None}]),
        pa.array([[[1]]]),
    ],
    ids=str,
)
def test_columns_of_odd_types_are_read_or_refused(tmp_path, column):
    table = pa.table({"prompt": column})
    pq.write_table(table, tmp_path / "rows.parquet")
    with pa.ipc.new_file(str(tmp_path / "rows.arrow"), table.schema) as writer:
        writer.write(table)
    for name in ("rows.parquet", "rows.arrow"):
        refusal("rows: odd types", lambda: read_rows(DataSpec(), str(tmp_path / name)))  # noqa: B023


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".txt", ".jsonl.gz"])
def test_line_without_end_is_refused_before_it_is_in_memory(tmp_path, ending):
    """Half a gigabyte of it, of which not much more than the limit is ever held."""
    import tracemalloc

    file = tmp_path / f"rows{ending}"
    chunk = b'"' + b"a" * (1 << 20)
    with (gzip.open if ending.endswith("gz") else open)(file, "wb") as sink:
        sink.write(b'["')
        for _ in range(3 * json_values.MAX_SIZE >> 20):
            sink.write(chunk[1:])
    tracemalloc.start()
    with bounded(60), pytest.raises(SpecError, match=r"longer than|goes on for more than"):
        read_rows(DataSpec(), str(file))
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert held < 8 * json_values.MAX_SIZE, held


@pytest.mark.parametrize("named", ["../rows.jsonl", "/etc/passwd", 5, None, "", [], "a\x00b"])
def test_saved_data_set_names_no_file_outside(tmp_path, named):
    (tmp_path / "rows.jsonl").write_text('{"prompt": "theirs"}\n')
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": named}]}))
    assert refusal("rows: saved data set", lambda: read_rows(DataSpec(), str(folder)))
