"""What engines did, as small files of a run: `engines/<attempt>-<n>.json`, a file each time that a
driver let its engines go. They stay when the run is sealed."""

import logging

from pipeline.storage.settle import settle
from pipeline.storage.store import Store
from schemas.engine_use import EnginesUsed
from schemas.errors import ArboristError, LocationError, NotFound, StoreError

log = logging.getLogger(__name__)

ENGINES = "engines"


def write_uses(store: Store, used: EnginesUsed) -> None:
    """Leave it for reports; that it cannot be written stops nothing."""
    name = f"{ENGINES}/{used.attempt}-{round(used.began_at * 1000):013}.json"
    try:
        settle(store, name, used.to_bytes())
    except (StoreError, LocationError) as error:
        log.warning("%s: what engines did is not recorded: %s", store.location, error)


def read_uses(store: Store) -> list[EnginesUsed]:
    """All that can be read, in order of time."""
    found = []
    for name in store.list(ENGINES):
        try:
            found.append(EnginesUsed.from_bytes(store.read(name), name=f"{store.location}/{name}"))
        except NotFound:
            continue
        except ArboristError as error:
            log.warning("%s", error)
    return sorted(found, key=lambda one: one.began_at)
