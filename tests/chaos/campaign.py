"""Many schedules in a row: which ones, what they came to, and the smallest one that fails."""

import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from tests.chaos.attempts import Score
from tests.chaos.proof import Broken, prove
from tests.chaos.schedule import Schedule, draw, without_some

SHRINKING_S = 90.0
REPLAY = "CHAOS_SEED={seed} .venv/bin/pytest tests/chaos/test_schedules.py"


def seeds(runs: int) -> Iterator[int]:
    """The seeds that the environment asks for, else the first ones.

    `CHAOS_SEED` is the first one, and the only one unless `CHAOS_RUNS` says how many (0: for ever);
    `CHAOS_RUNS` alone begins anywhere.
    """
    first, asked = os.environ.get("CHAOS_SEED"), os.environ.get("CHAOS_RUNS")
    if first is None and asked is None:
        yield from range(runs)
        return
    start = random.randrange(10**9) if first is None else int(first)
    many = 1 if asked is None else int(asked)
    yield from range(start, start + many) if many else count(start)


def try_seed(seed: int, score: Score) -> None:
    """Prove the schedule of a seed; a failure names the smallest schedule that fails alike."""
    schedule = draw(seed)
    try:
        prove(schedule, score)
    except Broken as broken:
        found = f"{broken}\nAgain by: {REPLAY.format(seed=seed)}"
        smallest = without_some(schedule, _breaks, time.monotonic() + SHRINKING_S)
        if smallest != schedule:
            found += f"\nIt fails with fewer faults as well: {smallest}"
        raise Broken(found) from broken


def _breaks(schedule: Schedule) -> bool:
    try:
        prove(schedule)
    except Broken:
        return True
    return False


def figures(score: Score) -> dict[str, Any]:
    """A score as one JSON object."""
    return {
        "schedules": score.schedules,
        "attempts": score.attempts,
        "faults": dict(score.injected.most_common()),
        "survived": dict(score.survived.most_common()),
        "resumed": dict(score.resumed.most_common()),
        "acts": dict(score.acts.most_common()),
        "rows_lost": score.lost,
        "rows_doubled": score.doubled,
        "waves_repeated": {kind: score.repeated[kind] for kind in score.injected | score.repeated},
    }


def report(found: Mapping[str, Any]) -> None:
    """Append one line to the file that `CHAOS_REPORT` names."""
    if file := os.environ.get("CHAOS_REPORT"):
        with Path(file).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"suite": "schedules", **found}) + "\n")


def table(found: Mapping[str, Any]) -> str:
    """The same for a person."""
    faults: Mapping[str, int] = found["faults"]
    survived: Counter[str] = Counter(found["survived"])
    repeated: Mapping[str, int] = found["waves_repeated"]
    lines = [f"{'fault':<36} {'injected':>9} {'went on':>9} {'resumed':>9} {'waves again':>12}"]
    for kind in sorted({*faults, *repeated}):
        times, on = faults.get(kind, 0), survived[kind]
        again = f"{repeated[kind]:,}" if kind in repeated else "not counted"
        lines.append(f"{kind:<36} {times:>9,} {on:>9,} {times - on:>9,} {again:>12}")
    total, on, waves = sum(faults.values()), survived.total(), sum(repeated.values())
    lines.append(f"{'all':<36} {total:>9,} {on:>9,} {total - on:>9,} {waves:>12,}")
    acts: Mapping[str, int] = found["acts"]
    lines.append(", ".join(f"{times:,} times {kind}" for kind, times in acts.items()))
    lines.append(
        f"{found['schedules']:,} schedules, {found['attempts']:,} attempts, "
        f"{found['rows_lost']:,} rows lost, {found['rows_doubled']:,} rows doubled"
    )
    return "\n".join(lines)
