"""The report of an experiment: one page that needs nothing beside it."""

import html
import re

from pipeline.experiment.figures import forest, scatter, similarity
from pipeline.experiment.grids import Grid, grids
from schemas.experiment_result import ExperimentResult
from schemas.experiment_spec import ORIGINAL

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 72rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
p.note { color: #555; max-width: 60rem; } .wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .82rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #e4e4e4;
  white-space: nowrap; }
th { vertical-align: bottom; white-space: normal; color: #555; font-weight: 600; }
td:first-child, th:first-child { text-align: left; } td.arm { font-weight: 600; }
tr:hover td { background: #f6f8fa; }
svg { max-width: 100%; height: auto; }
pre { background: #f6f8fa; padding: .8rem; overflow-x: auto; font-size: .8rem; line-height: 1.35; }
.warning { background: #fff4e0; padding: .5rem .8rem; border-left: 3px solid #e09f3e; }
"""


def page(result: ExperimentResult, spec_text: str, command: str) -> str:
    """The whole page."""
    title = "What training kept, and what it learned"
    body = [
        f"<h1>{title}</h1>",
        f'<p class="note">{_about(result)}</p>',
        *_missing(result),
        *_figures(result),
        *map(_table, grids(result)),
        "<h2>How to reproduce it</h2>",
        '<p class="note">The same command continues where it was stopped, and does nothing where '
        "all cells are done.</p>",
        f"<pre>{html.escape(command)}</pre>",
        "<h2>The spec</h2>",
        f"<pre>{html.escape(spec_text)}</pre>",
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n" + "\n".join(body) + "\n</html>\n"
    )


def _about(result: ExperimentResult) -> str:
    seeds = ", ".join(map(str, result.judged))
    return (
        f"{len(result.arms)} arms against <code>{html.escape(result.reference)}</code>, judged at "
        f"seeds {seeds}. Green lines are the untouched model ({ORIGINAL}), dotted red ones the "
        "mean of the reference arm. A dot is one training; a bar is a 95% interval over seeds."
    )


def _missing(result: ExperimentResult) -> list[str]:
    if not result.missing:
        return []
    cells = ", ".join(map(html.escape, result.missing))
    return [f'<p class="warning">Not done yet, and not in these figures: {cells}.</p>']


def _figures(result: ExperimentResult) -> list[str]:
    if not any(measure.arms for measure in result.measures):
        return []
    drawn = (
        ("Learning against forgetting", scatter(result)),
        ("Arms by measure", forest(result)),
        ("Likeness to the original, layer by layer", similarity(result)),
    )
    return [f"<h2>{title}</h2>\n{svg}" for title, svg in drawn if svg]


def _table(grid: Grid) -> str:
    head = "".join(f"<th>{html.escape(column)}</th>" for column in grid.columns)
    rows = "\n".join(
        f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in grid.rows
    )
    said = re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(grid.note))
    note = f'<p class="note">{said}</p>' if grid.note else ""
    return (
        f"<h2>{html.escape(grid.title)}</h2>{note}"
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )
