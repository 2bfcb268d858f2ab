"""`arborist export`: write a snapshot as plain Parquet for trainers, with a data card."""

import argparse
import json
from collections.abc import Iterator
from importlib.metadata import version
from typing import NamedTuple

import pyarrow as pa

from jobs.export_card import NONE, add_card, facts_of, told, write_card
from jobs.export_preference import check_score, default_score, how_chosen, preference_rows
from jobs.export_push import EXPORT, add_push, check_push, export_at, push
from jobs.export_rows import View, in_tables, message_row, order_of, text_row, walks
from jobs.places import add_place, run_at
from jobs.recipes import check_recipe
from jobs.wiring import open_run_value
from pipeline.card.sample import Sample
from pipeline.storage.exports import (
    MESSAGES_SCHEMA,
    TEXT_SCHEMA,
    ExportWriter,
    preference_schema,
)
from pipeline.storage.open import beside
from pipeline.storage.reader import read_kept
from pipeline.storage.runs import open_run
from pipeline.storage.snapshots import check_withdrawn, latest
from pipeline.storage.store import Store
from schemas.errors import LocationError, UserError
from schemas.export import Export
from schemas.fingerprint import digest
from schemas.manifest import RunFile, Snapshot
from schemas.node_table import NODE_SCHEMA
from schemas.sft_spec import LineariseSpec

ROWS_PER_FILE = 50_000

FORMATS = """\
formats:
  messages    a row a conversation, as TRL's SFT and HF datasets read it: `messages`, with what
              stands before the tree first, and `learned`, by message: whether it is an answer
              that no row before this one holds. Who gives loss to those alone learns each kept
              answer once, however many rows go on from it. For chat recipes.
  text        a row a leaf of a tree of plain text: `text`, and `token_ids` exactly as the model saw
              and sampled them. For recipes without a chat.
  preference  a row a prompt that has several answers. DPO reads `prompt chosen rejected`; reward
              models read the same, and TRL's subtracts `margin` if the column is there; GRPO reads
              `prompt` alone (select that column: TRL means something else by `completions`);
              n-way methods read `completions` and `scores`, which are in the same order.
              `chosen` and `rejected` are null where no score tells answers apart, so for pairs:
                datasets.load_dataset(OUT, split="train").filter(lambda row: row["chosen_by"])
  nodes       a row a kept node, all columns as sampled.

Where the spec masks personal data, all but `nodes` show masked texts, and `token_ids` of a masked
text are null. Rows that a refinement left out are left out.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = FORMATS
    add_place(parser)
    parser.add_argument(
        "--format",
        choices=["messages", "text", "preference", "nodes"],
        default="messages",
        help="what a row is, see below (default: messages)",
    )
    parser.add_argument(
        "--score",
        metavar="NAME",
        help="preference: which answer is better: judge, mean_logprob, logprob_sum or any stored "
        "score, higher is better (default: judge, where the run has one)",
    )
    parser.add_argument(
        "--only-kept",
        action="store_true",
        help="preference: without answers that the judge dropped, or that were surplus",
    )
    parser.add_argument(
        "--turns",
        type=_counts,
        metavar="N[,N...]",
        help="messages: rounds of question and answer in a row; several numbers are mixed evenly "
        "(default: down to the leaves)",
    )
    parser.add_argument(
        "--per-opening",
        type=_count,
        metavar="N",
        help="messages: at most so many rows from one opening question (default: all)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="messages: by which such rows are drawn (default: 0)"
    )
    parser.add_argument("--out", required=True, help="an empty folder or URI")
    add_card(parser)
    add_push(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Export the latest snapshot."""
    check_push(args)
    store = run_at(args)
    run_file = open_run(store)
    check_recipe(run_file)
    view = View.of(open_run_value(run_file))
    check_format(args, view)
    snapshot = latest(store)
    if snapshot is None:
        raise LocationError(
            f"{store.location}: is not sealed yet; finish it with `arborist generate` first."
        )
    check_withdrawn(store, snapshot)
    if args.score is not None:
        check_score(view.run, store, snapshot, args.score)
    source = Source(view, run_file, store, snapshot)
    out = beside(store, args.out)
    wanted = _asked(args, source)
    written: dict[str, object] = {}
    held = export_at(out)
    if held is None:
        export, written, said = _write(args, source, out, wanted)
    elif args.push is not None and held.asks_for(wanted):
        export, said = held, f"{args.out} holds this export already, and stays as it is"
    else:
        raise LocationError(
            f"{out.location}: holds an export already; export to an empty location."
        )
    figures = {"out": args.out, **_figures(export, snapshot), **written}
    if args.push is not None:
        figures["pushed"], more = push(args, store, out, export)
        said = f"{said}\n{more}"
    print(json.dumps(figures) if args.json else said)
    return 0


class Source(NamedTuple):
    """What is exported."""

    view: View
    run_file: RunFile
    store: Store
    snapshot: Snapshot


def _asked(args: argparse.Namespace, source: Source) -> Export:
    """An export without rows yet."""
    settings = {
        "turns": args.turns,
        "per_opening": args.per_opening,
        "seed": args.seed,
        "score": args.score,
        "only_kept": args.only_kept,
    }
    return Export(
        arborist=version("arborist"),
        run_id=source.run_file.run_id,
        snapshot=source.snapshot.number,
        snapshot_digest=digest(source.snapshot.to_bytes()),
        kind=args.format,
        settings={
            name: list(value) if isinstance(value, tuple) else value
            for name, value in settings.items()
            if value
        },
        rows=0,
        files=(),
    )


def _write(
    args: argparse.Namespace, source: Source, out: Store, wanted: Export
) -> tuple[Export, dict[str, object], str]:
    """Rows, card, and last the file that says that both are there; figures and words on it."""
    view, snapshot = source.view, source.snapshot
    writer, sample = ExportWriter(out, args.format), Sample(wanted.kind)
    for table in _in_files(_tables(args, view, source.store, snapshot)):
        sample.add(table)
        writer.write(table)
    export = wanted.model_copy(update={"rows": writer.rows, "files": tuple(writer.files)})
    part = "" if snapshot.complete else ", which holds part of the run only"
    said = f"{export.rows:,} {args.format} rows in {len(export.files)} files below {args.out}"
    said += f", of snapshot {snapshot.number}{part}"
    figures: dict[str, object] = {}
    how = None
    if args.format == "preference":
        how = how_chosen(view.run, _score(args, view))
        figures["chosen"], said = how, f"{said}\n{how}"
    if args.card != NONE:
        rows = told(sample, export, _schema(args, view), how)
        facts = facts_of(view.run, source.run_file, source.store, snapshot, rows, args.license)
        written = write_card(out, args.card, facts)
        export = export.model_copy(update={"readme": written.digest})
        figures["card"], said = written.where, f"{said}\n{written.words}"
    out.create(EXPORT, export.to_bytes())
    return export, figures, said


def _figures(export: Export, snapshot: Snapshot) -> dict[str, object]:
    return {
        "files": len(export.files),
        "rows": export.rows,
        "snapshot": snapshot.number,
        "complete": snapshot.complete,
    }


def check_format(args: argparse.Namespace, view: View) -> None:
    """An error where a run has no such rows."""
    recipe = view.run.recipe.name
    if args.format == "messages" and view.run.is_text:
        raise UserError(
            f"--format messages: the trees of recipe {recipe} are plain texts without roles; "
            "expected --format text (or preference, or nodes)."
        )
    if args.format == "text" and not view.run.is_text:
        raise UserError(
            f"--format text: the trees of recipe {recipe} are conversations, whose text depends on "
            "a trainer's template; expected --format messages (or preference, or nodes)."
        )
    if args.format != "preference" and (args.score is not None or args.only_kept):
        given = "--score" if args.score is not None else "--only-kept"
        raise UserError(f"{given}: is for --format preference, found --format {args.format}.")
    if args.format != "messages" and (args.turns or args.per_opening):
        given = "--turns" if args.turns else "--per-opening"
        raise UserError(f"{given}: is for --format messages, found --format {args.format}.")


def _linearise(args: argparse.Namespace) -> LineariseSpec:
    return LineariseSpec(turns=args.turns, per_opening=args.per_opening)


def _count(text: str) -> int:
    """As a command line has it."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number from 1")
    return int(text)


def _counts(text: str) -> tuple[int, ...]:
    return tuple(map(_count, text.split(",")))


def _score(args: argparse.Namespace, view: View) -> str | None:
    return default_score(view.run) if args.score is None else str(args.score)


def _schema(args: argparse.Namespace, view: View) -> pa.Schema:
    if args.format == "nodes":
        return NODE_SCHEMA
    if args.format == "preference":
        return preference_schema(chats=not view.run.is_text)
    return _OF_LEAVES[args.format][1]


def _tables(
    args: argparse.Namespace, view: View, store: Store, snapshot: Snapshot
) -> Iterator[pa.Table]:
    if args.format == "nodes":
        yield from read_kept(store, snapshot)
    elif args.format == "preference":
        score = _score(args, view)
        rows = preference_rows(view, store, snapshot, score, only_kept=args.only_kept)
        yield from in_tables(rows, _schema(args, view))
    else:
        as_row, schema = _OF_LEAVES[args.format]
        order = order_of(_linearise(args), f"{view.run.run_id}/{args.seed}")
        rows = (as_row(view, *walk) for walk in walks(store, snapshot, order))
        yield from in_tables(rows, schema)


_OF_LEAVES = {"messages": (message_row, MESSAGES_SCHEMA), "text": (text_row, TEXT_SCHEMA)}
"""Formats with a row a leaf."""


def _in_files(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Joined until a file's worth of rows is there."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(part.num_rows for part in waiting) >= ROWS_PER_FILE:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)
