"""Sealed runs as whoever trains on them opens them."""

from collections.abc import Callable, Mapping
from typing import Any

from jobs.recipes import check_recipe
from jobs.wiring import open_run_value
from pipeline.curate.personal import mask
from pipeline.sft.rows.run_source import SealedRun, snapshot_of
from pipeline.storage.open import find_run
from pipeline.storage.runs import open_run
from schemas.sft_spec import RunSource


def opener(storage_options: Mapping[str, Any] | None = None) -> Callable[[RunSource], SealedRun]:
    """Opens sources whose stores are reached in this way."""
    return lambda source: open_sealed(source, storage_options)


def open_sealed(source: RunSource, storage_options: Mapping[str, Any] | None = None) -> SealedRun:
    """The run of a source, at the snapshot that it means."""
    store = find_run(source.location, storage_options)
    run_file = open_run(store)
    check_recipe(run_file)
    snapshot = snapshot_of(store, source.snapshot)
    return SealedRun(store, snapshot, open_run_value(run_file), run_file.identity.models, mask)
