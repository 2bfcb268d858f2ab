"""What goes wrong in one attempt, and a store with which it does."""

import threading
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TypeVar

from pipeline.storage.ledger import LEDGER, wave_of
from pipeline.storage.repairs import REPAIRS, read_repairs
from pipeline.storage.runs import RUN_FILE
from pipeline.storage.snapshots import SNAPSHOTS
from pipeline.storage.store import Store
from schemas.errors import AlreadyExists, StoreError
from schemas.manifest import Manifest
from tests.chaos.schedule import Fault, Where
from tests.faulty_store import Killed

T = TypeVar("T")

_DELAY_S = 0.03
_PAUSE_S = 0.5
"""Or until another attempt seals the run."""
KEPT = (LEDGER, SNAPSHOTS, REPAIRS, RUN_FILE)
"""What nobody ever deletes."""
_HIDDEN = 6
"""At most so many objects, the newest ones, are missing in a stale listing."""


class Troubles:
    """The faults of one attempt: each comes once, when something asks for its kind."""

    def __init__(self, faults: Sequence[Fault] = ()) -> None:
        self._pending = sorted(faults, key=lambda fault: fault.at)
        self._lock = threading.Lock()
        self.fired: list[Fault] = []

    def due(self, where: Where, kinds: Collection[str], at: int) -> Fault | None:
        """The first fault of these kinds whose place was reached; it is gone then."""
        with self._lock:
            for fault in self._pending:
                if fault.where == where and fault.kind in kinds and fault.at <= at:
                    self._pending.remove(fault)
                    self.fired.append(fault)
                    return fault
        return None


class Ground:
    """The store that all attempts share; it sees what each of them does."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._named: dict[str, str] = {}
        """What manifests name, and which of them."""
        self.harmed: set[str] = set()
        """What was damaged."""
        self.location = store.location
        self.created: list[str] = []
        """In order."""
        self.sealed = threading.Event()
        """Somebody made a snapshot."""
        self.late: list[Callable[[], None]] = []
        """Creates whose answer was lost and that have not come to pass."""
        self.wrongs: list[str] = []
        """What must never happen, whatever fails."""

    def read(self, name: str) -> bytes:
        return self._store.read(name)

    def create(self, name: str, payload: bytes) -> None:
        self._store.create(name, payload)
        with self._lock:
            self.created.append(name)
            if name.startswith(SNAPSHOTS):
                self.sealed.set()
            if name.startswith(LEDGER):
                manifest = Manifest.from_bytes(payload, name=name)
                self._named |= dict.fromkeys((entry.name for entry in manifest.shards), name)

    def list(self, prefix: str) -> list[str]:
        return self._store.list(prefix)

    def delete(self, name: str) -> None:
        with self._lock:
            if name in self._named and is_current(self._store, self._named[name]):
                self.wrongs.append(f"{name} was deleted, which {self._named[name]} names")
            elif name.startswith(KEPT):
                self.wrongs.append(f"{name} was deleted")
        self._store.delete(name)

    def harm(self, name: str, payload: bytes | None) -> None:
        """Something else than whom the store knows puts other bytes there, or none."""
        with self._lock:
            self.harmed.add(name)
            self._named = {shard: by for shard, by in self._named.items() if by != name}
            self._store.delete(name)
            if payload is not None:
                self._store.create(name, payload)

    def land(self) -> None:
        """All creates that were late come to pass now, unless somebody was there first."""
        while self.late:
            self.late.pop()()


class TroubledStore:
    """The ground as one attempt reaches it."""

    def __init__(self, ground: Ground, troubles: Troubles) -> None:
        self._ground, self._troubles = ground, troubles
        self._lock = threading.Lock()
        self._count = 0
        self._broken: Callable[[str], BaseException] | None = None
        """What every operation ends with from some moment on."""
        self._full = False
        self._shown: int | None = None
        """How many objects were there when listings began to show no newer ones."""
        self.location = ground.location

    def kill(self) -> Killed:
        """From now on nothing is done: the process is dead."""
        self._broken = lambda what: Killed(f"{what} after the death")
        return Killed("as planned")

    def read(self, name: str) -> bytes:
        return self._run(f"read {name}", partial(self._ground.read, name))

    def create(self, name: str, payload: bytes) -> None:
        create = partial(self._ground.create, name, payload)
        number = self._next()
        if self._full or self._due(number, "disk full"):
            self._full = True
            raise StoreError(f"create {name}: no space left, as planned")
        if self._due(number, "landed late"):
            self._ground.late.append(partial(_unless_there, create))
            raise StoreError(f"create {name}: no answer, as planned")
        self._disturbed(number, f"create {name}", create)

    def list(self, prefix: str) -> list[str]:
        found = self._run(f"list {prefix}", partial(self._ground.list, prefix))
        hidden = set(self._ground.created[self._unseen() :])
        return [name for name in found if name not in hidden]

    def _unseen(self) -> int:
        """The first of the objects, in order of creation, that a listing does not show."""
        created = len(self._ground.created)
        if self._troubles.due("store", ["frozen listings"], self._count):
            self._shown = created
        if stale := self._troubles.due("store", ["stale listing"], self._count):
            return max(0, created - 1 - stale.size % _HIDDEN)
        return created if self._shown is None else self._shown

    def delete(self, name: str) -> None:
        self._run(f"delete {name}", partial(self._ground.delete, name))

    def _run(self, what: str, operation: Callable[[], T]) -> T:
        return self._disturbed(self._next(), what, operation)

    def _next(self) -> int:
        with self._lock:
            self._count += 1
            return self._count

    def _due(self, number: int, *kinds: str) -> str:
        fault = self._troubles.due("store", kinds, number)
        return fault.kind if fault else ""

    def _disturbed(self, number: int, what: str, operation: Callable[[], T]) -> T:
        if self._broken is not None:
            raise self._broken(what)
        if self._due(number, "delayed"):
            time.sleep(_DELAY_S)
        if self._due(number, "paused"):
            self._ground.sealed.wait(_PAUSE_S)
        if self._due(number, "outage"):
            self._broken = lambda what: StoreError(f"{what}: cannot be reached, as planned")
            raise self._broken(what)
        kind = self._due(number, "failed before", "failed after", "killed before", "killed after")
        if not kind:
            return operation()
        if kind.endswith("after"):
            operation()
        if kind.startswith("killed"):
            raise self.kill()
        raise StoreError(f"{what} fails as planned")


def is_current(store: Store, manifest: str) -> bool:
    """Whether a file in the ledger counts, and was not retired by a repair."""
    known = wave_of(manifest)
    return known is not None and read_repairs(store).epoch_of(known[0]) == known[1]


def _unless_there(create: Callable[[], None]) -> None:
    try:
        create()
    except AlreadyExists:
        return
