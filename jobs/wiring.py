"""Names become objects: models, engines, pools. Backends load when chosen."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import Literal, NamedTuple

from jobs.curation import HASHING, curation_identity
from jobs.recipes import load_recipe, recipe_identity
from jobs.rows import Rows, rows_of
from pipeline.engines.engine import Engine
from pipeline.flight import Pace
from pipeline.pool.pool import EngineFactory, GroupPlan, Pool, PoolLimits
from pipeline.tree.judge import question_text
from pipeline.tree.roots import plant
from pipeline.tree.run import Run, Speller
from schemas.dialect import Dialect
from schemas.errors import SpecError
from schemas.execution_spec import EngineGroupSpec, RunSpec
from schemas.fingerprint import Identity, ModelIdentity, canonical, digest, run_id
from schemas.generation_spec import GenerationSpec, ModelSpec
from schemas.manifest import RunFile
from schemas.records import Root, to_ids

SCRIPTED = "scripted"
FIRST_TREES = 64
"""Whose openings are spelled before anything else."""


def rehearsal(spec: RunSpec) -> RunSpec:
    """The same run with scripted engines in this process: no model, no GPU, no Ray."""
    groups = {
        name: group.model_copy(update={"backend": SCRIPTED})
        for name, group in spec.execution.engines.items()
    }
    changes = {"engines": groups, "pool": "local", "embedder": HASHING, "workers": 0}
    execution = spec.execution.model_copy(update=changes)
    return spec.model_copy(update={"execution": execution})


class Resolved(NamedTuple):
    """A run as it will be known, and what its roots are made with."""

    run_file: RunFile
    rows: Rows
    spellers: tuple[Speller, ...]

    @property
    def run(self) -> Run:
        """As the value that the pure rooms work with."""
        return open_run_value(self.run_file, self.spellers)

    def plant(self, tree_ids: Iterable[int]) -> list[Root]:
        """The roots of trees."""
        return plant(self.run, self.rows, tree_ids)


def resolve(spec: RunSpec) -> Resolved:
    """Everything that the spec only names, looked up: rows, digests, dialects, run id."""
    generation = spec.generation
    rows = rows_of(spec)
    models = [_model(spec, groups) for groups in model_groups(generation)]
    dialects = list({digest_of(model.dialect): model.dialect for model in models}.values())
    tongues = [dialects.index(model.dialect) for model in models]
    spellers = tuple(models[tongues.index(t)].speller for t in range(len(dialects)))
    identity = Identity(
        models=tuple(map(_model_identity, models)),
        recipe=recipe_identity(generation.recipe),
        roots=rows.digest,
        curation=curation_identity(spec),
    )
    run_file = RunFile(
        run_id=run_id(generation, identity),
        arborist=version("arborist"),
        generation=generation,
        identity=identity,
        rows=rows.row_count,
        tongues=tuple(tongues),
        dialects=tuple(dialects),
        phrases=tuple(_spelled(speller, phrases_of(generation)) for speller in spellers),
    )
    resolved = Resolved(run_file, rows, spellers)
    check_context(resolved)
    return resolved


class Model(NamedTuple):
    """What a run must know of one of its models."""

    weights: str
    dialect: Dialect
    speller: Speller


def model_groups(spec: GenerationSpec) -> list[list[str]]:
    """The engine groups by the index of the model they run."""
    indices = range(1 + len(spec.models))
    groups = [[g for g in spec.groups if spec.model_index(g) == index] for index in indices]
    unused = [index for index, names in enumerate(groups) if not names]
    if unused:
        name = sorted(spec.models)[unused[0] - 1] if unused[0] else "`model`"
        raise SpecError(
            f"generation.models: nothing is written by {name}; expected every model to be run by "
            "an engine group that a level, the judge or a critique names."
        )
    return groups


def _model(spec: RunSpec, groups: Sequence[str]) -> Model:
    name = groups[0]
    group = spec.execution.engines[name]
    return _scripted_model() if group.backend == SCRIPTED else _read_model(group, name)


def _scripted_model() -> Model:
    from pipeline.dialects.scripted import ScriptedSpeller, scripted_dialect

    return Model(SCRIPTED, scripted_dialect(), ScriptedSpeller())


def _read_model(group: EngineGroupSpec, name: str) -> Model:
    from pipeline.dialects.derive import derive_dialect
    from pipeline.dialects.spelling import TokenizerSpeller
    from pipeline.dialects.tokenizer import generation_eos_ids, load_tokenizer
    from pipeline.engines.weights import weights_digest

    location = model_location(group, name)
    weights = weights_digest(location, group.adapter)
    tokenizer = load_tokenizer(location)
    dialect = derive_dialect(tokenizer, eos_ids=generation_eos_ids(location))
    return Model(weights, dialect, TokenizerSpeller(tokenizer, dialect))


def _model_identity(model: Model) -> ModelIdentity:
    return ModelIdentity(
        weights=model.weights,
        tokenizer=model.dialect.tokenizer,
        template=model.dialect.template,
        dialect=digest_of(model.dialect),
    )


def digest_of(dialect: Dialect) -> str:
    """Of all that a dialect says."""
    return digest(canonical(dialect.model_dump(mode="json")))


def is_rehearsal(run_file: RunFile) -> bool:
    """Whether scripted engines write the run."""
    return all(model.weights == SCRIPTED for model in run_file.identity.models)


def phrases_of(spec: GenerationSpec) -> list[str]:
    """The texts that the run itself says between turns."""
    judge = spec.curation.judge
    said = [] if judge is None else [question_text(judge, role) for role in judge.roles]
    for level in spec.levels:
        said += [level.say] if level.say is not None else []
        said += [level.critique.critique, level.critique.rewrite] if level.critique else []
    return list(dict.fromkeys(said))


def _spelled(speller: Speller, texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    return {text: tuple(speller.ids(text).tolist()) for text in texts}


def model_location(group: EngineGroupSpec, name: str = "main") -> str:
    """The directory of a group's model."""
    if group.model is None:
        raise SpecError(
            f"execution.engines.{name}.model: missing; expected the directory of a model, or "
            "`packaged` for the small chat model that `arborist prepare-model` makes."
        )
    from jobs.prepare_model import packaged_location

    return packaged_location(group.model)


def check_context(resolved: Resolved) -> None:
    """The longest conversation below the first roots, its markers included, must fit.

    Longer rows further on are requests that fail, and are counted.
    """
    run = resolved.run
    if is_rehearsal(resolved.run_file):
        return
    roots = resolved.plant(range(min(run.trees, FIRST_TREES)))
    longest = max(len(opening.ids) for root in roots for opening in root.openings.values())
    spec = run.spec
    markers = sum(_marker_room(run, level.role, level.say) for level in spec.levels)
    aside = _aside_room(run)
    needed = longest + markers + sum(level.max_tokens for level in spec.levels) + aside
    if needed > spec.model.context:
        raise SpecError(
            f"generation.model.context: found {spec.model.context}; the longest conversation may "
            f"take {needed} tokens ({longest} for what stands before its turns, {markers} for the "
            f"template's markers and what is said between turns, {aside} for what is asked about a "
            "turn, the rest for the levels' max_tokens). Raise the context or lower max_tokens."
        )


def _marker_room(run: Run, role: str, say: str | None) -> int:
    if role == "text":
        return 0
    said = 0 if say is None else max(len(phrases[say]) for phrases in run.phrases)
    return said + max(
        len(d.after_assistant) + max(len(d.after_user), len(d.ask_assistant)) for d in run.dialects
    )


def _aside_room(run: Run) -> int:
    judge = run.spec.curation.judge
    longest = max((len(ids) for phrases in run.phrases for ids in phrases.values()), default=0)
    rooms = [0 if judge is None else longest + judge.max_tokens]
    for level in run.spec.levels:
        if level.critique is not None:
            spec = level.critique
            rewrite = spec.rewrite_tokens or level.max_tokens
            rooms.append(2 * longest + spec.critique_tokens + rewrite)
    return max(rooms)


def open_run_value(run_file: RunFile, spellers: tuple[Speller, ...] = ()) -> Run:
    """A run file as the value that the pure rooms work with."""
    recipe = load_recipe(run_file.generation.recipe)
    return Run(
        run_id=run_file.run_id,
        spec=run_file.generation,
        recipe=recipe,
        trees=recipe.num_trees(run_file.generation, run_file.rows.good),
        tongues=run_file.tongues,
        dialects=run_file.dialects,
        phrases=tuple(
            {text: to_ids(ids) for text, ids in phrases.items()} for phrases in run_file.phrases
        ),
        spellers=spellers,
        curation=run_file.identity.curation,
    )


def make_pool(spec: RunSpec, run_file: RunFile) -> Pool:
    """The pool of a run, not started."""
    execution = spec.execution
    groups = [
        GroupPlan(
            name=name,
            make_engine=_factory(name, group, spec.generation),
            replicas=group.replicas,
            lease=group.lease,
            weights=run_file.identity.models[spec.generation.model_index(name)].weights,
            cpus=group.cpus,
            gpus=group.gpus,
        )
        for name, group in used_groups(spec).items()
    ]
    limits = PoolLimits(
        execution.attempts, execution.restarts, execution.start_s, execution.stall_s
    )
    if execution.pool == "local":
        from pipeline.pool.local import LocalPool

        return LocalPool(groups, limits)
    from pipeline.pool.ray import RayPool

    return RayPool(groups, limits, address=execution.ray_address)


def used_groups(spec: RunSpec) -> dict[str, EngineGroupSpec]:
    """The engine groups that something is asked of."""
    return {name: spec.execution.engines[name] for name in spec.generation.groups}


def pace_of(spec: RunSpec) -> Pace:
    """How much is in flight at once."""
    groups = used_groups(spec).values()
    engines = sum(group.replicas for group in groups)
    lease = max(group.lease for group in groups)
    gpus = sum(group.replicas * group.gpus for group in groups)
    return Pace(engines, lease, spec.execution.waves_in_flight, gpus)


def _factory(name: str, group: EngineGroupSpec, spec: GenerationSpec) -> EngineFactory:
    if group.backend == SCRIPTED:
        return partial(_make_scripted, dict(group.scripted), group.max_num_seqs)
    from pipeline.engines.distribution import require_one_vllm

    require_one_vllm()
    return partial(
        _make_vllm, group, spec.model_of(name), _Asked.of(spec), model_location(group, name)
    )


def _make_scripted(settings: Mapping[str, object], max_num_seqs: int, incarnation: int) -> Engine:
    from pipeline.engines.scripted import ScriptedConfig, ScriptedEngine

    config = ScriptedConfig.from_settings({"max_num_seqs": max_num_seqs, **settings})
    return ScriptedEngine(config, incarnation)


class _Asked(NamedTuple):
    """What a run asks of every engine."""

    guarantee: Literal["none", "seeded", "batch-invariant"]
    top_logprobs: int

    @classmethod
    def of(cls, spec: GenerationSpec) -> "_Asked":
        return cls(spec.guarantee, spec.top_logprobs)


def _make_vllm(
    group: EngineGroupSpec, model: ModelSpec, asked: _Asked, location: str, incarnation: int
) -> Engine:
    from pipeline.engines.vllm import VllmConfig, VllmEngine

    return VllmEngine(
        VllmConfig(
            model=location,
            adapter=group.adapter,
            context=model.context,
            dtype=model.dtype,
            quantization=model.quantization,
            max_num_seqs=group.max_num_seqs,
            max_num_batched_tokens=group.max_num_batched_tokens,
            kv_cache_gib=group.kv_cache_gib,
            cpus=group.cpus,
            gpus=group.gpus,
            guarantee=asked.guarantee,
            top_logprobs=asked.top_logprobs,
            args=group.args,
        )
    )
