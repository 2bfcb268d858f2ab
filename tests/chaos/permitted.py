"""How an attempt may end after what happened to it, by kind of fault; most must be survived."""

from collections.abc import Iterator
from typing import NamedTuple

from schemas.errors import (
    CorruptData,
    EngineError,
    Evicted,
    Interrupted,
    LocationError,
    PoolError,
    StoreError,
    UserError,
)
from tests.chaos.attempts import WAITS, Try
from tests.chaos.schedule import DAMAGE
from tests.faulty_store import Killed


class End(NamedTuple):
    """An error of just this type that says so, itself or in what it comes from."""

    error: type[BaseException]
    saying: str

    def is_that_of(self, error: BaseException) -> bool:
        return type(error) is self.error and any(self.saying in said for said in _said(error))


DEAD = (End(Killed, "as planned"), End(Killed, "after the death"))
UNANSWERED = (End(StoreError, "as planned"), End(LocationError, "as planned"))
NONE_LEFT = (End(PoolError, "is left"),)
NONE_STARTED = (End(EngineError, "is left"),)
UNSEEN = (
    End(CorruptData, "is not committed, so the run cannot be sealed"),
    End(CorruptData, "do not name the same waves"),
    End(UserError, "there is nothing to seal yet"),
    End(StoreError, "its listing does not show snapshot"),
)
"""What was committed is found missing where a listing does not show it."""

SHAKEN = (End(CorruptData, ""), End(UserError, "there is nothing to seal yet"))
"""Beside damage and a repair: what an attempt builds on is not there, or counts no more."""

ENDS: dict[str, tuple[End, ...]] = {
    "store failed before": UNANSWERED,
    "store failed after": UNANSWERED,
    "store killed before": DEAD,
    "store killed after": DEAD,
    "store delayed": (),
    "store landed late": UNANSWERED,
    "store stale listing": UNSEEN,
    "store frozen listings": UNSEEN,
    "store outage": UNANSWERED,
    "store paused": (),
    "store disk full": UNANSWERED,
    "engine died": NONE_LEFT,
    "engine raised": NONE_LEFT,
    "engine raised at a request": NONE_LEFT,
    "engine answered twice": (),
    "engine answered what nobody asked": (),
    "engine answered late": (),
    "engine failed to start": NONE_LEFT + NONE_STARTED,
    "engine raised at its end": (),
    "engine hung": NONE_LEFT,
    "engine hung in a step": NONE_LEFT,
    "engine hung at the start": NONE_LEFT + NONE_STARTED,
    "engine lost an answer": NONE_LEFT,
    "workers measured late": (),
    "workers raised while measuring": (End(PoolError, "in a filter, as planned"),),
    "workers killed": (),
    "driver killed": DEAD,
    "driver told to drain": (End(Interrupted, "stopped as asked"),),
    "driver told to abandon": (End(Interrupted, "stopped as asked"),),
    "driver told to leave": (End(Evicted, "the machine is taken away"),),
    "driver told to evict": (End(Evicted, "the machine is taken away"),),
    "driver clock jumped": (),
    "driver budget": (),
}
"""Kinds that permit none never end an attempt, whatever comes with them."""


def is_permitted(one: Try) -> bool:
    """Whether an attempt that ended with an error ended as it may."""
    return one.error is not None and any(end.is_that_of(one.error) for end in _ends(one))


def _ends(one: Try) -> Iterator[End]:
    losses = [fault for fault in one.fired if set(ENDS[fault.what]) & set(NONE_LEFT)]
    # Where hanging is to be noticed soon, engines of a busy machine may be given up as well.
    impatient = any(fault.kind in WAITS for fault in one.faults)
    may_run_out = impatient or len(losses) > one.restarts
    for fault in one.fired:
        if fault not in losses or may_run_out:
            yield from ENDS[fault.what]
    if one.beside in DAMAGE:
        yield from SHAKEN
    if impatient:
        yield from NONE_LEFT + NONE_STARTED


def _said(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield str(error)
        error = error.__cause__
