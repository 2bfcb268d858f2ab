"""Small trainings: rows made by hand, a tiny trainee, and a watch that remembers."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from pipeline.dialects.derive import derive_dialect
from pipeline.dialects.tokenizer import generation_eos_ids, load_tokenizer
from pipeline.engines.weights import weights_digest
from pipeline.sft.trainee import Trainee
from schemas.sft_spec import SftSpec

VOCABULARY = 303


class Listener:
    """A watch that keeps what it hears, and stops after a step if it is told to."""

    def __init__(self, stop_after=None):
        self.said, self.figures, self.beginnings = [], [], []
        self._left = stop_after

    def say(self, words):
        self.said.append(words)

    def began(self, steps, done):
        self.beginnings.append((steps, done))

    def logged(self, figures):
        self.figures.append(dict(figures))

    def stopping(self):
        if self._left is None:
            return False
        self._left -= 1
        return self._left <= 0


def make_trainee(folder: Path) -> Trainee:
    """The trainee in a model's folder."""
    location = str(folder)
    tokenizer = load_tokenizer(location)
    dialect = derive_dialect(tokenizer, eos_ids=generation_eos_ids(location))
    return Trainee(location, tokenizer, dialect, weights_digest(location), context=256)


def make_rows(number, *, seed=0, part=0, length=(5, 14), learned_from=0.4, k=0):
    """Rows of arbitrary ids, the later ones learned; with stored distributions of k tokens."""
    draw = np.random.default_rng(seed)
    rows = []
    for _ in range(number):
        ids = draw.integers(0, 300, draw.integers(*length))
        labels = np.where(np.arange(len(ids)) >= learned_from * len(ids), ids, -100)
        row = {"input_ids": ids.tolist(), "labels": labels.tolist(), "part": part}
        rows.append(row | (stored(labels, k, draw) if k is not None else {}))
    return rows


def stored(labels, k, draw):
    """Distributions as a run stores them, of all but every third learned id."""
    at = np.flatnonzero(labels != -100)
    at = at[np.arange(len(at)) % 3 != 2] if k else at[:0]
    full = draw.dirichlet(np.full(VOCABULARY, 0.1), len(at)) + 1e-9
    ids = np.argsort(-full, axis=1)[:, :k]
    top = np.take_along_axis(full, ids, 1)
    return {
        "target_at": at.tolist(),
        "target_ids": ids.ravel().tolist(),
        "target_logprobs": np.log(top).ravel().tolist(),
        "target_tail": np.clip(1 - top.sum(1), 0, 1).tolist(),
    }


def mixed(*parts):
    """Rows of several parts in turn, and then what is left of the longer ones."""
    longest = max(map(len, parts))
    return [part[i] for i in range(longest) for part in parts if i < len(part)]


def make_mixture(rows, spec, sources=None):
    """What prepare makes, of rows that are at hand."""
    from datasets import Dataset

    return SimpleNamespace(
        dataset=Dataset.from_list(rows),
        counts={name: {"rows": len(rows)} for name in spec.parts},
        sources={name: {"kind": "data"} for name in spec.parts} | (sources or {}),
    )


def make_sft_spec(model, output, *, parts=None, **sections) -> SftSpec:
    """A spec whose parts are named, and whose rows are given beside it."""
    parts = parts or {"task": {}}
    named = {
        name: part
        if "run" in part
        else (RUN if part.get("objective") == "stored_kl" else DATA) | part
        for name, part in parts.items()
    }
    training = {"learning_rate": 1e-2, "schedule": "constant", "warmup": 0.0, "batch_rows": 4}
    training |= sections.pop("training", {})
    return SftSpec.model_validate(
        {"model": str(model), "output": str(output), "parts": named, "training": training}
        | sections
    )


DATA = {"data": {"files": "x.jsonl"}}
RUN = {"run": {"location": "r"}}
