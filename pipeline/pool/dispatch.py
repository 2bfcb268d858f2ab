"""Who gets what: the leases of one engine group, as a state machine without clock or threads.

Waves are assigned whole, so that their shared prefixes are found in one engine's cache. An engine
leases the head of its queue, where the deepest waves stand, up to the lease; one that lets children
wait, because its slots or its KV cache are full, has shown what it can hold, and gets as many to
wait as it runs. Only outcomes of children that it holds are passed on; so each child submitted gets
exactly one outcome, whatever is lost, late or doubled.

When an engine is lost, its children go to others. A child that may be the cause, because it was
there each time and one more loss would condemn it, is leased alone: either it finishes, or it is
the poison, and then those that were lost with it are cleared. A lease that was given up by
`abandon` stays on its engine's books until its outcome arrives, because the engine works on it.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from pipeline.pool.division import divide
from pipeline.pool.losses import Losses
from schemas.errors import PoolError
from schemas.prompt_hash import prompt_hash
from schemas.records import ChildKey, EngineStats, Failure, Outcome, Request

_HOMES_KEPT = 4096
"""Waves whose engine is remembered, so that the waves below them find their prefixes there."""


@dataclass(slots=True)
class _Seat:
    """What one engine incarnation holds and waits for."""

    incarnation: int
    most: int
    """Children to hold at once, as far as the engine has shown what it can."""
    queue: deque[Request] = field(default_factory=deque)
    queued: int = 0
    """Children in the queue."""
    leased: dict[ChildKey, Request | None] = field(default_factory=dict)
    """Children at the engine, with the request they went out in; None once abandoned."""
    abandoned: bool = False
    """Whether any lease may be an abandoned one: such a child is not leased here again yet."""

    @property
    def load(self) -> int:
        return self.queued + len(self.leased)

    def pop(self, room: int) -> Request:
        """The head of the queue, cut to the room."""
        request = self.queue.popleft()
        if request.n > room:
            request, rest = request.cut(room)
            self.queue.appendleft(rest)
        self.queued -= request.n
        return request


class Dispatcher:
    """Assigns the requests of one group to its engines and keeps the books on their leases."""

    def __init__(self, *, lease: int, attempts: int) -> None:
        self._lease = lease
        self._attempts = attempts
        self._seats: dict[str, _Seat] = {}
        self._parked: list[Request] = []
        """What waits for any engine to join."""
        self._open: set[ChildKey] = set()
        self._homes: dict[str, str] = {}
        """The engine that each wave was assigned to."""
        self._losses = Losses(attempts)
        self.requeued = 0
        """Children asked for again after a loss."""
        self.refused = 0
        """Outcomes turned away."""

    @property
    def unfinished(self) -> int:
        """Children submitted that have no outcome yet."""
        return len(self._open)

    @property
    def queued(self) -> int:
        """Children that wait for an engine to have room."""
        parked = sum(request.n for request in self._parked)
        return parked + sum(seat.queued for seat in self._seats.values())

    def holds(self, engine: str) -> int:
        """Children that the engine works on, abandoned ones included."""
        return len(self._seats[engine].leased)

    def join(self, engine: str, incarnation: int) -> None:
        """An engine is ready for work."""
        assert engine not in self._seats
        self._seats[engine] = _Seat(incarnation, self._lease)
        parked, self._parked = self._parked, []
        self._assign(parked)

    def submit(self, requests: Sequence[Request]) -> None:
        """Take requests in; each wave goes whole to one engine."""
        keys = [key for request in requests for key in request.keys]
        if len(set(keys)) < len(keys) or not self._open.isdisjoint(keys):
            raise PoolError(_doubled(keys, self._open))
        self._open.update(keys)
        self._assign(requests)

    def take(self, engine: str) -> list[Request]:
        """Lease what the engine has room for."""
        seat = self._seats[engine]
        if not seat.queue and len(seat.leased) <= seat.most // 2:
            self._steal(engine)
        taken = []
        while (room := self._room(seat)) > 0 and seat.queue:
            request = seat.pop(room)
            seat.leased.update(dict.fromkeys(request.keys, request))
            taken.append(request)
        return taken

    def heed(self, engine: str, stats: EngineStats) -> None:
        """Learn from what an engine runs how much it can hold."""
        full = max(1, 2 * stats.running) if stats.waiting else self._lease
        self._seats[engine].most = min(self._lease, full)

    def accept(self, engine: str, incarnation: int, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Those outcomes that this incarnation holds a lease for; the rest is refused."""
        seat = self._seats.get(engine)
        if seat is None or seat.incarnation != incarnation:
            self.refused += len(outcomes)
            return []
        leased = seat.leased
        accepted = [one for one in outcomes if leased.pop(one.key, None) is not None]
        self.refused += len(outcomes) - len(accepted)
        self._settle([one.key for one in accepted])
        return accepted

    def lost(self, engine: str, *, blame: bool = True) -> list[Outcome]:
        """Give an engine's work to the others; children lost too often become failures.

        Without `blame` the loss had an outside cause and is not counted against them.
        """
        seat = self._seats.pop(engine)
        self._homes = {wave: home for wave, home in self._homes.items() if home != engine}
        held = {key: request for key, request in seat.leased.items() if request is not None}
        condemned = self._losses.count(held) if blame else []
        poisonous = {key: held.pop(key) for key in condemned}
        self.requeued += len(held)
        self._assign(self._rejoin(held), front=True)
        self._assign(seat.queue)
        self._settle(condemned)
        return [
            Failure(key, "poison", _poisonous(key, request, self._attempts))
            for key, request in poisonous.items()
        ]

    def abandon(self) -> None:
        """Forget all that was submitted; what engines still work on is refused when it comes."""
        for seat in self._seats.values():
            seat.queue.clear()
            seat.queued = 0
            seat.leased = dict.fromkeys(seat.leased)
            seat.abandoned = bool(seat.leased)
        self._parked.clear()
        self._open.clear()
        self._losses = Losses(self._attempts)

    def _settle(self, keys: Sequence[ChildKey]) -> None:
        self._open.difference_update(keys)
        self._losses.forget(keys)

    # Who gets a wave.

    def _assign(self, requests: Iterable[Request], *, front: bool = False) -> None:
        if not self._seats:
            self._parked.extend(requests)
            return
        for wave, run in groupby(requests, key=lambda request: request.wave):
            self._enqueue(self._home(wave), list(run), front=front)

    def _enqueue(self, engine: str, requests: list[Request], *, front: bool = False) -> None:
        """Waves nearest to the leaves go first: what is above them is still in the engine's cache,
        and trees end."""
        seat = self._seats[engine]
        queue = [*requests, *seat.queue] if front else [*seat.queue, *requests]
        seat.queue = deque(sorted(queue, key=_depth, reverse=True))
        seat.queued += sum(request.n for request in requests)

    def _home(self, wave: str) -> str:
        """The engine of a wave: its own, else the parent wave's if not busy, else the idlest."""
        home = self._homes.get(wave)
        if home is None:
            home = min(self._seats, key=lambda name: self._seats[name].load)
            above = self._homes.get(wave.rpartition(".")[0])
            slack = self._lease // 4
            if above and self._seats[above].load <= self._seats[home].load + slack:
                home = above
            self._settle_home(wave, home)
        return home

    def _settle_home(self, wave: str, engine: str) -> None:
        self._homes[wave] = engine
        if len(self._homes) > _HOMES_KEPT:
            del self._homes[next(iter(self._homes))]

    # How much an engine may hold.

    def _room(self, seat: _Seat) -> int:
        """Children it may lease now, as far as the head of its queue goes."""
        held = len(seat.leased)
        if self._losses:
            if held == 1 and self._losses.is_suspect(next(iter(seat.leased))):
                return 0
            if seat.queue and self._losses.is_suspect(_first(seat.queue[0])):
                return 0 if held else 1
        if seat.abandoned and seat.queue and not seat.leased.keys().isdisjoint(seat.queue[0].keys):
            return 0
        return max(0, seat.most - held)

    # What moves to an engine that ran dry.

    def _steal(self, thief: str) -> None:
        """Move half of what the most loaded engine cannot take now, by whole waves if possible."""
        others = [name for name, seat in self._seats.items() if seat.queued and name != thief]
        victim = max(others, key=lambda name: self._surplus(self._seats[name]), default=None)
        if victim is None or (surplus := self._surplus(self._seats[victim])) <= 0:
            return
        seat = self._seats[victim]
        kept, moved = divide(seat.queue, (surplus + 1) // 2)
        seat.queue = deque(kept)
        seat.queued -= sum(request.n for request in moved)
        self._enqueue(thief, moved)
        for wave in {request.wave for request in moved} - {request.wave for request in kept}:
            self._settle_home(wave, thief)

    def _surplus(self, seat: _Seat) -> int:
        return seat.queued - self._room(seat) if seat.queue else 0

    # What is asked for again.

    def _rejoin(self, held: dict[ChildKey, Request]) -> list[Request]:
        """The children as few requests: neighbours of one parent together, suspects alone."""
        joined: list[Request] = []
        for key, request in held.items():
            if joined and not self._losses.is_suspect(key) and _continues(joined[-1], key, request):
                joined[-1] = replace(joined[-1], n=joined[-1].n + 1)
            else:
                joined.append(request.only(key.child_index))
        return joined


def _depth(request: Request) -> int:
    return request.wave.count(".")


def _first(request: Request) -> ChildKey:
    return ChildKey(request.parent_id, request.kind, request.first_child)


def _continues(joined: Request, key: ChildKey, request: Request) -> bool:
    """Whether the child is the next one of the same request; pieces share its prompt array."""
    following = replace(joined, first_child=joined.first_child + joined.n)
    same = joined.prompt is request.prompt and joined.sampling == request.sampling
    return same and _first(following) == key and _label(joined) == _label(request)


def _label(request: Request) -> tuple[str, int | None]:
    return request.wave, request.seed


def _doubled(keys: list[ChildKey], known: set[ChildKey]) -> str:
    seen = set(known)
    for key in keys:
        if key in seen:
            break
        seen.add(key)
    return (
        f"child {key.child_index} ({key.kind}) of parent {key.parent_id} was submitted twice; each "
        "child may be asked for once until its outcome is collected. Submit each wave only once."
    )


def _poisonous(key: ChildKey, request: Request, attempts: int) -> str:
    return (
        f"{attempts} engine(s) were lost while working on child {key.child_index} ({key.kind}) of "
        f"parent {key.parent_id} (wave {request.wave}, prompt {prompt_hash(request.prompt)} of "
        f"{len(request.prompt)} tokens), so it is set aside. Look at that parent with `arborist "
        "explain`; if engines die for other reasons, raise `attempts` in the execution spec."
    )
