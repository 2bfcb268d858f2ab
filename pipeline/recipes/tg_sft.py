"""TG-SFT (arXiv 2406.11354): the model plays user and assistant by turns, level by level.

Balance-Tree and Wide-Tree are settings: several children at each level, or very many at the first
and one below. Where the paper is silent we chose: roots are system prompts with weights; a
fan-out too large for one tree becomes several trees from one root; dialogues with fewer turns are
made by ending the whole subtree of an opening question early.
"""

import math

from pipeline.tree.recipe import LevelRule
from schemas.errors import SpecError
from schemas.generation_spec import MAX_FANOUT, GenerationSpec
from schemas.records import Root


class TgSft:
    """The main method."""

    name = "tg-sft"
    version = 1

    def num_trees(self, spec: GenerationSpec) -> int:
        """The trees asked for, times the trees that one root's fan-out needs."""
        return spec.roots.trees * trees_per_root(spec.levels[0].fanout)

    def root(self, spec: GenerationSpec, tree_id: int) -> Root:
        """Topics in order, each with its share of the trees."""
        wanted = tree_id // trees_per_root(spec.levels[0].fanout)
        for topic, share in zip(spec.roots.topics, topic_shares(spec), strict=True):
            if wanted < share:
                return Root(tree_id, topic.text)
            wanted -= share
        raise IndexError(f"tree {tree_id} is beyond the {self.num_trees(spec)} trees of the run")

    def num_levels(self, spec: GenerationSpec) -> int:
        """One for each level of the spec."""
        return len(spec.levels)

    def rule(self, spec: GenerationSpec, level: int) -> LevelRule:
        """The level's settings; a large first fan-out is shared by its trees."""
        asked_for = spec.levels[level - 1]
        split = trees_per_root(asked_for.fanout) if level == 1 else 1
        return LevelRule(
            role=asked_for.role,
            asked=math.ceil(spec.oversample(level) * (asked_for.fanout // split)),
            fanout=asked_for.fanout // split,
            sampling=asked_for.sampling(logprobs=spec.logprobs),
            group=asked_for.engine,
            judge=spec.curation.judge_of(asked_for.role),
        )

    def continuing(self, spec: GenerationSpec, level: int) -> float:
        """Those with more turns than the level has, of those with at least so many."""
        if level >= len(spec.levels):
            return 0.0
        if not spec.turns or level % 2 == 1:
            return 1.0
        reach = [w for turns, w in spec.turns.items() if turns >= level // 2]
        beyond = [w for turns, w in spec.turns.items() if turns > level // 2]
        return sum(beyond) / sum(reach) if reach else 0.0

    def expands(self, spec: GenerationSpec, opening: float, level: int) -> bool:
        """The opening's draw decides how many turns all dialogues below it have."""
        return level < len(spec.levels) and (not spec.turns or level < 2 * _turns(spec, opening))


def _turns(spec: GenerationSpec, opening: float) -> int:
    target = opening * sum(spec.turns.values())
    for turns, weight in sorted(spec.turns.items()):
        target -= weight
        if target < 0:
            return turns
    return max(spec.turns)


def trees_per_root(fanout: int) -> int:
    """How many equal trees a first fan-out is planned as: 1 up to `MAX_FANOUT`."""
    least = math.ceil(fanout / MAX_FANOUT)
    for count in range(least, 2 * least + 1):
        if fanout % count == 0:
            return count
    lower, upper = fanout // least * least, (fanout // least + 1) * least
    raise SpecError(
        f"generation.levels.0.fanout: {fanout} is above {MAX_FANOUT} and cannot be shared equally "
        f"by {least} to {2 * least} trees; expected for example {lower} or {upper}."
    )


def topic_shares(spec: GenerationSpec) -> list[int]:
    """How many of the trees asked for each topic gets: by weight, largest remainder first."""
    total = sum(topic.weight for topic in spec.roots.topics)
    exact = [topic.weight / total * spec.roots.trees for topic in spec.roots.topics]
    shares = [math.floor(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: (shares[i] - exact[i], i))
    for index in by_remainder[: spec.roots.trees - sum(shares)]:
        shares[index] += 1
    return shares
