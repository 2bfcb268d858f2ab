"""Which processes of a run on a cluster are killed, and when: drawn from a seed."""

import random
from typing import NamedTuple

PHASES = ("planning", "loading", "growing", "sealing")

AT_DRIVERS = tuple(f"driver {by} {phase}" for by in ("killed", "evicted") for phase in PHASES)
AT_ENGINES = ("engine starting killed", "engine idle killed", "engine busy killed")
AT_NODES = ("worker killed", "node killed")
AT_HEADS = ("head GCS killed", "head node killed", "head raylet killed")
KINDS = (*AT_DRIVERS, *AT_ENGINES, *AT_NODES, *AT_HEADS)

WEIGHTS = {**dict.fromkeys(AT_HEADS, 0.3), **dict.fromkeys(AT_ENGINES, 2.0)}
"""How often a kind is drawn beside others: those that need another cluster seldom."""


class ClusterFault(NamedTuple):
    """One kill."""

    kind: str
    waves: int = 0
    """Committed since the driver started, where the kill comes while waves grow."""
    after_s: float = 0.0
    """Since the phase began, in the others."""

    def __str__(self) -> str:
        return f"{self.kind} (after {self.waves} waves, {self.after_s:.2f} s)"


class ClusterSchedule(NamedTuple):
    """The faults of one run, one after the other."""

    seed: int
    faults: tuple[ClusterFault, ...]

    def __str__(self) -> str:
        return f"seed {self.seed}: {'; '.join(map(str, self.faults))}"


def draw(seed: int) -> ClusterSchedule:
    """The schedule of a seed."""
    chance = random.Random(seed)
    weights = [WEIGHTS.get(kind, 1.0) for kind in KINDS]
    kinds = chance.choices(KINDS, weights, k=chance.randint(2, 5))
    return ClusterSchedule(seed, tuple(_fault(chance, kind) for kind in kinds))


def _fault(chance: random.Random, kind: str) -> ClusterFault:
    return ClusterFault(kind, chance.randint(1, 4), chance.uniform(0.0, 1.5))
