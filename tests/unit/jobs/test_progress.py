"""The live view fits a terminal."""

from io import StringIO

from rich.console import Console

from jobs.progress import view
from pipeline.plan.plan import make_plan
from pipeline.pool.pool import PoolStats
from pipeline.recipes import RECIPES
from pipeline.report.status import status_of
from schemas.manifest import Counts
from schemas.records import EngineStats
from tests.stored import make_manifest
from tests.unit.samples import make_spec

STATS = PoolStats(
    engines={
        f"main-{i}": EngineStats(
            running=512, waiting=512, tokens=10**9, prompt_tokens=10**9, cached_tokens=9 * 10**8
        )
        for i in range(512)
    }
)
DROPS = {"duplicate": 123_456, "empty": 12_345, "role_leak": 1_234, "truncated": 123_456}


def drawn(spec, counts, stats, *, elapsed_s):
    manifests = [make_manifest(counts=counts)] if counts else []
    status = status_of(make_plan(spec, RECIPES[spec.recipe], spec.roots.trees), manifests)
    out = StringIO()
    Console(file=out, width=80).print(view(status, stats, 1024, elapsed_s))
    return out.getvalue().splitlines()


def test_view_of_a_large_run_fits_eighty_columns_and_says_all():
    spec = make_spec((32, 16, 8, 8), trees=100_000)
    counts = Counts(asked=10**6, kept=900_000, dropped=DROPS, output_tokens=10**9)
    lines = drawn(spec, counts, STATS, elapsed_s=3600.0)
    assert max(map(len, lines)) <= 80
    said = " ".join(" ".join(lines).split())
    assert all(f"{i} {role}" in said for i, role in enumerate(("user", "assistant") * 2, start=1))
    assert "900,000 kept / 1,000,000 of" in said
    assert "512 engines" in said and "90% cached" in said
    assert "123,456 duplicate" in said and "about" in said


def test_view_tells_engines_that_failed_from_machines_that_did():
    lines = drawn(make_spec(), None, PoolStats(restarts=3, machine_restarts=17), elapsed_s=1.0)
    said = " ".join(" ".join(lines).split())
    assert "engines replaced: 3 that failed or stalled, 17 whose machine did" in said


def test_view_says_how_many_engines_wait_for_a_place():
    lines = drawn(make_spec(), None, PoolStats(waiting=62), elapsed_s=1.0)
    assert "0 engines (62 more wait for a place)" in " ".join(" ".join(lines).split())


def test_view_before_the_first_wave_knows_nothing_yet():
    lines = drawn(make_spec(), None, PoolStats(), elapsed_s=0.0)
    said = " ".join(lines)
    assert "dropped: none" in said and "left: unknown" in said and "0 kept / 0 of" in said
