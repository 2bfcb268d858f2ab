"""Engine groups become functions that make engines, called where engines live."""

import logging
import os
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from jobs.model_place import ModelPlace
from pipeline.engines.engine import Engine
from pipeline.engines.self_test import TestedEngine, Trial
from pipeline.pool.pool import EngineFactory
from schemas.dialect import Dialect
from schemas.engine_group_spec import EngineGroupSpec
from schemas.errors import EngineError, EnvironmentMismatch, StoreError
from schemas.execution_spec import RunSpec
from schemas.generation_spec import ModelSpec
from schemas.manifest import RunFile
from schemas.records import to_ids

if TYPE_CHECKING:
    from pipeline.engines.server_config import Codec

log = logging.getLogger(__name__)

SCRIPTED = "scripted"
COMPILED = "compiled"
"""Folder of the cache for what engines compile."""


class _Asked(NamedTuple):
    """What a run asks of every engine of a group."""

    model: ModelSpec
    place: ModelPlace
    weights: str
    trial: Trial
    guarantee: Literal["none", "seeded", "batch-invariant"]
    top_logprobs: int
    apart: bool
    """Whether an engine's stages are actors that may lie on several nodes."""


def engine_factory(name: str, spec: RunSpec, run_file: RunFile) -> EngineFactory:
    """Makes the engines of a group."""
    group = spec.execution.engines[name]
    if group.backend == SCRIPTED:
        return partial(_make_scripted, dict(group.scripted), group.slots)
    asked = _asked(name, spec, run_file)
    if group.backend == "server":
        _require_seen(name, asked)
        return partial(_make_server, group, asked)
    from pipeline.engines.distribution import require_one_vllm, untested_versions

    require_one_vllm()
    if words := untested_versions():
        log.warning("%s", words)
    return partial(_make_vllm, group, asked)


def _asked(name: str, spec: RunSpec, run_file: RunFile) -> _Asked:
    group, generation = spec.execution.engines[name], spec.generation
    index = generation.model_index(name)
    on_ray = spec.execution.pool == "ray" and group.gpus > 0
    seeded = generation.guarantee != "none"
    return _Asked(
        model=generation.model_of(name),
        place=ModelPlace.of(group, name, spec.execution),
        weights=run_file.identity.models[index].weights,
        trial=trial_of(run_file.dialects[run_file.tongues[index]], seeded=seeded),
        guarantee=generation.guarantee,
        top_logprobs=generation.top_logprobs,
        apart=on_ray and group.pipeline_parallel > 1,
    )


def trial_of(dialect: Dialect, *, seeded: bool) -> Trial:
    """What stands before a turn, whatever the roots say."""
    before = (*dialect.start, *dialect.after_assistant) or dialect.text_stop_ids or (0,)
    return Trial(to_ids(before), dialect.vocab_size, seeded)


def _require_seen(name: str, asked: _Asked) -> None:
    if asked.guarantee == "batch-invariant":
        raise EnvironmentMismatch(
            f"execution.engines.{name}: a run that is batch-invariant (generation.guarantee) "
            "cannot be written by a server, of whose kernels nothing is seen; expected `backend: "
            "vllm`, or the guarantee `seeded`."
        )


def _make_scripted(settings: Mapping[str, object], max_num_seqs: int, incarnation: int) -> Engine:
    from pipeline.engines.scripted import ScriptedConfig, ScriptedEngine

    config = ScriptedConfig.from_settings({"max_num_seqs": max_num_seqs, **settings})
    return ScriptedEngine(config, incarnation)


def _make_vllm(group: EngineGroupSpec, asked: _Asked, incarnation: int) -> Engine:
    from pipeline.engines.vllm import VllmConfig, VllmEngine

    # With Ray they are set already; a pool in this process has but this one engine.
    os.environ.update(group.environment)
    model = asked.model
    config = VllmConfig(
        model=_brought_here(asked, group),
        adapter=group.adapter,
        context=model.context,
        dtype=model.dtype,
        quantization=model.quantization,
        max_num_seqs=group.max_num_seqs,
        max_num_batched_tokens=group.max_num_batched_tokens,
        kv_cache_gib=group.kv_cache_gib,
        cpus=group.booked,
        gpus=group.gpus,
        tensor_parallel=group.tensor_parallel,
        pipeline_parallel=group.pipeline_parallel,
        apart=asked.apart,
        guarantee=asked.guarantee,
        top_logprobs=asked.top_logprobs,
        cache=str(asked.place.cache_folder() / COMPILED),
        args=group.args,
    )
    return TestedEngine(VllmEngine(config), asked.trial)


def _brought_here(asked: _Asked, group: EngineGroupSpec) -> str:
    """The directory of the model on this machine."""
    # An adapter is part of the run's digest, but not of the model's folder.
    expected = asked.weights if group.adapter is None else None
    try:
        return asked.place.whole(expected, code=bool(group.args.get("trust_remote_code")))
    except StoreError as error:
        raise EngineError(f"The model could not be brought to this machine: {error}") from error


def _make_server(group: EngineGroupSpec, asked: _Asked, incarnation: int) -> Engine:
    from pipeline.engines.server import ServerConfig, ServerEngine

    assert group.server is not None, "the spec says so"
    urls = group.server.urls
    config = ServerConfig(
        # An engine that replaces one whose server is gone tries another server.
        url=urls[incarnation % len(urls)],
        name=group.server.name,
        key_variable=group.server.key_variable,
        timeout_s=group.server.timeout_s,
        weights=asked.weights,
        load_codec=partial(_load_codec, asked.place),
        context=asked.model.context,
        vocab_size=asked.trial.vocab_size,
        concurrency=group.lease,
        top_logprobs=asked.top_logprobs,
    )
    return TestedEngine(ServerEngine(config), asked.trial)


def _load_codec(place: ModelPlace) -> "Codec":
    from pipeline.dialects.tokenizer import decode, encode, load_tokenizer
    from pipeline.engines.server_config import Codec

    tokenizer: Any = load_tokenizer(place.described())
    return Codec(partial(encode, tokenizer), partial(decode, tokenizer))
