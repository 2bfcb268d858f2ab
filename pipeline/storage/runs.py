"""The run file: what a run was asked for, written once before its first wave."""

from pipeline.storage.settle import settle
from pipeline.storage.store import Store
from schemas.errors import CorruptData, EnvironmentMismatch, LocationError, NewerSchema, NotFound
from schemas.manifest import RunFile
from schemas.node_table import TABLE_VERSION

RUN_FILE = "run.json"


def create_run(store: Store, run_file: RunFile) -> RunFile:
    """Begin a run, or join the one that is there; its run file as it is stored."""
    stored = _parse(store, settle(store, RUN_FILE, run_file.to_bytes()))
    _check_same_run(store, stored, run_file)
    return stored


def open_run(store: Store) -> RunFile:
    """The run file of the run at this location."""
    try:
        payload = store.read(RUN_FILE)
    except NotFound as error:
        raise LocationError(f"{store.location}: holds no run, {RUN_FILE} is missing.") from error
    return _parse(store, payload)


def _parse(store: Store, payload: bytes) -> RunFile:
    where = f"{store.location}/{RUN_FILE}"
    run_file = RunFile.from_bytes(payload, name=where)
    if run_file.table_version > TABLE_VERSION:
        raise NewerSchema(
            f"{where}: the run's node table is version {run_file.table_version}, this version "
            f"writes {TABLE_VERSION}; use arborist {run_file.arborist}, which began the run."
        )
    return run_file


def _check_same_run(store: Store, stored: RunFile, ours: RunFile) -> None:
    where = f"{store.location}/{RUN_FILE}"
    for part in ("run_id", "generation", "identity"):
        if getattr(stored, part) != getattr(ours, part):
            raise CorruptData(
                f"{where}: belongs to another run, its {part} differs: found "
                f"{getattr(stored, part)!r}, expected {getattr(ours, part)!r}. Remove what was "
                "copied here, or use another location."
            )
    _check_same_rows(where, stored, ours)
    for part in ("dialects", "tongues", "phrases"):
        if getattr(stored, part) != getattr(ours, part):
            raise EnvironmentMismatch(
                f"{where}: its {part} is not what this environment derives from the same "
                f"tokenizer and template. The run was begun with arborist {stored.arborist}, this "
                f"is {ours.arborist}; continue with that version and its transformers, or begin "
                "another run (another seed)."
            )


def _check_same_rows(where: str, stored: RunFile, ours: RunFile) -> None:
    """The identity says that the data are the same; the names of their files may change."""
    theirs, found = ((run.rows.good, run.rows.bad) for run in (stored, ours))
    if theirs != found:
        raise EnvironmentMismatch(
            f"{where}: the run was begun with {theirs[0]:,} rows to grow from and {theirs[1]:,} "
            f"that nothing can grow from; this environment finds {found[0]:,} and {found[1]:,} in "
            f"the same data. The run was begun with arborist {stored.arborist}, this is "
            f"{ours.arborist}; continue with that version, or begin another run (another seed)."
        )
