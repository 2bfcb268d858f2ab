"""Small stored runs, refined in this process."""

import uuid
from collections.abc import Sequence

from hypothesis import HealthCheck, settings

from pipeline.pool.tasks import LocalTasks
from pipeline.refine.comparisons import PARTITION_BYTES
from pipeline.refine.loop import Asked, Origin, refine
from pipeline.storage.drops import read_drops
from pipeline.storage.open import open_store
from pipeline.storage.reader import read_kept
from pipeline.verify.drops import drop_defects
from schemas.manifest import Snapshot
from schemas.refine_spec import RefineSpec
from tests.planted import Turn, id_of, store_run
from tests.trying import THOROUGH, examples

ALL_PAIRS = settings(
    max_examples=examples(25),
    derandomize=not THOROUGH,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def stored(rows: Sequence[Turn], *, seed: int = 0, signed: bool = True) -> Origin:
    """A sealed run in memory."""
    store = open_store(f"memory://{uuid.uuid4().hex}")
    return Origin(store, *store_run(store, rows, seed=seed, signed=signed))


def refined(
    *origins: Origin,
    withdrawn: Sequence[str] = (),
    attempt: str = "a",
    partition_bytes: int = PARTITION_BYTES,
    **spec: object,
) -> Snapshot:
    """The snapshot that a refinement gives."""
    tasks = LocalTasks()
    asked = Asked(RefineSpec.model_validate(spec), withdrawn)
    try:
        return refine(
            origins,
            asked,
            tasks,
            attempt=attempt,
            note=lambda doing: None,
            partition_bytes=partition_bytes,
        )
    finally:
        tasks.close()


def kept_ids(origin: Origin, snapshot: Snapshot) -> list[str]:
    """The ids of what a reader gets."""
    tables = read_kept(origin.store, snapshot, ["node_id"])
    return [node for table in tables for node in table.column("node_id").to_pylist()]


def drops_of(origin: Origin, snapshot: Snapshot) -> dict[str, dict]:
    """The drop list by node."""
    if snapshot.drops is None:
        return {}
    return {row["node_id"]: row for row in read_drops(origin.store, snapshot.drops).to_pylist()}


def assert_kept(origin: Origin, snapshot: Snapshot, expected: Sequence[Turn]) -> None:
    """These rows are kept, and the drop list is sound."""
    run_id = origin.run_file.run_id
    assert sorted(kept_ids(origin, snapshot)) == sorted(id_of(run_id, row) for row in expected)
    assert list(drop_defects(origin.store, snapshot)) == []


def dialogue(tree: int, opening: int, *texts: str) -> list[Turn]:
    """One path, of a tree with one root."""
    return [Turn(tree, (opening, *(0 for _ in texts[:depth])), t) for depth, t in enumerate(texts)]


def forest(*dialogues: list[Turn]) -> list[Turn]:
    """With a root for each tree."""
    turns = [turn for one in dialogues for turn in one]
    return [*(Turn(tree, (), "On things.") for tree in sorted({t.tree for t in turns})), *turns]


def ordered(rows: list[Turn]) -> list[Turn]:
    """In row order."""
    return sorted(rows, key=lambda row: (row.tree, row.path))
