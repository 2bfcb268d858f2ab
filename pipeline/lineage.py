"""The parents of any wave, from memory or from committed shards.

The parents of a wave come from one wave of the level above, so a wave's lineage is a chain of
shards, one for each level, and above the first of them the cohort's roots. A resumed driver, a
driver that lost a race, and `verify` all read it.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable

from pipeline.plan.plan import Plan, parents_per_wave
from pipeline.storage.ledger import Ledger
from pipeline.storage.shards import read_shard
from pipeline.storage.store import Store
from pipeline.tree.frontier import Parent, frontier_of
from pipeline.tree.roots import root_parents
from pipeline.tree.rules import groups_of
from pipeline.tree.run import Run
from schemas.errors import CorruptData
from schemas.manifest import Manifest
from schemas.node_table import from_table
from schemas.records import Candidate, Root
from schemas.root_table import from_root_table
from schemas.wave_id import WaveId

FRONTIERS_HELD = 64
"""At least: those of waves whose child waves are not all open."""

Plant = Callable[[Iterable[int]], list[Root]]
"""Makes the roots of trees from what they grow from."""


class Lineage:
    """Frontiers of committed waves."""

    def __init__(
        self,
        run: Run,
        plan: Plan,
        ledger: Ledger,
        plant: Plant | None = None,
        *,
        held: int = FRONTIERS_HELD,
    ) -> None:
        """`held` frontiers are kept at hand; the others are read again."""
        self._run, self._plan, self._ledger, self._plant = run, plan, ledger, plant
        self._most_held = max(held, FRONTIERS_HELD)
        self._store = ledger.store
        self._held: OrderedDict[str, list[Parent]] = OrderedDict()

    def hold(self, wave: WaveId, frontier: list[Parent]) -> None:
        """Keep a frontier at hand until its last block is asked for."""
        if frontier:
            self._held[wave.name] = frontier
        while len(self._held) > self._most_held:
            self._held.popitem(last=False)

    def parents(self, wave: WaveId, manifest: Manifest | None = None) -> list[Parent]:
        """The block of the frontier above that a wave expands.

        Above a cohort's first wave are its roots: stored with it where it is committed, which its
        `manifest` shows, or else planted now.
        """
        above = wave.parent
        if above is None:
            return root_parents(self._run, self._roots(wave, manifest))
        frontier = self._frontier(above)
        per_wave = parents_per_wave(self._run.spec, self._run.recipe, wave.level)
        first = wave.path[-1] * per_wave
        if first + per_wave >= len(frontier):
            self._held.pop(above.name, None)
        return frontier[first : first + per_wave]

    def _roots(self, wave: WaveId, manifest: Manifest | None) -> list[Root]:
        if manifest is not None:
            return self._readable(wave, stored_roots(self._store, manifest))
        assert self._plant is not None, "only a run that grows has waves that are not committed"
        return self._plant(self._plan.trees_of(wave.cohort))

    def _readable(self, wave: WaveId, roots: list[Root]) -> list[Root]:
        """The roots, if each has an opening for every model that will read it."""
        run = self._run
        tongues = {run.tongue(group) for group in groups_of(run.rules)}
        for root in roots:
            missing = {(0, tongue) for tongue in tongues} - root.openings.keys()
            if missing:
                raise CorruptData(
                    f"{self._store.location}: wave {wave.name}: the root of tree {root.tree_id} "
                    f"has no opening in tongue {min(missing)[1]}; its row in roots/ was changed. "
                    "`arborist verify` lists all defects of the run."
                )
        return roots

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
                f"{self._store.location}/{self._ledger.name_of(wave.name)}: is not there, though "
                "waves below it are; it was removed. `arborist repair` retires them, and "
                "`arborist generate` makes them again."
            )
        parents = self.parents(wave, manifest)
        return frontier_of(self._run, parents, kept_rows(self._store, manifest))


def stored_roots(store: Store, manifest: Manifest) -> list[Root]:
    """The roots of a cohort whose first wave is committed."""
    shards = [entry for entry in manifest.shards if entry.table == "roots"]
    return [root for entry in shards for root in from_root_table(read_shard(store, entry))]


def kept_rows(store: Store, manifest: Manifest) -> list[Candidate]:
    """The kept nodes of a committed wave, in row order, roots left out."""
    shards = [entry for entry in manifest.shards if entry.table == "nodes"]
    nodes = [node for entry in shards for node in from_table(read_shard(store, entry))]
    return [node.candidate for node in nodes if node.candidate.level]
