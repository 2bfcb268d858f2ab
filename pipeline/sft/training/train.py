"""Train: a spec, a trainee and a mixture in; a model, its checkpoints and its log out."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.dialects.tokenizer import tokenizer_digest
from pipeline.engines.weights import weights_digest
from pipeline.sft.trainee import Trainee
from pipeline.sft.training import checkpoints
from pipeline.sft.training.places import CHECKPOINTS, MODEL, local
from pipeline.sft.training.provenance import Made, Provenance, is_taught, provenance, read
from pipeline.sft.training.watch import Watch
from schemas.errors import Diverged, Interrupted, ModelError
from schemas.sft_spec import SftSpec

if TYPE_CHECKING:
    from pipeline.sft.rows.prepare import Mixture
    from pipeline.sft.training.trainer import MixtureTrainer

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """A training that came to its end."""

    folder: Path
    """Of the final model."""
    steps: int
    log: list[dict[str, Any]]
    """The figures of each `log_every` steps, those of earlier attempts included."""
    warnings: tuple[str, ...] = ()


def train(spec: SftSpec, trainee: Trainee, mixture: "Mixture", watch: Watch) -> Trained:
    """Train to the end, going on from the newest whole checkpoint, if there is one.

    Raises `Interrupted`, after a checkpoint, where the watch asked to stop.
    """
    output = local(spec.output)
    made = provenance(spec, trainee, mixture, _teacher_made(spec, trainee))
    if done := _finished_before(output / MODEL, made):
        return done
    for warning in made.warnings:
        _LOG.warning("%s", warning)
        watch.say(f"warning: {warning}")
    try:
        return _trained(spec, trainee, mixture, watch, made)
    finally:
        from pipeline.sft.training.devices import free

        # What is measured next needs the memory of the optimiser, the teacher and the anchor.
        free()


def _trained(
    spec: SftSpec, trainee: Trainee, mixture: "Mixture", watch: Watch, made: Provenance
) -> Trained:
    output = local(spec.output)
    start = checkpoints.newest(output / CHECKPOINTS, made)
    # Loads torch and TRL, which takes ten seconds: not before there is something to train.
    from pipeline.sft.training.assembly import Asked, make_trainer

    trainer = make_trainer(Asked(spec, trainee, mixture, watch), made, start and start[1].pending)
    if trainer.args.should_save:
        checkpoints.sweep(output / CHECKPOINTS)
    trainer.accelerator.wait_for_everyone()
    try:
        trainer.train(resume_from_checkpoint=str(start[0]) if start else None)
    except Diverged as error:
        raise _with_last_good(error, output / CHECKPOINTS) from error
    return _ended(spec, trainee, trainer, made)


def _finished_before(folder: Path, made: Provenance) -> Trained | None:
    """What an earlier attempt finished; refused if it was made of other things."""
    there = read(folder)
    if there is None:
        return None
    checkpoints.refuse_other(folder, made, there)
    return Trained(folder, there.steps, there.log, there.warnings)


def _teacher_made(spec: SftSpec, trainee: Trainee) -> Made | None:
    if not is_taught(spec) or spec.teacher is None:
        return None
    if tokenizer_digest(spec.teacher) != trainee.dialect.tokenizer:
        raise ModelError(
            f"teacher: {spec.teacher} has another tokenizer than the trainee "
            f"{trainee.location}; expected the same, as their distributions are over its tokens."
        )
    return Made(location=spec.teacher, weights=weights_digest(spec.teacher))


def _with_last_good(error: Diverged, folder: Path) -> Diverged:
    good = checkpoints.whole(folder)
    where = f"The last good checkpoint is {good[-1]}." if good else "No checkpoint was saved yet."
    return Diverged(
        f"{error} {where} Nothing was saved since. A lower learning_rate, clip, a warmup or "
        "float32 may help; look at those rows too. The same command would go the same way again: "
        "change the spec and start --anew, or train from that checkpoint as another `model`."
    )


def _ended(spec: SftSpec, trainee: Trainee, trainer: "MixtureTrainer", made: Provenance) -> Trained:
    steps, planned = trainer.state.global_step, trainer.state.max_steps
    output = local(spec.output)
    if steps < planned:
        raise Interrupted(
            f"Stopped as asked after step {steps} of {planned}, with a checkpoint in "
            f"{output / CHECKPOINTS}; the same command continues the training."
        )
    log = [entry for entry in trainer.state.log_history if "loss" in entry]
    log = [{name: entry[name] for name in entry if name != "epoch"} for entry in log]
    made = made.model_copy(update={"steps": steps, "steps_planned": planned, "log": log})
    if trainer.args.should_save:
        from pipeline.sft.training.saving import save

        model = trainer.accelerator.unwrap_model(trainer.model)
        save(model, spec.tuning, local(trainee.location), output / MODEL, made)
    trainer.accelerator.wait_for_everyone()
    return Trained(output / MODEL, steps, log, made.warnings)
