"""From what is asked to a trainer that does it: the model, its teacher, the settings."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from transformers import GenerationConfig

from pipeline.sft.model import load_model
from pipeline.sft.trainee import Trainee
from pipeline.sft.training import checkpoints
from pipeline.sft.training.batches import Collator
from pipeline.sft.training.places import CHECKPOINTS, TENSORBOARD, local
from pipeline.sft.training.provenance import Provenance, is_taught
from pipeline.sft.training.rollouts import Sampling
from pipeline.sft.training.settings import settings, steps_of, tensorboard
from pipeline.sft.training.trainer import Course, MixtureTrainer, Part
from pipeline.sft.training.tuning import make_teacher, stop, stopped, tuned
from pipeline.sft.training.watch import Watch
from schemas.sft_spec import SftSpec

if TYPE_CHECKING:
    from pipeline.sft.rows.prepare import Mixture


class Asked(NamedTuple):
    """A training as it is asked for."""

    spec: SftSpec
    trainee: Trainee
    mixture: "Mixture"
    watch: Watch


def make_trainer(
    asked: Asked, made: Provenance, pending: Mapping[str, Any] | None
) -> MixtureTrainer:
    """A trainer at its start, or with the pending figures of the checkpoint it will go on from."""
    spec, trainee = asked.spec, asked.trainee
    steps = steps_of(spec.training, len(asked.mixture.dataset))
    # Before anything else: it sets up the devices and the processes.
    args = settings(spec, steps, local(spec.output) / CHECKPOINTS)
    model = load_model(trainee.location)
    # A model's own settings may be such that it cannot be saved with them.
    model.generation_config = GenerationConfig.from_model_config(model.config)
    model = tuned(model, spec.tuning, spec.training.seed)
    made = made.model_copy(update={"steps_planned": len(steps)})
    course = _course(asked, model, made, pending)
    trainer = MixtureTrainer(
        course,
        steps,
        model=model,
        args=args,
        data_collator=Collator(_pad_id(trainee), course.having("stored_kl")),
        train_dataset=asked.mixture.dataset,
        processing_class=trainee.tokenizer,
    )
    if spec.training.tensorboard and args.process_index == 0:
        trainer.add_callback(tensorboard(local(spec.output) / TENSORBOARD))
    return trainer


def _course(
    asked: Asked, model: Any, made: Provenance, pending: Mapping[str, Any] | None
) -> Course:
    spec, trainee = asked.spec, asked.trainee
    teacher, start = None, trainee.location
    if is_taught(spec):
        teacher = make_teacher(model, spec.teacher or start, start, spec.tuning)
    return Course(
        parts=tuple(Part(n, p.objective, p.weight) for n, p in spec.parts.items()),
        watch=asked.watch,
        keep=partial(checkpoints.mark, made=made, keep=spec.training.keep),
        pending=pending,
        teacher=teacher,
        l2=spec.tuning.l2,
        sampling=_sampling(spec, trainee),
        refreeze=partial(stop, names=stopped(model)),
    )


def _sampling(spec: SftSpec, trainee: Trainee) -> Sampling:
    dialect = trainee.dialect
    stop_ids = dialect.assistant_stop_ids or dialect.text_stop_ids
    seed = spec.training.seed
    return Sampling(spec.rollouts, stop_ids, _pad_id(trainee), trainee.context, seed)


def _pad_id(trainee: Trainee) -> int:
    known = getattr(trainee.tokenizer, "pad_token_id", None), trainee.tokenizer.eos_token_id
    return next((token_id for token_id in known if token_id is not None), 0)
