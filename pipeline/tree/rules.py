"""The rules of all levels, and what follows from them: who is asked, and what the run says itself.

A recipe may have other levels than the spec, and may ask other engine groups, so that whoever wants
to know what a run does asks here and not the spec.
"""

from collections.abc import Iterable, Iterator

from pipeline.tree.judge import question_text
from pipeline.tree.recipe import LevelRule


def groups_of(rules: Iterable[LevelRule]) -> tuple[str, ...]:
    """The engine groups that are asked, in order of name."""
    return tuple(sorted({group for rule in rules for group in _groups(rule)}))


def _groups(rule: LevelRule) -> Iterator[str]:
    yield rule.group
    if rule.judge is not None:
        yield rule.judge.engine
    if rule.critique is not None:
        yield rule.critique.engine


def phrases_of(rules: Iterable[LevelRule]) -> list[str]:
    """The texts that the run itself says between turns."""
    return list(dict.fromkeys(phrase for rule in rules for phrase in _phrases(rule)))


def _phrases(rule: LevelRule) -> Iterator[str]:
    if rule.say is not None:
        yield rule.say
    if rule.judge is not None:
        yield question_text(rule.judge, rule.role)
    if rule.critique is not None:
        yield from (rule.critique.critique, rule.critique.rewrite)
