"""What the columns of an export mean."""

from collections.abc import Iterator

import pyarrow as pa

from pipeline.card.markdown import code, table

_PLACE = {
    "tree_id": "number of the tree",
    "leaf_id": "id of the last turn",
    "parent_id": "id of the turn that is answered",
    "source": "the row or topic that the tree grew from",
    "origin": "`sampled`; `rewritten` after a critique; `given`: a reference stands in its place",
}

_MEANINGS = {
    **_PLACE,
    "messages": "what stands before the tree, then its turns",
    "learned": "by message, whether it is an answer that no row before this one holds",
    "text": "the text",
    "token_ids": "exactly what the model saw and sampled",
    "prompt": "what is answered",
    "completions": "all answers, with what became of each",
    "scores": "of the completions, in their order; higher is better",
    "chosen": "the better answer, where a score tells answers apart",
    "rejected": "the worse one",
    "margin": "by how much",
    "chosen_by": "which score that was; null where none tells",
    "run_id": "the run",
    "node_id": "id of the turn, known before its text",
    "path": "child numbers from the root down",
    "level": "0: what the tree grows from",
    "child_index": "number among all candidates of the parent",
    "role": "who speaks",
    "kind": "a turn, or what was said about one",
    "model_index": "which model wrote it",
    "stop_id": "the token that ended it",
    "num_tokens": "without that one",
    "reasoning_tokens": "of these, before the answer",
    "finish_reason": "why it ended",
    "logprob_sum": "log-probability of its tokens, where stored",
    "token_logprobs": "the same by token",
    "prompt_hash": "of the ids that the model was given",
    "drop_reason": "null: it was kept",
    "keeper_id": "the turn that it is closest to",
    "similarity": "to that turn",
    "mmr_rank": "in which place it was chosen among its siblings",
}

_OF_NODES = {"scores": "all measures of the turn, by name"}


def columns(schema: pa.Schema, *, nodes: bool) -> str:
    """A table of them."""
    said = {**_MEANINGS, **_OF_NODES} if nodes else _MEANINGS
    rows = [(code(one.name), typed(one.type), said.get(one.name, "")) for one in schema]
    return table(("column", "type", ""), rows)


def typed(kind: pa.DataType) -> str:
    """A type in words."""
    if pa.types.is_list(kind):
        return f"list of {typed(kind.value_type)}"
    if pa.types.is_struct(kind):
        return f"{{{', '.join(_names(kind))}}}"
    if pa.types.is_large_string(kind):
        return "string"
    return "float32" if str(kind) == "float" else str(kind)


def _names(kind: pa.StructType) -> Iterator[str]:
    return (f"{one.name}" for one in kind)
