"""The drop list: kept rows that a refined snapshot leaves out, in order of tree and path.

Everything below a dropped node stands in the list too, so a reader needs no more than an anti-join
on `node_id`.
"""

from typing import Literal

import pyarrow as pa

DropReason = Literal[
    "duplicate", "near_duplicate", "similar", "conversation", "withdrawn", "subtree"
]
"""The same text, nearly the same by shingles, or by vectors; a conversation that says nearly what
another does (its last answer falls); withdrawn by hand; below one of these."""

BIAS = "drop list"
"""What a snapshot with one names among its biases: rows that were left out for what they say."""

DROP_SCHEMA = pa.schema(
    [
        pa.field("node_id", pa.string(), nullable=False),
        pa.field("tree_id", pa.int32(), nullable=False),
        pa.field("path", pa.list_(pa.int32()), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        # The node that says it already; of a subtree, the dropped node above.
        pa.field("keeper_id", pa.string()),
        # The earlier run that the keeper is of; null for this run.
        pa.field("keeper_run", pa.string()),
        # To the keeper: Jaccard of shingles or cosine of vectors, as the reason says.
        pa.field("similarity", pa.float32()),
        # The refinement, counted from 1, in which it fell.
        pa.field("round", pa.int16(), nullable=False),
    ],
    metadata={"arborist.table_version": "1"},
)
