"""Damage of every kind, anywhere: verify finds it, repair retires it, generate makes it again."""

import random
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import pytest

from jobs.status import as_text, standing_of
from jobs.tongues import tongues_of
from jobs.wiring import open_run_value
from pipeline.repair import Cure, carry_out, is_below, plan_repair, topmost
from pipeline.storage.ledger import Ledger
from pipeline.storage.open import open_store
from pipeline.storage.runs import open_run
from pipeline.storage.snapshots import latest, read_snapshot
from pipeline.storage.store import Store
from pipeline.verify.defect import Defect
from pipeline.verify.verify import verify
from schemas.errors import CorruptData
from tests.builders import assert_whole, defects_of, make_spec, rows_of, run_scripted
from tests.tampering import entry_of, manifest_file, read_manifest, recount, reseal, rewrite

SPEC = make_spec(trees=2, bounds=(1, 8))

Plant = Callable[[Store, Path, str, random.Random], object]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sealed run that nobody touches."""
    folder = tmp_path_factory.mktemp("sound") / "run"
    run_scripted(open_store(str(folder)), SPEC)
    return folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return Path(copytree(sound, tmp_path / "run"))


@pytest.fixture
def store(folder: Path) -> Store:
    return open_store(str(folder))


def defects(ledger: Ledger) -> list[Defect]:
    run_file = open_run(ledger.store)
    tongues = tongues_of(run_file, ())
    run = open_run_value(run_file, tongues.spellers)
    return list(verify(run, ledger, decoders=tongues.decoders))


def repaired(store: Store) -> Cure:
    ledger = Ledger(store)
    cure = plan_repair(ledger, open_run(store).run_id, defects(ledger))
    carry_out(store, cure)
    return cure


def some_shard(folder: Path, wave: str, chance: random.Random) -> Path:
    return folder / chance.choice(read_manifest(folder, wave).shards).name


def table_of(folder: Path, wave: str) -> str:
    """A table of nodes that the wave has."""
    tables = {entry.table for entry in read_manifest(folder, wave).shards}
    return "nodes" if "nodes" in tables else "dropped"


def flip_a_byte(store: Store, folder: Path, wave: str, chance: random.Random) -> None:
    file = some_shard(folder, wave, chance)
    content = bytearray(file.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    file.write_bytes(content)


def cut_a_shard_off(store: Store, folder: Path, wave: str, chance: random.Random) -> None:
    file = some_shard(folder, wave, chance)
    file.write_bytes(file.read_bytes()[: chance.randrange(file.stat().st_size)])


def remove_a_shard(store: Store, folder: Path, wave: str, chance: random.Random) -> None:
    some_shard(folder, wave, chance).unlink()


def exchange_shards(store: Store, folder: Path, wave: str, chance: random.Random) -> None:
    """The bytes of a neighbour's shard under this wave's name."""
    other = chance.choice([name for name in Ledger(store).waves() if name != wave])
    table = table_of(folder, wave)
    theirs = folder / entry_of(folder, table_of(folder, other), other).name
    (folder / entry_of(folder, table, wave).name).write_bytes(theirs.read_bytes())


def lose_a_row(store: Store, folder: Path, wave: str, chance: random.Random) -> None:
    rewrite(store, folder, lambda rows: rows.pop(), wave, table_of(folder, wave))


def double_a_row(store: Store, folder: Path, wave: str, chance: random.Random) -> None:
    rewrite(store, folder, lambda rows: rows.append(rows[-1]), wave, table_of(folder, wave))


def change_a_parent(store: Store, folder: Path, wave: str, chance: random.Random) -> None:
    def change(rows: list[dict]) -> None:
        rows[-1]["parent_id"] = "0" * len(rows[-1]["node_id"])

    rewrite(store, folder, change, wave, table_of(folder, wave))


def miscount(store: Store, folder: Path, wave: str, chance: random.Random) -> None:
    recount(folder, wave, kept=read_manifest(folder, wave).counts.kept + 1)


def misstate_the_frontier(store: Store, folder: Path, wave: str, chance: random.Random) -> None:
    reseal(folder, wave, frontier=read_manifest(folder, wave).frontier + 1)


def edit_a_manifest(store: Store, folder: Path, wave: str, chance: random.Random) -> None:
    file = manifest_file(folder, wave)
    file.write_text(file.read_text().replace('"asked": ', '"asked": 1'))


def remove_a_manifest(store: Store, folder: Path, wave: str, chance: random.Random) -> None:
    manifest_file(folder, wave).unlink()


def invent_a_wave(store: Store, folder: Path, wave: str, chance: random.Random) -> None:
    """A manifest of a wave that no plan leads to, with shards of its own."""
    name = f"{wave}.77"
    manifest = read_manifest(folder, wave).model_copy(update={"wave": name})
    (folder / "ledger" / f"{name}.json").write_bytes(manifest.to_bytes())


WAVE_DAMAGE: list[Plant] = [
    *(flip_a_byte, cut_a_shard_off, remove_a_shard, exchange_shards, lose_a_row, double_a_row),
    *(change_a_parent, miscount, misstate_the_frontier, edit_a_manifest, remove_a_manifest),
]


@pytest.mark.parametrize("plant", WAVE_DAMAGE)
@pytest.mark.parametrize("seed", range(3))
def test_repair_damage_anywhere_is_found_retired_and_made_again(
    plant: Plant, seed: int, sound: Path, store: Store, folder: Path
):
    chance = random.Random(seed)
    wave = chance.choice(Ledger(store).waves())
    plant(store, folder, wave, chance)
    assert defects_of(store), f"{plant.__name__} in wave {wave}"
    cure = repaired(store)
    assert cure.repair is not None and not cure.beyond
    assert all(is_below(retired, (wave,)) for retired in cure.repair.waves)
    assert cure.snapshots == (1,)
    assert latest(store) is None
    assert defects_of(store) == []
    snapshot = run_scripted(store, SPEC, "second")
    assert (snapshot.number, snapshot.complete) == (2, True)
    assert_whole(store, rows_of(open_store(str(sound))), f"{plant.__name__} in wave {wave}")
    again = {name for name, m in Ledger(store).all().items() if m.attempt == "second"}
    assert again == {w for w in Ledger(store).waves() if is_below(w, cure.repair.waves)}


def test_repair_wave_that_no_plan_leads_to_is_retired_alone(
    sound: Path, store: Store, folder: Path
):
    wave = Ledger(store).waves()[-1]
    invent_a_wave(store, folder, wave, random.Random(0))
    cure = repaired(store)
    assert cure.repair is not None and cure.repair.waves == (f"{wave}.77",)
    run_scripted(store, SPEC, "second")
    assert {m.attempt for m in Ledger(store).all().values()} == {"first"}
    assert_whole(store, rows_of(open_store(str(sound))))


def test_repair_again_and_again_epochs_rise_and_the_rest_stays(
    sound: Path, store: Store, folder: Path
):
    first, *_, last = Ledger(store).waves()
    remove_a_manifest(store, folder, last, random.Random(0))
    repaired(store)
    run_scripted(store, SPEC, "second")
    assert Ledger(store).epoch_of(last) == 1
    remove_a_manifest(store, folder, first, random.Random(0))
    cure = repaired(store)
    assert cure.repair is not None and cure.snapshots == (2,)
    assert cure.below > 0
    run_scripted(store, SPEC, "third")
    ledger = Ledger(store)
    assert (ledger.epoch_of(first), ledger.epoch_of(f"{first}.0")) == (2, 2)
    assert ledger.epoch_of(last) == (2 if is_below(last, (first,)) else 1)
    assert "repairs: 2" in as_text(standing_of(store))
    assert_whole(store, rows_of(open_store(str(sound))))


def test_repair_retired_snapshot_is_refused_with_the_reason(store: Store, folder: Path):
    remove_a_shard(store, folder, Ledger(store).waves()[0], random.Random(0))
    repaired(store)
    with pytest.raises(CorruptData, match=r"snapshot 1 was retired by repair 1.* later snapshot"):
        read_snapshot(store, 1)


def test_repair_damaged_snapshot_is_sealed_again_without_growing(
    sound: Path, store: Store, folder: Path
):
    file = folder / "snapshots" / "00001.json"
    file.write_text(file.read_text().replace('"complete": true', '"complete": false'))
    cure = repaired(store)
    assert cure.repair is not None
    assert (cure.repair.waves, cure.repair.snapshots) == ((), (1,))
    assert run_scripted(store, SPEC, "second").number == 2
    assert {m.attempt for m in Ledger(store).all().values()} == {"first"}
    assert_whole(store, rows_of(open_store(str(sound))))


def test_repair_foreign_shard_is_swept_and_nothing_is_retired(
    sound: Path, store: Store, folder: Path
):
    entry = entry_of(folder, "nodes")
    foreign = folder / entry.name.replace(".parquet", "x.parquet")
    foreign.write_bytes((folder / entry.name).read_bytes())
    assert [defect.orphan for defect in defects(Ledger(store))] == [True]
    cure = repaired(store)
    assert cure.repair is None and cure.orphans
    assert_whole(store, rows_of(open_store(str(sound))))


def test_repair_sound_run_has_nothing_to_do(store: Store):
    assert repaired(store) == Cure(None, 0, (), False, ())
    assert store.list("repairs") == []


def test_generate_wave_gone_above_others_stops_and_names_repair(store: Store, folder: Path):
    """Else its children would stay beside parents that say something else."""
    for file in (folder / "snapshots").iterdir():
        file.unlink()
    first = Ledger(store).waves()[0]
    remove_a_manifest(store, folder, first, random.Random(0))
    with pytest.raises(CorruptData, match=rf"{first}\.json: is not there, .*arborist repair"):
        run_scripted(store, SPEC, "second")
    repaired(store)
    run_scripted(store, SPEC, "second")
    assert defects_of(store) == []


def test_topmost_leaves_out_what_is_below_another():
    assert topmost(["000001.2", "000001", "000000.1.3", "000000.10"]) == (
        *("000000.1.3", "000000.10", "000001"),
    )
