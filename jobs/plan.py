"""`arborist plan`: what a spec amounts to, without touching a GPU; or by a pilot that does."""

import argparse
import json
import sys
from dataclasses import asdict

from jobs.curation import curation_identity
from jobs.engine_places import sizing, sizing_text
from jobs.estimate_text import estimate_text
from jobs.json_output import kept_for_json
from jobs.recipes import load_recipe
from jobs.rows import rows_of
from jobs.spec_file import load_spec
from jobs.wiring import used_groups
from pipeline.plan.plan import Plan, make_plan
from schemas.errors import UserError
from schemas.execution_spec import RunSpec
from schemas.manifest import RowCount

PILOT_NODES = 300


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("spec", help="a YAML file, for example jobs/specs/balance.yaml")
    parser.add_argument(
        "--pilot",
        action="store_true",
        help="grow a small run of the same shape below LOCATION/pilot, with one engine of each "
        "group, and foretell nodes, tokens, hours and cost of the whole run",
    )
    parser.add_argument(
        "--nodes",
        type=int,
        metavar="N",
        help=f"about so many candidates in the pilot (default {PILOT_NODES})",
    )
    parser.add_argument(
        "--engine", choices=["scripted"], help="a pilot of the rehearsal: no model, no GPU, no Ray"
    )
    parser.add_argument("--location", help="instead of execution.location")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the plan."""
    run_spec = load_spec(args.spec)
    if args.location:
        moved = run_spec.execution.model_copy(update={"location": args.location})
        run_spec = run_spec.model_copy(update={"execution": moved})
    if args.pilot:
        return _run_pilot(run_spec, args)
    if args.nodes is not None or args.engine:
        raise UserError("--nodes and --engine are about a pilot; expected --pilot beside them.")
    curation_identity(run_spec)  # Refuses what is missing.
    plan, rows = plan_of(run_spec)
    if args.json:
        read = rows.model_dump(mode="json") if isinstance(rows, RowCount) else {"unread": rows}
        found = {"rows": read, "engines": sizing(run_spec.execution, used_groups(run_spec))}
        print(json.dumps(as_json(plan) | found, indent=1))
    else:
        print(as_text(args.spec, plan))
        lines = rows_text(rows) + sizing_text(run_spec.execution, used_groups(run_spec))
        print("".join(f"{line}\n" for line in lines), end="")
    return 0


def _run_pilot(run_spec: RunSpec, args: argparse.Namespace) -> int:
    from jobs.pilot import pilot

    nodes = PILOT_NODES if args.nodes is None else args.nodes
    if nodes < 1:
        raise UserError(f"--nodes: found {nodes}, expected at least 1.")
    rehearsed = args.engine is not None
    if not args.json:
        print(estimate_text(pilot(run_spec, nodes, sys.stdout, rehearsed=rehearsed)))
        return 0
    with kept_for_json():
        found = pilot(run_spec, nodes, sys.stderr, rehearsed=rehearsed)
    print(found.model_dump_json(indent=1))
    return 0


def plan_of(run_spec: RunSpec) -> tuple[Plan, RowCount | str]:
    """The plan, and what its trees grow from, or why that cannot be read.

    Where the spec says how many trees there are, rows may still have to be made: by another run.
    """
    spec, rows = run_spec.generation, RowCount(good=0)
    recipe, unread = load_recipe(spec.recipe), None
    try:
        rows = rows_of(run_spec).row_count
    except UserError as error:
        if spec.roots.trees is None:
            raise
        unread = str(error)
    return make_plan(spec, recipe, recipe.num_trees(spec, rows.good)), unread or rows


def as_json(plan: Plan) -> dict[str, object]:
    """The plan with its totals."""
    totals = {
        "nodes": sum(level.nodes for level in plan.levels),
        "candidates": sum(level.candidates for level in plan.levels),
        "waves": sum(level.waves for level in plan.levels),
        "max_tokens": sum(level.max_tokens for level in plan.levels),
    }
    return asdict(plan) | {"totals": totals}


def as_text(name: str, plan: Plan) -> str:
    """The plan as a table."""
    lines = [
        f"{name}: {plan.trees:,} trees in {plan.cohorts:,} cohorts of up to "
        f"{plan.trees_per_cohort}; a tree has up to {plan.nodes_per_tree:,} nodes and "
        f"{plan.leaves_per_tree:,} leaves.",
        "",
        f"{'level':>5} {'role':<10}{'fan-out':>8}{'asked':>7}{'waves':>9}{'nodes':>14}"
        f"{'candidates':>14}{'max tokens':>17}",
    ]
    for row in plan.levels:
        lines.append(
            f"{row.level:>5} {row.role:<10}{row.fanout:>8,}{row.asked_per_parent:>7,}"
            f"{row.waves:>9,}{row.nodes:>14,}{row.candidates:>14,}{row.max_tokens:>17,}"
        )
    totals = as_json(plan)["totals"]
    assert isinstance(totals, dict)
    lines.append(
        f"{'all':>5} {'':<10}{'':>8}{'':>7}{totals['waves']:>9,}{totals['nodes']:>14,}"
        f"{totals['candidates']:>14,}{totals['max_tokens']:>17,}"
    )
    return "\n".join(lines)


def rows_text(rows: RowCount | str) -> list[str]:
    """Lines about rows that nothing can grow from."""
    if isinstance(rows, str):
        return [f"note: what the trees grow from cannot be read yet. {rows}"]
    if not rows.bad:
        return []
    more = rows.bad - len(rows.examples)
    return [
        f"rows: {rows.good:,} to grow from, {rows.bad:,} that cannot be read:",
        *(f"  {row.where}: {row.why}" for row in rows.examples),
        *([f"  and {more:,} more"] if more > 0 else []),
    ]
