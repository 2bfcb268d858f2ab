"""How much of a run's prompts stands before more than one candidate, by the run's shape alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.report.status import LevelStatus


@dataclass(frozen=True)
class Prompts:
    """What a prefix cache can do for the run's prompts, by its shape."""

    tokens: int
    """Of all prompts, each counted for each of its candidates."""
    least: int
    """Of them those that have to be computed once: openings, and each expanded turn."""

    @property
    def reusable(self) -> float:
        """The share that a large enough cache could serve."""
        return 1 - self.least / self.tokens if self.tokens else 0.0


def prompts_of(levels: Sequence[LevelStatus], mean_tokens: Mapping[int, float]) -> Prompts:
    """By level from 1 and the mean length of its kept turns. What the template puts between turns
    is left out, so that a little less is said to be computed than is."""
    least = sum(mean_tokens.get(level.level, 0.0) * level.frontier for level in levels)
    for level in levels[:1]:
        # All candidates of a parent have one prompt.
        least += level.prompt_tokens * level.parents / max(1, level.asked)
    tokens = sum(level.prompt_tokens for level in levels)
    return Prompts(tokens, min(tokens, round(least)))
