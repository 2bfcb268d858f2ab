"""A run as a report reads it: what is committed, and one pass over its rows."""

from collections.abc import Sequence
from typing import NamedTuple

from jobs.export_rows import View
from jobs.recipes import check_recipe
from jobs.status import Standing, standing_of
from jobs.wiring import open_run_value
from pipeline.plan.plan import make_plan
from pipeline.report.status import status_of
from pipeline.report.survey import Survey, survey
from pipeline.storage.ledger import Ledger
from pipeline.storage.runs import open_run
from pipeline.storage.snapshots import build_snapshot, check_withdrawn
from pipeline.storage.store import Store
from schemas.errors import UserError
from schemas.manifest import Manifest, RunFile, Snapshot
from schemas.records import Role


class Source(NamedTuple):
    """A run as far as it was read."""

    store: Store
    run_file: RunFile
    view: View
    snapshot: Snapshot
    """All committed waves, with the drop list of the latest real one."""
    manifests: Sequence[Manifest]
    standing: Standing
    """With the status of just these waves."""
    state: str
    """As `arborist status` says it, which knows the budget."""
    rows: Survey
    seed: int

    def show(self, role: Role, text: str) -> str:
        """A text with personal data masked where the spec says so."""
        return self.view.text(role, text)


def read_source(store: Store, *, seed: int) -> Source:
    """Everything that is committed, sealed or not."""
    run_file = open_run(store)
    check_recipe(run_file)
    standing, committed = standing_of(store), list(Ledger(store).all().values())
    if not committed:
        raise UserError(
            f"{store.location}: no wave is committed yet, so there is nothing to report; start the "
            "same command again once `arborist status` shows one."
        )
    snapshot = _everything(run_file, committed, standing.snapshot)
    check_withdrawn(store, snapshot)
    run = open_run_value(run_file)
    status = status_of(make_plan(run.spec, run.recipe, run.trees), committed)
    return Source(
        store=store,
        run_file=run_file,
        view=View.of(run),
        snapshot=snapshot,
        manifests=committed,
        # It may have gone on meanwhile.
        standing=standing._replace(status=status),
        state=standing.state,
        rows=survey(store, snapshot, seed),
        seed=seed,
    )


def _everything(
    run_file: RunFile, committed: Sequence[Manifest], latest: Snapshot | None
) -> Snapshot:
    """What may be read of a run that may go on growing."""
    if latest is None:
        return build_snapshot(run_file, committed, number=1, complete=False)
    built = build_snapshot(
        run_file, committed, number=latest.number, complete=latest.complete, biases=latest.biases
    )
    return built.model_copy(update={"drops": latest.drops, "refinement": latest.refinement})
