"""How many engines are asked for, which of them load, and which are let go: decisions only.

The least of each group come first: while one of them has no place, nobody else is asked for, and
those of others that wait for a place above their least are withdrawn, so that they do not take it.
Then all that there may be are asked for at once, since what waits is the demand that an autoscaler
sees. Where no work waits for an engine, those above the least are let go that have none, and asked
for again when there is.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, zip_longest

from pipeline.pool.members import Group, Member


def vacancies(groups: Iterable[Group]) -> Iterator[tuple[Group, str]]:
    """Engines to be asked for, by turns of one for each group."""
    groups = list(groups)
    lacking = any(group.lacking for group in groups)
    free = [[(group, name) for name in _free_names(group, lacking=lacking)] for group in groups]
    return (one for one in chain.from_iterable(zip_longest(*free)) if one is not None)


def _free_names(group: Group, *, lacking: bool) -> list[str]:
    plan = group.plan
    wanted = plan.least if lacking else plan.ceiling - group.let_go
    num = min(wanted - len(group.members), group.launches)
    names = (f"{plan.name}-{index}" for index in range(plan.ceiling))
    return [name for name in names if name not in group.members][: max(0, num)]


def turns_to_load(group: Group) -> list[Member]:
    """Members that have a place and may begin to load."""
    members = group.members.values()
    room = group.plan.loading - sum(one.loading and not one.report for one in members)
    return [one for one in members if one.placed and not one.loading][: max(0, room)]


def withdrawn(groups: Iterable[Group]) -> list[Member]:
    """Members above the least without a place, where another group lacks some of its least."""
    groups = list(groups)
    if not any(group.lacking for group in groups):
        return []
    return [one for group in groups for one in _above(group) if not one.placed]


def idle(group: Group, now: float, idle_s: float) -> list[Member]:
    """Members above the least for which there has been no work for long."""
    waited = now - group.queued_at
    return [one for one in _above(group) if not one.busy and waited > max(idle_s, one.load_s)]


def to_yield(groups: Sequence[Group], now: float, yield_s: float) -> Member | None:
    """A member above the least that makes room for a group which has had no place for long."""
    starved = [group for group in groups if group.lacking and now - group.placed_at > yield_s]
    on_gpus = {group.plan.gpus > 0 for group in starved}
    rich = [group for group in groups if (group.plan.gpus > 0) in on_gpus]
    richest = max(rich, key=lambda group: group.placed - group.plan.least, default=None)
    above = _above(richest) if richest else []
    return next((one for one in above if one.placed), None)


def _above(group: Group) -> list[Member]:
    """As many as there are above the least, those first that are the smallest loss."""
    newest_first = reversed(group.members.values())
    loss = sorted(newest_first, key=lambda one: (one.placed, one.report is not None, one.busy))
    return loss[: max(0, len(loss) - group.plan.least)]
