"""The data card of an export: its facts looked up, and where it is written."""

import argparse
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from jobs.wiring import is_rehearsal
from pipeline.card.card import card
from pipeline.card.facts import Facts, Rows, levels_of
from pipeline.card.sample import SHOWN, Sample
from pipeline.card.shown import said_in
from pipeline.curate.languages import languages_of
from pipeline.storage.ledger import Ledger
from pipeline.storage.open import beside, join
from pipeline.storage.store import Store
from pipeline.tree.run import Run
from schemas.errors import AlreadyExists
from schemas.export import Export
from schemas.fingerprint import digest
from schemas.manifest import Manifest, RunFile, Snapshot

README = "README.md"
NONE = "none"

_LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")


def add_card(parser: argparse.ArgumentParser) -> None:
    """The options that are about it."""
    parser.add_argument(
        "--card",
        metavar="PATH",
        help=f"where the data card is written, `{NONE}` for nowhere (default: {README} in --out); "
        "a file that is there stays",
    )
    parser.add_argument(
        "--license",
        type=_license,
        metavar="ID",
        help="of the rows, as the Hugging Face hub calls it, such as apache-2.0 (default: not "
        "stated; the model's own terms may bind what it writes)",
    )


def _license(text: str) -> str:
    """As a command line has it."""
    if not _LICENSE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected an id such as apache-2.0")
    return text


def command_of(kind: str, settings: Mapping[str, Any]) -> str:
    """By which the same rows are exported again."""
    parts = ["arborist", "export", "RUN", "--format", kind]
    for name, value in settings.items():
        flag = f"--{name.replace('_', '-')}"
        listed = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        parts += [flag] if value is True else [flag, listed]
    return shlex.join([*parts, "--out", "FOLDER"])


def told(sample: Sample, export: Export, schema: pa.Schema, how_chosen: str | None) -> Rows:
    """What a card tells of the rows, by those that were drawn."""
    said = [said_in(export.kind, row) for row in sample.rows]
    return Rows(
        kind=export.kind,
        count=export.rows,
        schema=schema,
        command=command_of(export.kind, export.settings),
        languages=languages_of(["\n".join(turn.text for turn in turns) for turns in said]).named,
        examples=[turns for turns in said if any(turn.text for turn in turns)][:SHOWN],
        how_chosen=how_chosen,
    )


def facts_of(
    run: Run,
    run_file: RunFile,
    store: Store,
    snapshot: Snapshot,
    rows: Rows,
    license_id: str | None,
) -> Facts:
    """What the run and its ledger say, of the waves that a snapshot names."""
    return Facts(
        run=run,
        run_file=run_file,
        snapshot=snapshot,
        levels=levels_of(run, _named(store, snapshot)),
        rows=rows,
        rehearsal=is_rehearsal(run_file),
        license=license_id,
    )


def _named(store: Store, snapshot: Snapshot) -> Iterable[Manifest]:
    named = {entry.wave for entry in snapshot.manifests}
    return [one for wave, one in Ledger(store).all().items() if wave in named]


class Written(NamedTuple):
    """What became of a card."""

    where: str | None
    """None where a file of another hand stands in its place."""
    words: str
    digest: str | None = None
    """Of the card, if it lies in the export."""


def write_card(out: Store, path: str | None, facts: Facts) -> Written:
    """Written unless a file is there."""
    payload = card(facts).encode()
    if path is None:
        store, name = out, README
    else:
        above, slash, name = path.rpartition("/")
        store = beside(out, above or slash or ".")
    where = join(store.location, name).removeprefix("file://")
    try:
        store.create(name, payload)
    except AlreadyExists:
        if store.read(name) != payload:
            return Written(None, f"{where} is there already and stays: the card was not written")
    return Written(where, f"data card: {where}", digest(payload) if path is None else None)
