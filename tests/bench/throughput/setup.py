"""What is measured: the scenarios, and all that an arm must know, as one value."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from math import prod
from typing import Any

ARMS = ("plain", "product", "ceiling", "transformers", "server", "ray-data")
"""The plain loop is what all others are compared with. The ceiling needs its prompts, so it comes
after it."""
OURS = ("plain", "product", "ceiling")
PEERS = ("transformers", "server", "ray-data")


@dataclass(frozen=True, kw_only=True)
class Setup:
    """One tree, or several, and one engine."""

    scenario: str
    trees: int
    fanouts: tuple[int, ...]
    """By level."""
    slots: int
    """Sequences decoded at once."""
    wave: int
    """The product's `bounds.candidates_per_wave`."""
    sigma: float = 1.0
    """Of the logarithm of lengths; 0: turns end where the model ends them."""
    mean: int = 48
    """Tokens of a turn, before lengths are clipped."""
    longest: int = 256
    model: str = "packaged"
    device: str = "cpu"
    cpus: int = 1
    kv_gib: float | None = None
    batched_tokens: int = 2048
    dtype: str = "auto"
    concurrency: int = 64
    """Requests that the client of a server keeps open."""
    seed: int = 0

    @property
    def sizes(self) -> tuple[int, ...]:
        """Turns of each level, all trees together."""
        return tuple(
            self.trees * prod(self.fanouts[:level]) for level in range(1, 1 + len(self.fanouts))
        )

    @property
    def context(self) -> int:
        """Room for the longest path and what stands before it."""
        return self.longest * len(self.fanouts) + 1024

    def to_json(self) -> str:
        """For a process of its own."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Setup":
        """What `to_json` wrote."""
        found = json.loads(text)
        return cls(**found | {"fanouts": tuple(found["fanouts"])})


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A shape of trees, and what is to be reached with it."""

    shape: Mapping[str, Any]
    """Settings of `Setup`."""
    arms: tuple[str, ...] = ARMS
    targets: Mapping[str, float] = field(default_factory=dict)
    """At least, of the median of a ratio."""


SMALL = {"fanouts": (8, 2, 2, 2), "slots": 32, "wave": 2, "sigma": 1.0, "mean": 48}
"""Of two-turn chats. A wave is the children of one parent, so that none waits for cousins."""

SCENARIOS = {
    "balance": Scenario(
        # Levels of four slots and more; waves of four slots too, as those of 2,048 are to 512.
        shape={
            "trees": 2,
            "fanouts": (32, 2, 1, 1),
            "slots": 16,
            "wave": 64,
            "sigma": 0.4,
            "mean": 24,
        },
        arms=OURS,
        targets={"product / plain": 0.97, "product / ceiling": 0.9},
    ),
    "small-1": Scenario(
        shape=SMALL | {"trees": 1},
        targets={"product / plain": 1.2, "product / ceiling": 0.9, "product / best peer": 1.0},
    ),
    "small-4": Scenario(
        shape=SMALL | {"trees": 4},
        targets={"product / plain": 1.1, "product / ceiling": 0.9, "product / best peer": 1.0},
    ),
}

MOST_COMPUTED = 1.05
"""Prompt tokens that the product computes, over those of the trie of all prompts."""

SETTINGS = tuple(one.name for one in fields(Setup) if one.name != "scenario")
