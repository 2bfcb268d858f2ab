"""`arborist export --push`: an export copied to where others find it.

What is there with the same content stays. On stores, where a push may break off, a mark says until
the end that it is not whole; the list of files comes after the files, and the card last. A push to
the hub is one commit.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from jobs.export_card import README
from pipeline.storage.file_store import FileStore
from pipeline.storage.hub import HubDataset, is_hub
from pipeline.storage.object_store import FsspecStore
from pipeline.storage.open import beside
from pipeline.storage.settle import settle
from pipeline.storage.store import Store
from schemas.errors import (
    CorruptData,
    LocationError,
    NotFound,
    StoreError,
    UserError,
)
from schemas.export import Export
from schemas.fingerprint import digest
from schemas.secrets import BELONG, holds_secret, redacted

EXPORT = "export.json"
MARK = "export.partial.json"
"""What a push begins with and ends without."""

SAID_EVERY_S = 2.0


def add_push(parser: argparse.ArgumentParser) -> None:
    """The options that are about it."""
    parser.add_argument(
        "--push",
        metavar="URI",
        help="copy the export there too: s3://, gs://, file://, ..., or hf://datasets/OWNER/NAME "
        "with the token in the environment (HF_TOKEN); where --out holds this very export, it is "
        "pushed as it is",
    )
    parser.add_argument(
        "--public",
        action="store_true",
        help="hf://: anybody may see the data set (default: it is made private)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="push over what another export, or another hand, has left there",
    )


def check_push(args: argparse.Namespace) -> None:
    """An error where the options make no sense, before anything is written."""
    given = next((name for name in ("public", "force") if getattr(args, name)), None)
    if args.push is None and given is not None:
        raise UserError(f"--{given}: is about --push, which is missing.")
    if args.push is None:
        return
    if holds_secret(args.push):
        raise LocationError(f"{redacted(args.push)}: found a secret in a location. {BELONG}.")
    if is_hub(args.push):
        HubDataset(args.push)
    elif args.public:
        raise UserError(f"--public: is for hf://, found --push {args.push}.")


class Target(Protocol):
    """Where an export is pushed to, as far as it is looked at."""

    @property
    def location(self) -> str:
        """Its URI."""
        ...

    def list(self, prefix: str) -> list[str]:
        """Names of its files."""
        ...

    def read(self, name: str) -> bytes:
        """One of them."""
        ...


class Plan(NamedTuple):
    """What a push has to do."""

    export: Export
    """As it will be listed there."""
    send: tuple[str, ...]
    """Files of rows, the card apart."""
    left: tuple[str, ...]
    """Those that are there."""
    gone: tuple[str, ...]
    """Those of earlier pushes that are no part of it, or have another content."""
    card: bytes | None
    """The card to be written; None where that which is there stays."""
    foreign_card: bool
    """A card of another hand stands there, and stays."""
    marked: bool
    """A push like this one broke off there, and its mark stands."""
    whole: bool
    """Nothing is to be done."""


def export_at(store: Target, name: str = EXPORT) -> Export | None:
    """The export that lies there; None if there is none."""
    try:
        payload = store.read(name)
    except NotFound:
        return None
    return Export.from_bytes(payload, name=f"{store.location}/{name}")


def push(
    args: argparse.Namespace, store: Store, out: FileStore | FsspecStore, export: Export
) -> tuple[dict[str, object], str]:
    """Bring an export to where it was asked for; figures and words on it."""
    if is_hub(args.push):
        target: Any = HubDataset(args.push)
        _check_seen(target, public=args.public)
    else:
        target = beside(store, args.push)
        if target.location == out.location:
            raise UserError(f"--push {args.push}: is the folder of --out; expected another one.")
    plan = plan_push(export, _read(out, README), target, force=args.force)
    if not plan.whole:
        if is_hub(args.push):
            _to_hub(plan, out, target, public=args.public)
        else:
            push_to_store(plan, out, target)
    sent = sum(file.bytes for file in export.files if file.name in plan.send)
    figures: dict[str, object] = {
        "location": target.location,
        "sent": len(plan.send),
        "left": len(plan.left),
        "bytes": sent,
    }
    return figures, _words(plan, target.location, sent)


def _words(plan: Plan, location: str, sent: int) -> str:
    card = f"; the {README} there is of another hand and stays" if plan.foreign_card else ""
    if plan.whole:
        return f"{location} holds it already{card}"
    return (
        f"pushed to {location}: {len(plan.send)} files ({_mb(sent)}), "
        f"{len(plan.left)} were there{card}"
    )


def _check_seen(target: HubDataset, *, public: bool) -> None:
    if target.exists and not target.private and not public:
        raise UserError(
            f"{target.location}: anybody can see it; say --public to push there all the same, or "
            "make it private first."
        )


def plan_push(export: Export, readme: bytes | None, target: Target, *, force: bool) -> Plan:
    """What is to be done, by what lies there."""
    there = set(target.list(""))
    old, begun = _known(target, EXPORT, there), _known(target, MARK, there)
    _check_ours(export, target, there, [old, begun], force=force)
    card, foreign = _card(readme, target, there, [old, begun], force=force)
    listed = {(one.name, one.sha256) for one in (old.files if old and MARK not in there else ())}
    same = {
        file.name
        for file in export.files
        if file.name in there
        and ((file.name, file.sha256) in listed or digest(target.read(file.name)) == file.sha256)
    }
    ours = {file.name for one in (old, begun) if one for file in one.files}
    # Others of this name would be read as rows of it.
    ours |= {name for name in there if fnmatchcase(name, f"{export.kind}-*.parquet")}
    final = export.model_copy(update={"readme": None if readme is None else digest(readme)})
    send = tuple(file.name for file in export.files if file.name not in same)
    gone = tuple(sorted(ours & there - same))
    whole = old == final and MARK not in there and not send and not gone and card is None
    marked = begun is not None and begun.is_of(export)
    return Plan(final, send, tuple(sorted(same)), gone, card, foreign, marked, whole)


def _known(target: Target, name: str, there: set[str]) -> Export | None:
    """A list of files that can be read, which another version's may not be."""
    try:
        return export_at(target, name) if name in there else None
    except (CorruptData, UserError):
        return None


def _check_ours(
    export: Export, target: Target, there: set[str], lists: list[Export | None], *, force: bool
) -> None:
    if not there - {README} or force or any(one is not None and one.is_of(export) for one in lists):
        return
    found = next((one for one in lists if one is not None), None)
    what = f"{len(there):,} files, such as {min(there)}"
    if found is not None:
        what = f"an export of run {found.run_id} ({found.kind})"
    raise UserError(
        f"{target.location}: holds {what}; expected nothing, or an earlier push of "
        f"{export.kind} of run {export.run_id}. Push to another place, or say --force."
    )


def _card(
    readme: bytes | None,
    target: Target,
    there: set[str],
    lists: list[Export | None],
    *,
    force: bool,
) -> tuple[bytes | None, bool]:
    """The card to be written, and whether one of another hand stays."""
    if readme is None or README not in there:
        return readme, False
    found = digest(target.read(README))
    if found == digest(readme):
        return None, False
    ours = force or found in {one.readme for one in lists if one is not None}
    return (readme, False) if ours else (None, True)


def push_to_store(plan: Plan, out: Store, target: Store) -> None:
    """Object by object; until the mark is gone, it is not whole."""
    if not plan.marked:
        target.delete(MARK)
        _create(target, MARK, plan.export.to_bytes())
    # While the list is there, it says whose card that is.
    if plan.card is not None:
        target.delete(README)
    target.delete(EXPORT)
    for name in plan.gone:
        target.delete(name)
    for name in _told(plan):
        _create(target, name, _checked(plan.export, out, name))
    _create(target, EXPORT, plan.export.to_bytes())
    if plan.card is not None:
        _create(target, README, plan.card)
    target.delete(MARK)


def _create(target: Store, name: str, payload: bytes) -> None:
    if settle(target, name, payload) != payload:
        raise StoreError(
            f"{target.location}/{name}: another push wrote it at the same time; start the same "
            "command again once that one has ended."
        )


def _checked(export: Export, out: Store, name: str) -> bytes:
    payload = out.read(name)
    if digest(payload) != next(file.sha256 for file in export.files if file.name == name):
        raise CorruptData(
            f"{out.location}/{name}: is not what was exported, by its digest in {EXPORT}; export "
            "again to an empty folder."
        )
    return payload


def _told(plan: Plan) -> Iterator[str]:
    """The files to be sent; how far they are is said now and then."""
    sizes = {file.name: file.bytes for file in plan.export.files}
    total, done, last = sum(sizes[name] for name in plan.send), 0, time.monotonic()
    for number, name in enumerate(plan.send):
        if time.monotonic() - last >= SAID_EVERY_S:
            last = time.monotonic()
            print(
                f"pushing: {number} of {len(plan.send)} files, {_mb(done)} of {_mb(total)}",
                file=sys.stderr,
                flush=True,
            )
        yield name
        done += sizes[name]


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _to_hub(plan: Plan, out: FileStore | FsspecStore, target: HubDataset, *, public: bool) -> None:
    """All at once; huggingface_hub shows how far it is."""
    if not target.exists:
        target.make(private=not public)
    files: dict[str, Any] = {name: _content(plan.export, out, name) for name in plan.send}
    files[EXPORT] = plan.export.to_bytes()
    if plan.card is not None:
        files[README] = plan.card
    stale = [name for name in plan.gone if name not in files]
    of = f"{plan.export.kind} of run {plan.export.run_id}, snapshot {plan.export.snapshot}"
    target.commit(files, stale, f"Arborist: {of}")


def _content(export: Export, out: FileStore | FsspecStore, name: str) -> Any:
    """A path where there is one, so that nothing large is held in memory."""
    _checked(export, out, name)
    if isinstance(out, FileStore):
        return Path(out.location.removeprefix("file://")) / name
    return out.open(name)


def _read(store: Target, name: str) -> bytes | None:
    try:
        return store.read(name)
    except NotFound:
        return None
