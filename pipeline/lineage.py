"""The parents of any wave, from memory or from committed shards.

The parents of a wave come from one wave of the level above, so a wave's lineage is a chain of
shards, one for each level. A resumed driver, a driver that lost a race, and `verify` all read it.
"""

from collections import OrderedDict

from pipeline.plan.plan import Plan, parents_per_wave
from pipeline.storage.ledger import Ledger
from pipeline.storage.shards import read_shard
from pipeline.storage.store import Store
from pipeline.tree.frontier import Parent, frontier_of, root_parents
from pipeline.tree.run import Run
from schemas.errors import CorruptData
from schemas.manifest import Manifest
from schemas.node_table import from_table
from schemas.records import Candidate
from schemas.wave_id import WaveId

FRONTIERS_HELD = 64


class Lineage:
    """Frontiers of committed waves."""

    def __init__(self, run: Run, plan: Plan, store: Store) -> None:
        self._run, self._plan, self._store = run, plan, store
        self._ledger = Ledger(store)
        self._held: OrderedDict[str, list[Parent]] = OrderedDict()

    def hold(self, wave: WaveId, frontier: list[Parent]) -> None:
        """Keep a frontier at hand until its last block is asked for."""
        if frontier:
            self._held[wave.name] = frontier
        while len(self._held) > FRONTIERS_HELD:
            self._held.popitem(last=False)

    def parents(self, wave: WaveId) -> list[Parent]:
        """The block of the frontier above that a wave expands."""
        above = wave.parent
        if above is None:
            return root_parents(self._run, self._plan.trees_of(wave.cohort))
        frontier = self._frontier(above)
        per_wave = parents_per_wave(self._run.spec, self._run.recipe, wave.level)
        first = wave.path[-1] * per_wave
        if first + per_wave >= len(frontier):
            self._held.pop(above.name, None)
        return frontier[first : first + per_wave]

    def _frontier(self, wave: WaveId) -> list[Parent]:
        held = self._held.get(wave.name)
        if held is None:
            held = self.read(wave)
            self.hold(wave, held)
        return held

    def read(self, wave: WaveId) -> list[Parent]:
        """The frontier of a committed wave, from its shards."""
        manifest = self._ledger.read(wave.name)
        if manifest is None:
            raise CorruptData(
                f"{self._store.location}: wave {wave.name} has child waves but no manifest; "
                "its file was removed from ledger/."
            )
        parents = self.parents(wave)
        return frontier_of(self._run, parents, kept_rows(self._store, manifest))


def kept_rows(store: Store, manifest: Manifest) -> list[Candidate]:
    """The kept nodes of a committed wave, in row order, roots left out."""
    shards = [entry for entry in manifest.shards if entry.table == "nodes"]
    nodes = [node for entry in shards for node in from_table(read_shard(store, entry))]
    return [node.candidate for node in nodes if node.candidate.level]
