"""Which question is answered by which function."""

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.view.forest import roots, summary, trees
from pipeline.view.keeper import keeper
from pipeline.view.lists import dropped, left_out, search
from pipeline.view.node import node
from pipeline.view.pairs import pairs
from pipeline.view.query import Lines, Query
from pipeline.view.run import ViewedRun
from pipeline.view.thresholds import falling, scores
from pipeline.view.tree import children, tree

Answer = dict[str, Any] | Lines
"""One JSON object, or many, a line each, as they are found."""

ROUTES: Mapping[str, Callable[[ViewedRun, Query], Answer]] = {
    "run": summary,
    "trees": trees,
    "roots": roots,
    "tree": tree,
    "children": children,
    "node": node,
    "keeper": keeper,
    "search": search,
    "pairs": pairs,
    "dropped": dropped,
    "left_out": left_out,
    "scores": scores,
    "falling": falling,
}
