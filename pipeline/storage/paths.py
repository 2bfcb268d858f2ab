"""Paths as a matrix, to be compared all at once."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


def path_matrix(
    column: pa.ListArray | pa.ChunkedArray, least_width: int = 1
) -> npt.NDArray[np.int32]:
    """A line a row, filled up with -1, which sorts a node before those below it."""
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    width = max(least_width, int(lengths.max(initial=0)))
    found = np.full((len(column), width), -1, dtype=np.int32)
    inside = np.arange(width) < lengths[:, np.newaxis]
    found[inside] = pc.list_flatten(column).to_numpy(zero_copy_only=False)
    return found
