"""Seal a run: one immutable file that names every manifest, once all waves are committed.

Where a budget ended the run before, it names the longest prefix of complete cohorts, so that short
trees are not favoured. Such a snapshot is partial; the next one goes on from it, and leaves out
what it left out.
"""

from collections.abc import Sequence

from pipeline.plan.agenda import planned_waves, whole_cohorts
from pipeline.plan.plan import make_plan
from pipeline.storage.claims import sweep_claims
from pipeline.storage.ledger import Ledger
from pipeline.storage.repairs import read_repairs
from pipeline.storage.snapshots import (
    all_numbers,
    build_snapshot,
    latest,
    next_number,
    seal_snapshot,
    sweep_orphans,
)
from pipeline.storage.store import Store
from pipeline.tree.recipe import Recipe
from schemas.errors import AlreadyExists, CorruptData, StoreError, UserError
from schemas.manifest import Manifest, RunFile, Snapshot

LEFT_OUT = ("drops", "refined_from", "refinement")
"""What a snapshot says about rows that it leaves out."""
LOST = "failed requests"
"""Longer rows fail more often than short ones, so what is left is no unbiased sample."""


def seal(store: Store, run_file: RunFile, recipe: Recipe, *, partial: bool = False) -> Snapshot:
    """The latest snapshot afterwards: a new one, unless the one before says as much.

    Before a complete one is made, what no manifest names is swept, and all heartbeats and claims,
    since nothing is left to be claimed. Several drivers may seal at once. `partial` says that
    cohorts may be missing; otherwise a missing wave is an error.
    """
    whole, missing = _committed(store, run_file, recipe)
    if missing is not None and not partial:
        raise CorruptData(
            f"{store.location}: wave {missing} is not committed, so the run cannot be sealed "
            "as complete; start the same command again."
        )
    if not whole:
        raise UserError(
            f"{store.location}: there is nothing to seal yet, as not one cohort is complete "
            f"(wave {missing} is missing); start the same command again to continue."
        )
    complete = missing is None
    while True:
        # The number first: a snapshot that comes between the two takes it, and is found below.
        number, before = next_number(store), latest(store)
        if before is not None and not _says_more(whole, complete, before):
            if before.complete:
                sweep_claims(store)
            return before
        snapshot = _next(run_file, recipe, whole, before, number=number, complete=complete)
        if complete:
            sweep_orphans(store, snapshot)
            sweep_claims(store)
        try:
            seal_snapshot(store, snapshot)
        except AlreadyExists as taken:
            # Another driver, or a refinement, took the number, so what it made is the latest now.
            _require_listed(store, number, taken)
            continue
        _require_counting(store, snapshot)
        return snapshot


def _require_counting(store: Store, snapshot: Snapshot) -> None:
    repair = read_repairs(store).retired_by(snapshot)
    if repair is not None:
        raise CorruptData(
            f"{store.location}: repair {repair} retired waves while they were being sealed; start "
            "the same command again, which makes them again."
        )


def _require_listed(store: Store, number: int, taken: AlreadyExists) -> None:
    if number not in all_numbers(store):
        raise StoreError(
            f"{store.location}: its listing does not show snapshot {number}, which is there, so "
            "nobody can tell which one is the latest. The store promises complete listings and "
            "does not keep it; start the same command again once it shows what there is."
        ) from taken


def _committed(
    store: Store, run_file: RunFile, recipe: Recipe
) -> tuple[list[Manifest], str | None]:
    """Manifests of the first cohorts, as far as these are complete, and the first missing wave."""
    spec = run_file.generation
    plan = make_plan(spec, recipe, recipe.num_trees(spec, run_file.rows.good))
    manifests = Ledger(store).all()
    frontiers = {wave: manifest.frontier for wave, manifest in manifests.items()}
    waves = list(planned_waves(spec, recipe, plan, frontiers))
    missing = next((wave.name for wave, committed in waves if not committed), None)
    return [manifests[wave.name] for wave in whole_cohorts(waves)], missing


def _says_more(whole: Sequence[Manifest], complete: bool, before: Snapshot) -> bool:
    if before.complete:
        return False
    return complete or len(whole) > len(before.manifests)


def _next(
    run_file: RunFile,
    recipe: Recipe,
    whole: Sequence[Manifest],
    before: Snapshot | None,
    *,
    number: int,
    complete: bool,
) -> Snapshot:
    """The snapshot after another one, whose drops stay dropped."""
    snapshot = build_snapshot(run_file, whole, number=number, complete=complete)
    left_out = {name: getattr(before, name) for name in LEFT_OUT} if before else {}
    biases = _biases(recipe.biases(run_file.generation), snapshot, before)
    return snapshot.model_copy(update={**left_out, "biases": biases})


def _biases(
    of_settings: tuple[str, ...] | None, snapshot: Snapshot, before: Snapshot | None
) -> tuple[str, ...] | None:
    """Those of the settings, of what was lost, and of what the snapshot before left out."""
    if of_settings is None:
        return None
    of_loss = [LOST] if snapshot.counts.num_failed else []
    of_drops = (before.biases or ()) if before else ()
    return tuple(dict.fromkeys([*of_settings, *of_loss, *of_drops]))
