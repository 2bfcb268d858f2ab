"""What the ledger promises over every store: one manifest a wave, whatever is lost on the way."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from pipeline.storage.ledger import Ledger
from pipeline.storage.repairs import Repairs, write_repair
from pipeline.storage.store import Store
from schemas.errors import AlreadyExists, CorruptData, NewerSchema, StoreError
from schemas.fingerprint import canonical, digest
from schemas.manifest import FORMAT_VERSION, Manifest, Repair
from tests.faulty_store import FaultyStore, Killed, Mode
from tests.stored import RUN, make_manifest, make_nodes, write_nodes

OpenAgain = Callable[[], Store]
NAME = "ledger/000000.json"


def test_commit_makes_a_wave_that_others_read(store: Store, open_again: OpenAgain) -> None:
    ours = make_manifest()
    assert Ledger(store).read("000000") is None
    assert Ledger(store).commit(ours) == ours
    assert Ledger(open_again()).read("000000") == ours


def test_second_commit_returns_the_winner_and_changes_nothing(
    store: Store, open_again: OpenAgain
) -> None:
    first = Ledger(store).commit(make_manifest(attempt="a"))
    assert Ledger(open_again()).commit(make_manifest(attempt="b")) == first
    assert Ledger(store).read("000000") == first


def test_commit_again_by_the_same_attempt_is_no_loss(store: Store) -> None:
    ours = make_manifest()
    assert Ledger(store).commit(ours) == ours
    assert Ledger(store).commit(ours) == ours


def test_news_are_the_waves_that_are_not_known(store: Store, open_again: OpenAgain) -> None:
    first = Ledger(store).commit(make_manifest("000000"))
    ledger = Ledger(open_again())
    assert ledger.news(frozenset()) == ledger.all() == {"000000": first}
    second = Ledger(store).commit(make_manifest("000000.0"))
    assert ledger.news({"000000"}) == {"000000.0": second}
    assert ledger.news({"000000", "000000.0"}) == {}


def test_racing_commits_all_return_one_winner(open_again: OpenAgain) -> None:
    ledgers = [Ledger(open_again()) for _ in range(4)]
    start = threading.Barrier(len(ledgers))

    def commit(index: int) -> Manifest:
        start.wait(timeout=60)
        return ledgers[index].commit(make_manifest(attempt=f"driver-{index}"))

    with ThreadPoolExecutor(len(ledgers)) as threads:
        winners = list(threads.map(commit, range(len(ledgers))))
    assert {winner.attempt for winner in winners} == {winners[0].attempt}
    assert ledgers[0].read("000000") == winners[0]


class _LateListing:
    """Lists a folder as one sees it that looked at some names before another driver made them."""

    def __init__(self, store: Store, unseen: set[str]) -> None:
        self._store, self._unseen = store, unseen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def list(self, folder: str) -> list[str]:
        return [name for name in self._store.list(folder) if name not in self._unseen]


def test_all_finds_the_waves_above_those_that_a_listing_showed(store: Store) -> None:
    for wave in ("000000", "000000.0", "000000.0.1", "000001"):
        Ledger(store).commit(make_manifest(wave))
    unseen = {"ledger/000000.json", "ledger/000000.0.json", "ledger/000001.json"}
    found = Ledger(_LateListing(store, unseen)).all()
    assert list(found) == ["000000", "000000.0", "000000.0.1"]
    store.delete("ledger/000000.0.json")
    with pytest.raises(CorruptData, match=r"000000\.0\.json: is not there, .*arborist repair"):
        Ledger(_LateListing(store, unseen)).all()


def test_all_gives_every_manifest_by_wave(store: Store) -> None:
    ledger = Ledger(store)
    assert ledger.all() == {}
    waves = ["000001", "000000", "000000.0", "000000.10", "000000.2", "000000.2.1"]
    expected = {wave: ledger.commit(make_manifest(wave)) for wave in waves}
    store.create("nodes/000007-a.parquet", b"no manifest")
    assert ledger.all() == expected
    assert ledger.waves() == sorted(waves)


@pytest.mark.parametrize("mode", ["before", "after"])
@pytest.mark.parametrize("fail_at", [1, 2])
def test_commit_survives_one_failed_operation(store: Store, mode: Mode, fail_at: int) -> None:
    ours = make_manifest()
    faulty = FaultyStore(store, fail_at, mode)
    assert Ledger(faulty, Repairs()).commit(ours) == ours
    assert Ledger(store).read("000000") == ours


def test_commit_whose_failure_hides_a_winner_returns_the_winner(store: Store) -> None:
    theirs = Ledger(store).commit(make_manifest(attempt="theirs"))
    faulty = FaultyStore(store, 1, "before")
    assert Ledger(faulty, Repairs()).commit(make_manifest(attempt="ours")) == theirs


def test_commit_with_an_unknown_outcome_raises_and_can_be_asked_again(store: Store) -> None:
    class Down(FaultyStore):
        def read(self, name: str) -> bytes:
            raise StoreError(f"cannot read {name}")

    ours = make_manifest()
    with pytest.raises(StoreError, match="cannot read"):
        Ledger(Down(store, 1, "after"), Repairs()).commit(ours)
    assert Ledger(store).commit(ours) == ours


@pytest.mark.parametrize(
    ("mode", "winner"), [("killed before", "second"), ("killed after", "first")]
)
def test_commit_of_a_killed_driver_is_whole_or_absent(
    store: Store, mode: Mode, winner: str
) -> None:
    with pytest.raises(Killed):
        Ledger(FaultyStore(store, 1, mode), Repairs()).commit(make_manifest(attempt="first"))
    assert Ledger(store).commit(make_manifest(attempt="second")).attempt == winner


def make_repair(number: int, *waves: str) -> Repair:
    return Repair(run_id=RUN, number=number, waves=waves, snapshots=(), reasons=("damaged",))


def test_repair_retires_a_wave_and_those_below_until_they_are_committed_again(
    store: Store, open_again: OpenAgain
) -> None:
    before = Ledger(store)
    for wave in ("000000", "000000.0", "000000.10", "000001"):
        before.commit(make_manifest(wave))
    write_repair(store, make_repair(1, "000000.0"))
    after = Ledger(open_again())
    assert after.waves() == ["000000", "000000.10", "000001"]
    assert after.read("000000.0") is None
    again = make_manifest("000000.0", "second").model_copy(update={"epoch": 1})
    assert after.commit(again) == again
    write_repair(store, make_repair(2, "000000"))
    assert Ledger(store).waves() == ["000001"]
    assert Ledger(store).epoch_of("000000.0.7") == 2


def test_second_repair_with_a_number_is_refused(store: Store) -> None:
    write_repair(store, make_repair(1, "000000"))
    write_repair(store, make_repair(1, "000000"))
    with pytest.raises(AlreadyExists, match="another repair took this number"):
        write_repair(store, make_repair(1, "000001"))


def test_discard_deletes_the_shards_of_the_loser_only(store: Store) -> None:
    nodes, ledger = make_nodes(2, 4), Ledger(store)
    write = partial(write_nodes, store, nodes)
    theirs, ours = write(attempt="theirs"), write(attempt="ours")
    winner = ledger.commit(make_manifest(attempt="theirs", shards=theirs))
    assert ledger.commit(make_manifest(attempt="ours", shards=ours)) == winner
    ledger.discard(ours)
    assert store.list("") == sorted([NAME, *(entry.name for entry in theirs)])


def test_read_of_an_edited_manifest_names_the_file(store: Store) -> None:
    content = json.loads(make_manifest().to_bytes())
    content["frontier"] = 4
    store.create(NAME, json.dumps(content).encode())
    with pytest.raises(CorruptData, match=r"ledger/000000\.json.*edited or damaged"):
        Ledger(store).read("000000")


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b'{"digest": "x"}', b"\xff\xfe"])
def test_read_of_a_damaged_manifest_names_the_file(store: Store, payload: bytes) -> None:
    store.create(NAME, payload)
    with pytest.raises(CorruptData, match=r"ledger/000000\.json"):
        Ledger(store).read("000000")


def test_read_of_a_newer_manifest_says_to_use_the_newer_version(store: Store) -> None:
    content = make_manifest().model_dump(mode="json") | {"format": FORMAT_VERSION + 1, "new": 1}
    sealed = content | {"digest": digest(canonical(content))}
    store.create(NAME, json.dumps(sealed).encode())
    with pytest.raises(NewerSchema, match="newer version"):
        Ledger(store).all()


def test_read_of_a_renamed_manifest_is_refused(store: Store) -> None:
    store.create("ledger/000001.json", make_manifest("000000").to_bytes())
    with pytest.raises(CorruptData, match="renamed"):
        Ledger(store).read("000001")


def test_commit_where_another_run_lies_is_refused(store: Store) -> None:
    Ledger(store).commit(make_manifest(run="another"))
    with pytest.raises(CorruptData, match="another run"):
        Ledger(store).commit(make_manifest())
