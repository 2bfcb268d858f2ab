"""The root table: what each tree grows from, beside its row of level 0.

That row holds one text; here lie all messages of the frame, the reference, the place in the data
set, and the ids that stood before the turns of each level, so that prompts can be rebuilt from
rows alone.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from schemas.records import Message, Opening, Root, to_ids

_MESSAGE = pa.struct([("role", pa.string()), ("content", pa.large_string())])
_OPENING = pa.struct(
    [
        ("level", pa.int16()),
        ("tongue", pa.int16()),
        ("last", pa.string()),
        ("token_ids", pa.list_(pa.int32())),
    ]
)

ROOT_SCHEMA = pa.schema(
    [
        pa.field("tree_id", pa.int32(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("messages", pa.list_(_MESSAGE), nullable=False),
        pa.field("reference", pa.large_string(), nullable=True),
        pa.field("reference_ids", pa.list_(pa.int32()), nullable=True),
        pa.field("openings", pa.list_(_OPENING), nullable=False),
    ],
    metadata={"arborist.table_version": "1"},
)


def to_root_table(roots: Sequence[Root]) -> pa.Table:
    """A row a tree, in the order given."""
    return pa.Table.from_pylist([_row(root) for root in roots], schema=ROOT_SCHEMA)


def _row(root: Root) -> dict[str, Any]:
    return {
        "tree_id": root.tree_id,
        "source": root.source,
        "messages": [{"role": role, "content": text} for role, text in root.frame],
        "reference": root.reference,
        "reference_ids": root.reference_ids,
        "openings": [
            {"level": level, "tongue": tongue, "last": opening.last, "token_ids": opening.ids}
            for (level, tongue), opening in sorted(root.openings.items())
        ],
    }


def from_root_table(table: pa.Table) -> list[Root]:
    """The inverse of `to_root_table`."""
    return [_root(row) for row in table.to_pylist()]


def _root(row: dict[str, Any]) -> Root:
    reference_ids = row["reference_ids"]
    return Root(
        tree_id=row["tree_id"],
        frame=tuple(Message(m["role"], m["content"]) for m in row["messages"]),
        openings={
            (o["level"], o["tongue"]): Opening(to_ids(o["token_ids"]), o["last"])
            for o in row["openings"]
        },
        reference=row["reference"],
        reference_ids=None if reference_ids is None else to_ids(reference_ids),
        source=row["source"],
    )
