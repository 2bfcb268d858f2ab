"""Whole small runs with scripted engines: their specs, their drivers, their rows."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from jobs.curation import make_workers
from jobs.spec_file import parse_spec
from jobs.tongues import tongues_of
from jobs.whereabouts import here
from jobs.wiring import Resolved, make_pool, open_run_value, pace_of, rehearsal, resolve
from pipeline.generate import Attempt, Engage, Hands
from pipeline.lineage import Plant
from pipeline.outlook import Limits
from pipeline.pool.pool import Pool, PoolStats
from pipeline.pool.workers import Workers
from pipeline.seal import seal
from pipeline.share import Clocks, Share
from pipeline.storage.ledger import Ledger
from pipeline.storage.open import open_store, prove_create
from pipeline.storage.reader import read_dropped, read_kept
from pipeline.storage.runs import create_run, open_run
from pipeline.storage.shards import WAVE_TABLES
from pipeline.storage.snapshots import latest
from pipeline.storage.store import Store
from pipeline.verify.verify import verify
from pipeline.watch import Awaited, Stop
from schemas.execution_spec import RunSpec
from schemas.manifest import Manifest, Snapshot

ODD = {
    "mean_tokens": 20,
    "duplicate_share": 0.25,
    "empty_share": 0.05,
    "leak_share": 0.1,
    "truncate_share": 0.1,
    "fail_share": 0.05,
}
"""An engine that does all that a real one may do to a turn."""


CLAIM_S = 3600.0
RUNNING: set[tuple[str, str]] = set()
"""Drivers that are threads of this process, by the location of their run and their attempt."""


def make_levels(*fanouts: int, oversample: float = 1.5, max_tokens: int = 100) -> list[dict]:
    """Levels that keep so many children each."""
    return [
        {
            "role": ("user", "assistant")[index % 2],
            "fanout": fanout,
            "oversample": oversample,
            "max_tokens": max_tokens,
        }
        for index, fanout in enumerate(fanouts)
    ]


def make_spec(
    *,
    fanouts: tuple[int, ...] = (3, 2, 2, 1),
    trees: int = 2,
    scripted: Mapping[str, Any] = ODD,
    bounds: tuple[int, int] = (1, 10),
    generation: Mapping[str, Any] | None = None,
    group: Mapping[str, Any] | None = None,
    **execution: Any,
) -> RunSpec:
    """Two cohorts of a few waves on four levels; dialogues of one turn and of two.

    `bounds` are the trees in a cohort and the candidates in a wave.
    """
    content = {
        "generation": {
            "seed": 11,
            "model": {"name": "scripted", "context": 4096},
            "roots": {"trees": trees, "topics": [{"text": "On rivers."}, {"text": "On bread."}]},
            "levels": make_levels(*fanouts),
            "turns": {1: 1, 2: 2} if len(fanouts) >= 4 else {},
            "bounds": {"trees_per_cohort": bounds[0], "candidates_per_wave": bounds[1]},
            **(generation or {}),
        },
        "execution": {
            "location": f"memory://{uuid.uuid4().hex}",
            "pool": "local",
            "embedder": "hashing",
            "workers": 0,
            "engines": {
                "main": {"backend": "scripted", "scripted": dict(scripted), **(group or {})}
            },
            "max_failed_share": 0.5,
            **execution,
        },
    }
    return parse_spec(content, name="spec.yaml")


def write_spec(spec: RunSpec, file: Path) -> Path:
    """The spec as a person would have it on disk."""
    file.write_text(yaml.safe_dump(spec.model_dump(mode="json")))
    return file


def memory_store() -> Store:
    """A store of its own in this process."""
    return open_store(f"memory://{uuid.uuid4().hex}")


class Bystander:
    """A watch that notes who won which wave; it asks for a stop after so many of them."""

    def __init__(self, stop_after: int | None = None, stop: Stop = Stop.ABANDON) -> None:
        self._stop_after, self._stop = stop_after, stop
        self.seen: list[Manifest] = []
        self.lost: list[str] = []
        """Waves that another driver committed."""
        self.stats = PoolStats()
        self.took: list[float] = []
        """By commit, its seconds."""
        self.awaited: list[tuple[Awaited, ...]] = []
        """What was waited for, each time that it was looked after."""

    def committed(self, manifest: Manifest, *, ours: bool) -> None:
        self.seen.append(manifest)
        self.lost += [] if ours else [manifest.wave]

    def landed(self, seconds: float) -> None:
        self.took.append(seconds)

    def tick(self, stats: PoolStats, *, open_waves: int) -> None:
        self.stats = stats

    def waits(self, others: Sequence[Awaited]) -> None:
        self.awaited.append(tuple(others))

    def stop(self) -> Stop:
        reached = self._stop_after is not None and len(self.seen) >= self._stop_after
        return self._stop if reached else Stop.NO


def run_scripted(
    store: Store,
    spec: RunSpec,
    attempt: str = "first",
    watch: Bystander | None = None,
    claim_s: float = CLAIM_S,
) -> Snapshot:
    """What the command does with a spec, from the proof of the location to the seal."""
    if spec.execution.pool == "local":
        spec = rehearsal(spec)
    return run_resolved(store, spec, resolve(spec), attempt, watch, claim_s)


def run_resolved(
    store: Store,
    spec: RunSpec,
    resolved: Resolved,
    attempt: str = "first",
    watch: Bystander | None = None,
    claim_s: float = CLAIM_S,
) -> Snapshot:
    """The same from where all that the spec names was looked up."""
    prove_create(store, attempt)
    resolved = resolved._replace(run_file=create_run(store, resolved.run_file))
    ledger, execution = Ledger(store), spec.execution
    with sharing(store, attempt, claim_s) as share:
        whole = Attempt(
            resolved.run,
            ledger=ledger,
            share=share,
            pace=pace_of(spec),
            watch=watch or Bystander(),
        ).generate(
            engaging(spec, resolved),
            ledger.all(),
            Limits(execution.max_failed_share, execution.budget, execution.drivers),
        )
    return seal(store, resolved.run_file, resolved.run.recipe, partial=not whole)


@contextmanager
def sharing(
    store: Store, attempt: str, claim_s: float = CLAIM_S, day: Callable[[], float] = time.time
) -> Iterator[Share]:
    """A driver's share of a run. Once it is left, however, others see that its process is gone."""
    me = (store.location, attempt)
    RUNNING.add(me)
    try:
        yield Share(
            store,
            here(attempt, claim_s),
            lambda driver: (store.location, driver.attempt) not in RUNNING,
            Clocks(day),
        )
    finally:
        RUNNING.discard(me)


def engaging(spec: RunSpec, resolved: Resolved) -> Engage:
    """Engines and workers as a spec has them."""
    run_file = resolved.run_file
    return lambda: at_work(make_pool(spec, run_file), make_workers(spec, run_file), resolved.plant)


@contextmanager
def at_work(pool: Pool, workers: Workers, plant: Plant) -> Iterator[Hands]:
    """Hands that are started, and let go in the end."""
    try:
        pool.start()
        workers.start()
        yield Hands(pool, workers, plant)
    finally:
        workers.close()
        pool.close()


def rows_of(store: Store) -> list[dict[str, Any]]:
    """All rows of a sealed run with all columns, kept and dropped, in order of tree and path."""
    snapshot = latest(store)
    assert snapshot is not None, f"{store.location} is not sealed"
    tables = [*read_kept(store, snapshot), *read_dropped(store, snapshot)]
    rows = [row for table in tables for row in table.to_pylist()]
    return sorted(rows, key=lambda row: (row["tree_id"], row["path"]))


def defects_of(store: Store) -> list[str]:
    """What `verify` has to say about a run."""
    run_file = open_run(store)
    tongues = tongues_of(run_file, ())
    run = open_run_value(run_file, tongues.spellers)
    return [defect.text for defect in verify(run, Ledger(store), decoders=tongues.decoders)]


def assert_whole(store: Store, expected: list[dict[str, Any]], because: str = "") -> None:
    """A sealed run with just these rows, without a defect, and with nothing beside its shards."""
    assert rows_of(store) == expected, because
    assert defects_of(store) == [], because
    snapshot = latest(store)
    assert snapshot is not None
    named = sorted(entry.name for entry in snapshot.shards)
    there = [name for folder in WAVE_TABLES for name in store.list(folder)]
    assert sorted(there) == named, because


def committed_bytes(store: Store) -> dict[str, bytes]:
    """The manifests there are now and the shards that they name."""
    manifests = Ledger(store).all()
    names = [f"ledger/{wave}.json" for wave in manifests]
    names += [entry.name for manifest in manifests.values() for entry in manifest.shards]
    return {name: store.read(name) for name in names}
