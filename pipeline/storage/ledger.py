"""The ledger: the manifests of a run, and the only truth on its progress."""

import re
from collections.abc import Iterable, Set
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

from pipeline.storage.repairs import Repairs, read_repairs
from pipeline.storage.settle import settle
from pipeline.storage.store import Store
from schemas.errors import CorruptData, NotFound
from schemas.manifest import Manifest, ShardEntry
from schemas.wave_id import WaveId

LEDGER = "ledger"
_READERS = 16
_NUMBER = r"(?:0|[1-9]\d{0,9})"
_FILE = re.compile(
    rf"(?P<wave>(?:\d{{6}}|[1-9]\d{{6,9}})(?:\.{_NUMBER})*)(?:-(?P<epoch>[1-9]\d{{0,9}}))?\.json",
    re.ASCII,
)


class Ledger:
    """Commits waves, and reads what was committed.

    Which epochs count is looked up once: whoever works for long on what it says keeps one, so that
    a repair that comes meanwhile changes nothing under its hands.
    """

    def __init__(self, store: Store, repairs: Repairs | None = None) -> None:
        self._store, self._given = store, repairs

    @property
    def store(self) -> Store:
        """Where it lies."""
        return self._store

    @cached_property
    def repairs(self) -> Repairs:
        """Those of the run: as given, else as of the first use."""
        return read_repairs(self._store) if self._given is None else self._given

    def epoch_of(self, wave: str) -> int:
        """The epoch that a wave's manifest has to have."""
        return self.repairs.epoch_of(wave)

    def name_of(self, wave: str) -> str:
        """Where the manifest of a wave lies."""
        return _name(wave, self.epoch_of(wave))

    def commit(self, manifest: Manifest) -> Manifest:
        """Make a wave real unless it is; the manifest that is there: compare its attempt.

        A `StoreError` leaves the outcome unknown, and nothing may be deleted then.
        """
        name = self.name_of(manifest.wave)
        winner = self._parse(name, settle(self._store, name, manifest.to_bytes()))
        if winner.run_id != manifest.run_id:
            raise CorruptData(
                f"{self._store.location}/{name}: belongs to run {winner.run_id}, expected "
                f"{manifest.run_id}; files of another run were copied here."
            )
        return winner

    def read(self, wave: str) -> Manifest | None:
        """The manifest of a wave; None while it is not committed."""
        name = self.name_of(wave)
        try:
            payload = self._store.read(name)
        except NotFound:
            return None
        return self._parse(name, payload)

    def all(self) -> dict[str, Manifest]:
        """Every manifest by wave, in order of name. Reads them all: for the start only."""
        return self.news(frozenset())

    def news(self, known: Set[str]) -> dict[str, Manifest]:
        """The same of the waves that are not known yet: by one listing, and a read for each."""
        found: dict[str, Manifest] = {}
        for wave, read in self.survey(known).items():
            if isinstance(read, CorruptData):
                raise read
            found[wave] = read
        return found

    def survey(self, known: Set[str] = frozenset()) -> "dict[str, Manifest | CorruptData]":
        """The same, and where one cannot be read, why.

        A listing that is made while a driver commits may show a wave and miss the one above it,
        though that was there first; so each that is missing above another one is looked for.
        """
        found: dict[str, Manifest | CorruptData] = {}
        waves = [wave for wave in self.waves() if wave not in known]
        with ThreadPoolExecutor(_READERS) as readers:
            while waves:
                found |= zip(waves, readers.map(self._look, waves), strict=True)
                waves = sorted(_parents_of(waves) - found.keys() - known)
        return dict(sorted(found.items()))

    def waves(self) -> list[str]:
        """Names of the committed waves, sorted, by one listing."""
        files = (wave_of(name) for name in self._store.list(LEDGER))
        return sorted(wave for wave, epoch in filter(None, files) if epoch == self.epoch_of(wave))

    def strays(self) -> list[str]:
        """Files among the manifests that are none."""
        return [name for name in self._store.list(LEDGER) if wave_of(name) is None]

    def discard(self, entries: Iterable[ShardEntry]) -> None:
        """Delete our own shards of a wave that another attempt certainly won."""
        for entry in entries:
            self._store.delete(entry.name)

    def _look(self, wave: str) -> "Manifest | CorruptData":
        """The manifest of a wave that must be there."""
        try:
            manifest = self.read(wave)
        except CorruptData as error:
            return error
        return manifest or CorruptData(
            f"{self._store.location}/{self.name_of(wave)}: is not there, though waves below it "
            "are; it was removed. `arborist repair` retires them, and `arborist generate` makes "
            "them again."
        )

    def _parse(self, name: str, payload: bytes) -> Manifest:
        where = f"{self._store.location}/{name}"
        manifest = Manifest.from_bytes(payload, name=where)
        if _name(manifest.wave, manifest.epoch) != name:
            raise CorruptData(
                f"{where}: holds the manifest of wave {manifest.wave} in epoch {manifest.epoch}; "
                "the file was renamed."
            )
        if self.repairs.run_id not in (None, manifest.run_id):
            raise CorruptData(
                f"{where}: belongs to run {manifest.run_id}, but the repairs beside it to run "
                f"{self.repairs.run_id}; files of another run were copied here."
            )
        return manifest


def wave_of(name: str) -> tuple[str, int] | None:
    """Wave and epoch of a file in the ledger; None for a name that no manifest has."""
    file = _FILE.fullmatch(name.removeprefix(f"{LEDGER}/"))
    return (file["wave"], int(file["epoch"] or 0)) if file else None


def _parents_of(waves: Iterable[str]) -> set[str]:
    parents = (WaveId.parse(wave).parent for wave in waves)
    return {parent.name for parent in parents if parent is not None}


def _name(wave: str, epoch: int) -> str:
    return f"{LEDGER}/{wave}-{epoch}.json" if epoch else f"{LEDGER}/{wave}.json"
