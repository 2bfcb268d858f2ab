"""Over-tuning: a model is trained far too long on one narrow task, through the SFT stage."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.damage.checkpoint import Checkpoint

if TYPE_CHECKING:
    from pipeline.damage.checkpoint import Change
    from pipeline.sft.training.watch import Watch

BATCH_ROWS = 8
_PASSES = 1e6
"""As many as the steps take."""


class Overtuning(NamedTuple):
    """On what, and how much of it."""

    task: str
    steps: int
    learning_rate: float
    seed: int

    def spec(self, source: Path, folder: Path) -> dict[str, Any]:
        """What `arborist sft` is asked."""
        return {
            "model": str(source),
            "output": str(folder),
            "parts": {"task": {"data": {"files": self.task}, "passes": _PASSES}},
            "mix": {"by": "rows", "amount": self.steps * BATCH_ROWS, "seed": self.seed},
            "training": {
                "batch_rows": BATCH_ROWS,
                "learning_rate": self.learning_rate,
                "schedule": "constant",
                "max_steps": self.steps,
                "too_long": "leave_out",
                "save_every": self.steps,
                "seed": self.seed,
            },
        }


def overtune(asked: Overtuning, source: Path, out: Path, watch: "Watch") -> "Change":
    """Write the model as it is after the training into an empty folder."""
    from jobs.training.file import parse_sft
    from jobs.training.output import check_installed, stay_offline
    from jobs.training.process import train_here

    folder = out / "training"
    spec = parse_sft(asked.spec(source, folder), name="overtune")
    check_installed()
    stay_offline()
    trained = Checkpoint(train_here(spec, watch).folder).open()
    names = set(trained.names)

    def alter(name: str, tensor: Any) -> Any:
        # A head that is tied to the embedding is not stored again.
        return trained.read(name).to(tensor.dtype) if name in names else tensor

    change = Checkpoint(source).open().rewritten(out, alter)
    shutil.rmtree(folder)
    return change
