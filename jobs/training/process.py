"""A training as one process does it, alone or beside others."""

from typing import TYPE_CHECKING

from jobs.sealed_runs import opener
from jobs.trainee import load_trainee
from jobs.training.output import ROWS
from pipeline.sft.training.places import local
from schemas.sft_spec import SftSpec

if TYPE_CHECKING:
    from pipeline.sft.rows.prepare import Mixture
    from pipeline.sft.trainee import Trainee
    from pipeline.sft.training.train import Trained
    from pipeline.sft.training.watch import Watch


def prepared(spec: SftSpec, watch: "Watch") -> tuple["Trainee", "Mixture"]:
    """The trainee, and what it is trained on."""
    from pipeline.sft.rows.prepare import prepare

    trainee = load_trainee(spec.model)
    opened = opener(spec.storage_options)
    return trainee, prepare(spec, trainee, local(spec.output) / ROWS, watch, opened)


def train_here(spec: SftSpec, watch: "Watch") -> "Trained":
    """From the spec to the trained model; rows that are prepared are not prepared again."""
    from pipeline.sft.training.train import train

    trainee, mixture = prepared(spec, watch)
    return train(spec, trainee, mixture, watch)
