"""The ledger: the manifests of a run, and the only truth on its progress."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from pipeline.storage.settle import settle
from pipeline.storage.store import Store
from schemas.errors import CorruptData, NotFound
from schemas.manifest import Manifest, ShardEntry
from schemas.wave_id import WaveId

LEDGER = "ledger"
_READERS = 16


class Ledger:
    """Commits waves, and reads what was committed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def commit(self, manifest: Manifest) -> Manifest:
        """Make a wave real unless it is; the manifest that is there: compare its attempt.

        A `StoreError` leaves the outcome unknown, and nothing may be deleted then.
        """
        name = _name(manifest.wave)
        winner = self._parse(name, settle(self._store, name, manifest.to_bytes()))
        if winner.run_id != manifest.run_id:
            raise CorruptData(
                f"{self._store.location}/{name}: belongs to run {winner.run_id}, expected "
                f"{manifest.run_id}; files of another run were copied here."
            )
        return winner

    def read(self, wave: str) -> Manifest | None:
        """The manifest of a wave; None while it is not committed."""
        try:
            payload = self._store.read(_name(wave))
        except NotFound:
            return None
        return self._parse(_name(wave), payload)

    def all(self) -> dict[str, Manifest]:
        """Every manifest by wave, in order of name. Reads them all: for the start only.

        A listing that is made while a driver commits may show a wave and miss the one above it,
        though that was there first; so each that is missing above another one is looked for.
        """
        found: dict[str, Manifest] = {}
        waves = self.waves()
        with ThreadPoolExecutor(_READERS) as readers:
            while waves:
                read = zip(waves, readers.map(self.read, waves), strict=True)
                found |= {wave: manifest for wave, manifest in read if manifest}
                waves = sorted(_parents_of(waves) - found.keys())
        return dict(sorted(found.items()))

    def waves(self) -> list[str]:
        """Names of the committed waves, sorted, by one listing."""
        names = self._store.list(LEDGER)
        return sorted(name[len(LEDGER) + 1 : -5] for name in names if name.endswith(".json"))

    def discard(self, entries: Iterable[ShardEntry]) -> None:
        """Delete our own shards of a wave that another attempt certainly won."""
        for entry in entries:
            self._store.delete(entry.name)

    def _parse(self, name: str, payload: bytes) -> Manifest:
        where = f"{self._store.location}/{name}"
        manifest = Manifest.from_bytes(payload, name=where)
        if _name(manifest.wave) != name:
            raise CorruptData(
                f"{where}: holds the manifest of wave {manifest.wave}; the file was renamed."
            )
        return manifest


def _parents_of(waves: Iterable[str]) -> set[str]:
    parents = (WaveId.parse(wave).parent for wave in waves)
    return {parent.name for parent in parents if parent is not None}


def _name(wave: str) -> str:
    return f"{LEDGER}/{wave}.json"
