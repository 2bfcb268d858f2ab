"""One run of one arm, in this process: `python -m tests.bench.throughput.arm JOB.json`."""

import json
import logging
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.bench.throughput.figures import figures
from tests.bench.throughput.lengths import forced_length
from tests.bench.throughput.record import Record
from tests.bench.throughput.setup import Setup

ROOM = "tests.bench.throughput"
FILES = {"product": "product", "transformers": "hf_generate", "server": "server"} | {
    "ray-data": "ray_data"
}


def main() -> None:
    logging.basicConfig(level=logging.WARNING)
    # Servers and the like are ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    job = json.loads(Path(sys.argv[1]).read_text())
    setup = Setup.from_json(job["setup"])
    record = measure(job["arm"], setup, Path(job["replay"]))
    require_equal(record, setup)
    Path(job["result"]).write_text(json.dumps(figures(record, setup)))


def measure(arm: str, setup: Setup, replay: Path) -> Record:
    """What the arm's own file does."""
    if arm in ("plain", "ceiling"):
        from tests.bench.throughput import plain

        return (plain.measure if arm == "plain" else plain.measure_ceiling)(setup, replay)
    found: Any = import_module(f"{ROOM}.{FILES[arm]}")
    return found.measure(setup)


def require_equal(record: Record, setup: Setup) -> None:
    """Arms that did not write what was asked for are not compared."""
    turns = sum(setup.sizes)
    found = (len(record.prompts), len(record.finishes), record.output_tokens)
    if setup.sigma:
        expected = (turns, turns, sum(_lengths(setup)))
        same = found == expected
    else:
        expected, same = (turns, turns, "any"), found[:2] == (turns, turns)
    if not same:
        sys.exit(f"turns asked, turns finished, tokens: found {found}, expected {expected}")


def _lengths(setup: Setup) -> list[int]:
    paths: list[tuple[int, ...]] = [()]
    found = []
    for fanout in setup.fanouts:
        paths = [(*path, child) for path in paths for child in range(fanout)]
        found += [forced_length(setup, t, path) or 0 for t in range(setup.trees) for path in paths]
    return found


if __name__ == "__main__":
    main()
