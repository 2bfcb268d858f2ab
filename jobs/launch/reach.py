"""What a spec names, and whether it would be there, where the job runs.

Refused is what cannot be: a path on the machine that submits. What may well be, such as a folder in
an image, is named, so that nobody finds out on paid GPUs.
"""

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from jobs.curation import PACKAGED as PACKAGED_EMBEDDER
from jobs.engine_factories import SCRIPTED
from jobs.launch.parcel import Parcel
from jobs.prepare_model import PACKAGED as PACKAGED_MODELS
from jobs.rows import locations_of
from jobs.wiring import used_groups
from pipeline.embedders.load import HASHING
from pipeline.recipes import RECIPES
from pipeline.storage.model_folder import is_in_store
from schemas.errors import SpecError
from schemas.execution_spec import RunSpec
from schemas.launch_spec import VolumeSpec

_STORE = (
    "name a store that all nodes reach (s3://bucket/runs), or the absolute path of a disk they "
    "share"
)


class Place(NamedTuple):
    """Something on a disk that a spec names."""

    key: str
    path: str

    def __str__(self) -> str:
        return f"{self.key}: {self.path}"

    @property
    def is_relative(self) -> bool:
        """Whether it depends on where the command is started."""
        return not PurePosixPath(self.path).is_absolute()


Told = Callable[[Place], str | None]


def notes_for_ray(parcel: Parcel, working_dir: Path | None) -> list[str]:
    """What to see to before a Ray job; `SpecError` for what cannot work."""

    def misses(place: Place) -> str | None:
        if not place.is_relative or _is_in(working_dir, place.path):
            return None
        return (
            f"{place} is a path on this machine, and the job is started elsewhere; give the "
            "absolute path it has on the cluster's nodes or a URI, or send the folder along "
            "(launch.ray.working_dir)"
        )

    location = _location(parcel.spec)
    lost = None
    if location is not None and location.is_relative:
        lost = f"{location} would lie in the job's own folder, which goes with the job; {_STORE}"
    _refuse(parcel.spec, misses, lost)
    fixed = [place for place in places_of(parcel.spec) if not place.is_relative]
    return [*_in_advance(parcel.spec, "on every node"), *_as_named(fixed, "on the cluster's nodes")]


def notes_for_pods(parcel: Parcel) -> list[str]:
    """The same for pods."""
    volumes = parcel.spec.execution.launch.kubernetes.volumes

    def misses(place: Place) -> str | None:
        if not place.is_relative:
            return None
        return (
            f"{place} is a path on this machine; expected an absolute path on a volume "
            "(launch.kubernetes.volumes) or in the image, or a URI"
        )

    location = _location(parcel.spec)
    lost = None
    if location is not None and not _is_on(volumes, location, writable=True):
        lost = (
            f"{location} lies on no volume that lasts, and a pod's disk goes with the pod; "
            "name a store (s3://bucket/runs), or a path below a volume with a claim that is "
            "written to (launch.kubernetes.volumes)"
        )
    _refuse(parcel.spec, misses, lost)
    loose = [place for place in _read(parcel.spec) if not _is_on(volumes, place)]
    return [*_in_advance(parcel.spec, "in the image"), *_as_named(loose, "in the image")]


def notes_for_nodes(parcel: Parcel) -> list[str]:
    """The same for Slurm's nodes, which see the folder that a job is submitted from."""
    _refuse(parcel.spec, lambda place: None, None)
    slurm = parcel.spec.execution.launch.slurm
    there = places_of(parcel.spec) if slurm.container else []
    inside = [place for place in there if not place.is_relative]
    return [
        *_in_advance(parcel.spec, "in the image" if slurm.container else "in your home folder"),
        *_as_named(inside, "in the image, or by launch.slurm.mounts"),
    ]


def places_of(spec: RunSpec) -> list[Place]:
    """All that lies on disks: the run, and what it reads."""
    location = _location(spec)
    return [*([location] if location else []), *_read(spec)]


def _refuse(spec: RunSpec, misses: Told, lost: str | None) -> None:
    found = [words for place in _read(spec) if (words := misses(place)) is not None]
    if spec.execution.location.startswith("memory://"):
        lost = f"execution.location: {spec.execution.location} goes with the job; {_STORE}"
    if lost is not None:
        found.insert(0, lost)
    if found:
        raise SpecError("; ".join(found) + ".")


def _location(spec: RunSpec) -> Place | None:
    """Where the run lies, if that is a disk."""
    path = _on_disk(spec.execution.location)
    return None if path is None else Place("execution.location", path)


def _read(spec: RunSpec) -> list[Place]:
    """Without the run itself."""
    named = [*_of_engines(spec), *_of_rows(spec)]
    found = ((key, _on_disk(value)) for key, value in named)
    return [Place(key, path) for key, path in found if path is not None]


def _of_engines(spec: RunSpec) -> Iterator[tuple[str, str]]:
    for name, group in used_groups(spec).items():
        if group.backend != SCRIPTED and group.model and group.model not in PACKAGED_MODELS:
            yield f"execution.engines.{name}.model", group.model
        if group.adapter:
            yield f"execution.engines.{name}.adapter", group.adapter


def _of_rows(spec: RunSpec) -> Iterator[tuple[str, str]]:
    execution = spec.execution
    for root in locations_of(spec) if spec.generation.roots.data is not None else ():
        yield "execution.roots", root
    for benchmark in execution.benchmarks:
        yield "execution.benchmarks", benchmark
    if _embeds(spec) and execution.embedder not in (PACKAGED_EMBEDDER, HASHING):
        yield "execution.embedder", execution.embedder
    if execution.cache and not PurePosixPath(execution.cache).is_absolute():
        yield "execution.cache", execution.cache


def _embeds(spec: RunSpec) -> bool:
    return spec.generation.curation.diversity is not None


def _on_disk(value: str) -> str | None:
    return None if is_in_store(value) else value.removeprefix("file://")


def _is_in(folder: Path | None, path: str) -> bool:
    """Whether a folder holds a file, a folder, or what a pattern stands for."""
    if folder is None or ".." in PurePosixPath(path).parts:
        return False
    return next(folder.glob(path.rstrip("/")), None) is not None


def _is_on(volumes: dict[str, VolumeSpec], place: Place, *, writable: bool = False) -> bool:
    fit = (each for each in volumes.values() if not writable or (each.claim and not each.read_only))
    return any(PurePosixPath(place.path).is_relative_to(each.path) for each in fit)


def _in_advance(spec: RunSpec, where: str) -> Iterator[str]:
    """What has to be made there before."""
    groups = used_groups(spec).values()
    named = {g.model for g in groups if g.backend != SCRIPTED and g.model in PACKAGED_MODELS}
    if _embeds(spec) and spec.execution.embedder == PACKAGED_EMBEDDER:
        named.add("the packaged embedder")
    if named:
        yield (
            f"{', '.join(sorted(map(str, named)))}: expected {where}, by `arborist prepare-model`"
        )
    if spec.generation.recipe not in RECIPES:
        yield f"the recipe {spec.generation.recipe}: its module is expected {where}, too"


def _as_named(places: list[Place], where: str) -> Iterator[str]:
    if places:
        yield f"expected under these names {where}: {', '.join(map(str, places))}"
