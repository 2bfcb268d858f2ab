import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.paths import path_matrix

PATHS = st.lists(st.lists(st.integers(0, 3), max_size=4), max_size=8)


@given(PATHS, st.integers(1, 6))
def test_path_matrix_holds_the_paths_and_sorts_as_they_do(paths, width):
    halves = [pa.array(half, pa.list_(pa.int32())) for half in (paths[:2], paths[2:])]
    matrix = path_matrix(pa.chunked_array(halves), width)
    assert matrix.shape == (len(paths), max([width, *map(len, paths)]))
    lines = [tuple(line) for line in matrix.tolist()]
    assert [[step for step in line if step >= 0] for line in lines] == paths
    order = sorted(range(len(paths)), key=lambda i: paths[i])
    assert sorted(range(len(paths)), key=lambda i: lines[i]) == order
