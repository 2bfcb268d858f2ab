from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.storage.ids import read_ids
from schemas.errors import UserError


def test_read_ids_takes_lines_jsonl_and_parquet_alike(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("# withdrawn\na1\n\n  b2  # by hand\n")
    (tmp_path / "ids.jsonl").write_text('{"node_id": "a1", "why": "x"}\n{"node_id": "b2"}\n')
    pq.write_table(pa.table({"n": [1, 2], "node_id": ["a1", "b2"]}), tmp_path / "ids.parquet")
    for name in ("ids.txt", "ids.jsonl", "ids.parquet"):
        assert read_ids(str(tmp_path / name)) == ["a1", "b2"]
    assert read_ids(f"file://{tmp_path}/ids.txt") == ["a1", "b2"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ids.jsonl", b'{"id": "a1"}\n'),
        ("ids.jsonl", b"a1\n"),
        ("ids.jsonl", b'{"node_id": 7}\n'),
        ("ids.parquet", b"a1\n"),
        ("ids.txt", b"\xff\xfe"),
    ],
)
def test_read_ids_of_another_form_says_what_was_expected(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match="expected node ids"):
        read_ids(str(tmp_path / name))


def test_read_ids_of_no_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_ids(str(tmp_path / "ids.txt"))
