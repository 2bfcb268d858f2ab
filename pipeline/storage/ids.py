"""Lists of node ids that a person hands in: .txt, .jsonl or .parquet."""

import json
import reprlib

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.storage.open import open_store
from schemas.errors import NotFound, UserError

COLUMN = "node_id"


def read_ids(location: str) -> list[str]:
    """The ids in a file at a path or URI, in its order."""
    folder, _, name = location.rpartition("/")
    store = open_store(folder or ("/" if location.startswith("/") else "."))
    try:
        payload = store.read(name)
    except NotFound as error:
        raise UserError(f"{location}: there is no such file.") from error
    try:
        ids = _ids(name, payload)
    except (
        ValueError,
        LookupError,
        TypeError,
        RecursionError,
        OSError,
        pa.ArrowException,
    ) as error:
        raise UserError(
            f"{location}: expected node ids, one a line, or .jsonl or .parquet with {COLUMN}; "
            f"found something else: {reprlib.repr(str(error))}."
        ) from error
    if not all(isinstance(one, str) for one in ids):
        raise UserError(f"{location}: expected node ids as text, found other values.")
    return ids


def _ids(name: str, payload: bytes) -> list[str]:
    if name.endswith(".parquet"):
        column: list[str] = pq.read_table(pa.BufferReader(payload)).column(COLUMN).to_pylist()
        return column
    lines = payload.decode("utf-8").splitlines()
    if name.endswith(".jsonl"):
        return [json.loads(line)[COLUMN] for line in lines if line.strip()]
    said = (line.partition("#")[0].strip() for line in lines)
    return [one for one in said if one]
