import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.id_index import IdIndex

ID = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)


@given(st.lists(ID, unique=True, max_size=12), st.lists(ID | st.none(), max_size=12))
def test_id_index_finds_the_place_of_each_id(ids, others):
    index = IdIndex(pa.array(ids, pa.string()))
    for wanted in (ids, others):
        expected = [ids.index(one) if one in ids else -1 for one in wanted]
        parts = [pa.array(wanted[:3], pa.string()), pa.array(wanted[3:], pa.string())]
        assert index.find(pa.chunked_array(parts)).tolist() == expected
