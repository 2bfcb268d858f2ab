"""What the processes of an experiment do: count rows, measure the original, train and measure.

Each reads its task from a folder and leaves its result there, whole or not at all.
"""

import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobs.apart import Tell
from jobs.experiments.folder import CellFolder, write_whole
from jobs.trainee import load_trainee
from jobs.training.file import load_sft
from jobs.training.launch import train_as_asked
from jobs.training.measure import measure_as_asked
from jobs.training.process import prepared
from jobs.training.stop import TrainingStop
from pipeline.experiment.budgets import CountedRows, budget_of
from pipeline.experiment.measures import asked_of
from pipeline.sft.training.train import Trained
from schemas.errors import SpecError
from schemas.experiment_result import CellResult
from schemas.retention import Measured
from schemas.sft_spec import SftSpec


class TellingWatch:
    """A training's listener: hands figures on to the process that leads."""

    def __init__(self, tell: Tell, stop: TrainingStop | None = None) -> None:
        self._tell, self._stop = tell, stop

    def say(self, words: str) -> None:
        """Into the cell's log."""
        print(words, flush=True)

    def began(self, steps: int, done: int) -> None:
        """Tell how many steps there are."""
        self._tell({"step": done, "steps": steps})

    def logged(self, figures: Mapping[str, float]) -> None:
        """Tell, and write into the log."""
        print({name: float(f"{value:.5g}") for name, value in figures.items()}, flush=True)
        self._tell({name: figures[name] for name in ("step", "loss") if name in figures})

    def stopping(self) -> bool:
        """As was asked."""
        return self._stop is not None and self._stop.asked


def count_rows(sft: str, out: str, tell: Tell) -> None:
    """The rows that an arm is trained on, in order."""
    spec = load_sft(sft)
    _, mixture = prepared(spec, TellingWatch(tell))
    write_whole(Path(out), _counted(spec, mixture.dataset).model_dump_json())


def measure_original(sft: str, out: str, tell: Tell) -> None:
    """The model that nothing was done to."""
    spec = load_sft(sft)
    write_whole(Path(out), _measured(spec, spec.model, tell).model_dump_json())


def run_cell(location: str, keep: str, tell: Tell) -> None:
    """Train an arm at a seed, and measure what came out."""
    folder = CellFolder(Path(location))
    spec, asked, timed = folder.spec(), folder.asked(), _Seconds(tell)
    trained, rows = _trained(spec, asked.weights, timed, tell)
    with timed("measure"):
        measured = _measured(spec, str(trained.folder), tell)
        where = f"base.retention: what is asked, or where (now {measured.conditions})"
        _check_same(where, asked_of(measured), asked.items)
    losses = [figures["loss"] for figures in trained.log if "loss" in figures]
    result = CellResult(
        **asked.model_dump(exclude={"per_step", "weights", "items"}),
        budget=budget_of(rows, asked.per_step, spec.training.max_steps),
        loss=losses[-1] if losses else None,
        seconds=timed.seconds,
        measured=measured,
    )
    write_whole(folder.result_file, result.model_dump_json())
    folder.clear(weights=keep != "keep")


def _trained(
    spec: SftSpec, weights: str, timed: "_Seconds", tell: Tell
) -> tuple[Trained, CountedRows]:
    stop = TrainingStop()
    watch = TellingWatch(tell, stop)
    with stop.listening():
        with timed("prepare"):
            trainee, mixture = prepared(spec, watch)
            rows = _counted(spec, mixture.dataset)
            _check_same(trainee.location, trainee.weights, weights)
        with timed("train"), stop.noted():
            return train_as_asked(spec, trainee, mixture, watch), rows


def _check_same(what: str, found: str, expected: str) -> None:
    if found != expected:
        raise SpecError(
            f"{what}: is another than when this experiment was started, expected the same for all "
            "cells. Start the command again; cells that no longer compare are done anew."
        )


def _measured(spec: SftSpec, model: str, tell: Tell) -> Measured:
    def watch(name: str, done: int, of: int) -> None:
        tell({"measure": name, "done": done, "of": of})

    trainee, original = load_trainee(model), load_trainee(spec.teacher or spec.model)
    return measure_as_asked(spec.retention, trainee, original, spec.storage_options, watch)


def _counted(spec: SftSpec, dataset: Any) -> CountedRows:
    """Lengths by row, and a digest of all there is in them."""
    import numpy as np
    import pyarrow.compute as pc

    from pipeline.sft.example import IGNORED

    hasher, tokens, learned, parts = hashlib.sha256(), [], [], []
    for batch in dataset.with_format("arrow").iter(batch_size=1000):
        ids, labels = batch["input_ids"], batch["labels"]
        lengths = pc.list_value_length(ids).to_numpy()
        flat = pc.list_flatten(labels).to_numpy()
        ends = np.cumsum(lengths)
        carried = np.concatenate([[0], np.cumsum(flat != IGNORED)])
        learned += (carried[ends] - carried[ends - lengths]).tolist()
        tokens += lengths.tolist()
        parts += batch["part"].to_pylist()
        for array in (pc.list_flatten(ids).to_numpy(), flat, lengths):
            hasher.update(array.astype(np.int64).tobytes())
    return CountedRows(
        names=tuple(spec.parts),
        parts=tuple(parts),
        tokens=tuple(tokens),
        learned=tuple(learned),
        digest=hasher.hexdigest(),
    )


class _Seconds:
    """How long each thing took."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        self._tell({"doing": what})
        began = time.monotonic()
        yield
        self.seconds[what] = round(time.monotonic() - began, 2)
