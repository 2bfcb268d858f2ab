"""What a report says of where a run came from, and how it is made again."""

import shlex
from collections.abc import Iterator, Sequence
from importlib.metadata import version

import yaml

from jobs.report_licence import licences
from jobs.status import Standing
from jobs.wiring import is_rehearsal
from pipeline.report.engines import Engines
from schemas.execution_spec import RunSpec
from schemas.fingerprint import ModelIdentity
from schemas.manifest import Manifest, RunFile, Software
from schemas.secrets import redacted

_DIGEST_CHARS = 16
_SHOWN = 10


def spec_yaml(run_file: RunFile) -> str:
    """All that decided rows, every default written out."""
    content = {"generation": run_file.generation.model_dump(mode="json")}
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
    return text


def facts(run_file: RunFile, software: Sequence[Software], spec: RunSpec | None) -> dict[str, str]:
    """By name, in the order in which they are read."""
    return dict(_facts(run_file, software, spec))


def _facts(
    run_file: RunFile, software: Sequence[Software], spec: RunSpec | None
) -> Iterator[tuple[str, str]]:
    yield "run id", f"{run_file.run_id} (a hash of the spec and of all digests below)"
    yield "arborist", f"{run_file.arborist} began the run, {version('arborist')} reports"
    yield "node table", f"version {run_file.table_version}"
    for number, one in enumerate(software, start=1):
        yield f"engines {number}" if len(software) > 1 else "engines", _engine(one)
    identity = run_file.identity
    names = [run_file.generation.model.name, *run_file.generation.models]
    for name, model in zip(names, identity.models, strict=True):
        yield f"model {name}", _model(model)
    yield "recipe", identity.recipe
    if identity.roots:
        yield "roots", identity.roots
    yield from ((f"curation: {name}", told) for name, told in identity.curation.items())
    if is_rehearsal(run_file):
        yield "rehearsal", "scripted engines wrote the texts; no model was asked"
    yield from licences(spec)


def _engine(one: Software) -> str:
    parts = (one.backend_version or one.backend, one.torch and f"torch {one.torch}", one.device)
    return ", ".join(part for part in (*parts, one.dtype, one.sampler) if part)


def _model(model: ModelIdentity) -> str:
    parts = model.model_dump()
    return ", ".join(f"{name} {told[:_DIGEST_CHARS]}" for name, told in parts.items())


def commands(standing: Standing, run_file: RunFile) -> tuple[str, ...]:
    """What makes the same run elsewhere, and what checks this one."""
    where = shlex.quote(redacted(standing.location.removeprefix("file://")))
    rehearsed = " --engine scripted" if is_rehearsal(run_file) else ""
    lines = [
        "# run.yaml: the spec below, with an `execution:` of your own",
        f"arborist plan run.yaml                # of the run {run_file.run_id}",
        f"arborist generate run.yaml{rehearsed}",
    ]
    if standing.refined is not None:
        lines.append("arborist refine RUN")
    return (*lines, f"arborist verify {where}", f"arborist report {where}")


def unknown(manifests: Sequence[Manifest], standing: Standing, engines: Engines) -> Iterator[str]:
    """What neither the ledger nor drivers hold, in sentences."""
    if engines.silent:
        named = ", ".join(engines.silent[:_SHOWN])
        more = len(engines.silent) - _SHOWN
        yield (
            "What engines did, and what they found in their prefix caches, in attempt "
            f"{named}{f' and {more:,} more' if more > 0 else ''}: a driver records it when it "
            "lets its engines go, so not while it is at work, and not where it was killed."
        )
    if engines.times and engines.cached_share is None:
        yield "What prefix caches saved: these engines did not count the prompts that they read."
    if not any(manifest.gpus for manifest in manifests):
        yield "GPU hours: no engine of the run held a GPU that is known, as on CPUs or on servers."
    if standing.repairs:
        yield (
            f"What was grown before {standing.repairs} repair"
            f"{'' if standing.repairs == 1 else 's'} retired it: retired waves count nowhere."
        )
    if standing.pilot is None:
        yield "How far off an estimate was: the run had no pilot (`arborist plan SPEC --pilot`)."
