"""One tree, level by level, as far as a page can show; the rest when it is unfolded."""

from typing import Any

from pipeline.report.lookup import root_of
from pipeline.view.query import Query
from pipeline.view.rows import Row, read_rows, shortened
from pipeline.view.run import ViewedRun, only
from schemas.errors import UserError
from schemas.wave_id import WaveId

MOST_ROWS = 1500
_PREVIEW = 160


def tree(viewed: ViewedRun, query: Query) -> dict[str, Any]:
    """From the root down, whole levels of waves until there are enough rows."""
    index = viewed.index()
    cohort, number = query.number("cohort"), query.number("tree")
    waves = index.cohorts.get(cohort, [])[:1]
    rows: list[Row] = []
    seen: list[str] = []
    while waves and len(rows) < MOST_ROWS:
        wave = waves.pop(0)
        found = read_rows(viewed, index, wave, chosen=lambda t: only(t, "tree_id", number))
        if found:
            rows += found
            seen.append(wave)
            # Waves come level by level, since those below join at the end.
            waves += index.below(wave)
    if not rows:
        raise UserError(f"tree {number}: is not in cohort {cohort} of this run.")
    root = root_of(viewed.store, viewed.manifests(), number, WaveId((cohort,)))
    return {
        "cohort": cohort,
        "tree": number,
        "source": root.source,
        "frame": [{"role": role, "text": text} for role, text in root.frame],
        "rows": [shortened(row, _PREVIEW) for row in rows],
        "open": _unread(waves),
    }


def _unread(waves: list[str]) -> list[str]:
    """Waves whose rows may have children that were not looked for."""
    return sorted({parent.name for w in waves if (parent := WaveId.parse(w).parent)})


def children(viewed: ViewedRun, query: Query) -> dict[str, Any]:
    """The rows below a node."""
    index, node = viewed.index(), query.text("node")
    rows: list[Row] = []
    own = query.text("wave")
    # Below a root are the openings, which lie in the same wave.
    for wave in (*index.below(own), own):
        rows += read_rows(viewed, index, wave, chosen=lambda t: only(t, "parent_id", node))
        if rows:
            # All children of a parent lie in one wave.
            break
    return {"rows": [shortened(row, _PREVIEW) for row in rows]}
