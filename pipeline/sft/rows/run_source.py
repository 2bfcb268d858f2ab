"""A sealed run as a source of rows: which snapshot is meant, and what it is known by."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.sft.trainee import Trainee
from pipeline.storage.snapshots import (
    check_withdrawn,
    latest,
    next_number,
    read_snapshot,
    snapshot_numbers,
)
from pipeline.storage.store import Store
from pipeline.tree.run import Run
from schemas.errors import LocationError, NotFound, SpecError
from schemas.fingerprint import ModelIdentity
from schemas.manifest import Snapshot
from schemas.records import Candidate, Role
from schemas.sft_spec import RunSource


@dataclass(frozen=True, eq=False)
class SealedRun:
    """A snapshot, with what only those know who know the run's recipe."""

    store: Store
    snapshot: Snapshot
    run: Run
    models: tuple[ModelIdentity, ...]
    """By model index."""
    mask: Callable[[str], str]
    """A text with its personal data masked."""

    def shown(self, role: Role, text: str) -> str:
        """A text as readers may see it, by who says it."""
        return self.mask(text) if role in self.run.masked else text

    def where(self, node: Candidate) -> str:
        """A node, or the row that ends with it, for people."""
        return f"{self.store.location} tree {node.tree_id} node {node.node_id}"


OpenRun = Callable[[RunSource], SealedRun]
"""How a run is opened by who knows recipes: `jobs.sealed_runs`."""


class RowsFrom(NamedTuple):
    """What rows came from, so that weights lead back to them."""

    location: str
    run_id: str
    snapshot: int
    complete: bool
    weights: tuple[str, ...]
    """Digests of the models that wrote them."""
    notes: tuple[str, ...]
    """What a person should know before a model is trained on it."""


def snapshot_of(store: Store, number: int | None) -> Snapshot:
    """The snapshot with a number, or the latest; an error where it may not be trained on."""
    snapshot = _latest(store) if number is None else _numbered(store, number)
    check_withdrawn(store, snapshot)
    return snapshot


def _latest(store: Store) -> Snapshot:
    if (snapshot := latest(store)) is not None:
        return snapshot
    if next_number(store) > 1:
        raise LocationError(
            f"{store.location}: a repair retired all its snapshots; `arborist generate` with the "
            "run's own file seals another one, which may be trained on."
        )
    raise LocationError(
        f"{store.location}: the run is not sealed, so it may not be trained on yet; finish it with "
        "`arborist generate` and its own file. Where a budget runs out, that seals what is there."
    )


def _numbered(store: Store, number: int) -> Snapshot:
    try:
        return read_snapshot(store, number)
    except NotFound as error:
        there = ", ".join(map(str, snapshot_numbers(store))) or "none, as it is not sealed"
        raise SpecError(
            f"run.snapshot: found {number}; expected one of those at {store.location}: {there}."
        ) from error


def rows_from(sealed: SealedRun, trainee: Trainee) -> RowsFrom:
    """What the rows of a run come from, and what is unusual about them for a trainee."""
    snapshot = sealed.snapshot
    return RowsFrom(
        location=sealed.store.location,
        run_id=snapshot.run_id,
        snapshot=snapshot.number,
        complete=snapshot.complete,
        weights=tuple(dict.fromkeys(sealed.models[i].weights for i in writers(sealed.run))),
        notes=tuple(_notes(sealed, trainee)),
    )


def _notes(sealed: SealedRun, trainee: Trainee) -> Iterator[str]:
    snapshot = sealed.snapshot
    if not snapshot.complete:
        yield (
            f"snapshot {snapshot.number} holds part of the run only: the cohorts before the first "
            "one that was not finished"
        )
    templates = {sealed.models[i].template for i in writers(sealed.run)}
    if not sealed.run.is_text and trainee.dialect.template not in templates:
        yield "its turns were sampled between other markers than the trainee's chat template has"
    if snapshot.biases:
        yield f"no unbiased sample of what its model writes: {', '.join(snapshot.biases)}"


def writers(run: Run) -> tuple[int, ...]:
    """The models whose turns are rows, by index."""
    groups = {rule.group for rule in run.rules}
    groups |= {rule.critique.engine for rule in run.rules if rule.critique is not None}
    return tuple(sorted({run.spec.model_index(group) for group in groups}))
