"""Rows that every model of a run can be told, with room for what grows from them.

What a row is in a model's ids is known only with its tokenizer, so a plan, which reads none, may
count rows as good that are left out here.
"""

from jobs.rows import Rows, rows_of
from pipeline.tree.room import Room
from pipeline.tree.roots import plant, root_of
from pipeline.tree.run import Run
from schemas.errors import ModelError, SpecError
from schemas.execution_spec import RunSpec
from schemas.records import RootRow

FIRST_TREES = 64
"""That are looked at before anything is begun, where a tree grows from several rows."""


def fitting_rows(spec: RunSpec, run: Run, *, measured: bool) -> Rows:
    """The rows of a run, of which only what can be spelled and what fits is good.

    A row is looked at alone. `measured` says whether the contexts are those of real models.
    """
    room = Room(run)

    def unfit(row: RootRow) -> str | None:
        try:
            root = root_of(run, [row])
        except ModelError as error:
            return str(error).removesuffix(".")
        return room.shortage(root) if measured else None

    rows = rows_of(spec, unfit)
    if measured:
        _check_first_trees(run, room, rows)
    return rows


def _check_first_trees(run: Run, room: Room, rows: Rows) -> None:
    """Where several rows together leave no room at all, nothing is begun."""
    recipe, spec = run.recipe, run.spec
    if len(recipe.picks(spec, len(rows), 0)) == 1:
        return
    trees = min(recipe.num_trees(spec, len(rows)), FIRST_TREES)
    roots = plant(run, rows, range(trees))
    reasons = [room.shortage(root) for root in roots]
    if all(reasons):
        raise SpecError(
            f"generation.roots: none of the first {trees} trees has room for what it is asked; of "
            f"the first one, which grows from {roots[0].source}: {reasons[0]}, or show fewer rows."
        )
