"""`make chaos`: schedules of faults until it is stopped, with kills on a Ray cluster in between.

`CHAOS_RUNS` is how many schedules (0: for ever); each tenth is followed by a run on a cluster.
`CHAOS_SEED` is the first seed. At the end come a table and, in the file `CHAOS_REPORT`, one line of
JSON.
"""

import json
import logging
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from tests.architecture.source import REPOSITORY
from tests.chaos.attempts import Score
from tests.chaos.campaign import figures, report, table, try_seed
from tests.chaos.proof import Broken

APART = 10
CLUSTER = "tests/chaos/test_cluster_faults.py"
MAPS = ("faults", "survived", "resumed", "waves_repeated", "acts")
SUMS = ("schedules", "attempts", "rows_lost", "rows_doubled")

Figures = dict[str, Any]


def main() -> int:
    """Run; 1 if a promise was broken."""
    logging.disable(logging.CRITICAL)
    runs = int(os.environ.get("CHAOS_RUNS", "0"))
    first = int(os.environ.get("CHAOS_SEED", random.randrange(10**9)))
    score, clusters, broken = Score(), Figures(), 0
    try:
        for number in range(1, runs + 1) if runs else count(1):
            seed = first + number - 1
            broken += not _tried(seed, score)
            _show(number, seed, score, broken)
            if number % APART == 0:
                broken += not _on_a_cluster(seed, clusters)
    except KeyboardInterrupt:
        _say("\nstopped\n")
    found = added(figures(score), clusters)
    _say(f"\n{table(found)}\n{broken} broken\n")
    report({"broken": broken, "first_seed": first, **found})
    return 1 if broken else 0


def _tried(seed: int, score: Score) -> bool:
    try:
        try_seed(seed, score)
    except Broken as error:
        _say(f"\n{error}\n")
        return False
    return True


def _show(number: int, seed: int, score: Score, broken: int) -> None:
    faults = score.injected.total()
    _say(f"\r{number:,} schedules (seed {seed}), {faults:,} faults, {broken} broken ")


def _on_a_cluster(seed: int, found: Figures) -> bool:
    """One run of the cluster's schedules, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        lines = Path(folder, "report.jsonl")
        asked = {"CHAOS_RUNS": "1", "CHAOS_SEED": str(seed), "CHAOS_REPORT": str(lines)}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", CLUSTER],
            cwd=REPOSITORY,
            env={**os.environ, **asked},
            capture_output=True,
            text=True,
        )
        for line in lines.read_text("utf-8").splitlines() if lines.exists() else ():
            found.update(added(found, json.loads(line)))
    if done.returncode:
        _say(f"\nCHAOS_SEED={seed} .venv/bin/pytest {CLUSTER}\n{done.stdout}{done.stderr}\n")
    return done.returncode == 0


def added(some: Mapping[str, Any], more: Mapping[str, Any]) -> Figures:
    """Two reports as one."""
    found: Figures = {name: _summed(some.get(name, {}), more.get(name, {})) for name in MAPS}
    return found | {name: some.get(name, 0) + more.get(name, 0) for name in SUMS}


def _summed(some: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    """By kind; what was counted and never came is told from what nobody counted."""
    return {kind: some.get(kind, 0) + more.get(kind, 0) for kind in {**some, **more}}


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
