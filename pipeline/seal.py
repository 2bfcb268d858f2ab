"""Seal a run: one immutable file that names every manifest, once all waves are committed."""

from pipeline.plan.agenda import planned_waves
from pipeline.plan.plan import make_plan
from pipeline.recipes import RECIPES
from pipeline.storage.ledger import Ledger
from pipeline.storage.snapshots import build_snapshot, seal_snapshot, sweep_orphans
from pipeline.storage.store import Store
from schemas.errors import CorruptData
from schemas.manifest import RunFile, Snapshot


def seal(store: Store, run_file: RunFile) -> Snapshot:
    """Sweep what no manifest names, then make the complete snapshot."""
    spec, recipe = run_file.generation, RECIPES[run_file.generation.recipe]
    manifests = Ledger(store).all()
    frontiers = {wave: manifest.frontier for wave, manifest in manifests.items()}
    ordered = []
    for wave, committed in planned_waves(spec, recipe, make_plan(spec, recipe), frontiers):
        if not committed:
            raise CorruptData(
                f"{store.location}: wave {wave.name} is not committed, so the run cannot be sealed "
                "as complete; start the same command again."
            )
        ordered.append(manifests[wave.name])
    snapshot = build_snapshot(run_file, ordered, number=1, complete=True)
    sweep_orphans(store, snapshot)
    seal_snapshot(store, snapshot)
    return snapshot
