"""What is at hand of a run's tongues: tokenizers, by the directories of its models."""

from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

from jobs.engine_factories import SCRIPTED
from jobs.model_place import ModelPlace
from pipeline.tree.run import Speller
from pipeline.verify.reach import Decode
from schemas.dialect import Dialect
from schemas.engine_group_spec import EngineGroupSpec
from schemas.errors import ModelError
from schemas.manifest import RunFile


class Tongues(NamedTuple):
    """As far as directories were given."""

    decoders: dict[int, Decode]
    """By tongue."""
    spellers: tuple[Speller, ...]
    """By tongue; () unless all can be spelled."""
    unlike: tuple[str, ...]
    """Directories with the tokenizer of a model of the run, but no model's template and stops."""


class _Model(NamedTuple):
    """One that is at hand."""

    dialect: Dialect
    decode: Decode
    speller: Speller


def tongues_of(run_file: RunFile, locations: Iterable[str]) -> Tongues:
    """What texts can be read with, and prompts be spelled; scripted models need no directory."""
    given = {location: _read(run_file, location) for location in locations}
    models = [*given.values(), *_scripted(run_file)]
    decoders = {model.dialect.tokenizer: model.decode for model in models}
    spellers = {model.dialect: model.speller for model in models}
    dialects = run_file.dialects
    return Tongues(
        {t: decoders[d.tokenizer] for t, d in enumerate(dialects) if d.tokenizer in decoders},
        tuple(spellers[d] for d in dialects) if spellers.keys() >= {*dialects} else (),
        tuple(where for where, model in given.items() if model.dialect not in dialects),
    )


def unread(run_file: RunFile, tongues: Tongues) -> list[str]:
    """The names of the models whose texts cannot be read."""
    spec = run_file.generation
    names = [spec.model.name, *(spec.models[group].name for group in sorted(spec.models))]
    return [
        name
        for name, tongue in zip(names, run_file.tongues, strict=True)
        if tongue not in tongues.decoders
    ]


def _scripted(run_file: RunFile) -> list[_Model]:
    from pipeline.dialects.scripted import ScriptedSpeller
    from pipeline.engines.scripted_author import decode

    models = zip(run_file.identity.models, run_file.tongues, strict=True)
    tongues = {tongue for model, tongue in models if model.weights == SCRIPTED}
    return [_Model(run_file.dialects[t], decode, ScriptedSpeller()) for t in sorted(tongues)]


def _read(run_file: RunFile, location: str) -> _Model:
    from pipeline.dialects.derive import derive_dialect
    from pipeline.dialects.spelling import TokenizerSpeller
    from pipeline.dialects.tokenizer import (
        decode,
        generation_eos_ids,
        load_tokenizer,
        tokenizer_digest,
    )

    location = ModelPlace.of(EngineGroupSpec(model=location)).described()
    if tokenizer_digest(location) not in {m.tokenizer for m in run_file.identity.models}:
        raise ModelError(f"{location}: its tokenizer is of none of the models that made this run.")
    tokenizer = load_tokenizer(location)
    dialect = derive_dialect(tokenizer, eos_ids=generation_eos_ids(location))
    return _Model(dialect, partial(decode, tokenizer), TokenizerSpeller(tokenizer, dialect))
