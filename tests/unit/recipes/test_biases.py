"""Context-free: every setting that breaks the unbiased estimate is named, and no other."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.recipes import RECIPES
from tests.golden.methods import METHODS, level, make_method_spec

METHODS_WITHOUT_BIAS = ("context-free", "context-free-reasoning")

LEVEL_BIASES: dict[str, tuple[Any, str]] = {
    "temperature": (0.9, "temperature 0.9"),
    "top_p": (0.95, "top_p 0.95"),
    "top_k": (50, "top_k 50"),
    "min_p": (0.05, "min_p 0.05"),
    "repetition_penalty": (1.1, "repetition_penalty 1.1"),
    "stop": (["\n"], r"stop '\n'"),
    "oversample": (2, "oversample"),
}
CURATION_BIASES: dict[str, tuple[Any, str]] = {
    "filters": (["empty"], "filter empty"),
    "duplicates": ("exact", "duplicates exact"),
    "diversity": ({"max_cosine": 0.9}, "diversity.max_cosine 0.9"),
}
HARMLESS: dict[str, Any] = {
    "max_tokens": 8,
    "ignore_eos": True,
    "fanout": 6000,
    "engine": "other",
}
HARMLESS_CURATION: dict[str, Any] = {
    "filters": [{"filter": "empty", "roles": ["assistant"]}],
    "near_threshold": 0.9,
}


def biases(method: str, own: dict, curation: dict, **changes: Any) -> tuple[str, ...] | None:
    spec = make_method_spec(method, levels=[level("text") | own], curation=curation, **changes)
    RECIPES[method].check(spec)
    return RECIPES[method].biases(spec)


def chosen(settings: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.sets(st.sampled_from(sorted(settings))).map(
        lambda names: {n: settings[n] for n in names}
    )


@given(
    st.sampled_from(METHODS_WITHOUT_BIAS),
    chosen(LEVEL_BIASES),
    chosen(CURATION_BIASES),
    chosen(HARMLESS),
)
def test_biases_name_every_setting_that_breaks_the_estimate_and_no_other(
    method, of_level, of_curation, harmless
):
    own = harmless | {key: value for key, (value, _) in of_level.items()}
    found = biases(method, own, {key: value for key, (value, _) in of_curation.items()})
    assert found is not None
    assert sorted(found) == sorted(said for _, said in [*of_level.values(), *of_curation.values()])


@given(st.sampled_from(METHODS_WITHOUT_BIAS), chosen(HARMLESS), chosen(HARMLESS_CURATION))
def test_biases_are_none_where_nothing_breaks_the_estimate(method, own, curation):
    harmless = {
        "seed": 3,
        "guarantee": "none",
        "top_logprobs": 9,
        "bounds": {"trees_per_cohort": 1},
    }
    assert biases(method, own, curation, **harmless) == ()


@pytest.mark.parametrize("method", METHODS_WITHOUT_BIAS)
def test_biases_as_the_recipe_has_it_are_none(method):
    spec = make_method_spec(method, levels=[{"role": "text", "fanout": 3000, "max_tokens": 9}])
    assert RECIPES[method].biases(spec) == ()


def test_biases_a_system_prompt_before_the_template_is_one():
    assert biases("context-free-reasoning", {"system": "Think."}, {}) == ("a system prompt",)


def test_biases_a_quantised_model_is_one():
    model = {"name": "m", "context": 8192, "quantization": "fp8"}
    assert biases("context-free", {}, {}, model=model) == ("quantization fp8",)


def test_biases_all_filters_that_look_at_text_are_named():
    filters = [
        "empty",
        {"filter": "length", "roles": ["text"]},
        {"filter": "echo", "roles": ["user"]},
    ]
    assert biases("context-free", {}, {"filters": filters}) == ("filter empty", "filter length")


def test_biases_are_not_claimed_by_methods_that_steer():
    others = [name for name in METHODS if name not in METHODS_WITHOUT_BIAS]
    for name in others:
        spec = make_method_spec(name)
        assert RECIPES[spec.recipe].biases(spec) is None
