"""Other runs at a location that were asked for the same, so that no restart happens in silence.

A run whose embedder, weights or Unicode version is another one is another run: it begins with its
first wave, beside what is there.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress

from jobs.wiring import is_rehearsal
from pipeline.storage.open import join, open_store
from pipeline.storage.runs import open_run
from schemas.errors import ArboristError
from schemas.execution_spec import ExecutionSpec
from schemas.fingerprint import Identity
from schemas.manifest import RunFile

_MOST = 48
"""Folders that are looked into."""
_SHOWN = 24
"""Characters of a value."""


def siblings(execution: ExecutionSpec, ours: RunFile) -> Iterator[str]:
    """A line for each run that this one could be taken for; rehearsals are meant to be others."""
    for name, other in _others(execution, ours.run_id):
        rehearsed = [is_rehearsal(run) for run in (ours, other)]
        if other.generation == ours.generation and rehearsed[0] == rehearsed[1]:
            parts = _differing(_flat(other.identity), _flat(ours.identity))
            yield (
                f"note: {name} holds a run of the same `generation`, which this one does not "
                f"continue: {'; '.join(parts)}."
            )


def _others(execution: ExecutionSpec, run_id: str) -> Iterator[tuple[str, RunFile]]:
    """Those that can be read."""
    above = open_store(execution.location, execution.storage_options)
    folders = [folder for folder in above.folders() if folder != run_id]
    for folder in folders[:_MOST]:
        store = open_store(join(execution.location, folder), execution.storage_options)
        with suppress(ArboristError):
            yield store.location, open_run(store)


def _flat(identity: Identity) -> dict[str, str]:
    plain = {"recipe": identity.recipe, "roots": identity.roots}
    for index, model in enumerate(identity.models):
        named = f" of model {index}" if index else ""
        plain |= {f"{name}{named}": value for name, value in model.model_dump().items()}
    return plain | identity.curation


def _differing(there: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    names = [name for name in {**here, **there} if here.get(name) != there.get(name)]
    return [f"{name} was {_short(there.get(name))}, is {_short(here.get(name))}" for name in names]


def _short(value: str | None) -> str:
    """The end tells versions apart as well as digests."""
    if value is None:
        return "nothing"
    return value if len(value) <= _SHOWN else f"...{value[-_SHOWN:]}"
