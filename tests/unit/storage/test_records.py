import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.storage.records import BadRecord, Record, read_records
from schemas.errors import SpecError

ROWS = [
    {"id": n, "text": f"té {n}", "messages": [{"role": "user", "content": f"é {n}"}] * (n % 3)}
    for n in range(2500)
]


def write_ipc(make, table, file):
    with pa.OSFile(str(file), "wb") as sink, make(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=700)


def write_rows(file, rows=ROWS):
    """The rows in the format that the name of the file tells."""
    lines = "\n".join(map(json.dumps, rows)).encode()
    table = pa.Table.from_pylist(rows)
    match "".join(file.suffixes):
        case ".jsonl" | ".lines.json":
            file.write_bytes(lines)
        case ".jsonl.gz":
            file.write_bytes(gzip.compress(lines))
        case ".json":
            file.write_text(json.dumps(rows, indent=1))
        case ".parquet":
            pq.write_table(table, file, row_group_size=900)
        case ".stream.arrow":
            write_ipc(pa.ipc.new_stream, table, file)
        case ".file.arrow":
            write_ipc(pa.ipc.new_file, table, file)
    return str(file)


FORMATS = ["jsonl", "lines.json", "jsonl.gz", "json", "parquet", "stream.arrow", "file.arrow"]


@pytest.fixture(params=FORMATS)
def location(request, tmp_path):
    return write_rows(tmp_path / f"rows.{request.param}")


def test_records_are_the_same_in_every_format(location):
    found = list(read_records([location]))
    name = location.rpartition("/")[2]
    assert found == [Record(f"{name}:{n}", row) for n, row in enumerate(ROWS, start=1)]


def test_records_of_some_columns_hold_these_at_least(location):
    found = list(read_records([location], columns=("text", "none")))
    assert [record.content["text"] for record in found] == [row["text"] for row in ROWS]
    columnar = location.endswith((".parquet", ".arrow"))
    assert list(found[0].content) == (["text"] if columnar else ["id", "text", "messages"])
    assert len(list(read_records([location], columns=()))) == len(ROWS)


def test_records_of_a_broken_file_are_an_error_that_names_it(location):
    with open(location, "r+b") as file:
        payload = file.read()
        file.seek(len(payload) // 2)
        file.truncate()
    if location.endswith(".jsonl"):
        *good, last = read_records([location])
        assert isinstance(last, BadRecord) and last.place == f"rows.jsonl:{len(good) + 1}"
        return
    with pytest.raises(SpecError, match=f"{location} is not what its name says: "):
        list(read_records([location]))


def test_records_of_damaged_parquet_pages_are_an_error_that_names_the_file(tmp_path):
    location = write_rows(tmp_path / "rows.parquet")
    with open(location, "r+b") as file:
        file.seek(100)
        file.write(b"\xaa" * 4000)
    with pytest.raises(SpecError, match=r"rows.parquet is not what its name says"):
        list(read_records([location]))


def test_records_with_two_columns_of_one_name_are_refused(tmp_path):
    twice = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    pq.write_table(twice, tmp_path / "a.parquet")
    with pytest.raises(SpecError, match=r"a\.parquet is not .* the same name, text, text"):
        list(read_records([str(tmp_path)]))


def test_records_that_are_none_are_named_and_the_others_read(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b'{"a": 1}\n\n[1]\n{"a": \n"\xff"\n\n{"a": 2}')
    found = list(read_records([str(file)]))
    assert found[0] == Record("rows.jsonl:1", {"a": 1})
    assert found[-1] == Record("rows.jsonl:7", {"a": 2})
    reasons = {record.place: record.reason for record in found if isinstance(record, BadRecord)}
    assert reasons["rows.jsonl:3"] == "found list, expected an object with columns"
    assert reasons["rows.jsonl:4"].startswith("not JSON: Expecting value, at character")
    assert reasons["rows.jsonl:5"] == "not UTF-8: found the byte 0xff"


def test_records_of_json_are_its_one_object_or_the_elements_of_its_array(tmp_path):
    one, many = tmp_path / "one.json", tmp_path / "many.json"
    one.write_text('{"a": [1]}')
    many.write_bytes(b'\xef\xbb\xbf[{"a": 1}, 2, {"a": 3}]')
    assert list(read_records([str(one)])) == [Record("one.json:1", {"a": [1]})]
    assert list(read_records([str(many)])) == [
        Record("many.json:1", {"a": 1}),
        BadRecord("many.json:2", "found int, expected an object with columns"),
        Record("many.json:3", {"a": 3}),
    ]


def test_records_of_text_are_its_lines(tmp_path):
    file = tmp_path / "leads.txt"
    file.write_bytes(b"First, \r\n\nSecond,\n\xff\n")
    assert list(read_records([str(file)])) == [
        Record("leads.txt:1", {"text": "First,"}),
        Record("leads.txt:3", {"text": "Second,"}),
        BadRecord("leads.txt:4", "not UTF-8: found the byte 0xff"),
    ]


def test_records_of_several_locations_come_in_their_order(tmp_path):
    for name in ("b", "a"):
        write_rows(tmp_path / f"{name}.jsonl", [{"of": name}])
    places = [str(tmp_path / "b.jsonl"), str(tmp_path)]
    found = [record.place for record in read_records(places)]
    assert found == ["b.jsonl:1", "a.jsonl:1", "b.jsonl:1"]


def test_location_that_is_missing_is_found_before_any_record_is_read(tmp_path):
    location = write_rows(tmp_path / "a.jsonl")
    records = read_records([location, str(tmp_path / "none.jsonl")])
    with pytest.raises(SpecError, match=r"none.jsonl cannot be read"):
        next(records)
