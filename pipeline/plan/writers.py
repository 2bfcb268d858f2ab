"""Who samples what: a turn and what is said about it may come from several engine groups."""

from pipeline.tree.recipe import LevelRule
from schemas.records import Candidate


def group_of(rule: LevelRule, row: Candidate) -> str:
    """The engine group that sampled a row of a level, or a row about one."""
    if row.kind == "judge" and rule.judge is not None:
        return rule.judge.engine
    rewritten = row.kind in ("critique", "rewrite") or row.origin == "rewritten"
    if rewritten and rule.critique is not None:
        return rule.critique.engine
    return rule.group
