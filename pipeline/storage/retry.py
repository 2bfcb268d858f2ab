"""How often, and after which pauses, an operation on an object store is tried again."""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Retry:
    """Exponential pauses with full jitter, so that many drivers do not come back in step.

    The pauses take 43 s on average and at most 86 s together: longer than a store needs to make
    room for a prefix that it throttles, shorter than the engines of a run need to load anew. Where
    the store says how long it wants to be left alone (Retry-After), each pause is that much longer,
    by `cap_s` at most: up to 306 s in all. What the tries themselves take comes on top.
    """

    tries: int = 12
    base_s: float = 0.1
    cap_s: float = 20.0

    def pauses(self) -> Iterator[float]:
        """Pauses between the tries: one fewer than tries."""
        for index in range(self.tries - 1):
            yield random.uniform(0, min(self.cap_s, self.base_s * 2**index))

    def wait(self, pause: float, asked: float = 0.0) -> None:
        """Let a pause pass, after the time for which the store asked to be left alone."""
        time.sleep(pause + min(asked, self.cap_s))
