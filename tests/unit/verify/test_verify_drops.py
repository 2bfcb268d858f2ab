"""Every defect that is planted in the drop list of a sound refinement is found and named."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from pipeline.pool.tasks import LocalTasks
from pipeline.refine.loop import Asked, Origin, refine
from pipeline.storage.drops import read_drops, write_drops
from pipeline.storage.open import open_store
from pipeline.storage.snapshots import read_snapshot
from pipeline.storage.store import Store
from pipeline.verify.drops import drop_defects
from schemas.drop_list import DROP_SCHEMA
from schemas.manifest import EarlierRun, Snapshot
from schemas.refine_spec import RefineSpec
from tests.planted import QUESTIONS, Turn, id_of, store_run

ROWS = [
    Turn(0, (), "On things."),
    Turn(0, (0,), QUESTIONS[0]),
    Turn(0, (0, 0), "Paris."),
    Turn(1, (), "On things."),
    Turn(1, (0,), QUESTIONS[1]),
    Turn(1, (0, 0), "It is Paris."),
    Turn(1, (1,), QUESTIONS[4]),
]


@pytest.fixture
def origin(tmp_path) -> Origin:
    store = open_store(str(tmp_path))
    return Origin(store, *store_run(store, ROWS))


@pytest.fixture
def sound(origin: Origin) -> Snapshot:
    """One near duplicate with its answer fell."""
    snapshot = refined(origin)
    assert list(drop_defects(origin.store, snapshot)) == []
    assert snapshot.drops is not None
    assert snapshot.drops.rows == 2
    return snapshot


def refined(origin: Origin, **spec: Any) -> Snapshot:
    tasks = LocalTasks()
    asked = Asked(RefineSpec(**spec))
    return refine([origin], asked, tasks, attempt="a", note=lambda doing: None)


def ids(origin: Origin) -> list[str]:
    return [id_of(origin.run_file.run_id, row) for row in ROWS]


def planted(
    store: Store, snapshot: Snapshot, change: Callable[[list[dict]], None], **fields: Any
) -> str:
    """What is said of the snapshot once the rows of its list are changed."""
    assert snapshot.drops is not None
    assert snapshot.refinement is not None
    rows = read_drops(store, snapshot.drops).to_pylist()
    change(rows)
    table = pa.Table.from_pylist(rows, schema=DROP_SCHEMA)
    entry = write_drops(store, table, run_id=snapshot.run_id, number=2, attempt="planted")
    reasons = [row["reason"] for row in rows]
    told = {reason: reasons.count(reason) for reason in sorted(set(reasons))}
    refinement = snapshot.refinement.model_copy(update={"dropped": told})
    changes = {"drops": entry, "refinement": refinement, **fields}
    return "\n".join(drop_defects(store, snapshot.model_copy(update=changes)))


def test_verify_drops_list_without_the_subtree(origin, sound):
    said = planted(origin.store, sound, lambda rows: rows.pop(1))
    assert f"node {ids(origin)[5]}: is kept below {ids(origin)[4]}, which is dropped." in said


def test_verify_drops_unknown_node(origin, sound):
    said = planted(origin.store, sound, lambda rows: rows[0].update(node_id="nobody"))
    assert "node nobody: is in the drop list, but no kept node" in said


def test_verify_drops_node_at_another_place(origin, sound):
    said = planted(origin.store, sound, lambda rows: rows[1].update(path=[0, 7]))
    assert f"node {ids(origin)[5]}: the drop list has it at another place." in said


def test_verify_drops_unknown_keeper(origin, sound):
    said = planted(origin.store, sound, lambda rows: rows[0].update(keeper_id="nobody"))
    assert "node nobody: is a keeper in the drop list, but no kept node" in said


def test_verify_drops_keeper_that_is_dropped_itself(origin, sound):
    said = planted(origin.store, sound, lambda rows: rows[0].update(keeper_id=ids(origin)[5]))
    assert f"for the sake of {ids(origin)[5]}, which is dropped itself" in said


def test_verify_drops_keeper_of_a_run_not_compared_with(origin, sound):
    change = {"keeper_id": "of another run", "keeper_run": "other"}
    said = planted(origin.store, sound, lambda rows: rows[0].update(change))
    assert "for the sake of run other, which was not compared with" in said
    earlier = (EarlierRun(run_id="other", snapshot=1),)
    known = sound.refinement.model_copy(update={"against": earlier})
    compared = sound.model_copy(update={"refinement": known})
    assert planted(origin.store, compared, lambda rows: rows[0].update(change)) == ""


def test_verify_drops_without_evidence(origin, sound):
    said = planted(origin.store, sound, lambda rows: rows[0].update(similarity=None))
    assert "without a keeper and a similarity" in said


def test_verify_drops_unknown_reason(origin, sound):
    said = planted(origin.store, sound, lambda rows: rows[0].update(reason="boring"))
    assert "fell as boring, which is no reason" in said


def test_verify_drops_subtree_of_a_node_beside_it(origin, sound):
    said = planted(origin.store, sound, lambda rows: rows[1].update(keeper_id=ids(origin)[1]))
    assert f"of {ids(origin)[1]}, which is no dropped node above it" in said


def test_verify_drops_out_of_order_or_twice(origin, sound):
    assert "not in the order of tree and path" in planted(
        origin.store, sound, lambda rows: rows.reverse()
    )


def test_verify_drops_node_named_twice(origin, sound):
    said = planted(origin.store, sound, lambda rows: rows.append(rows[1]))
    assert "names a node more than once" in said


def test_verify_drops_counts_that_do_not_add_up(origin, sound):
    told = sound.refinement.model_copy(update={"dropped": {"duplicate": 9}})
    said = list(drop_defects(origin.store, sound.model_copy(update={"refinement": told})))
    assert said == [
        "snapshot 2: says it drops {'duplicate': 9}, "
        "its drop list holds {'near_duplicate': 1, 'subtree': 1}."
    ]


def test_verify_drops_biases_name_a_drop_list_just_where_there_is_one(origin, sound):
    def said(snapshot: Snapshot, *biases: str) -> list[str]:
        return list(
            drop_defects(origin.store, snapshot.model_copy(update={"biases": tuple(biases)}))
        )

    assert said(sound, "top_p 0.9", "drop list") == said(origin.snapshot, "top_p 0.9") == []
    assert said(sound, "top_p 0.9") == [
        "snapshot 2: leaves rows out, but does not name its drop list among its biases."
    ]
    assert said(origin.snapshot, "drop list") == [
        "snapshot 1: names a drop list among its biases, but has none."
    ]


def test_verify_drops_damaged_or_removed_list(origin, sound, tmp_path):
    file = tmp_path / sound.drops.name
    payload = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(payload[:-1])
    assert "cut off or changed" in "\n".join(drop_defects(origin.store, sound))
    file.unlink()
    assert "it was removed" in "\n".join(drop_defects(origin.store, sound))


def test_verify_drops_other_rows_than_its_base(origin, sound):
    said = planted(origin.store, sound, lambda rows: None, shards=sound.shards[:-1])
    assert "names other rows than snapshot 1" in said


def test_verify_drops_earlier_drops_are_kept_on(origin, sound):
    later = refined(origin._replace(snapshot=sound), scopes=["openings"], threshold=0.7)
    assert later == sound
    refinement = sound.refinement.model_copy(update={"round": 2})
    lost = sound.model_copy(
        update={"number": 3, "refined_from": 2, "drops": None, "refinement": refinement}
    )
    said = "\n".join(drop_defects(origin.store, lost))
    assert "its earlier drops are not those of snapshot 2" in said
    assert read_snapshot(origin.store, 2) == sound


def test_verify_drops_withdrawn_node_that_is_back(origin, sound):
    gone = withdrawn(origin, sound, 1)
    assert list(drop_defects(origin.store, gone)) == []
    back = sound.model_copy(update={"number": 4, "refined_from": 1})
    [said] = drop_defects(origin.store, back)
    assert f"node {ids(origin)[1]}: was withdrawn in snapshot 3, but is not in snapshot 4" in said


def test_verify_drops_earlier_drop_may_be_withdrawn_later_and_nothing_else(origin, sound):
    later = withdrawn(origin, sound, 4)
    assert list(drop_defects(origin.store, later)) == []

    def change(rows: list[dict]) -> None:
        rows[0].update(reason="near_duplicate", keeper_id=ids(origin)[1], similarity=0.9)

    assert "its earlier drops are not those of snapshot 2" in planted(origin.store, later, change)


def withdrawn(origin: Origin, snapshot: Snapshot, row: int) -> Snapshot:
    asked = Asked(RefineSpec(), [ids(origin)[row]])
    refined_one = origin._replace(snapshot=snapshot)
    return refine([refined_one], asked, LocalTasks(), attempt="b", note=lambda doing: None)
