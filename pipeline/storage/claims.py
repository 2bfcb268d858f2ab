"""Heartbeats and claims as small files of a run: created, listed, read, and deleted at its end.

`drivers/<attempt>-<n>.json` with a rising n is a driver's heartbeat, and the older ones are
deleted by their own driver. `claims/<cohort>-<k>.json` is the k-th claim to a cohort. A file that
cannot be read as either says nothing.
"""

import logging
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from pipeline.storage.settle import settle
from pipeline.storage.store import Store
from schemas.claim import Claim, Heartbeat
from schemas.errors import CorruptData, NotFound

log = logging.getLogger(__name__)

T = TypeVar("T", Claim, Heartbeat)
R = TypeVar("R")

DRIVERS = "drivers"
CLAIMS = "claims"
_AT_ONCE = 16
_HEARTBEAT = re.compile(rf"{DRIVERS}/([0-9A-Za-z_-]{{1,64}})-(0|[1-9][0-9]{{0,9}})\.json", re.ASCII)
_CLAIM = re.compile(rf"{CLAIMS}/([0-9]{{6,10}})-(0|[1-9][0-9]{{0,9}})\.json", re.ASCII)


class FoundClaim(NamedTuple):
    """A claim's file."""

    cohort: int
    number: int
    claim: Claim | None
    """None where it cannot be read, or is there no more."""


def create_heartbeat(store: Store, heartbeat: Heartbeat) -> None:
    """Be heard of; the heartbeat before it goes."""
    attempt, number = heartbeat.driver.attempt, heartbeat.number
    settle(store, _heartbeat_name(attempt, number), heartbeat.to_bytes())
    if number:
        store.delete(_heartbeat_name(attempt, number - 1))


def create_claim(store: Store, claim: Claim) -> FoundClaim:
    """Claim a cohort, unless somebody was first; the claim that is there now."""
    name = _claim_name(claim.cohort, claim.number)
    try:
        payload = settle(store, name, claim.to_bytes())
    except NotFound:
        # It was taken, and the run sealed and its claims swept, before it could be read.
        return FoundClaim(claim.cohort, claim.number, None)
    return FoundClaim(claim.cohort, claim.number, _parsed(store, name, payload, Claim))


def read_heartbeats(store: Store, known: Callable[[str], int]) -> list[Heartbeat]:
    """The last heartbeat of each driver, where its number is above what is known of it."""
    files = _last(store.list(DRIVERS), _HEARTBEAT)
    names = [_heartbeat_name(who, last) for who, last in files.items() if last > known(who)]
    found = _each(lambda name: _read(store, name, Heartbeat), names)
    return [heartbeat for heartbeat in found if heartbeat is not None]


def read_claims(store: Store, known: Callable[[int], int | None]) -> list[FoundClaim]:
    """The last claim to each cohort, where its number is above what is known of it; where None is
    known, nobody asks."""
    files = {int(cohort): last for cohort, last in _last(store.list(CLAIMS), _CLAIM).items()}
    wanted = [
        (c, last) for c, last in files.items() if (own := known(c)) is not None and last > own
    ]
    names = [_claim_name(*which) for which in wanted]
    claims = _each(lambda name: _read(store, name, Claim), names)
    return [FoundClaim(*which, claim) for which, claim in zip(wanted, claims, strict=True)]


def sweep_claims(store: Store) -> int:
    """Delete all heartbeats and claims of a run that is complete; how many there were."""
    files = [*store.list(DRIVERS), *store.list(CLAIMS)]
    _each(store.delete, files)
    return len(files)


def _last(names: Iterable[str], pattern: re.Pattern[str]) -> dict[str, int]:
    """By what files are about, the highest number of one."""
    found: dict[str, int] = {}
    for file in filter(None, map(pattern.fullmatch, names)):
        found[file[1]] = max(int(file[2]), found.get(file[1], -1))
    return found


def _heartbeat_name(attempt: str, number: int) -> str:
    return f"{DRIVERS}/{attempt}-{number}.json"


def _claim_name(cohort: int, number: int) -> str:
    return f"{CLAIMS}/{cohort:06d}-{number}.json"


def _each(do: Callable[[str], R], names: list[str]) -> list[R]:
    """Several at once, as each may take the time of a request over a network."""
    if len(names) < 2:
        return [do(name) for name in names]
    with ThreadPoolExecutor(min(_AT_ONCE, len(names))) as threads:
        return list(threads.map(do, names))


def _read(store: Store, name: str, kind: type[T]) -> T | None:
    try:
        payload = store.read(name)
    except NotFound:
        # A newer one took its place, or the run was sealed.
        return None
    return _parsed(store, name, payload, kind)


def _parsed(store: Store, name: str, payload: bytes, kind: type[T]) -> T | None:
    try:
        return kind.from_bytes(payload, name=f"{store.location}/{name}")
    except CorruptData as error:
        log.warning("%s It is left aside.", error)
        return None
