"""What happens to a run beside its attempts: files are damaged, and it is repaired or refined."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from jobs.tongues import tongues_of
from jobs.verify import Inspection
from pipeline.pool.tasks import LocalTasks
from pipeline.refine.loop import Asked, Origin, refine
from pipeline.repair import carry_out, plan_repair
from pipeline.storage.ledger import Ledger
from pipeline.storage.reader import read_kept
from pipeline.storage.runs import RUN_FILE, open_run
from pipeline.storage.snapshots import latest, snapshot_numbers
from pipeline.storage.store import Store
from pipeline.verify.defect import Defect
from schemas.errors import AlreadyExists, CorruptData
from schemas.execution_spec import RunSpec
from schemas.refine_spec import RefineSpec
from tests.chaos.attempts import Try
from tests.chaos.schedule import DAMAGE, Act
from tests.chaos.shapes import Shape
from tests.chaos.troubles import Ground
from tests.processes import until

PATIENCE_S = 60.0


@dataclass
class Visit:
    """One act, by somebody who has a healthy store."""

    act: Act
    beside: Sequence[Try] = ()
    """Attempts that work on the run meanwhile."""
    error: BaseException | None = None
    did: str = ""
    """What it came to; nothing where there was nothing to do it with."""
    withdrawn: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.act)

    @property
    def damages(self) -> bool:
        """Whether it leaves something behind that has to be made again."""
        return self.act.kind in DAMAGE

    def is_permitted(self) -> bool:
        """Whether it may end with its error: beside others, what is looked at may change."""
        return bool(self.beside) and type(self.error) in (AlreadyExists, CorruptData)

    def run(self, shape: Shape, spec: RunSpec, ground: Ground) -> None:
        """Do it; whatever it raises is noted."""
        try:
            self._visit(ground, random.Random(self.act.seed))
        except BaseException as error:  # noqa: BLE001 - who looks at the visit judges it
            self.error = error

    def _visit(self, ground: Ground, dice: random.Random) -> None:
        begin = len(ground.created)
        first, second, third = (begin + waves for waves in self.act.after)
        self._await(ground, first)
        if not has_run(ground):
            return
        if not self.damages:
            self._refine(ground, dice)
            return
        if harm(ground, self.act.kind, dice):
            self.did = self.act.kind
        self._await(ground, second)
        repair(ground, lambda: self._await(ground, third))

    def _await(self, ground: Ground, created: int) -> None:
        """Wait for the attempts beside it to get so far."""
        until(
            lambda: len(ground.created) >= created or all(one.ended for one in self.beside),
            PATIENCE_S,
        )

    def _refine(self, ground: Ground, dice: random.Random) -> None:
        snapshot = latest(ground)
        if snapshot is None:
            return
        tables = read_kept(ground, snapshot, ["node_id", "level"])
        rows = [row for table in tables for row in table.to_pylist()]
        turns = sorted(row["node_id"] for row in rows if row["level"])
        withdraws = "withdrawal" in self.act.kind and turns
        chosen = [dice.choice(turns)] if withdraws else []
        spec = RefineSpec(duplicates=dice.choice(("near", "exact", "keep")))
        refine_latest(ground, Asked(spec, chosen), f"r{self.act.turn}")
        self.did, self.withdrawn = self.act.kind, chosen


def harm(ground: Ground, kind: str, dice: random.Random) -> bool:
    """Damage a committed file as disks and people do; whether there was one."""
    what, how = kind.split()
    if what == "snapshot":
        names = [f"snapshots/{number:05d}.json" for number in snapshot_numbers(ground)]
    else:
        ledger = Ledger(ground)
        # Damage upon damage: what cannot be read any more has been damaged before.
        manifests = [m for m in ledger.survey().values() if not isinstance(m, CorruptData)]
        shards = [entry.name for manifest in manifests for entry in manifest.shards]
        names = shards if what == "shard" else [ledger.name_of(m.wave) for m in manifests]
    if not names:
        return False
    name = dice.choice(sorted(names))
    ground.harm(name, None if how == "gone" else _spoilt(ground.read(name), how, dice))
    return True


def _spoilt(payload: bytes, how: str, dice: random.Random) -> bytes:
    at = dice.randrange(len(payload))
    if how == "cut":
        return payload[:at]
    return payload[:at] + bytes([payload[at] ^ 1 << dice.randrange(8)]) + payload[at + 1 :]


def has_run(store: Store) -> bool:
    """Whether any attempt got so far."""
    return RUN_FILE in store.list("")


def defects_in(ledger: Ledger) -> list[Defect]:
    """What is wrong, but for files that nothing names."""
    run_file = open_run(ledger.store)
    seen = Inspection(ledger, run_file, tongues_of(run_file, ()), differing={}, fast=False)
    return [defect for defect in seen.defects(Counter()) if not defect.orphan]


def repair(ground: Ground, meanwhile: Callable[[], None] = lambda: None) -> None:
    """As the command does; `meanwhile` comes between the look and the repair."""
    ledger = Ledger(ground)
    cure = plan_repair(ledger, open_run(ground).run_id, defects_in(ledger))
    meanwhile()
    carry_out(ground, cure)


def refine_latest(ground: Ground, asked: Asked, attempt: str) -> None:
    """Refine the latest snapshot."""
    snapshot, tasks = latest(ground), LocalTasks()
    assert snapshot is not None
    origin = Origin(ground, open_run(ground), snapshot)
    try:
        refine([origin], asked, tasks, attempt=attempt, note=lambda doing: None)
    finally:
        tasks.close()
