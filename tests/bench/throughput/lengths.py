"""How long each turn is, so that all arms write exactly as many tokens."""

import math
import random
from typing import NamedTuple

from tests.bench.throughput.setup import Setup


class Turn(NamedTuple):
    """A place in a tree, and how many tokens are written there; None: as many as the model says."""

    level: int
    length: int | None


def forced_length(setup: Setup, tree: int, path: tuple[int, ...]) -> int | None:
    """Log-normal, and a function of the place alone."""
    if not setup.sigma:
        return None
    draw = random.Random(f"{setup.seed}/{tree}/{path}").gauss(0.0, 1.0)
    center = math.log(setup.mean) - setup.sigma**2 / 2
    return min(max(1, round(math.exp(center + setup.sigma * draw))), setup.longest)


def turns_by_seed(run, setup: Setup) -> dict[int, Turn]:
    """All turns of all trees. Engines are not told of places, but seeds belong to them."""
    found: dict[int, Turn] = {}
    for tree in range(setup.trees):
        _add_below(found, run, setup, tree, ())
    return found


def _add_below(found: dict[int, Turn], run, setup: Setup, tree: int, path: tuple[int, ...]) -> None:
    if len(path) == len(setup.fanouts):
        return
    for child in range(setup.fanouts[len(path)]):
        own = (*path, child)
        length = forced_length(setup, tree, own)
        found[child_seed(run, tree, own)] = Turn(len(own), length)
        _add_below(found, run, setup, tree, own)


def child_seed(run, tree: int, path: tuple[int, ...]) -> int:
    """What a run samples the turn at a path with."""
    from pipeline.tree.identity import seed_base

    return (seed_base(run.run_id, tree, path[:-1]) + path[-1]) % 2**63
