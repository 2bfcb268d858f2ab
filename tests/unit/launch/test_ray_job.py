import io

import pytest
from ray.job_submission import JobDetails, JobStatus, JobType

from jobs.launch.again import is_worth_another
from jobs.launch.parcel import pack
from jobs.launch.ray_client import RayClient, state_of
from jobs.launch.ray_follow import Voice
from jobs.launch.ray_job import SPEC_NAME, ray_job, stage
from jobs.spec_file import load_spec
from schemas.errors import SpecError
from tests.submitting import write_spec


def packed(folder, **launch):
    return pack(str(write_spec(folder, grace_s=40, launch=launch)))


def test_job_takes_its_place_and_its_environment_from_the_spec(tmp_path):
    job = ray_job(
        packed(
            tmp_path,
            environment={"A": "launch", "B": "launch"},
            ray={
                "driver_labels": {"ray.io/market-type": "!spot"},
                "driver_resources": {"steady": 0.1},
                "runtime_env": {"env_vars": {"B": "ray"}, "config": {"setup_timeout_seconds": 9}},
            },
        ),
        2,
        3,
    )
    variables = job.runtime_env["env_vars"]

    assert job.entrypoint_label_selector == {"ray.io/market-type": "!spot"}
    assert job.entrypoint_resources == {"steady": 0.1}
    assert (variables["A"], variables["B"]) == ("launch", "ray")
    assert int(variables["RAY_JOB_STOP_WAIT_TIME_S"]) > 40
    assert job.runtime_env["config"] == {"setup_timeout_seconds": 9}


def test_jobs_of_drivers_and_attempts_have_names_of_their_own(tmp_path):
    parcel = packed(tmp_path)
    names = {ray_job(parcel, driver, n).submission_id for driver in range(3) for n in range(1, 4)}
    assert len(names) == 9


def test_stage_links_what_is_sent_and_touches_nothing_there(tmp_path):
    sent, made = tmp_path / "sent", tmp_path / "made"
    (sent / "rows").mkdir(parents=True)
    made.mkdir()
    (sent / "rows" / "a.jsonl").write_text("{}")
    (sent / ".gitignore").write_text("*.yaml")
    (sent / SPEC_NAME).write_text("of another run")
    parcel = packed(tmp_path, ray={"working_dir": str(sent)})

    stage(parcel, made)

    assert load_spec(str(made / SPEC_NAME)) == parcel.spec
    assert (made / "rows" / "a.jsonl").read_text() == "{}"
    assert (made / ".gitignore").read_text().splitlines() == ["*.yaml", f"!/{SPEC_NAME}"]
    assert (sent / ".gitignore").read_text() == "*.yaml"
    assert (sent / SPEC_NAME).read_text() == "of another run"


def test_checkout_that_is_sent_along_is_what_runs(tmp_path):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "cli.py").touch()
    sent = packed(tmp_path, ray={"working_dir": str(tmp_path)})

    assert "python -m jobs.cli generate" in ray_job(sent, 0, 1).entrypoint
    assert "arborist generate" in ray_job(packed(tmp_path), 0, 1).entrypoint


@pytest.mark.parametrize(
    ("ray", "told"),
    [
        ({"working_dir": "nowhere"}, "expected a folder"),
        ({"runtime_env": {"working_dir": "."}}, r"launch\.ray\.working_dir"),
        ({"runtime_env": {"env_vars": {"HF_TOKEN": "hf_x"}}}, "found a secret"),
    ],
    ids=str,
)
def test_job_that_cannot_be_is_refused(tmp_path, ray, told):
    with pytest.raises(SpecError, match=told):
        ray_job(packed(tmp_path, ray=ray), 0, 1)


def test_secret_in_the_environment_is_refused(tmp_path):
    with pytest.raises(SpecError, match=r"environment\.AWS_SECRET_ACCESS_KEY: found a secret"):
        packed(tmp_path, environment={"AWS_SECRET_ACCESS_KEY": "x"})


@pytest.mark.parametrize(
    ("code", "again"), [(0, False), (2, False), (130, False), (1, True), (75, True), (137, True)]
)
def test_only_what_may_end_otherwise_is_started_again(code, again):
    assert is_worth_another(code) is again


@pytest.mark.parametrize(
    ("status", "code", "error", "told"),
    [
        ("PENDING", None, None, None),
        ("RUNNING", None, None, None),
        ("SUCCEEDED", 0, None, 0),
        ("STOPPED", 75, None, 130),
        ("FAILED", 2, "JOB_ENTRYPOINT_COMMAND_ERROR", 2),
        ("FAILED", -9, "JOB_ENTRYPOINT_COMMAND_ERROR", 137),
        ("FAILED", None, "JOB_SUPERVISOR_ACTOR_DIED", 75),
        ("FAILED", None, "RUNTIME_ENV_SETUP_FAILURE", 1),
    ],
)
def test_job_ends_as_a_shell_would_tell(status, code, error, told):
    details = JobDetails(
        type=JobType.SUBMISSION,
        submission_id="one",
        status=JobStatus(status),
        entrypoint="exec true",
        message="the whole story",
        driver_exit_code=code,
        error_type=error,
        metadata={"arborist_driver": "1", "arborist_attempt": "3"},
    )
    state = state_of(details)

    assert (state.driver, state.attempt, state.code) == (1, 3, told)
    assert bool(state.why) is (status == "FAILED" and code is None)


def test_voices_of_several_drivers_keep_their_lines_apart():
    out = io.StringIO()
    first, second = Voice(out, 0), Voice(out, 1)

    first.say("a wave is ")
    second.say("another\nand")
    first.say("committed\n")
    second.end()

    assert out.getvalue().splitlines() == [
        "[driver 1] another",
        "[driver 0] a wave is committed",
        "[driver 1] and",
    ]


def test_address_of_the_spec_wins_over_the_environment(monkeypatch):
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:1")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:3")
    with pytest.raises(Exception, match=r"at http://127\.0\.0\.1:2:"):
        RayClient("http://127.0.0.1:2")
