"""What a spec may not ask for: more than a model's context, or a table, has room for."""

from typing import Any

import pytest
from pydantic import ValidationError

from schemas.generation_spec import GenerationSpec

QUESTION = {"role": "user", "fanout": 1, "max_tokens": 30}
ANSWER = {"role": "assistant", "fanout": 1, "max_tokens": 50}
CRITIQUE = {"critique": "What is wrong?", "rewrite": "Write it again.", "engine": "critic"}
LONGER = {**CRITIQUE, "engine": "main", "critique_tokens": 8, "rewrite_tokens": 90}
JUDGE = {"filter": "judge", "engine": "critic", "max_tokens": 9}
ROOMY = 1 << 16


def spec(contexts: dict[str, int] | None = None, **changes: Any) -> GenerationSpec:
    """A question and its answer, unless something else is said; of roomy models but for some."""
    models = {"second": ROOMY, "critic": ROOMY, "main": ROOMY} | (contexts or {})
    described = {name: {"name": name, "context": tokens} for name, tokens in models.items()}
    main = described.pop("main")
    content = {"model": main, "models": described, "levels": [QUESTION, ANSWER]}
    return GenerationSpec.model_validate(content | changes)


@pytest.mark.parametrize(
    ("model", "needed", "changes", "said"),
    [
        (
            "second",
            80,
            {"levels": [QUESTION, {**ANSWER, "engine": "second"}]},
            "levels.1.max_tokens: levels 1 to 2 may take 80 tokens, but models.second.context is",
        ),
        (
            "critic",
            89,
            {"curation": {"filters": [JUDGE]}},
            "curation.filters.judge.max_tokens: levels 1 to 2 and their judgement may take 89",
        ),
        (
            "critic",
            386,
            {"levels": [QUESTION, {**ANSWER, "critique": CRITIQUE}]},
            "levels.1.critique: levels 1 to 2, critique and rewriting, may take 386 tokens",
        ),
        (
            "main",
            200,
            {"levels": [QUESTION, {**ANSWER, "critique": LONGER}, {**QUESTION, "max_tokens": 80}]},
            "levels.2.max_tokens: levels 1 to 3 may take 200 tokens, but model.context is 200",
        ),
    ],
)
def test_spec_that_leaves_no_room_in_a_context_is_refused(model, needed, changes, said):
    """One token has to be left for what stands before the levels."""
    spec({model: needed + 1}, **changes)
    with pytest.raises(ValidationError) as caught:
        spec({model: needed}, **changes)
    assert said in str(caught.value)


def test_spec_a_model_that_is_asked_no_deep_level_needs_no_room_for_it():
    levels = [{**QUESTION, "engine": "second"}, ANSWER]
    assert spec({"second": 32}, levels=levels).levels[1].max_tokens == 50


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (
            {"bounds": {"candidates_per_wave": 41121}, "levels": [{**ANSWER, "role": "user"}]},
            "lower top_logprobs, levels.0.max_tokens or bounds.candidates_per_wave",
        ),
        (
            {"levels": [{**QUESTION, "fanout": 100_000, "oversample": 64, "max_tokens": 31}]},
            "lower top_logprobs, levels.0.max_tokens or levels.0.fanout",
        ),
        (
            {
                "bounds": {"candidates_per_wave": 14769},
                "levels": [QUESTION, {**ANSWER, "critique": LONGER}],
            },
            "lower top_logprobs, levels.1.max_tokens or bounds.candidates_per_wave",
        ),
    ],
)
def test_spec_whose_waves_have_more_likely_tokens_than_a_table_holds_is_refused(changes, named):
    spec(top_logprobs=1023, **changes)
    with pytest.raises(ValidationError) as caught:
        spec(top_logprobs=1024, **changes)
    assert "top_logprobs: 1024 at each of" in str(caught.value)
    assert named in str(caught.value)


def test_spec_of_more_levels_than_a_wave_can_be_named_by_is_refused():
    levels = [{**(QUESTION, ANSWER)[index % 2], "max_tokens": 1} for index in range(101)]
    assert len(spec(levels=levels[:-1]).levels) == 100
    with pytest.raises(ValidationError, match="at most 100 items"):
        spec(levels=levels)
