"""`arborist repair`: retire what is damaged in a run, so that `generate` makes it again."""

import argparse
import json
from collections import Counter

from jobs.verify import add_inspection, inspection
from pipeline.repair import Cure, carry_out, plan_repair

SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_inspection(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="only say what would be retired, change nothing"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Verify, and retire what is damaged; 1 if anything is left that cannot be mended."""
    seen = inspection(args)
    defects = list(seen.defects(Counter()))
    cure = plan_repair(seen.ledger, seen.run_file.run_id, defects)
    if not args.dry_run:
        carry_out(seen.store, cure)
    if args.json:
        print(json.dumps(_figures(seen.store.location, cure, dry=args.dry_run), indent=1))
    else:
        print(_sentence(seen.store.location, cure, dry=args.dry_run))
    return 1 if cure.beyond else 0


def _figures(location: str, cure: Cure, *, dry: bool) -> dict[str, object]:
    repair = cure.repair
    return {
        "location": location,
        "repair": repair.number if repair else None,
        "dry_run": dry,
        "waves": repair.waves if repair else (),
        "waves_below": cure.below,
        "snapshots": cure.snapshots,
        "withdrawn": len(repair.withdrawn) if repair else 0,
        "swept": cure.orphans,
        "reasons": repair.reasons if repair else (),
        "beyond": cure.beyond,
    }


def _sentence(location: str, cure: Cure, *, dry: bool) -> str:
    lines = [f"run {location}: {_done(cure, dry=dry)}"]
    if cure.repair:
        lines += [f"  {reason}" for reason in cure.repair.reasons[:SHOWN]]
        again = "would make" if dry else "makes"
        lines.append(
            f"`arborist generate` with the run's own file {again} again what is missing; what was "
            "refined has to be refined again."
        )
        if cure.repair.withdrawn:
            lines.append(
                f"{len(cure.repair.withdrawn):,} nodes had been withdrawn by hand: `arborist "
                "refine` takes them out again, and before that nothing is exported."
            )
    lines += [f"not to be mended here: {text}" for text in cure.beyond]
    return "\n".join(lines)


def _done(cure: Cure, *, dry: bool) -> str:
    parts = []
    if cure.repair:
        waves = cure.repair.waves
        numbers = ", ".join(map(str, cure.snapshots)) or "none"
        named = ", ".join(waves[:SHOWN]) + (" ..." if len(waves) > SHOWN else "")
        parts.append(
            f"{'a repair would retire' if dry else f'repair {cure.repair.number} retired'} what "
            f"is damaged; waves: {named or 'none'}; waves below these: {cure.below:,}; snapshots "
            f"not to be read any more: {numbers}."
        )
    if cure.orphans:
        parts.append(f"files that nothing names {'would be' if dry else 'were'} deleted.")
    return " ".join(parts) or "nothing has to be retired."
