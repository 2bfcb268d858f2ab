"""A run tells of itself while it grows: by heartbeats to whoever reads its location, and by Ray's
exporter to Prometheus."""

import re
import signal
import urllib.request
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from jobs.generate import Done, generate
from jobs.status import Standing, standing_of
from pipeline.metrics.table import (
    ENGINES_REPLACED,
    LEFT_SECONDS,
    METRICS,
    REQUEUED,
    STORE_RETRIES,
)
from pipeline.storage.open import find_run
from tests.builders import (
    ODD,
    Bystander,
    make_spec,
    memory_store,
    run_scripted,
    write_spec,
)
from tests.command import await_waves, started
from tests.processes import until

REACH_S = 60.0
"""Ray's processes bring their numbers to its exporter every ten seconds."""
UNTOLD = (ENGINES_REPLACED, REQUEUED, STORE_RETRIES, LEFT_SECONDS)
"""A counter is there once it counts; nothing is lost or repeated here."""
SAMPLE = re.compile(r"^(?P<name>\w+)\{(?P<labels>.*)\} (?P<value>\S+)$", re.MULTILINE)


def scraped(port: int) -> Iterator[tuple[str, dict[str, str], float]]:
    """Every number at the exporter, with its labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
        text = page.read().decode()
    for sample in SAMPLE.finditer(text):
        labels = dict(re.findall(r'(\w+)="([^"]*)"', sample["labels"]))
        yield sample["name"], labels, float(sample["value"])


def grown(location: Path, **execution: object) -> Done:
    spec = make_spec(trees=4, scripted={**ODD, "fail_share": 0.1}, **execution)
    moved = spec.execution.model_copy(update={"location": str(location)})
    return generate(spec.model_copy(update={"execution": moved}), StringIO())


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_scripted_run_on_ray_is_found_at_the_exporter(own_ray: None, tmp_path: Path):
    import ray

    port = ray.nodes()[0]["MetricsExportPort"]
    group = {"replicas": 2, "cpus": 0.5}
    done = grown(tmp_path, pool="ray", ray_address="auto", group=group)
    told = {metric.exported for metric in METRICS if metric not in UNTOLD}
    until(lambda: told <= {name.removesuffix("_count") for name, *_ in scraped(port)}, REACH_S)
    run = done.snapshot.run_id
    found = [one for one in scraped(port) if one[1].get("run") == run]

    def total(name: str, **labels: str) -> float:
        return sum(
            value
            for one, said, value in found
            if one == f"ray_arborist_{name}" and labels.items() <= said.items()
        )

    # What is told together comes together; what comes last is what engines sampled in all.
    counts = done.snapshot.counts
    assert total("sampled_tokens_total") >= counts.output_tokens + counts.aside_tokens > 0
    assert total("prompt_tokens_total") >= total("cached_prompt_tokens_total") > 0
    assert total("engines", state="live") == total("waves_open") == 0
    assert total("nodes_asked_total") == counts.asked
    assert total("nodes_kept_total") == counts.kept
    assert total("nodes_dropped_total") == counts.asked - counts.kept
    assert {
        reason: total("nodes_dropped_total", reason=reason) for reason in counts.dropped
    } == counts.dropped
    waves = len(done.snapshot.manifests)
    assert total("waves_committed_total") == total("commit_seconds_count") == waves
    assert total("commit_seconds_bucket", le="+Inf") == waves
    assert len({labels["attempt"] for _, labels, _ in found}) == 1


def test_every_commit_is_timed():
    store, watch = memory_store(), Bystander()
    snapshot = run_scripted(store, make_spec(), watch=watch)
    assert len(watch.took) == len(snapshot.manifests) > 1
    assert all(0 <= seconds < 60 for seconds in watch.took)


@pytest.mark.slow
def test_status_from_elsewhere_knows_how_a_growing_run_gets_on(tmp_path: Path):
    spec = make_spec(
        fanouts=(4, 2),
        trees=400,
        bounds=(2, 16),
        scripted={"mean_tokens": 20, "step_s": 0.1},
        claim_s=2.0,
        budget={"nodes": 10**6},
    )
    file, where = write_spec(spec, tmp_path / "spec.yaml"), tmp_path / "runs"
    with started("generate", str(file), "--location", str(where)) as process:
        await_waves(process, where, 1, REACH_S)

        def told() -> Standing | None:
            standing = standing_of(find_run(str(where)))
            return standing if standing.eta.tokens_per_s else None

        until(told, REACH_S)
        standing = standing_of(find_run(str(where)))
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=REACH_S)
    assert process.returncode == 75, err
    [driver] = standing.drivers
    assert driver.headway is not None
    assert (driver.state, driver.headway.live, driver.stale) == ("growing", 1, False)
    assert 0 < driver.headway.waves <= sum(level.waves for level in standing.status.levels)
    assert standing.eta.seconds is not None and standing.eta.seconds > 0
    assert [limit.name for limit in standing.status.limits] == ["nodes"]
    assert "waves committed" in out and "\x1b" not in out
    after = standing_of(find_run(str(where)))
    assert (after.eta.seconds, after.eta.how) == (None, "no driver works on it")
