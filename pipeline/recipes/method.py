"""What methods share: levels as the spec has them, one row a tree, dialogues of several lengths.

A method of its own derives from `Method` and says only what is different about it.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

from pipeline.tree.recipe import LevelRule, Stops
from schemas.errors import SpecError
from schemas.generation_spec import MAX_FANOUT, GenerationSpec, LevelSpec
from schemas.records import Frame, Message, Role, RootRow


class Method:
    """Grows dialogues below system prompts, unless a method says otherwise."""

    name: str
    version: int = 1
    defaults: Mapping[str, Any] = {}
    """What the section `generation` says where a spec does not."""
    level_defaults: Mapping[str, Mapping[str, Any]] = {}
    """The same for the levels of a role."""
    text_is: Literal["system", "user", "text"] = "system"
    """What the text of a row is to its tree: a system prompt, a user's message, or plain text that
    is continued without a template."""
    stops: Stops = "turn"
    needs_reference: bool = False
    """Whether nothing can grow from a row without a reference."""

    def check(self, spec: GenerationSpec) -> None:
        """Who speaks must follow from who spoke before, and nothing may be said in vain."""
        self._check_roots(spec)
        self._check_judge(spec)
        last: Role = self.text_is
        for index, level in enumerate(spec.levels):
            problem = _out_of_turn(last, level)
            if problem is not None:
                raise SpecError(f"generation.levels.{index}.{problem} (recipe {self.name}).")
            last = level.role
            self._check_shown(index, level)
        for turns in spec.turns:
            most = _answers(spec, len(spec.levels))
            if not 1 <= turns <= most:
                raise SpecError(
                    f"generation.turns.{turns}: the levels hold {most} turns; expected a number "
                    f"of turns from 1 to {most}."
                )

    def _check_roots(self, spec: GenerationSpec) -> None:
        roots = spec.roots
        if self.text_is == "user" and not roots.topics and roots.data is None:
            raise SpecError(
                "generation.roots: found nothing to answer, expected `data`, rows of prompts, or "
                f"`topics` ({self.name})."
            )
        if roots.examples > 1 and type(self).picks is Method.picks:
            raise SpecError(
                f"generation.roots.examples: found {roots.examples}, expected 1: recipe "
                f"{self.name} grows a tree from one row."
            )
        if self.text_is != "user" and roots.data is not None and "system" in roots.data.columns:
            raise SpecError(
                "generation.roots.data.columns.system: found a column, but recipe "
                f"{self.name} reads no system prompt beside the text of a row; expected none."
            )
        trees_per_root(spec.levels[0].fanout)

    def _check_judge(self, spec: GenerationSpec) -> None:
        judge = spec.curation.judge
        roles = {level.role for level in spec.levels}
        if judge is not None and not roles & set(judge.roles):
            raise SpecError(
                f"generation.curation.filters: found `judge`, which looks at turns of role "
                f"{_any_of(judge.roles)}, but all turns are of role {_any_of(sorted(roles))} "
                f"({self.name}); expected no judge."
            )

    def _check_shown(self, index: int, level: LevelSpec) -> None:
        where = f"generation.levels.{index}"
        if level.shown is not None and self.text_is != "user":
            raise SpecError(
                f"{where}.shown: stands in place of a root's user message, and the roots of recipe "
                f"{self.name} have none; expected no `shown`."
            )
        if level.system is not None and self._is_plain():
            raise SpecError(
                f"{where}.system: found a system prompt, which plain text has not ({self.name}); "
                "expected none."
            )

    def _is_plain(self) -> bool:
        """Whether trees grow from text outside of any template."""
        return any(role == "text" for role, _ in self.given(RootRow("text")))

    def unfit(self, row: RootRow) -> str | None:
        """Why nothing can grow from a row of a data set; None if something can."""
        if self.needs_reference and row.reference is None:
            return f"no reference, which recipe {self.name} needs"
        if row.messages and self.text_is != "user":
            return f"a conversation, but recipe {self.name} needs a text"
        return None

    def num_trees(self, spec: GenerationSpec, rows: int) -> int:
        """The trees asked for, times the trees that one root's fan-out needs."""
        return (spec.roots.trees or rows) * trees_per_root(spec.levels[0].fanout)

    def picks(self, spec: GenerationSpec, rows: int, tree_id: int) -> tuple[int, ...]:
        """Rows in order, and again from the first; topics in order, each with its share."""
        root = tree_id // trees_per_root(spec.levels[0].fanout)
        if not spec.roots.topics:
            return (root % rows,)
        for index, share in enumerate(topic_shares(spec)):
            if root < share:
                return (index,)
            root -= share
        raise IndexError(f"tree {tree_id} is beyond the {self.num_trees(spec, rows)} of the run")

    def frame(self, spec: GenerationSpec, rows: Sequence[RootRow], level: int) -> Frame:
        """The row as messages, and what a level shows instead of some of them."""
        frame = self.given(rows[0])
        if not level:
            return frame
        setting = spec.levels[level - 1]
        if setting.shown is not None:
            shown = _filled(setting.shown, frame, rows[0])
            frame = (*frame[:-1], Message("user", shown))
        return frame if setting.system is None else with_system(frame, setting.system)

    def given(self, row: RootRow) -> Frame:
        """The row as messages."""
        if row.messages:
            return row.messages
        if self.text_is == "text":
            return (Message("text", row.text),)
        spoken = (Message("user", row.text),) if self.text_is == "user" else ()
        return with_system(spoken, row.system if spoken else row.text)

    def num_levels(self, spec: GenerationSpec) -> int:
        """One for each level of the spec."""
        return len(spec.levels)

    def rule(self, spec: GenerationSpec, level: int) -> LevelRule:
        """The level's settings; a large first fan-out is shared by its trees."""
        setting = spec.levels[level - 1]
        split = trees_per_root(setting.fanout) if level == 1 else 1
        among_all = level == 1 and self.text_is != "user"
        return LevelRule(
            role=setting.role,
            asked=math.ceil(spec.oversample(level) * (setting.fanout // split)),
            fanout=setting.fanout // split,
            sampling=setting.sampling(logprobs=spec.logprobs, top_logprobs=spec.top_logprobs),
            group=setting.engine,
            say=setting.say,
            stops=self.stops,
            compared="cohort" if among_all else "siblings",
            judge=spec.curation.judge_of(setting.role),
            critique=setting.critique,
        )

    def continuing(self, spec: GenerationSpec, level: int) -> float:
        """Those with more turns than the level has, of those with at least so many."""
        if level >= len(spec.levels):
            return 0.0
        if not spec.turns or spec.levels[level - 1].role == "user":
            return 1.0
        here = _answers(spec, level)
        reach = [w for turns, w in spec.turns.items() if turns >= here]
        beyond = [w for turns, w in spec.turns.items() if turns > here]
        return sum(beyond) / sum(reach) if reach else 0.0

    def expands(self, spec: GenerationSpec, opening: float, level: int) -> bool:
        """The opening's draw decides how many turns all dialogues below it have."""
        if level >= len(spec.levels):
            return False
        return not spec.turns or _answers(spec, level) < _turns(spec, opening)

    def biases(self, spec: GenerationSpec) -> tuple[str, ...] | None:
        """Most methods steer the model, and claim no unbiased sample of what it writes."""
        return None


def _any_of(roles: Sequence[str]) -> str:
    return " or ".join(roles)


def with_system(frame: Frame, text: str) -> Frame:
    """The frame under another system prompt; an empty one leaves it to the template."""
    rest = frame[1:] if frame and frame[0].role == "system" else frame
    return (Message("system", text), *rest) if text else rest


def _filled(shown: str, frame: Frame, row: RootRow) -> str:
    asked = frame[-1].text if frame else row.text
    return shown.format(text=asked, reference=row.reference or "")


def _out_of_turn(last: Role, level: LevelSpec) -> str | None:
    """Why a level cannot follow; None if it can."""
    if (last == "text") != (level.role == "text"):
        expected = "text" if last == "text" else "user or assistant"
        return f"role: found {level.role}, expected {expected}"
    if level.role == "user" and last == "user":
        return "role: found user after a user's message, expected assistant"
    if level.role == "assistant" and level.say is None and last != "user":
        return f"role: found assistant after {last}, expected user first, or `say` at this level"
    if level.say is not None and last == "user":
        return "say: found after a user's message, expected none there"
    return None


def _answers(spec: GenerationSpec, level: int) -> int:
    """Turns that are whole at a level: a question and its answer, or one continuation."""
    return sum(setting.role != "user" for setting in spec.levels[:level])


def _turns(spec: GenerationSpec, opening: float) -> int:
    target = opening * sum(spec.turns.values())
    for turns, weight in sorted(spec.turns.items()):
        target -= weight
        if target < 0:
            return turns
    return max(spec.turns)


@lru_cache(maxsize=16)
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


def topic_shares(spec: GenerationSpec) -> tuple[int, ...]:
    """How many of the trees asked for each topic gets: by weight, largest remainder first."""
    weights = tuple(topic.weight for topic in spec.roots.topics)
    return _shares(weights, spec.roots.trees or len(weights))


@lru_cache(maxsize=4)
def _shares(weights: tuple[float, ...], trees: int) -> tuple[int, ...]:
    """Asked again for every tree of a run."""
    total = sum(weights)
    exact = [weight / total * trees for weight in weights]
    shares = [math.floor(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: (shares[i] - exact[i], i))
    for index in by_remainder[: trees - sum(shares)]:
        shares[index] += 1
    return tuple(shares)
