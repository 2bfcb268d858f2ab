"""`arborist verify`: re-check every row, checksum, count and link of a run."""

import argparse
import json
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from jobs.places import add_place, run_at
from jobs.recipes import check_recipe
from jobs.tongues import Tongues, tongues_of, unread
from jobs.wiring import open_run_value
from pipeline.curate.versions import used_versions
from pipeline.storage.ledger import Ledger
from pipeline.storage.runs import open_run
from pipeline.storage.store import Store
from pipeline.verify.defect import Defect
from pipeline.verify.reach import PROMPTS, UNPROVEN
from pipeline.verify.verify import verify
from schemas.manifest import RunFile

SHOWN = 50

Differing = Mapping[str, Mapping[str, str | None]]
"""By name, the version that the run was made with (`stored`) and the one in use (`here`)."""


class Inspection(NamedTuple):
    """A run that is looked at, and how closely."""

    ledger: Ledger
    run_file: RunFile
    tongues: Tongues
    differing: Differing
    fast: bool

    @property
    def store(self) -> Store:
        """Where the run lies."""
        return self.ledger.store

    def defects(self, unproven: Counter[str]) -> Iterator[Defect]:
        """What is wrong with it; what could not be proven is added to `unproven`."""
        return verify(
            open_run_value(self.run_file, self.tongues.spellers),
            self.ledger,
            decoders=self.tongues.decoders,
            unproven=unproven,
            rejudge=not self.differing,
            remeasure=not self.fast,
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_inspection(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def add_inspection(parser: argparse.ArgumentParser) -> None:
    """What is looked at, and how closely."""
    add_place(parser)
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        help="directory of a model of the run, or `packaged`; once for each model: also prove that "
        "texts are the decodings of their token ids, and, where all models are given, that what "
        "one read of another, and of the roots, was spelled right",
    )
    parser.add_argument(
        "--fast",
        action="store_true",
        help="take stored scores and signatures as given, do not measure the texts again",
    )


def inspection(args: argparse.Namespace) -> Inspection:
    """As it was asked for."""
    store = run_at(args)
    run_file = open_run(store)
    check_recipe(run_file)
    tongues = tongues_of(run_file, args.model)
    return Inspection(Ledger(store), run_file, tongues, _differing(run_file), args.fast)


def run(args: argparse.Namespace) -> int:
    """Print defects; 1 if there are any."""
    seen = inspection(args)
    unproven: Counter[str] = Counter()
    found = seen.defects(unproven)
    defects = [defect.text for defect in islice(found, SHOWN)]
    cut_short = next(found, None) is not None
    if args.json:
        print(json.dumps(_report(seen, defects, unproven, cut_short=cut_short), indent=1))
    else:
        said = defects or [f"run {seen.store.location}: no defect found"]
        said += [f"There are more; nothing was checked beyond these {SHOWN}."] if cut_short else []
        said += [_mend(args.uri)] if defects else []
        said += [_unchecked(seen.differing)] if seen.differing else []
        said += _unproven_notes(unproven, unread(seen.run_file, seen.tongues))
        said += map(_unlike_note, seen.tongues.unlike)
        print("\n".join(said))
    return 1 if defects else 0


def _report(
    seen: Inspection, defects: Sequence[str], unproven: Counter[str], *, cut_short: bool
) -> dict[str, object]:
    return {
        "location": seen.store.location,
        "defects": defects,
        "cut_short": cut_short,
        "verdicts_checked": not seen.differing,
        "scores_checked": not (seen.differing or seen.fast),
        "versions_differ": seen.differing,
        "unproven": {kind: unproven[kind] for kind in UNPROVEN},
        "models_unlike": seen.tongues.unlike,
    }


def _mend(uri: str) -> str:
    return (
        f"To have damaged waves made again: arborist repair {shlex.quote(uri)}, then the same "
        "`arborist generate`."
    )


def _differing(run_file: RunFile) -> Differing:
    """What decides verdicts, where it is not the same here as when the run was made."""
    stored = run_file.identity.curation
    return {
        name: {"stored": stored.get(name), "here": version}
        for name, version in used_versions(run_file.generation.curation).items()
        if stored.get(name) != version
    }


def _unchecked(differing: Differing) -> str:
    told = "; ".join(
        f"{name}: {versions['stored'] or 'none'} in the run, {versions['here']} here"
        for name, versions in differing.items()
    )
    return (
        "Verdicts, scores and signatures were not derived again, because what they come from is "
        f"not the same here as when the run was made ({told}). The version of arborist that made "
        "the run, with the same libraries, checks them too."
    )


def _unproven_notes(unproven: Counter[str], unread: Sequence[str]) -> Iterator[str]:
    """What was taken as it is stored; `unread` are the models whose tokenizers are missing."""
    prompts = [f"{unproven[kind]:,} {kind}" for kind in PROMPTS if unproven[kind]]
    found = [f"the prompts of {', '.join(prompts)}"] if prompts else []
    found += [f"{unproven[kind]:,} {kind}" for kind in ("texts", "openings") if unproven[kind]]
    if found:
        missing = f"; missing is --model DIR for {', '.join(unread)}" if unread else ""
        yield (
            f"Not proven were {'; '.join(found)}: this takes the tokenizers of all models of the "
            f"run{missing}."
        )
    if unproven["level_openings"]:
        yield (
            f"{unproven['level_openings']:,} openings that stand there for one level only were "
            "taken as they are stored, because they come from the rows of the data set."
        )


def _unlike_note(location: str) -> str:
    return (
        f"{location}: has the tokenizer of a model of the run, but not its template, or not what "
        "ends its turns; texts were read with it, and no prompts spelled."
    )
