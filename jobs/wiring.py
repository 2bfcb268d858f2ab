"""Names become objects: models, engines, pools. Backends load when chosen."""

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import NamedTuple

from jobs.curation import curation_identity
from jobs.engine_factories import SCRIPTED, engine_factory
from jobs.engine_places import node_labels, require_sense
from jobs.fitting import fitting_rows
from jobs.model_place import ModelPlace
from jobs.recipes import load_recipe, recipe_identity
from jobs.rows import Rows
from pipeline.embedders.load import HASHING
from pipeline.flight import Pace
from pipeline.metrics.meter import Meter, NoMeter
from pipeline.pool.pool import GroupPlan, Pool, PoolLimits
from pipeline.tree.recipe import LevelRule, rules_of
from pipeline.tree.roots import plant
from pipeline.tree.rules import groups_of, phrases_of
from pipeline.tree.run import Run, Speller
from schemas.dialect import Dialect
from schemas.engine_group_spec import EngineGroupSpec
from schemas.errors import SpecError
from schemas.execution_spec import RunSpec
from schemas.fingerprint import Identity, ModelIdentity, canonical, digest, run_id
from schemas.generation_spec import GenerationSpec
from schemas.manifest import RunFile
from schemas.records import Root, to_ids

ODDS_ON_GPUS, ODDS_ELSEWHERE = 0.5, 0.9
"""At least, that children which are asked ahead will be wanted."""


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
    models = models_of(spec)
    run = _nameless(generation, models)
    rows = fitting_rows(spec, run, measured=any(model.weights != SCRIPTED for model in models))
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
        tongues=run.tongues,
        dialects=run.dialects,
        phrases=tuple(
            {text: tuple(ids.tolist()) for text, ids in phrases.items()} for phrases in run.phrases
        ),
    )
    return Resolved(run_file, rows, run.spellers)


class Model(NamedTuple):
    """What a run must know of one of its models."""

    weights: str
    dialect: Dialect
    speller: Speller


def models_of(spec: RunSpec) -> list[Model]:
    """By model index, what one of its engine groups says of it."""
    generation, used = spec.generation, used_groups(spec)
    chats = any(rule.role != "text" for rule in _rules(generation))
    models = []
    for index in range(1 + len(generation.models)):
        name = next((name for name in used if generation.model_index(name) == index), None)
        if name is None:
            raise _unused(generation, index)
        group = used[name]
        if group.backend == SCRIPTED:
            models.append(_scripted_model())
        else:
            place = ModelPlace.of(group, name, spec.execution)
            models.append(_read_model(group, place, chats=chats))
    return models


def _unused(spec: GenerationSpec, index: int) -> SpecError:
    name = sorted(spec.models)[index - 1] if index else "`model`"
    return SpecError(
        f"generation.models: nothing is written by {name}; expected every model to be run by an "
        "engine group that a level, the judge or a critique names."
    )


def _rules(spec: GenerationSpec) -> tuple[LevelRule, ...]:
    return rules_of(load_recipe(spec.recipe), spec)


def _nameless(spec: GenerationSpec, models: Sequence[Model]) -> Run:
    """The run before its rows are read, on which its name and its number of trees depend."""
    dialects = list({digest_of(model.dialect): model.dialect for model in models}.values())
    tongues = tuple(dialects.index(model.dialect) for model in models)
    spellers = tuple(models[tongues.index(t)].speller for t in range(len(dialects)))
    recipe = load_recipe(spec.recipe)
    said = phrases_of(rules_of(recipe, spec))
    return Run(
        run_id="",
        spec=spec,
        recipe=recipe,
        trees=0,
        tongues=tongues,
        dialects=tuple(dialects),
        phrases=tuple({text: speller.ids(text) for text in said} for speller in spellers),
        spellers=spellers,
    )


def _scripted_model() -> Model:
    from pipeline.dialects.scripted import ScriptedSpeller, scripted_dialect

    return Model(SCRIPTED, scripted_dialect(), ScriptedSpeller())


def _read_model(group: EngineGroupSpec, place: ModelPlace, *, chats: bool) -> Model:
    from pipeline.dialects.derive import derive_dialect, require_chat
    from pipeline.dialects.spelling import TokenizerSpeller
    from pipeline.dialects.tokenizer import generation_eos_ids, load_tokenizer

    # The code that a model brings along is run where the engine is told to, and only there.
    weights = place.digest(group.adapter, code=bool(group.args.get("trust_remote_code")))
    location = place.described()
    tokenizer = load_tokenizer(location)
    dialect = derive_dialect(tokenizer, eos_ids=generation_eos_ids(location))
    if chats:
        require_chat(dialect, place.location)
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


def model_location(model: str) -> str:
    """The directory on this machine of a model that a person names."""
    return ModelPlace.of(EngineGroupSpec(model=model)).whole()


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
    require_sense(execution, used_groups(spec))
    groups = [
        GroupPlan(
            name=name,
            make_engine=engine_factory(name, spec, run_file),
            least=group.least,
            lease=group.lease,
            weights=run_file.identity.models[spec.generation.model_index(name)].weights,
            cpus=group.booked,
            gpus=group.gpus,
            most=group.most,
            loading=group.loading,
            stages=group.pipeline_parallel,
            labels=node_labels(group),
            environment=group.environment,
        )
        for name, group in used_groups(spec).items()
    ]
    limits = PoolLimits(
        attempts=execution.attempts,
        restarts=execution.restarts,
        start_s=execution.start_s,
        stall_s=execution.stall_s,
        machine_restarts=execution.machine_restarts,
        wait_s=execution.wait_s,
    )
    if execution.pool == "local":
        from pipeline.pool.local import LocalPool

        return LocalPool(groups, limits)
    from pipeline.pool.ray import RayPool

    return RayPool(groups, limits, address=execution.ray_address)


def make_meter(spec: RunSpec, run_file: RunFile, attempt: str) -> Meter:
    """Who takes the numbers of a driver whose pool has started."""
    if spec.execution.pool == "local":
        return NoMeter()
    from pipeline.pool.ray_metrics import ray_meter

    return ray_meter({"run": run_file.run_id, "attempt": attempt})


def used_groups(spec: RunSpec) -> dict[str, EngineGroupSpec]:
    """The engine groups that something is asked of, in order of name."""
    known = spec.execution.engines
    used = groups_of(_rules(spec.generation))
    for name in used:
        if name not in known:
            raise SpecError(
                f"generation.recipe: {spec.generation.recipe} asks the engine group {name}, "
                f"expected one of execution.engines: {', '.join(sorted(known))}."
            )
    return {name: known[name] for name in used}


def pace_of(spec: RunSpec) -> Pace:
    """How much is in flight at once."""
    groups = used_groups(spec).values()
    engines = sum(group.most for group in groups)
    lease = max(group.lease for group in groups)
    slots = min(group.slots for group in groups)
    return Pace(engines, lease, slots, _least_odds(spec), spec.execution.waves_in_flight)


def _least_odds(spec: RunSpec) -> float:
    """Of what is asked ahead. A step of a CPU takes longer with each sequence, and what a server
    writes may be paid for."""
    if spec.execution.ask_ahead is not None:
        return spec.execution.ask_ahead
    on_gpus = all(group.gpus for group in used_groups(spec).values())
    return ODDS_ON_GPUS if on_gpus else ODDS_ELSEWHERE
