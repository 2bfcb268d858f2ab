"""What asking ahead gains where turns are dropped: an event simulation of one engine.

    python tests/bench/asking_ahead.py
    python tests/bench/asking_ahead.py --trees 8 --slots 48 --oversample 1.5 --json

A step of n sequences takes `--step-ms` and `--sequence-ms` times n. A parent's children are judged
together, once all of them are there; lengths are log-normal; which turns are kept is drawn. With
asking ahead, children of turns that are there fill free slots, where the odds are high enough.

gain      time without over time with it, median over seeds
in vain   tokens of children that nobody wanted, over those that were wanted
"""

import argparse
import json
import math
import random
import statistics
from dataclasses import dataclass, field
from typing import NamedTuple

FANOUTS = (8, 2, 2, 2)
MEAN, SIGMA, LONGEST = 60, 0.7, 256
SEEDS = 15

Place = tuple[int, ...]
"""A tree, and child indices from its root down."""


class Case(NamedTuple):
    """One engine and what it is asked for."""

    trees: int
    slots: int
    oversample: float
    step_s: float
    sequence_s: float
    seed: int

    @property
    def asked(self) -> tuple[int, ...]:
        """Children of each parent, by level."""
        return tuple(math.ceil(fanout * self.oversample) for fanout in FANOUTS)

    def length(self, turn: Place) -> int:
        """Tokens of a turn."""
        draw = random.Random(f"{self.seed}/{turn}").gauss(0.0, 1.0)
        return min(LONGEST, max(1, round(math.exp(math.log(MEAN) - SIGMA**2 / 2 + SIGMA * draw))))

    def kept(self, parent: Place) -> set[int]:
        """Which of its children."""
        level = len(parent) - 1
        drawn = random.Random(f"kept {self.seed}/{parent}")
        return set(drawn.sample(range(self.asked[level]), FANOUTS[level]))


@dataclass
class Family:
    """The children of a parent."""

    odds: float
    is_wanted: bool
    missing: int


@dataclass
class Growth:
    """A run of the simulation; with odds above 1 nothing is asked ahead."""

    case: Case
    least_odds: float
    families: dict[Place, Family] = field(default_factory=dict)
    waiting: list[Place] = field(default_factory=list)
    running: dict[Place, int] = field(default_factory=dict)
    ripe: list[Place] = field(default_factory=list)
    seconds: float = 0.0
    tokens: int = 0

    def run(self) -> "Growth":
        for tree in range(self.case.trees):
            self.open((tree,), 1.0, is_wanted=True)
        while any(family.is_wanted and family.missing for family in self.families.values()):
            self.fill()
            self.step()
        return self

    def open(self, parent: Place, odds: float, *, is_wanted: bool) -> None:
        asked = self.case.asked[len(parent) - 1]
        self.families[parent] = Family(odds, is_wanted, asked)
        self.waiting += [(*parent, child) for child in range(asked)]

    def fill(self) -> None:
        self.start()
        while not self.waiting and self.ripe and len(self.running) < self.case.slots:
            self.ask_ahead(self.ripe.pop(0))
            self.start()

    def start(self) -> None:
        while self.waiting and len(self.running) < self.case.slots:
            turn = self.waiting.pop(0)
            self.running[turn] = self.case.length(turn)

    def ask_ahead(self, turn: Place) -> None:
        above = self.families[turn[:-1]]
        is_decided = turn in self.families or (above.is_wanted and not above.missing)
        odds = above.odds * FANOUTS[len(turn) - 2] / self.case.asked[len(turn) - 2]
        if not is_decided and len(turn) <= len(FANOUTS) and odds >= self.least_odds:
            self.open(turn, odds, is_wanted=False)

    def step(self) -> None:
        """To the next end of a turn."""
        count, case = min(self.running.values()), self.case
        self.seconds += count * (case.step_s + case.sequence_s * len(self.running))
        self.tokens += count * len(self.running)
        self.running = {turn: left - count for turn, left in self.running.items()}
        for turn in [turn for turn, left in self.running.items() if not left]:
            del self.running[turn]
            self.ripe.append(turn)
            self.families[turn[:-1]].missing -= 1
            self.judge(turn[:-1])

    def judge(self, parent: Place) -> None:
        """Go on from what is kept, where all children are there and wanted."""
        family = self.families[parent]
        if family.missing or not family.is_wanted or len(parent) == len(FANOUTS):
            return
        for turn in ((*parent, child) for child in sorted(self.case.kept(parent))):
            below = self.families.get(turn)
            if below is None:
                self.open(turn, 1.0, is_wanted=True)
            else:
                below.odds, below.is_wanted = 1.0, True
                self.judge(turn)

    @property
    def wanted_tokens(self) -> int:
        parents = [parent for parent, family in self.families.items() if family.is_wanted]
        turns = ((*p, child) for p in parents for child in range(self.case.asked[len(p) - 1]))
        return sum(map(self.case.length, turns))


def compared(args: argparse.Namespace, least_odds: float) -> dict[str, float]:
    """Medians over seeds."""
    gains, vain = [], []
    for seed in range(SEEDS):
        costs = args.step_ms / 1e3, args.sequence_ms / 1e3
        case = Case(args.trees, args.slots, args.oversample, *costs, seed)
        without, ahead = Growth(case, 2.0).run(), Growth(case, least_odds).run()
        gains.append(without.seconds / ahead.seconds)
        vain.append(ahead.tokens / ahead.wanted_tokens - 1)
    return {
        "least_odds": least_odds,
        "gain": round(statistics.median(gains), 3),
        "in_vain": round(statistics.median(vain), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trees", type=int, default=2)
    parser.add_argument("--slots", type=int, default=48)
    parser.add_argument("--oversample", type=float, default=1.5)
    parser.add_argument("--step-ms", type=float, default=26.0)
    parser.add_argument("--sequence-ms", type=float, default=2.3)
    parser.add_argument("--odds", type=float, nargs="+", default=[0.5, 0.7, 0.9])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows = [compared(args, odds) for odds in args.odds]
    if args.json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(f"at {row['least_odds']:.2f}: gain {row['gain']:.3f}, {row['in_vain']:.1%} in vain")


if __name__ == "__main__":
    main()
