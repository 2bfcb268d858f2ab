"""Who looks at a training: what it is told, and how it tells the training to stop."""

from collections.abc import Mapping
from typing import Protocol


class Watch(Protocol):
    """A listener to one attempt at a training."""

    def say(self, words: str) -> None:
        """One sentence for a person."""
        ...

    def began(self, steps: int, done: int) -> None:
        """Training begins: so many steps in all, so many of them done by earlier attempts."""
        ...

    def logged(self, figures: Mapping[str, float]) -> None:
        """The figures of the steps since the last time: `step`, `loss`, `learning_rate`..."""
        ...

    def stopping(self) -> bool:
        """Asked after every step: whether to save a checkpoint and stop."""
        ...
