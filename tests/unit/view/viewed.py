"""Small scripted runs with something of everything, and questions to them."""

import json
from typing import Any

from jobs.view import at_hand
from pipeline.storage.runs import open_run
from pipeline.storage.store import Store
from pipeline.view.query import Query
from pipeline.view.routes import ROUTES
from pipeline.view.run import ViewedRun
from tests.builders import make_spec, run_scripted

GENERATION: dict[str, Any] = {
    "logprobs": "tokens",
    "curation": {
        "filters": ["empty", "truncated", "role_leak", "repetition"],
        "diversity": None,
    },
}
SCRIPTED = {
    "mean_tokens": 40,
    "sigma": 0.3,
    "duplicate_share": 0.15,
    "empty_share": 0.05,
    "truncate_share": 0.05,
    "leak_share": 0.05,
}


def grown(store: Store, **spec: Any) -> ViewedRun:
    """A sealed run of three levels, as it is looked at."""
    given: dict[str, Any] = {"fanouts": (4, 2, 2), "generation": GENERATION, "scripted": SCRIPTED}
    run_scripted(store, make_spec(**(given | spec)))
    return view_of(store)


def view_of(store: Store) -> ViewedRun:
    """Whatever is there, as it is looked at."""
    run_file = open_run(store)
    return ViewedRun(store, run_file, at_hand(run_file, []))


def ask(viewed: ViewedRun, name: str, **query: object) -> Any:
    """An answer as a page gets it: an object, or all lines of many."""
    answer = ROUTES[name](viewed, Query({key: str(value) for key, value in query.items()}))
    return json.loads(json.dumps(answer if isinstance(answer, dict) else list(answer)))


def rows(viewed: ViewedRun, name: str, **query: object) -> list[dict[str, Any]]:
    """All rows of a list, page after page."""
    found: list[dict[str, Any]] = []
    place: dict[str, object] | None = {}
    while place is not None:
        lines = ask(viewed, name, **query, **place)
        found += [row for line in lines for row in line.get("rows", [])]
        place = lines[-1]["next"]
    return found


def tree_rows(viewed: ViewedRun, tree: int = 0) -> list[dict[str, Any]]:
    """All rows of a tree, root first."""
    cohort = next(
        line["cohort"]
        for line in ask(viewed, "trees")
        if "trees" in line and any(row[0] == tree for row in line["trees"])
    )
    return ask(viewed, "tree", cohort=cohort, tree=tree)["rows"]
