"""How often, and after which pauses, an operation on an object store is tried again."""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Retry:
    """Exponential pauses with full jitter, so that many drivers do not come back in step."""

    tries: int = 8
    base_s: float = 0.1
    cap_s: float = 5.0

    def pauses(self) -> Iterator[float]:
        """Pauses between the tries: one fewer than tries."""
        for index in range(self.tries - 1):
            yield random.uniform(0, min(self.cap_s, self.base_s * 2**index))

    def wait(self, pause: float) -> None:
        """Let a pause pass."""
        time.sleep(pause)
