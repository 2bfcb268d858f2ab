"""The run that is looked at: its store, its index, and what is at hand to tell of it."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.report.story import Story
from pipeline.storage.drops import read_drops
from pipeline.storage.ledger import Ledger
from pipeline.storage.repairs import REPAIRS
from pipeline.storage.snapshots import SNAPSHOTS
from pipeline.storage.store import Store
from pipeline.tree.run import Run
from pipeline.view.index import Index, Manifests, look
from schemas.manifest import Manifest, RunFile
from schemas.records import Ids

LOOK_S = 2.0
"""A run is looked at again after so long."""

Decode = Callable[[Ids], str]


@dataclass(frozen=True)
class AtHand:
    """What only the command can know."""

    decoders: Mapping[int, Decode]
    """By tongue, where its tokenizer is at hand."""
    run: Run | None = None
    """The run as a value; None where its recipe is not at hand."""
    words: Callable[[Story], str] | None = None
    """The verdict as a sentence."""
    missing: str = ""
    """Why there is no `run`."""


class ViewedRun:
    """One run, for all requests; safe to use from several threads."""

    def __init__(self, store: Store, run_file: RunFile, at_hand: AtHand) -> None:
        self.store, self.run_file, self.at_hand = store, run_file, at_hand
        self._lock = threading.Lock()
        self._known: dict[str, Manifest] = {}
        self._index: Index | None = None
        self._files: list[str] = []
        self._looked = 0.0
        self._left_out: tuple[str, dict[str, str]] | None = None

    def index(self) -> Index:
        """Its shards now."""
        with self._lock:
            if self._index is None or time.monotonic() - self._looked > LOOK_S:
                self._index = self._look(self._index)
                self._looked = time.monotonic()
            return self._index

    def _look(self, before: Index | None) -> Index:
        """A sealed run is what it was, until it is refined or repaired."""
        files = [*self.store.list(SNAPSHOTS), *self.store.list(REPAIRS)]
        if before is not None and before.sealed and files == self._files:
            return before
        self._files = files
        return look(self.store, self._known)

    def manifests(self) -> Manifests:
        """As lookups want them."""
        return Manifests(Ledger(self.store), self.index())

    def left_out(self) -> dict[str, str]:
        """By node, why the latest snapshot leaves it out after all."""
        snapshot = self.index().snapshot
        if snapshot is None or snapshot.drops is None:
            return {}
        with self._lock:
            if self._left_out is None or self._left_out[0] != snapshot.drops.name:
                table = read_drops(self.store, snapshot.drops, ["node_id", "reason"])
                self._left_out = (snapshot.drops.name, _pairs(table))
            return self._left_out[1]

    def role(self, level: int) -> str:
        """Who speaks at a level."""
        levels = self.run_file.generation.levels
        return levels[min(level, len(levels)) - 1].role if levels else ""

    def decode(self, model_index: int, ids: Ids) -> str | None:
        """The text of ids, where the model's tokenizer is at hand."""
        tongue = self.run_file.tongues[model_index]
        found = self.at_hand.decoders.get(tongue)
        return None if found is None else found(ids)


def _pairs(table: pa.Table) -> dict[str, str]:
    columns: Any = (table.column(name).to_pylist() for name in ("node_id", "reason"))
    return dict(zip(*columns, strict=True))


def only(table: pa.Table, column: str, value: Any) -> pa.Table:
    """The rows with a value in a column."""
    return table.filter(pc.equal(table.column(column), value))
