"""`arborist submit` against a real Ray: jobs that end, fail, are followed, left alone, stopped."""

import json
import os
import signal
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from jobs.launch.parcel import pack
from jobs.launch.ray_client import RayClient
from tests.command import run_command, started
from tests.fake_tools import FakeTools
from tests.processes import descendants, until
from tests.ray_head import BIN, ray_head
from tests.submitting import SCRIPTED, write_spec

pytestmark = [pytest.mark.ray, pytest.mark.slow]
PATIENCE_S = 500
DRIVER = [str(BIN / "arborist"), "generate"]
SLOW = {"main": {**SCRIPTED, "scripted": {"step_s": 0.3, "tokens_per_step": 8}}}
LONG = {"recipe": "tg-sft", "bounds": {"candidates_per_wave": 8, "trees_per_cohort": 1}}


@pytest.fixture(scope="module")
def head():
    with ray_head(2, "--labels=pool=steady") as head:
        yield head


@pytest.fixture(autouse=True)
def cluster(head, monkeypatch):
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", head.dashboard)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    return RayClient(head.dashboard)


def submit(spec, *arguments, **how):
    return run_command("submit", str(spec), "--to", "ray", *arguments, patience_s=PATIENCE_S, **how)


def runs_in(folder):
    return sorted(file.parent.name for file in folder.glob("*/run.json"))


def jobs_of(cluster, spec):
    return cluster.jobs_of(pack(str(spec)).key)


def driver_of(head):
    """The process of the one driver that runs there."""
    told = {pid: command_of(pid) for pid in descendants(head.pid)}
    [pid] = [pid for pid, command in told.items() if command[1:3] == DRIVER]
    return pid


def command_of(pid):
    """What a process was started as."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
    return []


def test_job_runs_to_a_sealed_snapshot_of_the_same_run(tmp_path):
    launch = {"ray": {"driver_labels": {"pool": "steady"}}}
    spec = write_spec(tmp_path, location=str(tmp_path / "runs"), launch=launch)

    code, out, err = submit(spec)

    assert code == 0, err
    assert "is sealed" in out
    [run] = runs_in(tmp_path / "runs")
    rehearsed = run_command("generate", str(spec), "--engine", "scripted", "--json")
    assert rehearsed[0] == 0, rehearsed[2]
    done = json.loads(rehearsed[1])
    assert (done["run_id"], done["complete"], done["already_done"]) == (run, True, True)


def test_relative_paths_are_those_of_this_machine_where_the_head_is_here(tmp_path):
    spec = write_spec(tmp_path, location="runs")

    code, _, err = submit(spec, cwd=tmp_path)

    assert code == 0, err
    [run] = runs_in(tmp_path / "runs")
    assert (
        f"expected under these names on the cluster's nodes: execution.location: {tmp_path}" in err
    )
    assert list((tmp_path / "runs" / run / "snapshots").iterdir())


def test_folder_is_sent_along(tmp_path):
    sent = tmp_path / "sent"
    sent.mkdir()
    (sent / ".gitignore").write_text("*.yaml\n")
    (sent / "rows.jsonl").write_text('{"text": "You are a cook."}\n')
    roots = {"trees": 2, "data": {"columns": {"text": "text"}}}
    spec = write_spec(
        tmp_path,
        location=str(tmp_path / "runs"),
        roots="rows.jsonl",
        generation={"roots": roots},
        launch={"ray": {"working_dir": str(sent)}},
    )

    code, out, err = submit(spec)

    assert code == 0, out + err
    assert "is sealed" in out


def test_job_with_something_to_mend_is_not_started_again(tmp_path, cluster):
    missing = str(tmp_path / "nowhere.txt")
    spec = write_spec(
        tmp_path,
        location=str(tmp_path / "runs"),
        roots=missing,
        generation={"roots": {"data": {}}},
    )

    code, out, _ = submit(spec)

    assert code == 2
    assert "nowhere.txt" in out
    assert [job.code for job in jobs_of(cluster, spec)] == [2]


def test_driver_that_was_killed_is_started_again_and_goes_on(tmp_path, head, cluster):
    spec = write_spec(tmp_path, location=str(tmp_path / "runs"), engines=SLOW, generation=LONG)

    with started("submit", str(spec), "--to", "ray") as follower:
        until(lambda: "loading engines" in follower.stdout.readline(), PATIENCE_S)
        os.kill(driver_of(head), signal.SIGKILL)
        out, err = follower.communicate(timeout=PATIENCE_S)

    assert follower.returncode == 0, err
    assert "is sealed" in out
    assert [(job.attempt, job.code) for job in jobs_of(cluster, spec)] == [(1, 137), (2, 0)]
    assert len(runs_in(tmp_path / "runs")) == 1


def test_code_of_a_job_that_may_be_continued_comes_back(tmp_path, head, cluster):
    spec = write_spec(
        tmp_path,
        location=str(tmp_path / "runs"),
        engines=SLOW,
        generation=LONG,
        launch={"retries": 0},
    )

    with started("submit", str(spec), "--to", "ray") as follower:
        until(lambda: "loading engines" in follower.stdout.readline(), PATIENCE_S)
        os.kill(driver_of(head), signal.SIGTERM)
        follower.communicate(timeout=PATIENCE_S)

    assert follower.returncode == 75
    assert [job.code for job in jobs_of(cluster, spec)] == [75]


def test_job_that_goes_on_is_followed_and_left_and_stopped(tmp_path, cluster):
    spec = write_spec(tmp_path, location=str(tmp_path / "runs"), engines=SLOW, generation=LONG)
    assert submit(spec, "--detach")[0] == 0
    until(lambda: runs_in(tmp_path / "runs"), PATIENCE_S)

    with started("submit", str(spec), "--to", "ray") as follower:
        first = follower.stdout.readline()
        follower.send_signal(signal.SIGINT)
        code, (_, err) = follower.wait(PATIENCE_S), follower.communicate()
    assert "Runtime env" in first
    assert code == 130
    told = " ".join(err.split())
    assert "runs already, and is followed" in told
    assert "what was submitted goes on" in told
    [job] = jobs_of(cluster, spec)
    assert f"`ray job stop --address {cluster.address} {job.submission_id}`" in told
    assert job.code is None

    with started("submit", str(spec), "--to", "ray") as follower:
        until(lambda: "loading engines" in follower.stdout.readline(), PATIENCE_S)
        cluster._client.stop_job(job.submission_id)
        out, err = follower.communicate(timeout=PATIENCE_S)
    assert follower.returncode == 130, err
    assert "finishing the waves in flight" in out
    assert "the same command continues the run" in " ".join(out.split())
    assert [one.code for one in jobs_of(cluster, spec)] == [130]


def test_drivers_share_the_run_and_say_which_they_are(tmp_path, cluster):
    spec = write_spec(tmp_path, location=str(tmp_path / "runs"), drivers=2)

    code, out, err = submit(spec)

    assert code == 0, err
    assert len(runs_in(tmp_path / "runs")) == 1
    assert {line[:10] for line in out.splitlines() if line} == {"[driver 0]", "[driver 1]"}
    assert [(job.driver, job.code) for job in jobs_of(cluster, spec)] == [(0, 0), (1, 0)]


def test_dashboard_that_is_not_there_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:9")

    code, _, err = submit(write_spec(tmp_path))

    assert code == 75
    assert "No dashboard of Ray answered at http://127.0.0.1:9" in " ".join(err.split())


@contextmanager
def batch(tmp_path, head, spec, **variables):
    """The rendered script, running as on the one node of an allocation, whose Ray is the head."""
    tools = FakeTools(tmp_path / f"bin-{len(list(tmp_path.iterdir()))}")
    tools.add("scontrol", "[[ $1 == show ]] && echo 127.0.0.1; exit 0")
    tools.add("srun", 'while [[ $1 == --* ]]; do shift; done; exec "$@"')
    there = f"export RAY_AUTH_MODE=disabled RAY_TMPDIR={head.environment['RAY_TMPDIR']}"
    tools.add("ray", f'{there}; while [[ $1 != -- ]]; do shift; done; shift; "$@"; exit 0')
    script = tmp_path / "script"
    script.write_text(run_command("submit", str(spec), "--to", "slurm", "--dry-run")[1])
    process = subprocess.Popen(
        ["bash", script],
        cwd=tmp_path,
        env={
            **head.environment,
            "PATH": f"{tools.folder}:{head.environment['PATH']}",
            "SLURM_JOB_ID": "4711",
            "SLURM_JOB_NODELIST": "node1",
            **variables,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process, tools
    finally:
        process.kill()
        process.communicate()


def test_batch_script_is_told_to_leave_requeues_itself_and_goes_on(tmp_path, head):
    bounds = {"bounds": {"trees_per_cohort": 1, "candidates_per_wave": 8}}
    spec = write_spec(
        tmp_path,
        location=str(tmp_path / "runs"),
        engines={"main": {**SCRIPTED, "scripted": {"step_s": 0.2}}},
        generation=bounds,
        launch={"retries": 1},
    )

    with batch(tmp_path, head, spec) as (process, tools):
        until(lambda: "loading engines" in process.stdout.readline(), PATIENCE_S)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 75, out
        assert tools.calls("scontrol")[-1] == "requeue 4711"

    with batch(tmp_path, head, spec, SLURM_RESTART_COUNT="1") as (process, tools):
        out, _ = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, out
        assert "is sealed" in out
        assert "requeue 4711" not in tools.calls("scontrol")

    with batch(tmp_path, head, spec, SLURM_RESTART_COUNT="2") as (process, tools):
        out, _ = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 75
        assert "started again 1 times already" in out
        assert tools.calls("srun") == []
    assert len(runs_in(tmp_path / "runs")) == 1
    assert [file.name for file in tmp_path.glob(".*")] == []
