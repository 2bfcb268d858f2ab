"""Rows and tables are two forms of the same."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from schemas.node_table import NODE_SCHEMA, from_table, to_table
from schemas.records import Candidate, Node, Verdict, to_ids

INT32 = st.integers(0, 2**31 - 1)
TEXT = st.text(max_size=20)
FLOAT32 = st.floats(allow_nan=False, width=32)
PATHS = st.lists(INT32, max_size=5).map(tuple)

CANDIDATES = st.builds(
    Candidate,
    tree_id=INT32,
    node_id=TEXT,
    parent_id=st.none() | TEXT,
    path=PATHS,
    role=st.sampled_from(["system", "user", "assistant"]),
    token_ids=st.lists(INT32, max_size=9).map(to_ids),
    text=TEXT,
    kind=st.sampled_from(["turn", "judge"]),
    origin=st.sampled_from(["sampled", "given", "rewritten"]),
    model_index=st.integers(0, 9),
    stop_id=st.none() | INT32,
    reasoning_tokens=INT32,
    finish_reason=TEXT,
    logprob_sum=st.none() | FLOAT32,
    token_logprobs=st.none()
    | st.lists(FLOAT32, max_size=9).map(lambda v: np.asarray(v, dtype=np.float32)),
    prompt_hash=st.none() | TEXT,
)
VERDICTS = st.builds(
    Verdict,
    drop_reason=st.none() | st.sampled_from(["empty", "duplicate"]),
    keeper_id=st.none() | TEXT,
    similarity=st.none() | FLOAT32,
    mmr_rank=st.none() | INT32,
)
NODES = st.lists(st.builds(Node, CANDIDATES, VERDICTS), max_size=5)


@given(NODES)
def test_rows_survive_the_table(nodes):
    table = to_table("run", nodes)
    table.validate(full=True)
    assert table.schema.equals(NODE_SCHEMA, check_metadata=True)
    back = from_table(table)
    assert [node.verdict for node in back] == [node.verdict for node in nodes]
    assert [plain(node.candidate) for node in back] == [plain(node.candidate) for node in nodes]
    assert to_table("run", back).equals(table)


def plain(candidate):
    logprobs = candidate.token_logprobs
    return (
        *(getattr(candidate, name) for name in Candidate.__slots__ if "token_" not in name),
        candidate.token_ids.tolist(),
        None if logprobs is None else logprobs.tolist(),
    )


def test_failed_row_reads_back_as_failed():
    failed = Candidate(1, "id", "above", (0,), "user", to_ids([]), "", failure="poison")
    [node] = from_table(to_table("run", [Node(failed, Verdict("failed:poison"))]))
    assert node.candidate.failure == "poison"


def test_derived_columns_say_what_the_row_holds():
    row = Candidate(7, "id", "above", (4, 2), "user", to_ids([5, 6, 7]), "hm")
    [columns] = to_table("run", [Node(row, Verdict())]).to_pylist()
    assert {name: columns[name] for name in ("run_id", "level", "child_index", "num_tokens")} == {
        "run_id": "run",
        "level": 2,
        "child_index": 2,
        "num_tokens": 3,
    }
    assert columns["scores"] is None
