"""The report of a training: the mixture, the course of the loss, what was kept and learned."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.sft.training.places import local
from schemas.retention import Retention
from schemas.sft_spec import SftSpec

if TYPE_CHECKING:
    from pipeline.sft.rows.prepare import Mixture
    from pipeline.sft.training.train import Trained

REPORT, PAGE = "report.json", "report.html"


def mixture_figures(spec: SftSpec, mixture: "Mixture") -> dict[str, Any]:
    """Rows and tokens by part, and the steps they make."""
    rows = len(mixture.dataset)
    training = spec.training
    a_step = training.batch_rows * training.accumulate * spec.launch.processes
    steps = math.ceil(rows / a_step)
    return {
        "parts": {
            name: {"counts": mixture.counts[name], "source": mixture.sources[name]}
            for name in spec.parts
        },
        "rows": rows,
        "tokens": sum(counts["used_tokens"] for counts in mixture.counts.values()),
        "rows_a_step": a_step,
        "steps": min(steps, training.max_steps or steps),
        "passed_over": max(0, rows - (training.max_steps or steps) * a_step),
    }


def mixture_text(figures: Mapping[str, Any]) -> str:
    """The mixture as a table."""
    lines = [f"{'part':<16}{'rows':>12}{'tokens':>14}{'learned':>14}{'share':>8}{'passes':>9}"]
    by_part = {name: part["counts"] for name, part in figures["parts"].items()}
    for name, counts in by_part.items():
        share = counts["used_tokens"] / max(1, figures["tokens"])
        lines.append(
            f"{name:<16}{counts['used_rows']:>12,}{counts['used_tokens']:>14,}"
            f"{counts['used_learned']:>14,}{share:>8.1%}{counts['passes']:>9.2f}"
        )
    tokens = figures["tokens"] / max(1, figures["rows"]) * figures["rows_a_step"]
    lines.append(
        f"{figures['steps']:,} steps of {figures['rows_a_step']:,} rows, about {tokens:,.0f} "
        "tokens each"
    )
    if figures["passed_over"]:
        lines.append(_passed_over(figures))
    for name, counts in by_part.items():
        lines += [f"{name}: {sentence}" for sentence in _left_out(counts)]
    return "\n".join(lines)


def _passed_over(figures: Mapping[str, Any]) -> str:
    return f"training.max_steps leaves the last {figures['passed_over']:,} rows out"


def _left_out(counts: Mapping[str, int]) -> list[str]:
    told = {
        "bad": "rows of the source cannot be trained on",
        "left_out": "rows are too long and left out",
        "cut": "rows are too long and cut",
        "unlearned": "rows have nothing that carries loss",
    }
    return [f"{counts[key]:,} {words}" for key, words in told.items() if counts.get(key)]


def write_report(
    spec: SftSpec,
    mixture: "Mixture",
    trained: "Trained",
    seen_in_training: Sequence[str],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """Leave the course of a training beside its model; what was measured is added."""
    figures = {
        "model": str(trained.folder),
        "steps": trained.steps,
        "loss": trained.log[-1]["loss"] if trained.log else None,
        "mixture": mixture_figures(spec, mixture),
        "warnings": [*trained.warnings, *seen_in_training],
        "seconds": dict(seconds),
        "log": trained.log,
    }
    _write(local(spec.output) / REPORT, json.dumps(figures, indent=1))
    return figures


def write_retention(spec: SftSpec, figures: dict[str, Any], retention: Retention) -> None:
    """Add what was kept and learned to the report, and draw its page."""
    from pipeline.retention.page import Story, page

    output = local(spec.output)
    figures["retention"] = retention.model_dump(mode="json")
    _write(output / REPORT, json.dumps(figures, indent=1))
    story = Story(
        log=figures["log"],
        parts=figures["mixture"]["parts"],
        provenance={"Steps": f"{figures['steps']:,}", "Model": figures["model"]},
        warnings=[*figures["warnings"], *_mixture_notes(figures["mixture"])],
    )
    _write(output / PAGE, page(retention, story))


def _mixture_notes(mixture: Mapping[str, Any]) -> list[str]:
    return [f"{_passed_over(mixture)}."] if mixture["passed_over"] else []


def retention_text(retention: Retention) -> str:
    """Each measure before and after; a star where the difference is sure."""
    lines = []
    for change in retention.changes:
        name = f"{change.kind}.{change.name} {change.measure}"
        star = "" if change.verdict == "unsure" else f" * {change.verdict}"
        lines.append(
            f"{name:<36}{change.before.value:>9.3f} ->{change.after.value:>9.3f}"
            f"{change.difference.value:>+10.3f}{star}"
        )
    return "\n".join([*lines, *retention.after.notes()])


def _write(file: Path, text: str) -> None:
    temporary = file.with_name(f".{file.name}")
    temporary.write_text(text, "utf-8")
    temporary.replace(file)
