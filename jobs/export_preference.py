"""Exported preferences: a row a prompt, with its answers and what says which is better."""

from collections.abc import Iterator, Sequence
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from jobs.export_rows import Row, View
from pipeline.storage.reader import Roots, Tables, read_dropped, read_kept, read_trees
from pipeline.storage.store import Store
from pipeline.tree.conversations import introduced, messages
from pipeline.tree.preferences import SOUND, Answer, Preference, Scores, preferences
from pipeline.tree.run import Run
from schemas.errors import UserError
from schemas.manifest import Snapshot, Table
from schemas.node_table import NODE_SCHEMA, from_table, scores_from_table
from schemas.records import Candidate, Message, Root

JUDGE = "judge"
TABLES: tuple[Table, ...] = ("nodes", "dropped", "asides", "roots")
OF_LOGPROBS = ("mean_logprob", "logprob_sum")


def default_score(run: Run) -> str | None:
    """What the run has that tells better answers from worse ones."""
    judged = any(rule.judge is not None and rule.role != "user" for rule in run.rules)
    return JUDGE if judged else None


def how_chosen(run: Run, score: str | None) -> str:
    """By what chosen and rejected are told apart, in a sentence."""
    parts = [] if score is None else [f"the best and the worst answer by {score}"]
    if any(rule.critique is not None for rule in run.rules):
        parts.append("a turn written again over its draft")
    if parts:
        return f"chosen and rejected: {'; '.join(parts)}."
    return (
        "chosen and rejected are null everywhere: the run has neither a judge nor a critique that "
        "would tell better answers from worse ones. Name a score with --score, or judge the "
        "completions yourself."
    )


def check_score(run: Run, store: Store, snapshot: Snapshot, name: str) -> None:
    """An error where no answer has such a score."""
    if name in OF_LOGPROBS:
        if run.spec.logprobs == "none":
            raise UserError(
                f"--score {name}: the run stored no log-probabilities (generation.logprobs: none)."
            )
        return
    known: set[str] = set()
    columns = ("role", "scores")
    for table in chain(read_kept(store, snapshot, columns), read_dropped(store, snapshot, columns)):
        answers = table.filter(pc.not_equal(table.column("role"), "user"))
        known |= set(scores_from_table(answers).names)
        if name in known:
            return
    raise UserError(
        f"--score {name}: no answer of {store.location} has such a score; expected one of "
        f"{', '.join([*OF_LOGPROBS, *sorted(known - set(OF_LOGPROBS))])}."
    )


def preference_rows(
    view: View, store: Store, snapshot: Snapshot, score: str | None, *, only_kept: bool
) -> Iterator[Row]:
    """All prompts with several answers, in row order."""
    for tables in read_trees(store, snapshot, TABLES, without=("token_logprobs",)):
        roots, drafts = Roots(store, tables), _drafts(tables)
        rows = _sound_rows(tables)
        nodes = from_table(rows)
        scores = _scores(rows, [node.candidate for node in nodes] + drafts, score)
        for found in preferences(nodes, drafts, scores, only_kept=only_kept):
            yield _row(view, roots[found.path[0].tree_id], found)


def _sound_rows(tables: Tables) -> pa.Table:
    """Kept rows, and dropped ones whose text is in order."""
    empty = NODE_SCHEMA.empty_table()
    dropped = tables.get("dropped", empty)
    sound = pc.is_in(dropped.column("drop_reason"), value_set=pa.array(sorted(SOUND)))
    return pa.concat_tables([tables.get("nodes", empty), dropped.filter(sound)])


def _drafts(tables: Tables) -> list[Candidate]:
    asides = tables.get("asides", NODE_SCHEMA.empty_table())
    drafts = asides.filter(pc.equal(asides.column("kind"), "draft"))
    return [node.candidate for node in from_table(drafts)]


def _scores(rows: pa.Table, nodes: Sequence[Candidate], name: str | None) -> Scores:
    if name in OF_LOGPROBS:
        found = {node.node_id: of_logprobs(node, name) for node in nodes}
        return Scores(name, {key: value for key, value in found.items() if value is not None})
    measures = scores_from_table(rows)
    if name is None or name not in measures.names:
        return Scores(name or "", {})
    ids = rows.column("node_id").to_pylist()
    return Scores(name, dict(zip(ids, measures.column(name).tolist(), strict=True)))


def of_logprobs(node: Candidate, name: str) -> float | None:
    """The log-probability of a turn, or its mean over the turn's tokens."""
    if node.logprob_sum is None or name == "logprob_sum":
        return node.logprob_sum
    return node.logprob_sum / len(node.token_ids) if len(node.token_ids) else None


def _row(view: View, root: Root, found: Preference) -> Row:
    return {
        "tree_id": root.tree_id,
        "parent_id": found.path[-1].node_id,
        "source": root.source,
        "prompt": _prompt(view, root, found),
        "completions": [_completion(view, answer) for answer in found.answers],
        "scores": [answer.score for answer in found.answers],
        "chosen": _said(view, found.chosen),
        "rejected": _said(view, found.rejected),
        "margin": found.margin,
        "chosen_by": found.by,
    }


def _prompt(view: View, root: Root, found: Preference) -> str | list[Row]:
    said = messages(root, found.path, view.between)
    if view.run.is_text:
        return view.text("text", "".join(message.text for message in said))
    return view.messages([*said, *introduced(found.level, view.between)])


def _completion(view: View, answer: Answer) -> Row:
    node = answer.candidate
    return {
        "node_id": node.node_id,
        "content": view.text(node.role, node.text),
        "score": answer.score,
        "kept": answer.kept,
        "drop_reason": answer.drop_reason,
        "logprob_sum": node.logprob_sum,
        "num_tokens": len(node.token_ids),
        "origin": node.origin,
    }


def _said(view: View, answer: Answer | None) -> str | list[Row] | None:
    if answer is None:
        return None
    node = answer.candidate
    if view.run.is_text:
        return view.text(node.role, node.text)
    return view.messages([Message(node.role, node.text)])
