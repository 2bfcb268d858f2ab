"""Run files, manifests and snapshots that were edited, some with their own digest made right."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.fingerprint import run_id_of
from tests.fuzz.mutations import damaged, mutated
from tests.fuzz.outcomes import fuzzed
from tests.fuzz.sealed_runs import (
    READERS,
    plain,
    read_by,
    readers,
    renamed,
    resealed,
    sealed_run,
)

NODE = "0"


@pytest.mark.parametrize("reader", READERS, ids=" ".join)
def test_run_that_nobody_changed_is_read_by_all(reader):
    shard = next(name for name in sealed_run() if name.startswith("nodes/"))
    node_id = pq.read_table(pa.BufferReader(sealed_run()[shard]))["node_id"][0].as_py()
    assert read_by("sealed: unchanged", reader, sealed_run(), node_id) == 0


def sealed_names():
    names = [name for name in sealed_run() if name.endswith(".json")]
    return st.sampled_from(sorted(names, key=lambda name: (len(name), name))[:8])


@fuzzed
@given(data=st.data(), reader=readers)
def test_sealed_file_mutated_under_its_digest_is_read_or_refused(data, reader):
    files, name = sealed_run(), data.draw(sealed_names())
    content = data.draw(mutated(plain(files[name])))
    if isinstance(content, dict) and {"generation", "identity"} <= content.keys():
        content["run_id"] = run_id_of(content["generation"], content["identity"])
    payload = resealed(content)
    changed = renamed(files, name, payload) if "ledger/" in name else files | {name: payload}
    read_by(f"sealed: {name.partition('/')[0]} mutated", reader, changed)


@fuzzed
@given(data=st.data(), reader=readers)
def test_sealed_file_damaged_is_refused(data, reader):
    files, name = sealed_run(), data.draw(sealed_names())
    payload = data.draw(damaged(files[name]))
    read_by("sealed: damaged bytes", reader, files | {name: payload})


@fuzzed
@given(data=st.data(), reader=readers)
def test_sealed_file_missing_or_renamed_is_read_or_refused(data, reader):
    files, name = dict(sealed_run()), data.draw(st.sampled_from(sorted(sealed_run())))
    payload = files.pop(name)
    folder = name.partition("/")[0] if "/" in name else "ledger"
    other = data.draw(
        st.sampled_from(
            (
                *(
                    "1.x.json",
                    "000000.json",
                    "x.json",
                    "٣.json",
                    "000000.0.0.0.0.json",
                    "99999.json",
                ),
                *("-1.json", "1_0.json", "000000-1.json", "00001.json", "x.parquet", "1-x.parquet"),
            )
        )
    )
    if data.draw(st.booleans()):
        files[f"{folder}/{other}"] = payload
    read_by("sealed: files missing or renamed", reader, files)
