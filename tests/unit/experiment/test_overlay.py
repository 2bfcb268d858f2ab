"""An arm is the base with what differs, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.experiment.overlay import (
    arm_content,
    merged,
    named_runs,
    refused,
    with_runs,
    with_seed,
)

KEYS = st.sampled_from("abcd")
CONTENT = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.integers()),
    lambda inner: st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
MAPPING = st.dictionaries(KEYS, CONTENT, max_size=3)


def leaves(content, above=()):
    if isinstance(content, dict) and content:
        return {
            place: leaf
            for key, value in content.items()
            for place, leaf in leaves(value, (*above, key)).items()
        }
    return {above: content}


@given(MAPPING)
def test_merge_with_nothing_changes_nothing(base):
    assert merged(base, {}) == base
    assert merged({}, base) == base


@given(MAPPING, MAPPING)
def test_merge_twice_is_as_once(base, overlay):
    once = merged(base, overlay)
    assert merged(once, overlay) == once


@given(MAPPING, MAPPING, MAPPING)
def test_merge_in_any_grouping_is_the_same_where_shapes_agree(base, first, second):
    both = merged(merged(base, first), second)
    for place, leaf in leaves(second).items():
        if leaf != {}:
            assert leaves(both)[place] == leaf


@given(MAPPING, MAPPING)
def test_merge_keeps_what_overlay_does_not_touch(base, overlay):
    result, touched = merged(base, overlay), leaves(overlay)
    for place, leaf in leaves(base).items():
        if not any(
            place[: len(other)] == other or other[: len(place)] == place for other in touched
        ):
            assert leaves(result)[place] == leaf


@given(MAPPING, MAPPING)
def test_merge_leaves_its_arguments_alone(base, overlay):
    before = repr(base), repr(overlay)
    merged(base, overlay)
    assert (repr(base), repr(overlay)) == before


def test_arm_content_part_set_to_null_is_removed_and_null_elsewhere_stays():
    base = {"parts": {"task": {"weight": 1}, "replay": {"weight": 2}}, "training": {"clip": 1.0}}
    found = arm_content(base, {"parts": {"replay": None}, "training": {"clip": None}})
    assert found == {"parts": {"task": {"weight": 1}}, "training": {"clip": None}}


def test_arm_content_keeps_the_order_of_the_base_so_that_the_task_is_first():
    base = {"parts": {"task": {}, "replay": {}}}
    assert list(arm_content(base, {"parts": {"new": {}, "task": {"a": 1}}})["parts"]) == [
        *("task", "replay", "new")
    ]


def test_refused_names_what_would_make_arms_incomparable():
    overlay = {
        "model": "m",
        "retention": {},
        "training": {"seed": 1, "clip": 2},
        "mix": {"by": "rows"},
    }
    assert {key for key, _ in refused(overlay)} == {"model", "retention", "training.seed"}
    assert not list(refused(None))


def test_runs_by_name_are_found_and_replaced_wherever_a_run_may_stand():
    content = {
        "parts": {
            "task": {"data": {"files": "runs.wide"}},
            "replay": {"run": {"location": "runs.wide", "limit": 3}},
            "other": {"run": {"location": "elsewhere"}},
        },
        "retention": {"samples": {"own": {"run": "runs.held"}}},
    }
    assert named_runs(content) == {
        "wide": "parts.replay.run.location",
        "held": "retention.samples.own.run",
    }
    found = with_runs(content, {"wide": "W", "held": "H"})
    assert found["parts"]["replay"]["run"] == {"location": "W", "limit": 3}
    assert found["parts"]["other"]["run"]["location"] == "elsewhere"
    assert found["retention"]["samples"]["own"]["run"] == "H"
    assert found["parts"]["task"]["data"]["files"] == "runs.wide"
    assert named_runs(content), "the content itself is left alone"


def test_with_seed_sets_all_seeds_and_nothing_else():
    assert with_seed({"training": {"seed": 1, "clip": 2}}, 7) == {
        "training": {"seed": 7, "clip": 2},
        "mix": {"seed": 7},
    }
