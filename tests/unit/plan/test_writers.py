"""Who wrote a row follows from what it is."""

import pytest

from pipeline.plan.writers import group_of
from pipeline.tree.recipe import LevelRule
from schemas.curation_spec import JudgeSpec
from schemas.generation_spec import CritiqueSpec
from schemas.records import Candidate, Sampling, to_ids

RULE = LevelRule(
    "assistant",
    2,
    2,
    Sampling(max_tokens=9),
    "writers",
    judge=JudgeSpec(engine="judges"),
    critique=CritiqueSpec(critique="Why?", rewrite="Again.", engine="critics"),
)


@pytest.mark.parametrize(
    ("kind", "origin", "group"),
    [
        ("turn", "sampled", "writers"),
        ("draft", "sampled", "writers"),
        ("turn", "rewritten", "critics"),
        ("critique", "sampled", "critics"),
        ("rewrite", "sampled", "critics"),
        ("judge", "sampled", "judges"),
    ],
)
def test_each_row_is_written_by_the_engines_that_were_asked(kind, origin, group):
    row = Candidate(0, "n", "p", (0,), "assistant", to_ids([1]), "x", kind=kind, origin=origin)
    assert group_of(RULE, row) == group
