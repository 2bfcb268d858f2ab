"""`arborist refine`: dedup over the whole run, as a new snapshot with a drop list."""

import argparse
import json
import secrets
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from jobs.places import add_place, options_of
from jobs.status_text import biases_text
from pipeline.pool.ray_tasks import WAIT_S, RayTasks
from pipeline.pool.tasks import LocalTasks, Tasks
from pipeline.refine.loop import Asked, Origin, refine
from pipeline.storage.ids import read_ids
from pipeline.storage.open import find_run
from pipeline.storage.runs import open_run
from pipeline.storage.snapshots import latest, read_snapshot, snapshot_numbers
from schemas.curation_spec import CurationSpec
from schemas.errors import LocationError, UserError
from schemas.manifest import Snapshot
from schemas.refine_spec import RefineSpec

SCOPES = ("openings", "turns", "conversations")
MEMORY = "memory://"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.description = (
        "Compare the kept rows of a whole run and write a new numbered snapshot that names the "
        "same shards and a list of what it leaves out; `export` and the readers honour it. "
        "A refined snapshot is refined further, unless --from names another one; what was once "
        "withdrawn stays out either way. Where nothing new falls, no snapshot is made. A dropped "
        "node takes all below it along. Where the last answer of a conversation falls, its "
        "question stays without one: the conversation ends an answer earlier, unless that repeats "
        "the beginning of another one, too. Below prompts that a run was given, answers to the "
        "very same prompt only are compared, as conversations. A partial snapshot may be refined: "
        "what it leaves out stays out when the run is continued."
    )
    add_place(parser, reads_recipe=False)
    parser.add_argument(
        "--from", dest="number", type=int, metavar="N", help="refine snapshot N, not the latest"
    )
    _add_rules(parser)
    parser.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="URI",
        help="an earlier run, whose kept rows come first and are never dropped; may be given more "
        "than once, the earliest first",
    )
    parser.add_argument(
        "--drop",
        metavar="FILE",
        help="withdraw nodes, and all below them, for good: ids one a line (# begins a comment), "
        "or .jsonl or .parquet with node_id",
    )
    parser.add_argument(
        "--ray",
        action="store_true",
        help="work on Ray: where RAY_ADDRESS says, else started on this machine",
    )
    parser.add_argument(
        "--ray-address", metavar="ADDRESS", help="work on the Ray cluster at this address"
    )
    parser.add_argument(
        "--wait-s",
        type=_seconds,
        default=WAIT_S,
        metavar="S",
        help="on Ray, how long no task may end, because no CPU is free or it takes so long, before "
        "the refinement stops, to be started again (exit code 75; default: %(default)g)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_rules(parser: argparse.ArgumentParser) -> None:
    how = parser.add_mutually_exclusive_group()
    rules = {
        "near": "drop near duplicates and duplicates (default, unless the run's spec says exact)",
        "exact": "drop equal texts only",
        "no-dedup": "drop no duplicates, for use with --drop or --cosine",
    }
    for rule, meaning in rules.items():
        const = "keep" if rule == "no-dedup" else rule
        how.add_argument(
            f"--{rule}", dest="duplicates", action="store_const", const=const, help=meaning
        )
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="T",
        help="Jaccard similarity from which turns or conversations are near duplicates, 0.7 to 1 "
        "(default: the run's near_threshold)",
    )
    parser.add_argument(
        "--cosine",
        type=float,
        metavar="C",
        help="also drop turns whose stored vectors are at least so close, 0.7 to 1",
    )
    parser.add_argument(
        "--scopes",
        type=_scopes,
        default=("openings", "conversations"),
        metavar="SCOPE,...",
        help="what is compared over the whole run, with commas between: openings, the turns of "
        "level 1 that answer no prompt; turns, all user turns; conversations, of which the last "
        "answer falls (default: openings,conversations)",
    )


def _seconds(words: str) -> float:
    seconds = float(words)
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f"expected seconds, more than 0, found {words}")
    return seconds


def _scopes(words: str) -> tuple[str, ...]:
    asked = words.split(",")
    unknown = [word for word in asked if word not in SCOPES]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"expected some of {','.join(SCOPES)} with commas between, found {unknown[0]!r}"
        )
    return tuple(scope for scope in SCOPES if scope in asked)


def run(args: argparse.Namespace) -> int:
    """Refine."""
    options = options_of(args)
    target = _origin(args.uri, options, args.number)
    origins = [*(_origin(uri, options, None) for uri in args.against), target]
    spec = _spec(args, target.run_file.generation.curation)
    withdrawn = read_ids(args.drop) if args.drop else ()
    tasks = _tasks(args, [origin.store.location for origin in origins])
    try:
        snapshot = refine(
            origins, Asked(spec, withdrawn), tasks, attempt=secrets.token_hex(4), note=_clock()
        )
    finally:
        tasks.close()
    figures = summary(target, snapshot)
    if args.drop:
        figures["export"] = f"arborist export {shlex.quote(args.uri)} --out NEW_FOLDER"
    print(json.dumps(figures, indent=1) if args.json else sentence(figures))
    return 0


def _origin(uri: str, options: Mapping[str, Any], number: int | None) -> Origin:
    store = find_run(uri, options)
    numbers = snapshot_numbers(store)
    if number is not None and number not in numbers:
        raise UserError(
            f"{store.location}: there is no snapshot {number}; expected one of "
            f"{', '.join(map(str, numbers)) or 'none, since it is not sealed yet'}."
        )
    snapshot = latest(store) if number is None else read_snapshot(store, number)
    if snapshot is None:
        raise LocationError(
            f"{store.location}: is not sealed yet; continue it with `arborist generate` first."
        )
    return Origin(store, open_run(store), snapshot)


def _spec(args: argparse.Namespace, curation: CurationSpec) -> RefineSpec:
    """As asked; what is not said is as the run's spec has it."""
    if args.duplicates is None:
        args.duplicates = "exact" if curation.duplicates == "exact" else "near"
    threshold = curation.near_threshold if args.threshold is None else args.threshold
    try:
        return RefineSpec(
            duplicates=args.duplicates,
            threshold=threshold,
            cosine=args.cosine,
            scopes=args.scopes,
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"--{part}: " for part in first["loc"])
        raise UserError(f"{where}{first['msg']}.") from error


def _tasks(args: argparse.Namespace, locations: list[str]) -> Tasks:
    if not args.ray and args.ray_address is None:
        return LocalTasks()
    if any(location.startswith(MEMORY) for location in locations):
        raise UserError("--ray: a run in memory:// is seen by this process only; leave --ray out.")
    return RayTasks(args.ray_address, wait_s=args.wait_s)


def _clock() -> Callable[[str], None]:
    """Says on stderr what is being done, and since when."""
    begun = time.monotonic()

    def note(doing: str) -> None:
        print(f"{time.monotonic() - begun:7.1f} s  {doing}", file=sys.stderr, flush=True)

    return note


def summary(target: Origin, snapshot: Snapshot) -> dict[str, object]:
    """The figures of a refinement."""
    before = target.snapshot.refinement.dropped if target.snapshot.refinement else {}
    listed = snapshot.refinement.dropped if snapshot.refinement else {}
    base = target.snapshot.number
    return {
        "location": target.store.location,
        "refined": base,
        "snapshot": snapshot.number,
        "new": snapshot.refined_from == base and snapshot.number != base,
        "complete": snapshot.complete,
        "biases": snapshot.biases,
        "dropped": {k: n - before.get(k, 0) for k, n in listed.items() if n > before.get(k, 0)},
        "dropped_in_all": listed,
        "against": [entry.run_id for entry in snapshot.refinement.against]
        if snapshot.refinement
        else [],
    }


def sentence(figures: dict[str, object]) -> str:
    """The same for a person."""
    said = _outcome(figures)
    if not figures["complete"]:
        said += (
            f"\nSnapshot {figures['snapshot']} is partial: `arborist generate` continues the run, "
            "and what is left out stays out."
        )
    biases = figures["biases"]
    if isinstance(biases, tuple):
        said += f"\nThe rows are {biases_text(biases)}."
    if "export" in figures:
        said += (
            "\nExports made before still hold what is withdrawn, and nothing exports again by "
            f"itself. For one without it:\n  {figures['export']}"
        )
    return said


def _outcome(figures: dict[str, object]) -> str:
    dropped = figures["dropped"]
    assert isinstance(dropped, dict)
    fallen = ", ".join(f"{n:,} {reason}" for reason, n in dropped.items())
    if not figures["new"]:
        return (
            f"run {figures['location']}: nothing more to drop; snapshot {figures['snapshot']} "
            "stands"
        )
    return (
        f"run {figures['location']}: snapshot {figures['snapshot']}, refined from "
        f"{figures['refined']}; dropped: {fallen or 'nothing'}"
    )
