import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.storage.texts import read_benchmarks
from schemas.errors import SpecError

RECORDS = [{"id": 7, "q": {"text": ["One.", "Two."]}}, {"id": 8, "q": {"text": ["Three."]}}]


def test_read_benchmarks_finds_all_strings_of_every_format(tmp_path):
    table = pa.Table.from_pylist(RECORDS)
    lines = "\n".join(map(json.dumps, RECORDS))
    (tmp_path / "a.jsonl").write_text(lines)
    (tmp_path / "b.json").write_text(json.dumps(RECORDS))
    (tmp_path / "c.json").write_text(json.dumps(["One.", ["Two."], {"deep": {"er": "Three."}}]))
    (tmp_path / "d.txt").write_text("One.\n\nTwo.\nThree.")
    (tmp_path / "e.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    pq.write_table(table, tmp_path / "f.parquet")
    for file in sorted(tmp_path.iterdir()):
        assert read_benchmarks([str(file)]) == ["One.", "Two.", "Three."], file


def test_read_benchmarks_joins_the_texts_of_all_locations(tmp_path):
    (tmp_path / "a.txt").write_text("One.")
    (tmp_path / "b.txt").write_text("Two.")
    assert read_benchmarks([str(tmp_path / "b.txt"), str(tmp_path)]) == ["Two.", "One.", "Two."]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("exam.jsonl", b'{"a": 1}\n{', "exam.jsonl:2 is not what its name says: not JSON"),
        ("exam.json", b"{", "exam.json is not what its name says"),
        ("exam.txt", b"\xff", "exam.txt:1 is not what its name says: not UTF-8"),
        ("exam.csv", b"a,b", "exam.csv is not of a known kind"),
    ],
)
def test_read_benchmarks_refuses_what_it_cannot_read_whole(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SpecError, match=rf"^execution.benchmarks: .*{said}"):
        read_benchmarks([str(tmp_path / name)])
