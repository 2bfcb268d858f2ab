"""The funnel adds up, whatever the counts, and refuses those that cannot be true."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.funnel import funnel, together
from schemas.errors import CorruptData

REASONS = (
    *("failed:timeout", "failed:lost", "truncated", "timeout", "judge"),
    *("duplicate", "near_duplicate", "similar", "surplus"),
)
LATER = ("duplicate", "conversation", "subtree", "withdrawn")
COUNT = st.integers(0, 10**9)


@st.composite
def funnels(draw):
    kept, given_rows = draw(COUNT), draw(COUNT)
    dropped = draw(st.dictionaries(st.sampled_from(REASONS), COUNT))
    left, later = kept + given_rows, {}
    for reason in draw(st.lists(st.sampled_from(LATER), unique=True)):
        later[reason] = draw(st.integers(0, left))
        left -= later[reason]
    asked = kept + sum(dropped.values())
    return funnel(asked, kept, dropped, given=given_rows, left_out=later), dropped, later


@given(funnels())
def test_funnel_holds_every_count_once(drawn):
    found, dropped, later = drawn
    assert found.asked == found.kept + found.dropped
    assert found.remains == found.kept + found.given - sum(later.values())
    failed = {f"failed:{kind}": n for kind, n in found.failed.items()}
    surplus = {"surplus": found.surplus} if found.surplus else {}
    told = failed | found.filtered | found.repeated | surplus
    assert told == {reason: n for reason, n in dropped.items() if n}


@given(funnels())
def test_funnel_steps_lead_from_what_was_asked_to_what_remains(drawn):
    found, _, _ = drawn
    steps = list(found.steps())
    there = steps[0].count
    assert (steps[0].kind, there) == ("asked", found.asked)
    for step in steps[1:]:
        there += {"given": step.count}.get(step.kind, -step.count if step.falls else 0)
        assert step.after == there
        assert step.kind not in ("kept", "remains") or step.count == there
    assert there == found.remains


@given(st.lists(funnels(), max_size=5))
def test_funnels_together_are_the_funnel_of_the_sums(drawn):
    parts = [found for found, _, _ in drawn]
    whole = together(parts)
    assert whole.asked == whole.kept + whole.dropped == sum(part.asked for part in parts)
    assert whole.remains == whole.kept + whole.given - sum(whole.left_out.values())
    assert [step.after for step in whole.steps()][-1] == whole.remains


def test_step_has_the_reason_that_rows_have():
    found = funnel(10, 4, {"failed:timeout": 1, "timeout": 2, "surplus": 3})
    reasons = {step.reason: step.count for step in found.steps() if step.falls}
    assert reasons == {"failed:timeout": 1, "timeout": 2, "surplus": 3}


@pytest.mark.parametrize(
    ("counts", "later", "said"),
    [
        ((10, 5, {"judge": 4}), {}, "not as many"),
        ((10, 5, {"judge": 6}), {}, "not as many"),
        ((5, 5, {}), {"subtree": 6}, "drop list"),
    ],
)
def test_funnel_of_counts_that_cannot_be_is_refused(counts, later, said):
    with pytest.raises(CorruptData, match=said):
        funnel(*counts, left_out=later)
