"""Asking ahead: for children of turns whose own wave is not whole yet.

A wave waits for its longest turn. Where few waves are open, engines would idle until it ends; so
into slots that nothing else needs go the children of turns that are there, if by what the run has
kept so far enough of them will be wanted. When their wave is opened, what has come back is handed
out at once, and what has not is waited for. What nobody wants in the end is counted.

None of this decides rows: a request is a function of its parent alone, and what was asked ahead for
a parent that turns out to differ is asked for again.
"""

import math
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.flight import OpenWave
from pipeline.pool.pool import Pool
from pipeline.tree.expand import expand, fill, place_of, writer_of
from pipeline.tree.frontier import Parent, frontier_of
from pipeline.tree.identity import node_id
from pipeline.tree.recipe import LevelRule
from pipeline.tree.run import Run
from schemas.manifest import Counts
from schemas.records import Candidate, Completion, Outcome, Request


@dataclass(eq=False, slots=True)
class _Family:
    """A parent whose children are asked for."""

    parent: Parent
    request: Request
    odds: float
    """That the parent is kept: 1 where the wave of its children is open."""
    missing: int
    is_wanted: bool = False
    """Whether their wave is open."""
    outcomes: list[Outcome] = field(default_factory=list)
    """That came before they were wanted."""


@dataclass(eq=False, slots=True)
class _Vain:
    """Children that are not wanted any more, while engines still write them."""

    missing: int
    owed: Request | None = None
    """What is to be asked in their stead, once they are there."""


class Ahead:
    """Stands between the loop and a pool, and asks it for more than waves do."""

    def __init__(self, run: Run, pool: Pool, least_odds: float) -> None:
        """`least_odds`, that a turn is kept, for its children to be asked ahead."""
        self._run, self._pool, self._least_odds = run, pool, least_odds
        self._families: dict[str, _Family] = {}
        """By the parent's id."""
        self._vain: dict[str, _Vain] = {}
        self._due: list[Outcome] = []
        """Wanted, and not handed out yet."""
        self._ripe: OrderedDict[str, list[Completion]] = OrderedDict()
        """By their parent's id, turns that are there and of which no children were asked."""
        self._kept: Counter[int] = Counter()
        self._asked: Counter[int] = Counter()
        """By level, in the waves that were committed."""
        self._unused_tokens = 0
        self.outstanding = 0
        """Children under way that no open wave waits for."""

    def open(self, opened: OpenWave) -> None:
        """Ask for a wave's turns, but for those that were asked for ahead."""
        pairs = zip(opened.parents, opened.requests, strict=True)
        self._submit([request for parent, request in pairs if self._is_new(parent, request)])

    def collect(self, timeout_s: float) -> list[Outcome]:
        """Outcomes of what is wanted, and of whatever else was asked of the pool."""
        found = self._pool.collect(0.0 if self._due else timeout_s)
        outcomes, self._due = self._due, []
        return outcomes + [outcome for outcome in found if self._is_wanted(outcome)]

    def ask(self, room: int) -> None:
        """Ask for children of turns that are there, as long as there is room for them."""
        asked: list[Request] = []
        while room > 0 and self._ripe:
            parent, turns = next(iter(self._ripe.items()))
            family = self._families[parent]
            del self._ripe[parent]
            if not self._pays(family):
                continue
            asked_each = self._run.rule(len(family.parent.path) + 2).asked
            fitting = math.ceil(room / asked_each)
            if turns[fitting:]:
                self._ripe[parent] = turns[fitting:]
            for below in self._below(family, turns[:fitting]):
                self._families[below.parent.node_id] = below
                asked.append(below.request)
                self.outstanding += below.missing
                room -= below.missing
        self._submit(asked)

    def close(self, opened: OpenWave, frontier: Sequence[Parent], counts: Counts) -> None:
        """A wave is committed: what is below those that are not expanded is not wanted."""
        for parent in opened.parents:
            del self._families[parent.node_id]
            self._ripe.pop(parent.node_id, None)
        for lost in {c.node_id for c in opened.candidates} - {p.node_id for p in frontier}:
            self._drop(lost)
        self._kept[opened.wave.level] += counts.kept
        self._asked[opened.wave.level] += counts.asked

    def take_unused_tokens(self) -> int:
        """Sampled for nothing, since this was asked last."""
        tokens, self._unused_tokens = self._unused_tokens, 0
        return tokens

    # What becomes wanted, and what does not.

    def _is_new(self, parent: Parent, request: Request) -> bool:
        """Take in a parent whose children are wanted; whether they are to be asked for now."""
        ahead = self._families.get(parent.node_id)
        if ahead and not _is_same(ahead.request, request):
            self._drop(parent.node_id)
            ahead = None
        if ahead is None:
            self._families[parent.node_id] = _Family(parent, request, 1.0, request.n, True)
            if parent.node_id in self._vain:
                self._vain[parent.node_id].owed = request
            return parent.node_id not in self._vain
        self._due += ahead.outcomes
        self.outstanding -= ahead.missing
        ahead.odds, ahead.is_wanted, ahead.outcomes = 1.0, True, []
        return False

    def _is_wanted(self, outcome: Outcome) -> bool:
        if outcome.key.kind != "turn":
            return True
        if outcome.key.parent_id in self._vain:
            self._waste(outcome)
            return False
        family = self._families.get(outcome.key.parent_id)
        if family is None:
            return True
        if isinstance(outcome, Completion):
            self._ripe.setdefault(outcome.key.parent_id, []).append(outcome)
        if not family.is_wanted:
            family.outcomes.append(outcome)
            family.missing -= 1
            self.outstanding -= 1
        return family.is_wanted

    def _waste(self, outcome: Outcome) -> None:
        vain = self._vain[outcome.key.parent_id]
        vain.missing -= 1
        self.outstanding -= 1
        self._unused_tokens += _tokens(outcome)
        if not vain.missing:
            del self._vain[outcome.key.parent_id]
            self._submit([vain.owed] if vain.owed else [])

    def _drop(self, node: str) -> None:
        """Nothing below a node is wanted, unless it is already."""
        family = self._families.get(node)
        if family is None or family.is_wanted:
            return
        del self._families[node]
        self._ripe.pop(node, None)
        if family.missing:
            self._vain[node] = _Vain(family.missing)
        for outcome in family.outcomes:
            self._unused_tokens += _tokens(outcome)
            path = (*family.parent.path, outcome.key.child_index)
            self._drop(node_id(self._run.run_id, family.parent.tree_id, path))

    def _submit(self, requests: Sequence[Request]) -> None:
        if requests:
            self._pool.submit(requests)

    # What is asked ahead.

    def _below(self, family: _Family, turns: Sequence[Completion]) -> list[_Family]:
        """Turns as the parents of children, where these should be asked for ahead."""
        run = self._run
        written = [turn for turn in self._written(family, turns) if not self._is_cut_off(turn)]
        parents = [
            parent
            for parent in frontier_of(run, [family.parent], written)
            if parent.node_id not in self._families and parent.node_id not in self._vain
        ]
        if not parents:
            return []
        odds, wave = self._odds(family), f"{family.request.wave}.ahead"
        requests = expand(run, wave, parents, run.rule(len(family.parent.path) + 2))
        return [
            _Family(parent, request, odds, request.n)
            for parent, request in zip(parents, requests, strict=True)
        ]

    def _written(self, family: _Family, turns: Sequence[Completion]) -> list[Candidate]:
        """As they will be in their wave, but for what they were asked from."""
        role = self._rule(family).role
        writer = writer_of(self._run, self._rule(family).group)
        places = (place_of(self._run, family.parent, turn.key.child_index, role) for turn in turns)
        return [
            fill(writer, place, turn, prompt_hash="")
            for place, turn in zip(places, turns, strict=True)
        ]

    def _pays(self, family: _Family) -> bool:
        """Whether to ask ahead for what is below its turns, as far as they are alike."""
        level = len(family.parent.path) + 1
        is_last = level == self._run.recipe.num_levels(self._run.spec)
        # A critique may have them written again.
        if is_last or self._rule(family).critique:
            return False
        return self._odds(family) >= self._least_odds

    def _odds(self, family: _Family) -> float:
        """That one of its turns is kept: by the plan, and by what became of others."""
        rule, level = self._rule(family), len(family.parent.path) + 1
        kept, asked = rule.fanout + self._kept[level], rule.asked + self._asked[level]
        return family.odds * kept / asked

    def _rule(self, family: _Family) -> LevelRule:
        return self._run.rule(len(family.parent.path) + 1)

    def _is_cut_off(self, turn: Candidate) -> bool:
        """Whether it has no end of its own, where such turns fall."""
        return turn.finish_reason != "stop" and any(
            entry.filter == "truncated" and turn.role in entry.roles
            for entry in self._run.spec.curation.filters
        )


def _is_same(ahead: Request, wanted: Request) -> bool:
    same = (ahead.n, ahead.seed, ahead.group) == (wanted.n, wanted.seed, wanted.group)
    return (
        same and ahead.sampling == wanted.sampling and np.array_equal(ahead.prompt, wanted.prompt)
    )


def _tokens(outcome: Outcome) -> int:
    return len(outcome.token_ids) if isinstance(outcome, Completion) else 0
