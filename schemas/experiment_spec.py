"""ExperimentSpec: ways of training, each at several seeds, and the one they are held against.

What is fair. All arms start from one model and are measured on the same items. All see the same
tokens of the task, and those that replay see the same number of tokens besides; a token is any id
of a row, context included, because that is what training costs. A step holds the same rows of the
task in every arm: an arm that replays has larger batches, not more or other steps of the task, so
that neither the task's schedule nor its learning rate differ. The loss is a mean over each part's
tokens of a step and then a sum by weights, so what is replayed takes nothing from the task's
gradient. Which settings are best is looked for at seeds of its own (`seeds.choose`); what is
claimed comes from the others (`seeds.judge`).

All paths, those of `runs` too, are looked up from where the command is started.
"""

import re
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from schemas.curation_spec import Strict

ORIGINAL = "original"
"""The row of the table that is not trained: the model as it was."""

Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Content = dict[str, Any]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+-]{0,63}")


class SeedsSpec(Strict):
    """Of training and of the mixture."""

    choose: tuple[Seed, ...] = ()
    """Looked at while settings are chosen; never in the table."""
    judge: Annotated[tuple[Seed, ...], Field(min_length=1)]
    """What the table is made of; intervals need two, and are wide below three."""

    @model_validator(mode="after")
    def _apart(self) -> Self:
        both = sorted(set(self.choose) & set(self.judge))
        if both:
            raise ValueError(
                f"judge: found {', '.join(map(str, both))} under choose too; expected other seeds, "
                "since settings look good where they were chosen"
            )
        for name, seeds in (("choose", self.choose), ("judge", self.judge)):
            if len(set(seeds)) < len(seeds):
                raise ValueError(f"{name}: found a seed twice; expected each once")
        return self


class ExperimentSpec(Strict):
    """One YAML file for `arborist experiment`."""

    output: Annotated[str, Field(min_length=1)]
    """Folder of all cells (an arm at a seed), results and report."""
    runs: dict[str, str] = {}
    """Generation specs by name. Each is grown and sealed first; `runs.NAME` then stands for its
    location wherever a spec names a run."""
    base: Content
    """An SftSpec without `output`, which all arms share."""
    arms: Annotated[dict[str, Content | None], Field(min_length=1)]
    """By name, what is different in each: mappings are merged into the base's, all else takes its
    place, and a part that is null is left out. An arm cannot change the model, what is measured, or
    the seeds. `original`, the untouched model, is always there."""
    seeds: SeedsSpec
    reference: str = "none"
    """The arm that takes no care, from which what others recover is counted."""
    task: str = "task"
    """The part that is the task; all others are replay."""
    match_steps: bool = True
    """Whether `training.batch_rows` of each arm follows from its rows, so that it takes as many
    steps as the reference arm with its own."""
    unequal: bool = False
    """Whether arms may see numbers of tokens that differ by more than 2%."""
    keep_models: bool = False
    """Whether trained weights stay when a cell is done; they take most of the room."""

    @model_validator(mode="after")
    def _names(self) -> Self:
        for where, names in (("runs", self.runs), ("arms", self.arms)):
            for name in names:
                if not _NAME.fullmatch(name):
                    raise ValueError(
                        f"{where}.{name}: not a name; expected letters, digits, `-`, `_` and `+`, "
                        "since folders are called so"
                    )
        if ORIGINAL in self.arms:
            raise ValueError(
                f"arms.{ORIGINAL}: found it as an arm; expected none, the untouched model is "
                "measured always"
            )
        if self.reference not in self.arms:
            raise ValueError(
                f"reference: found {self.reference}, expected one of arms: {', '.join(self.arms)}"
            )
        return self
