"""A repair beside drivers, refinements and other repairs: what is good is never retired or swept,
and what is retired never comes back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.export import check_withdrawn
from jobs.tongues import tongues_of
from jobs.wiring import open_run_value
from pipeline.refine.loop import Origin
from pipeline.repair import Cure, carry_out, plan_repair
from pipeline.storage.ledger import Ledger
from pipeline.storage.open import open_store
from pipeline.storage.runs import open_run
from pipeline.storage.snapshots import (
    latest,
    read_snapshot,
    seal_snapshot,
    snapshot_numbers,
    sweep_orphans,
)
from pipeline.storage.store import Store
from pipeline.verify.verify import verify
from schemas.errors import AlreadyExists, CorruptData, Interrupted, LocationError, UserError
from schemas.manifest import Repair
from tests.builders import (
    Bystander,
    assert_whole,
    defects_of,
    make_spec,
    memory_store,
    rows_of,
    run_scripted,
)
from tests.refining import kept_ids, refined
from tests.tampering import manifest_file, read_manifest, reseal

SPEC = make_spec(trees=2, bounds=(1, 8))
FIRST = "000000"


@pytest.fixture(scope="module")
def expected() -> list[dict]:
    store = memory_store()
    run_scripted(store, SPEC)
    return rows_of(store)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(str(tmp_path / "run"))
    run_scripted(store, SPEC)
    return store


def retire(store: Store, *waves: str) -> None:
    """A repair that found these damaged."""
    ledger = Ledger(store)
    repair = Repair(
        run_id=open_run(store).run_id, number=ledger.repairs.last + 1, waves=waves, reasons=("x",)
    )
    carry_out(store, Cure(repair, 0, (), False, ()))


def planned(store: Store, ledger: Ledger | None = None) -> Cure:
    ledger = ledger or Ledger(store)
    run_file = open_run(store)
    tongues = tongues_of(run_file, ())
    run = open_run_value(run_file, tongues.spellers)
    return plan_repair(ledger, run_file.run_id, list(verify(run, ledger)))


def origin_of(store: Store) -> Origin:
    snapshot = latest(store)
    assert snapshot is not None
    return Origin(store, open_run(store), snapshot)


class Meanwhile:
    """A store where something happens once, before the first operation of a kind."""

    def __init__(self, store: Store, before: str, happens: Callable[[], object]) -> None:
        self._store, self._before, self._happens = store, before, [happens]

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._store, name)
        return self._watched(name, operation) if callable(operation) else operation

    def _watched(self, name: str, operation: Callable[..., object]) -> Callable[..., object]:
        def run(*args: Any) -> object:
            if f"{name} {args[0]}".startswith(self._before) and self._happens:
                self._happens.pop()()
            return operation(*args)

        return run


def test_sweep_by_a_snapshot_from_before_a_repair_deletes_nothing(
    store: Store, expected: list[dict]
):
    stale = latest(store)
    assert stale is not None
    retire(store, FIRST)
    run_scripted(store, SPEC, "second")
    with pytest.raises(CorruptData, match=r"nothing was swept.* start the same command again"):
        sweep_orphans(store, stale)
    assert_whole(store, expected)


def test_sweep_overtaken_by_a_repair_and_a_driver_leaves_their_shards(
    store: Store, expected: list[dict]
):
    def overtake() -> None:
        retire(store, FIRST)
        run_scripted(store, SPEC, "second")

    snapshot = latest(store)
    assert snapshot is not None
    overtaken: Any = Meanwhile(store, "list repairs", overtake)
    with pytest.raises(CorruptData, match="nothing was swept"):
        sweep_orphans(overtaken, snapshot)
    assert_whole(store, expected)


def test_snapshot_refined_from_before_a_repair_does_not_count(store: Store, expected: list[dict]):
    stale = latest(store)
    assert stale is not None
    retire(store, FIRST)
    seal_snapshot(store, stale.model_copy(update={"number": 2}))
    assert latest(store) is None
    with pytest.raises(CorruptData, match="snapshot 2 was retired by repair 1"):
        read_snapshot(store, 2)
    assert run_scripted(store, SPEC, "second").number == 3
    assert_whole(store, expected)


def test_generate_whose_waves_are_retired_before_it_seals_says_so(expected: list[dict]):
    store = memory_store()
    overtaken: Any = Meanwhile(store, "create snapshots", lambda: retire(store, FIRST))
    with pytest.raises(CorruptData, match=r"repair 1 retired waves .* same command again"):
        run_scripted(overtaken, SPEC)
    assert latest(store) is None
    run_scripted(store, SPEC, "second")
    assert_whole(store, expected)


def test_verify_beside_a_driver_that_ends_the_run_meanwhile_finds_nothing(expected: list[dict]):
    store = memory_store()
    with pytest.raises(Interrupted):
        run_scripted(store, SPEC, watch=Bystander(stop_after=2))
    ends: Any = Meanwhile(store, "read nodes/", lambda: run_scripted(store, SPEC, "second"))
    cure = planned(ends)
    assert cure.repair is None and not cure.beyond
    assert_whole(store, expected)


def test_verify_file_that_may_not_be_read_is_no_damage(store: Store):
    def refuse() -> None:
        raise LocationError("access denied")

    closed: Any = Meanwhile(store, f"read ledger/{FIRST}", refuse)
    with pytest.raises(LocationError, match="access denied"):
        planned(closed)


def test_repair_planned_before_another_one_is_refused(store: Store, tmp_path: Path):
    manifest_file(tmp_path / "run", FIRST).unlink()
    ledger = Ledger(store)
    cures = [planned(store, ledger) for _ in range(2)]
    carry_out(store, cures[0])
    run_scripted(store, SPEC, "second")
    cures[1] = cures[1]._replace(repair=cures[1].repair.model_copy(update={"reasons": ("other",)}))
    with pytest.raises(AlreadyExists, match="same command again"):
        carry_out(store, cures[1])
    assert defects_of(store) == []


def test_repair_of_the_snapshot_that_others_were_refined_from_ends(tmp_path: Path):
    store = open_store(str(tmp_path / "run"))
    part = make_spec(trees=4, bounds=(2, 10), budget={"nodes": 1})
    assert not run_scripted(store, part).complete
    refined(origin_of(store), duplicates="exact")
    whole = make_spec(trees=4, bounds=(2, 10))
    assert run_scripted(store, whole, "second").complete
    first = tmp_path / "run" / "snapshots" / "00001.json"
    first.write_text(first.read_text().replace('"complete": false', '"complete": true'))
    carry_out(store, planned(store))
    run_scripted(store, whole, "third")
    assert defects_of(store) == []
    assert planned(store).repair is None


def test_repair_what_was_withdrawn_stays_withdrawn(store: Store, tmp_path: Path):
    node = next(row for row in rows_of(store) if row["level"] == 1 and not row["drop_reason"])
    snapshot = refined(origin_of(store), duplicates="exact", withdrawn=[node["node_id"]])
    assert node["node_id"] not in kept_ids(origin_of(store), snapshot)
    manifest_file(tmp_path / "run", FIRST).unlink()
    cure = planned(store)
    assert cure.repair is not None and cure.repair.withdrawn == (node["node_id"],)
    carry_out(store, cure)
    run_scripted(store, SPEC, "second")
    grown = origin_of(store)
    assert node["node_id"] in kept_ids(grown, grown.snapshot)
    with pytest.raises(UserError, match=r"1 nodes were withdrawn .*arborist refine"):
        check_withdrawn(store, grown.snapshot)
    snapshot = refined(grown, duplicates="exact")
    check_withdrawn(store, snapshot)
    assert node["node_id"] not in kept_ids(grown, snapshot)
    assert defects_of(store) == []


def test_generate_manifest_that_promises_too_many_parents_is_an_error_not_a_hang(
    store: Store, tmp_path: Path
):
    folder = tmp_path / "run"
    reseal(folder, FIRST, frontier=read_manifest(folder, FIRST).frontier + 3)
    (folder / "snapshots" / "00001.json").unlink()
    with pytest.raises(CorruptData, match=r"leave it no parents.* `arborist repair`"):
        run_scripted(store, SPEC, "second")


@pytest.mark.parametrize(
    "name", ["drops/notes.txt", "ledger/0000001.json", "snapshots/7.json", "repairs/notes.json"]
)
def test_strange_files_disturb_nobody(
    name: str, store: Store, expected: list[dict], tmp_path: Path
):
    file = tmp_path / "run" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("{}")
    assert rows_of(store) == expected
    assert snapshot_numbers(store) == [1]
    assert run_scripted(store, SPEC, "second").number == 1
    ours = [text for text in defects_of(store) if "no manifest of a wave" not in text]
    assert ours == []


@pytest.mark.parametrize("change", ["removed", "renamed", "copied"])
def test_repairs_that_were_tampered_with_are_found(change: str, store: Store, tmp_path: Path):
    for wave in (FIRST, "000001"):
        retire(store, wave)
    first, second = sorted((tmp_path / "run" / "repairs").iterdir())
    if change == "removed":
        first.unlink()
    elif change == "renamed":
        second.rename(second.with_name("00003.json"))
    else:
        second.write_bytes(Repair(run_id="0" * 16, number=2, waves=(FIRST,), reasons=()).to_bytes())
    with pytest.raises(CorruptData, match="repair"):
        Ledger(store).all()
