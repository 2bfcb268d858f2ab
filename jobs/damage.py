"""`arborist damage`: prune, quantise or over-tune a model reproducibly, to be recovered by sft."""

import argparse
import dataclasses
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from jobs.cache import move_into_place
from jobs.prepare_model import packaged_location
from schemas.errors import LocationError, SpecError

REPORT = "damage.json"
EPILOG = """\
  arborist damage packaged-tiny --kind prune --out runs/pruned
  arborist damage packaged-tiny --kind quantise --out runs/quantised
  arborist damage packaged-tiny --kind overtune --task jobs/specs/data/gsm-train.jsonl \\
      --out runs/overtuned

prune     10% of the neurons of every feed-forward layer, those that add least, become zero; with
          --unstructured that share of the smallest single weights instead
quantise  the linear layers are rounded to 4 bits (NF4, blocks of 64) and back
overtune  the model is trained far too long on one narrow task

What comes out is a whole model, with damage.json saying what was done and how far it moved. The
same input gives the same bytes; over-tuning does so on one machine. `arborist sft` heals it: it as
`model`, the original as `teacher`, a part with objective `reverse_kl`.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("model", help="the directory of a model, or a packaged one's name")
    parser.add_argument("--kind", choices=list(KINDS), required=True)
    parser.add_argument("--out", required=True, help="a folder that is not there yet")
    parser.add_argument("--share", type=float, default=0.1, help="prune: how much (0.1)")
    parser.add_argument("--unstructured", action="store_true", help="prune: weights, not neurons")
    parser.add_argument("--task", help="overtune: a data set as `arborist sft` takes it")
    parser.add_argument("--steps", type=int, default=300, help="overtune: how long (300)")
    parser.add_argument(
        "--learning-rate", type=float, default=3e-3, help="overtune: how fast (0.003)"
    )
    parser.add_argument("--seed", type=int, default=0, help="overtune: order of the rows (0)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Damage a copy of the model, and say how much."""
    from pipeline.engines.weights import model_directory, weights_digest

    source = model_directory(packaged_location(args.model)).resolve()
    out = Path(args.out).expanduser()
    _refuse_taken(out)
    report = {"kind": args.kind, "of": {"weights": weights_digest(str(source))}}
    half_made = _beside(out)
    try:
        report |= KINDS[args.kind](args, source, half_made)
        (half_made / REPORT).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        move_into_place(half_made, out)
    finally:
        shutil.rmtree(half_made, ignore_errors=True)
    _show(args, out, report)
    return 0


def _show(args: argparse.Namespace, out: Path, report: dict[str, Any]) -> None:
    if args.json:
        print(json.dumps({"location": str(out), **report}))
        return
    change = report["change"]
    print(
        f"{out}: {args.kind}d; {change['changed']:,} of {change['parameters']:,} weights in "
        f"{change['tensors']} tensors are others, by {change['relative']:.3f} of their norm"
    )


def _refuse_taken(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise LocationError(f"--out: {out} is taken; expected a folder that is not there yet.")


def _beside(out: Path) -> Path:
    """A folder under another name first: one that is there is whole."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise LocationError(f"--out: {out} cannot be made: {error}.") from error


def _prune(args: argparse.Namespace, source: Path, out: Path) -> dict[str, Any]:
    from pipeline.damage.checkpoint import Checkpoint
    from pipeline.damage.prune import plan_neurons, plan_weights

    if not 0 < args.share < 1:
        raise SpecError(f"--share: found {args.share:g}, expected a number between 0 and 1.")
    checkpoint = Checkpoint(source).open()
    said: dict[str, Any] = {"share": args.share, "unstructured": args.unstructured}
    if args.unstructured:
        change = checkpoint.rewritten(out, plan_weights(checkpoint, args.share))
    else:
        pruning = plan_neurons(checkpoint, args.share)
        change = checkpoint.rewritten(out, pruning.alter)
        said["neurons"] = {
            layer: {"of": width, "pruned": pruning.neurons[layer].tolist()}
            for layer, width in pruning.width.items()
        }
    if not change.changed:
        raise SpecError(f"--share: {args.share:g} comes to nothing in layers of this size.")
    return {**said, "change": dataclasses.asdict(change)}


def _quantise(args: argparse.Namespace, source: Path, out: Path) -> dict[str, Any]:
    from pipeline.damage import nf4
    from pipeline.damage.checkpoint import Checkpoint

    change = Checkpoint(source).open().rewritten(out, nf4.alter)
    return {"format": "nf4", "block": nf4.BLOCK, "change": dataclasses.asdict(change)}


def _overtune(args: argparse.Namespace, source: Path, out: Path) -> dict[str, Any]:
    from jobs.damage_by_training import Overtuning, overtune
    from jobs.training.progress import TrainingProgress

    if not args.task:
        raise SpecError("--task: found none; expected a data set to over-tune the model on.")
    asked = Overtuning(args.task, args.steps, args.learning_rate, args.seed)
    progress = TrainingProgress(sys.stderr)
    with progress.showing():
        change = overtune(asked, source, out, progress)
    return {**asked._asdict(), "change": dataclasses.asdict(change)}


KINDS = {"prune": _prune, "quantise": _quantise, "overtune": _overtune}
