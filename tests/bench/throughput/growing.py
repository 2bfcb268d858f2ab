"""Trees as a person would grow them: prompts, and the prompts that follow from what was said."""

from dataclasses import dataclass

from tests.bench.throughput.lengths import child_seed, forced_length
from tests.bench.throughput.setup import Setup


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A turn to be written."""

    tree: int
    path: tuple[int, ...]
    role: str
    prompt: list[int]
    seed: int
    sampling: object
    """With the terminators of its role."""
    length: int | None
    history: object
    """What stands before it, without the marker that asks for it."""
    last: str
    """Who speaks last in the history."""

    @property
    def level(self) -> int:
        return len(self.path)

    @property
    def most(self) -> int:
        """Tokens."""
        return self.length or self.sampling.max_tokens


class Grower:
    """Spells prompts as the product does, from the same roots."""

    def __init__(self, resolved, setup: Setup) -> None:
        self._run, self._setup = resolved.run, setup
        self._roots = resolved.plant(range(setup.trees))

    def first(self) -> list[Asked]:
        """The turns of level 1."""
        openings = [(root.tree_id, root.opening(1, 0)) for root in self._roots]
        return [
            asked
            for tree, opening in openings
            for asked in self._children(tree, (), opening.ids, opening.last)
        ]

    def below(self, asked: Asked, ids: list[int]) -> list[Asked]:
        """The turns that follow one, which said these tokens, its terminator left out."""
        from pipeline.tree.prompt import count_reasoning, tell
        from schemas.records import to_ids

        if asked.level == len(self._setup.fanouts):
            return []
        said, dialect = to_ids(ids), self._run.dialects[0]
        if asked.role == "assistant":
            said = said[count_reasoning(said, dialect) :]
        history = tell(asked.history, asked.last, said, dialect)
        return self._children(asked.tree, asked.path, history, asked.role)

    def _children(self, tree: int, path: tuple[int, ...], history, last: str) -> list[Asked]:
        from pipeline.tree.prompt import ask
        from pipeline.tree.recipe import with_stops

        run, dialect = self._run, self._run.dialects[0]
        rule = run.recipe.rule(run.spec, len(path) + 1)
        sampling, prompt = with_stops(rule, dialect), ask(history, last, dialect).tolist()
        return [
            Asked(
                tree=tree,
                path=(*path, child),
                role=rule.role,
                prompt=prompt,
                seed=child_seed(run, tree, (*path, child)),
                sampling=sampling,
                length=forced_length(self._setup, tree, (*path, child)),
                history=history,
                last=last,
            )
            for child in range(rule.asked)
        ]
