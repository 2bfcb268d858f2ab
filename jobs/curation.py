"""What measures turns, from its names: the embedder, the benchmarks, the workers."""

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from pipeline.curate.versions import used_versions
from pipeline.pool.workers import Measure, MeasureFactory, Workers
from schemas.curation_spec import CurationSpec, DecontaminateSpec
from schemas.dialect import Dialect
from schemas.errors import ModelError, SpecError
from schemas.execution_spec import ExecutionSpec, RunSpec
from schemas.fingerprint import digest

HASHING = "hashing"
PACKAGED = "packaged"

Index = npt.NDArray[np.uint64]


def curation_identity(spec: RunSpec) -> dict[str, str]:
    """Versions and digests of all that decides verdicts; refuses what is missing."""
    versions = used_versions(spec.generation.curation)
    if (location := embedder_location(spec)) is not None:
        from pipeline.embedders.load import embedder_digest

        versions["embedder"] = embedder_digest(location)
    if _decontaminates(spec.generation.curation):
        versions["benchmarks"] = digest(b"".join(_benchmarks(spec.execution).values()))
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
            "yet; run `arborist prepare-model` once, or name `hashing`, which needs nothing, or "
            "the directory of a model, or switch generation.curation.diversity off."
        )
    return str(location)


def make_workers(spec: RunSpec, dialect: Dialect) -> Workers:
    """Those who measure turns, not started."""
    execution = spec.execution
    factory = measure_factory(spec, dialect)
    engines = sum(group.replicas for group in execution.engines.values())
    count = engines if execution.workers is None else execution.workers
    if count == 0:
        from pipeline.pool.local_workers import InlineWorkers

        return InlineWorkers(factory)
    if execution.pool == "local":
        from pipeline.pool.local_workers import ProcessWorkers

        return ProcessWorkers(factory, count)
    from pipeline.pool.ray_workers import RayWorkers

    return RayWorkers(factory, count)


def measure_factory(spec: RunSpec, dialect: Dialect) -> MeasureFactory:
    """How a worker makes what it measures with."""
    curation = spec.generation.curation
    return partial(make_measure, curation, dialect, embedder_location(spec), _index(spec))


def make_measure(
    curation: CurationSpec, dialect: Dialect, embedder: str | None, benchmark: Index | None
) -> Measure:
    """Called in the worker."""
    from pipeline.curate.measure import Measurer

    embed: Callable[..., npt.NDArray[np.float32]] | None = None
    if embedder is not None:
        from pipeline.embedders.load import load_embedder

        embed = load_embedder(embedder).embed
    return Measurer(curation, dialect, embed=embed, benchmark=benchmark)


def _decontaminates(curation: CurationSpec) -> list[DecontaminateSpec]:
    return [entry for entry in curation.filters if isinstance(entry, DecontaminateSpec)]


def _index(spec: RunSpec) -> Index | None:
    """The n-grams of all benchmark texts."""
    asked = _decontaminates(spec.generation.curation)
    if not asked:
        return None
    from pipeline.curate.filters.decontaminate import benchmark_index
    from pipeline.storage.texts import texts_of

    files = _benchmarks(spec.execution)
    texts = [text for name, payload in files.items() for text in texts_of(name, payload)]
    return benchmark_index(texts, asked[0].ngram)


def _benchmarks(execution: ExecutionSpec) -> dict[str, bytes]:
    from pipeline.storage.texts import read_benchmark

    if not execution.benchmarks:
        raise SpecError(
            "execution.benchmarks: empty, but the filter `decontaminate` looks for their texts; "
            "expected at least one file (.jsonl, .json, .parquet, .txt)."
        )
    return {name: read_benchmark(name, execution.storage_options) for name in execution.benchmarks}


def check_inputs(spec: RunSpec) -> None:
    """Refuse what is missing before anything is spent: the embedder, the benchmarks."""
    if (location := embedder_location(spec)) is not None:
        from pipeline.embedders.load import check_embedder

        check_embedder(location)
    _index(spec)
