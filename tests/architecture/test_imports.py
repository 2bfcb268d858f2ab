"""The import rule: who may see whom, and which room alone may touch a heavy library."""

import pytest

from tests.architecture.source import PACKAGES, Module, imports, modules

PURE = ("schemas", "pipeline.tree")
EDGES = ("schemas",)
LOOPS = (
    *("generate", "flight", "judging", "lineage", "passes", "refine", "repair", "seal", "verify"),
    *("ahead", "commits", "outlook", "share", "watch"),
)
BELOW_LOOPS = (
    *("schemas", "pipeline.tree", "pipeline.recipes", "pipeline.plan", "pipeline.curate"),
    "pipeline.claims",
    *("pipeline.storage", "pipeline.pool.pool", "pipeline.pool.workers", "pipeline.pool.tasks"),
    *("pipeline.flight", "pipeline.judging", "pipeline.lineage", "pipeline.passes"),
    *("pipeline.outlook", "pipeline.share", "pipeline.watch", "pipeline.verify.defect"),
    *("pipeline.ahead", "pipeline.commits"),
)
TRAINS = (*PURE, "pipeline.dialects", "pipeline.storage", "pipeline.engines.weights")
SHOWS = ("schemas", "pipeline.intervals", "pipeline.plots", "pipeline.page")
REPORTS = (*PURE, "pipeline.plan", "pipeline.claims", "pipeline.curate", "pipeline.storage")

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "schemas": (),
    "pipeline": (),
    "pipeline.tree": ("schemas",),
    "pipeline.recipes": PURE,
    "pipeline.plan": PURE,
    "pipeline.curate": PURE,
    "pipeline.claims": ("schemas",),
    "pipeline.metrics": ("schemas",),
    "pipeline.dialects": EDGES,
    "pipeline.engines": EDGES,
    "pipeline.embedders": EDGES,
    "pipeline.storage": EDGES,
    "pipeline.pool": ("schemas", "pipeline.engines.engine", "pipeline.metrics"),
    "pipeline.report": REPORTS,
    "pipeline.report.page": ("schemas", "pipeline.report", "pipeline.page"),
    "pipeline.card": PURE,
    "pipeline.view": (*PURE, "pipeline.curate", "pipeline.storage", "pipeline.report"),
    "pipeline.intervals": ("schemas",),
    "pipeline.plots": (),
    "pipeline.page": ("pipeline.plots",),
    "pipeline.sft": TRAINS,
    "pipeline.retention": (*TRAINS, *SHOWS, "pipeline.sft", "pipeline.curate"),
    "pipeline.experiment": SHOWS,
    "pipeline.damage": ("schemas",),
    **{f"pipeline.{loop}": BELOW_LOOPS for loop in LOOPS},
    "jobs": PACKAGES,
}
"""Beside itself; the longest prefix of a module's name is its room."""

TRAINERS = ("pipeline.sft", "pipeline.retention", "pipeline.damage")

ONLY_IN = {
    "vllm": ("pipeline.engines",),
    "torch": (
        *("pipeline.engines", "pipeline.embedders"),
        *("jobs.dequantise", "jobs.distil_embedder", "jobs.prepare_tiny"),
        *TRAINERS,
    ),
    "trl": ("pipeline.sft",),
    "peft": ("pipeline.sft",),
    "accelerate": ("pipeline.sft",),
    "datasets": ("pipeline.sft",),
    "matplotlib": ("pipeline.plots",),
    "lm_eval": ("pipeline.retention",),
    "fsspec": ("pipeline.storage",),
    "s3fs": ("pipeline.storage",),
    "huggingface_hub": ("pipeline.storage",),
    "ray": ("pipeline.pool", "jobs.training.ray", "jobs.launch.ray_client"),
    "model2vec": ("pipeline.embedders",),
    "sentence_transformers": ("pipeline.embedders",),
    "py3langid": ("pipeline.curate.languages",),
    "better_profanity": ("pipeline.curate.filters",),
    "transformers": (
        "pipeline.dialects",
        *("jobs.dequantise", "jobs.distil_embedder", "jobs.prepare_tiny"),
        *TRAINERS,
    ),
}


def is_below(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def room_of(name: str) -> str:
    return max((room for room in MAY_IMPORT if is_below(name, room)), key=len)


def refused(module: Module, target: str) -> str | None:
    """Why a module may not import a target; None if it may."""
    top = target.split(".")[0]
    if top == "tests":
        return "the product knows nothing of its tests"
    if top in PACKAGES:
        room = room_of(module.name)
        allowed = (room, *MAY_IMPORT[room])
        # The bare package holds nothing of its own, so being below it opens no door.
        seen = [prefix for prefix in allowed if prefix != "pipeline" or room == "jobs"]
        return None if any(is_below(target, p) for p in seen) else f"{room} may see {seen}"
    homes = ONLY_IN.get(top)
    if homes is None or any(is_below(module.name, home) for home in homes):
        return None
    return f"only {', '.join(homes)} may"


@pytest.mark.parametrize("module", modules(), ids=repr)
def test_module_imports_only_what_its_room_may_see(module):
    broken = [
        f"{module.at(line)} imports {target}: {reason}"
        for target, line in imports(module)
        if (reason := refused(module, target)) is not None
    ]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("schemas.records", "pipeline.tree.run"),
        ("pipeline.tree.run", "pipeline.plan.plan"),
        ("pipeline.plan.plan", "pipeline.recipes"),
        ("pipeline.curate.curate", "pipeline.plan.plan"),
        ("pipeline.engines.vllm", "pipeline.storage.store"),
        ("pipeline.dialects.derive", "pipeline.tree.prompt"),
        ("pipeline.pool.local", "pipeline.engines.scripted"),
        ("pipeline.generate", "pipeline.pool.ray"),
        ("pipeline.generate", "pipeline.engines.engine"),
        ("pipeline.report.status", "pipeline.generate"),
        ("pipeline.verify", "jobs.wiring"),
        ("jobs.cli", "tests.stored"),
        ("pipeline.generate", "ray"),
        ("pipeline.storage.ledger", "vllm.engine"),
        ("pipeline.curate.curate", "model2vec"),
        ("jobs.probe", "transformers"),
        ("pipeline.sft.example", "pipeline.pool.pool"),
        ("pipeline.generate", "pipeline.sft.example"),
        ("pipeline.generate", "trl"),
    ],
)
def test_rule_refuses_imports_across_rooms(name, target):
    module = next(module for module in modules() if module.name == name)
    assert refused(module, target) is not None
