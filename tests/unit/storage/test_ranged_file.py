import io
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.object_store import FsspecStore
from pipeline.storage.ranged_file import RangedFile, buffered
from schemas.errors import NotFound, StoreError
from tests.builders import memory_store

MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(0, 40)),
        st.tuples(st.just("seek"), st.integers(0, 120)),
        st.tuples(st.just("end"), st.integers(-20, 20)),
    ),
    max_size=12,
)


@given(st.binary(max_size=100), MOVES, st.booleans())
def test_ranged_file_reads_as_a_file_does(payload, moves, with_buffer):
    def read_range(start, stop):
        assert 0 <= start < stop <= len(payload)
        return payload[start:stop]

    make = buffered if with_buffer else RangedFile
    file, plain = make(len(payload), read_range), io.BytesIO(payload)
    for move, number in moves:
        if move == "read":
            assert file.read(number) == plain.read(number)
        elif move == "seek":
            assert file.seek(number) == plain.seek(number)
        elif number >= -len(payload):
            assert file.seek(number, io.SEEK_END) == plain.seek(number, io.SEEK_END)
        assert file.tell() == plain.tell()
    assert file.read() == plain.read()


def test_open_reads_an_object_and_knows_what_is_none():
    store = memory_store()
    store.create("folder/rows.bin", pickle.dumps(list(range(1000))))
    with store.open("folder/rows.bin") as file:
        assert pickle.load(file) == list(range(1000))
    for absent in ("folder", "folder/none.bin"):
        with pytest.raises(NotFound):
            store.open(absent)


def test_open_object_that_shrinks_while_it_is_read_is_an_error():
    store = memory_store()
    assert isinstance(store, FsspecStore)
    store.create("rows.bin", b"x" * 100)
    with store.open("rows.bin") as file:
        store.delete("rows.bin")
        store.create("rows.bin", b"x" * 50)
        with pytest.raises(StoreError, match="changed while it was read"):
            file.read()
