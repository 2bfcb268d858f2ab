"""`arborist.json`, which lies beside all weights that are saved: what they were made of.

It is written last, so what has one is whole; a checkpoint's also names its files and their sizes.
"""

import json
import os
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.sft.trainee import Trainee
from schemas.sft_spec import SftSpec

if TYPE_CHECKING:
    from pipeline.sft.rows.prepare import Mixture

NAME = "arborist.json"

_IDLE = (
    *("output", "retention", "storage_options", "launch.by", "launch.ray_address"),
    *("training.log_every", "training.save_every", "training.keep", "training.tensorboard"),
    # Known by the digests of what lies there.
    *("model", "teacher"),
    *(f"parts.*.{place}" for place in ("data.files", "run.location")),
    *(f"rows.*.source.{place}" for place in ("files", "location", "notes")),
)
"""Keys that have no say in the weights; `*` stands for a part's name."""


class Made(BaseModel):
    """What one model directory is."""

    model_config = ConfigDict(frozen=True)

    location: str
    weights: str
    """Digest, as runs name the model that wrote them."""


class Provenance(BaseModel):
    """What weights were made of, and by what."""

    model_config = ConfigDict(frozen=True)

    software: dict[str, str]
    spec: dict[str, Any]
    model: Made
    dialect: dict[str, str] = {}
    """How the model spells: the digests of its tokenizer and its chat template."""
    teacher: Made | None = None
    """None: the model as it was at the start."""
    parts: dict[str, Any]
    """By name: how many rows, tokens and learned tokens, and where they came from."""
    warnings: tuple[str, ...] = ()
    steps: int = 0
    steps_planned: int = 0
    files: dict[str, int] = {}
    """Of a checkpoint: their sizes."""
    pending: dict[str, Any] = {}
    """Of a checkpoint: figures that were not logged yet."""
    log: list[dict[str, Any]] = []
    """Of a final model: the figures of the training."""

    def write(self, folder: Path) -> None:
        """Put it beside the weights, whole or not at all."""
        temporary = folder / f".{NAME}"
        with temporary.open("w", encoding="utf-8") as file:
            file.write(self.model_dump_json(indent=1))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / NAME)

    def differing(self, other: "Provenance") -> list[str]:
        """The keys of what decides weights in which another differs, and how, in words."""
        ours, theirs = (dict(_deciding(one)) for one in (self, other))
        return [
            f"{key}: {_told(theirs.get(key))} there, {_told(ours.get(key))} now"
            for key in sorted(ours.keys() | theirs.keys())
            if ours.get(key) != theirs.get(key)
        ]


def read(folder: Path) -> Provenance | None:
    """That of a folder; None where there is none, or one that is not whole."""
    try:
        return Provenance.model_validate_json((folder / NAME).read_bytes())
    except (OSError, ValidationError):
        return None


def is_taught(spec: SftSpec) -> bool:
    """Whether a teacher is asked as training goes."""
    return any(part.objective in ("model_kl", "reverse_kl") for part in spec.parts.values())


def provenance(
    spec: SftSpec, trainee: Trainee, mixture: "Mixture", teacher: Made | None
) -> Provenance:
    """Of weights that are about to be made."""
    parts = {
        name: {"counts": mixture.counts[name], "source": mixture.sources[name]}
        for name in spec.parts
    }
    return Provenance(
        software={name: version(name) for name in ("arborist", "torch", "transformers", "trl")},
        spec=spec.model_dump(mode="json"),
        model=Made(location=trainee.location, weights=trainee.weights),
        dialect=trainee.dialect.model_dump(include={"tokenizer", "template"}),
        teacher=teacher,
        # As it will be read again: tuples are lists there.
        parts=json.loads(json.dumps(parts)),
        warnings=tuple(_strangers(spec, trainee, mixture)),
    )


def _strangers(spec: SftSpec, trainee: Trainee, mixture: "Mixture") -> Iterator[str]:
    """Runs that other weights than the trainee's wrote."""
    for name, part in spec.parts.items():
        writers = mixture.sources[name].get("weights") or ()
        if part.run is not None and trainee.weights not in writers:
            yield (
                f"parts.{name}: the trainee {trainee.location} is not the model that wrote the "
                f"rows of {part.run.location}: its weights are {trainee.weights[:12]}, expected "
                f"{' or '.join(w[:12] for w in writers) or 'those that the run names'}. What "
                "these rows keep is the knowledge of that model."
            )


def _deciding(one: Provenance) -> Iterator[tuple[str, Any]]:
    for keys, value in _flat({**one.spec, "rows": one.parts}):
        idle = [".".join(keys[:i]) for i in range(1, len(keys) + 1)]
        if len(keys) > 1 and keys[0] in ("parts", "rows"):
            idle += [".".join((keys[0], "*", *keys[2:i])) for i in range(2, len(keys) + 1)]
        if not set(idle).intersection(_IDLE):
            yield ".".join(keys), value
    yield "model (digest of its weights)", one.model.weights
    for part in ("tokenizer", "template"):
        yield f"model (digest of its {part})", one.dialect.get(part)
    yield "teacher (digest of its weights)", one.teacher.weights if one.teacher else None


def _flat(value: Any, keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, (*keys, str(key)))
    else:
        yield keys, value


def _told(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
