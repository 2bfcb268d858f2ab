"""A small run of two scripted models that do not speak alike."""

from collections.abc import Mapping
from typing import Any

from jobs.wiring import Resolved, rehearsal, resolve
from pipeline.dialects.scripted import END, OPEN_ASSISTANT, OPEN_USER, ScriptedSpeller
from pipeline.storage.store import Store
from schemas.execution_spec import RunSpec
from tests.builders import make_levels, make_spec, run_resolved

LINE = 10
"""A new line, which only the second model puts before a turn."""
MARKERS = {
    "after_user": (END, OPEN_ASSISTANT, LINE),
    "ask_assistant": (END, OPEN_ASSISTANT, LINE),
    "after_assistant": (END, OPEN_USER, LINE),
}
JUDGE = {"filter": "judge", "roles": ["user", "assistant"], "min_score": 2}
CRITIQUE = {"critique": "What is wrong with it?", "rewrite": "Write it again.", "engine": "second"}


def two_tongues_spec(**generation: Any) -> RunSpec:
    """Questions by the first model, which judges too; answers, and critiques of some, by the
    second."""
    levels = [
        {**level, "engine": ("main", "second")[index % 2]}
        for index, level in enumerate(make_levels(3, 2, 2, 1))
    ]
    levels[1]["critique"] = CRITIQUE
    curation = {"filters": ["empty", JUDGE]}
    engine = {"backend": "scripted", "scripted": {"mean_tokens": 20, "fail_share": 0.05}}
    return make_spec(
        bounds=(1, 200),
        generation={
            "levels": levels,
            "models": {"second": {"name": "other", "context": 4096}},
            "turns": {},
            "curation": curation,
            **generation,
        },
        engines={"main": engine, "second": engine},
    )


def in_two_tongues(spec: RunSpec, changes: Mapping[str, Any] = MARKERS) -> Resolved:
    """The run of a spec with two models, of which the second has other markers."""
    resolved = resolve(rehearsal(spec))
    run_file = resolved.run_file
    first = run_file.dialects[0]
    parts = {
        "tongues": (0, 1),
        "dialects": (first, first.model_copy(update=changes)),
        "phrases": run_file.phrases * 2,
    }
    spellers = (ScriptedSpeller(), ScriptedSpeller())
    return resolved._replace(run_file=run_file.model_copy(update=parts), spellers=spellers)


def grow_in_two_tongues(store: Store) -> None:
    """A sealed run, a wave for each level of each of two trees."""
    spec = two_tongues_spec()
    run_resolved(store, rehearsal(spec), in_two_tongues(spec))
