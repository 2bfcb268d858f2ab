"""What a wave goes through between its first answers and its rows.

Measured turns may be criticised and written again (and are then measured again), then judged. Each
pass asks the same pool about those turns that no filter drops, and waits until all has come back.
"""

from collections.abc import Iterator

from pipeline.curate.curate import fall_to_filters
from pipeline.flight import OpenWave
from pipeline.tree.aside import aside_rows
from pipeline.tree.critique import critique_requests, draft_row, rewrite_requests, rewritten
from pipeline.tree.judge import judge_requests
from pipeline.tree.run import Run
from schemas.records import Candidate, Kind, Request

JUDGE = "judge"
PASSES: tuple[Kind, ...] = ("critique", "rewrite", "judge")


def next_requests(run: Run, opened: OpenWave, kind: Kind) -> list[Request]:
    """What a pass asks about a measured wave."""
    if kind == "judge":
        return _judge_requests(run, opened)
    if opened.rule.critique is None:
        return []
    if kind == "critique":
        drafts = passing(run, opened)
        return critique_requests(run, opened.wave.name, opened.parents, drafts, opened.rule)
    asked = opened.asides["critique"]
    by_id = {candidate.node_id: candidate for candidate in opened.candidates}
    critiques = aside_rows(run, by_id, asked, opened.outcomes)
    return rewrite_requests(run, opened.wave.name, by_id, asked, critiques, opened.rule)


def _judge_requests(run: Run, opened: OpenWave) -> list[Request]:
    judge = opened.rule.judge
    if judge is None:
        return []
    return judge_requests(run, opened.wave.name, opened.parents, passing(run, opened), judge)


def passing(run: Run, opened: OpenWave) -> list[Candidate]:
    """The candidates that no filter before the judge drops."""
    assert opened.measures is not None
    before = [entry for entry in run.spec.curation.filters if entry.filter != JUDGE]
    fallen = fall_to_filters(opened.candidates, opened.measures, before)
    return [c for c, reason in zip(opened.candidates, fallen, strict=True) if reason is None]


def write_again(run: Run, opened: OpenWave) -> bool:
    """Put the rewritten turns where their drafts were; whether there are any."""
    by_id = {candidate.node_id: candidate for candidate in opened.candidates}
    turns = rewritten(run, by_id, opened.asides["rewrite"], opened.outcomes)
    opened.drafts = {node_id: by_id[node_id] for node_id in turns}
    opened.candidates = [turns.get(c.node_id, c) for c in opened.candidates]
    return bool(turns)


def rows_beside(run: Run, opened: OpenWave) -> Iterator[Candidate]:
    """What was said about the turns, and the drafts of those written again, in row order."""
    by_id = {candidate.node_id: candidate for candidate in opened.candidates}
    rows = [draft_row(run, draft) for draft in opened.drafts.values()]
    for kind in ("critique", "judge"):
        rows += aside_rows(run, by_id, opened.asides.get(kind, []), opened.outcomes)
    rows += _failed_rewrites(run, opened, by_id)
    yield from sorted(rows, key=lambda row: (row.tree_id, row.path, row.kind))


def _failed_rewrites(run: Run, opened: OpenWave, by_id: dict[str, Candidate]) -> list[Candidate]:
    """Those whose draft stayed."""
    asked = [r for r in opened.asides.get("rewrite", []) if r.parent_id not in opened.drafts]
    return aside_rows(run, by_id, asked, opened.outcomes)
