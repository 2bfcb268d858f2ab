"""What a run asks of S3, by verb: a growing run lists nothing, and reads a shard at once."""

import sys
from collections import Counter
from collections.abc import Iterator

import pytest

from pipeline.storage.object_store import FsspecStore
from pipeline.storage.reader import read_kept
from pipeline.storage.snapshots import latest
from schemas.execution_spec import RunSpec
from schemas.manifest import Manifest
from tests.builders import Bystander, make_spec, run_scripted
from tests.s3_server import Wire, new_location, s3_server, wire_to


@pytest.fixture(scope="module")
def wired() -> Iterator[tuple[str, Wire]]:
    with s3_server() as endpoint, wire_to(endpoint) as pair:
        yield pair


@pytest.fixture
def wire(wired: tuple[str, Wire]) -> Wire:
    wired[1].clear()
    return wired[1]


@pytest.fixture
def store(wired: tuple[str, Wire], wire: Wire) -> FsspecStore:
    return FsspecStore(new_location(), {"endpoint_url": wired[0]})


class Counting(Bystander):
    """Notes the requests from the first committed wave to the last one."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire
        self.by_wave: list[Counter[str]] = []

    def committed(self, manifest: Manifest, *, ours: bool) -> None:
        super().committed(manifest, ours=ours)
        self.by_wave.append(Counter(self._wire.seen))


def grow(store: FsspecStore, wire: Wire, trees: int) -> tuple[int, Counter[str], Counter[str]]:
    """Waves, requests while these were committed, and requests of the whole run."""
    watch = Counting(wire)
    run_scripted(store, spec_of(trees), watch=watch)
    return len(watch.seen), watch.by_wave[-1] - watch.by_wave[0], Counter(wire.seen)


def spec_of(trees: int) -> RunSpec:
    """Cohorts of one tree and three waves."""
    return make_spec(fanouts=(2, 1), trees=trees, bounds=(1, 2), scripted={"mean_tokens": 5})


def test_generate_lists_at_start_and_at_sealing_whatever_the_number_of_waves(
    store: FsspecStore, wire: Wire, wired: tuple[str, Wire]
) -> None:
    waves, growing, whole = grow(store, wire, 2)
    wire.clear()
    other = FsspecStore(new_location(), {"endpoint_url": wired[0]})
    more_waves, more_growing, more_whole = grow(other, wire, 8)
    assert more_waves > 2 * waves
    assert growing["LIST"] == more_growing["LIST"] == 0
    assert whole["LIST"] == more_whole["LIST"] < 24
    assert whole["HEAD"] == more_whole["HEAD"] == 0
    per_wave = {verb: times / (more_waves - 1) for verb, times in more_growing.items()}
    sys.stderr.write(f"requests per wave: {per_wave}; whole runs: {whole}, {more_whole}\n")
    # Once to see whether another driver made it; once for each table and the manifest, and for the
    # claim of a cohort of three waves.
    assert per_wave["GET"] <= 1
    assert per_wave["PUT"] <= 5
    assert set(per_wave) == {"GET", "PUT"}


def test_read_kept_is_one_get_a_shard(store: FsspecStore, wire: Wire) -> None:
    run_scripted(store, spec_of(1))
    snapshot = latest(store)
    assert snapshot is not None
    shards = [entry for entry in snapshot.shards if entry.table == "nodes"]
    wire.clear()
    assert sum(table.num_rows for table in read_kept(store, snapshot)) > 0
    assert wire.seen == ["GET"] * len(shards)


def test_create_of_a_large_object_is_one_conditional_put(store: FsspecStore, wire: Wire) -> None:
    payload = bytes(110 << 20)
    store.create("nodes/large", payload)
    assert wire.seen == ["PUT"]
    with store.open("nodes/large") as file:
        file.seek(-3, 2)
        assert file.read() == payload[-3:]
