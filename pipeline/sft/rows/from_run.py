"""Examples from a sealed run: its conversations in the ids that were sampled, or told anew.

The order of examples, and what is drawn by seed, depend on the run alone. A run is opened by
whoever knows its recipe, and comes as a `SealedRun`.
"""

from collections.abc import Iterator
from typing import Protocol

from pipeline.dialects.derive import require_chat
from pipeline.sft.example import Example
from pipeline.sft.rows.linearise import Order, Row, linearise
from pipeline.sft.rows.retold import Retold
from pipeline.sft.rows.run_source import SealedRun, writers
from pipeline.sft.rows.sampled import Sampled
from pipeline.sft.rows.stored import Distributions
from pipeline.sft.trainee import Trainee
from pipeline.storage.reader import Roots, read_trees
from pipeline.tree.conversations import conversations
from schemas.errors import SpecError
from schemas.manifest import BadRow
from schemas.node_table import from_table
from schemas.records import Candidate, Root
from schemas.sft_spec import Loss, RunSource

NOT_LEARNED = ("token_logprobs", "scores")


class Teller(Protocol):
    """Makes rows examples, in ids of its own choice."""

    def unfit(self, root: Root, node: Candidate) -> str | None:
        """Why no row may hold a node of a tree, nor any below it; None where one may."""
        ...

    def last_only(self, node: Candidate) -> bool:
        """Whether a turn can be learned only in a row that ends with it."""
        ...

    def example(self, root: Root, row: Row) -> Example | BadRow:
        """A row, or why nothing can be learned from it."""
        ...


def run_examples(
    sealed: SealedRun,
    source: RunSource,
    loss: Loss,
    trainee: Trainee,
    *,
    stored: bool,
    seed: int,
) -> Iterator[Example | BadRow]:
    """The rows of a run in order of tree and path, and what nothing can be learned from.

    With `stored`, each has the distributions that the run stored of its turns, and only ids that
    have one are learned.
    """
    teller = _teller(sealed, source, loss, trainee, stored=stored)
    order = Order(source.linearise, loss, f"{sealed.run.run_id}/{seed}", teller.last_only)
    return _limited(_told(sealed, teller, order), source.limit)


def _teller(
    sealed: SealedRun, source: RunSource, loss: Loss, trainee: Trainee, *, stored: bool
) -> Teller:
    if source.tokens == "template":
        if stored:
            raise SpecError(
                "run.tokens: found template with objective stored_kl; expected sampled: the run's "
                "distributions are over the ids that were sampled, and no others."
            )
        if not sealed.run.is_text:
            require_chat(trainee.dialect, trainee.location)
        return Retold(sealed, loss, trainee)
    tongue = _own_tongue(sealed, trainee)
    return Sampled(sealed, loss, tongue, _distributions(sealed) if stored else None)


def _own_tongue(sealed: SealedRun, trainee: Trainee) -> int:
    """The one of the run's that the trainee reads, if possible with the same markers."""
    run = sealed.run
    tongues = sorted({run.tongues[index] for index in writers(run)})
    known = [t for t in tongues if run.dialects[t].tokenizer == trainee.dialect.tokenizer]
    if known:
        return next((t for t in known if run.dialects[t] == trainee.dialect), known[0])
    theirs = " and ".join(run.dialects[t].tokenizer[:12] for t in tongues)
    raise SpecError(
        f"run.tokens: found sampled, but the run at {sealed.store.location} was sampled with "
        f"another tokenizer (digest {theirs}) than that of the trainee in {trainee.location} "
        f"({trainee.dialect.tokenizer[:12]}), so its ids mean other texts there; expected "
        "`tokens: template`, which spells the run's messages with the trainee's own."
    )


def _distributions(sealed: SealedRun) -> Distributions:
    if any(entry.table == "logprobs" for entry in sealed.snapshot.shards):
        return Distributions(sealed.store, sealed.snapshot)
    raise SpecError(
        f"objective: found stored_kl, but the run at {sealed.store.location} stored no "
        "distributions; expected one whose spec has generation.top_logprobs above 0, or model_kl, "
        "which takes them from a model as training goes."
    )


def _limited(found: Iterator[Example | BadRow], limit: int | None) -> Iterator[Example | BadRow]:
    """Down to the last of so many good ones."""
    good = 0
    for row in found:
        yield row
        good += isinstance(row, Example)
        if good == limit:
            return


def _told(sealed: SealedRun, teller: Teller, order: Order) -> Iterator[Example | BadRow]:
    """In memory are the trees that readers hand out together."""
    store = sealed.store
    for tables in read_trees(store, sealed.snapshot, ("nodes", "roots"), without=NOT_LEARNED):
        roots = Roots(store, tables)
        kept = [node.candidate for node in from_table(tables["nodes"])] if "nodes" in tables else []
        reasons = [teller.unfit(roots[node.tree_id], node) for node in kept]
        judged = list(zip(kept, reasons, strict=True))
        for node, why in judged:
            if why is not None:
                yield BadRow(where=sealed.where(node), why=why)
        for row in linearise(conversations(n for n, why in judged if why is None), order):
            yield teller.example(roots[row.path[0].tree_id], row)
