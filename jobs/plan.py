"""`arborist plan`: what a spec amounts to, without touching a GPU."""

import argparse
import json
from dataclasses import asdict

from jobs.curation import curation_identity
from jobs.spec_file import load_spec
from pipeline.plan.plan import Plan, make_plan
from pipeline.recipes import RECIPES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("spec", help="a YAML file, for example jobs/specs/balance.yaml")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the plan."""
    run_spec = load_spec(args.spec)
    curation_identity(run_spec)  # Refuses what is missing.
    spec = run_spec.generation
    plan = make_plan(spec, RECIPES[spec.recipe])
    print(json.dumps(as_json(plan), indent=1) if args.json else as_text(args.spec, plan))
    return 0


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
