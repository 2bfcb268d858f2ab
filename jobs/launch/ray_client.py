"""Ray's Jobs API, as far as a submission needs it: the one place that speaks to it."""

import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from jobs.launch.again import DONE, LOST, STOPPED
from jobs.launch.ray_job import ATTEMPT, DRIVER, RUN, RayJob
from schemas.errors import ArboristError, NoEngine, UserError
from schemas.launch_spec import RayLaunchSpec

_VARIABLE = "RAY_API_SERVER_ADDRESS"
_HERE = "http://127.0.0.1:8265"
_SETUP = "RUNTIME_ENV_SETUP_FAILURE"
_CHATTY = (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)
"""Loggers that tell of every upload and of connections that closed."""


class JobState(NamedTuple):
    """A job as Ray knows it."""

    submission_id: str
    driver: int
    attempt: int
    code: int | None
    """None while it has not ended."""
    why: str = ""
    """Where its own words do not tell."""


class Unreachable(NoEngine):
    """Ray's dashboard does not answer, or not yet."""


class Taken(ArboristError):
    """Somebody else submitted the same attempt a moment ago."""


def _refused(address: str, error: Exception) -> ArboristError:
    told = f"Ray at {address} refused: {' '.join(str(error).split())[:800]}"
    if "already exists" in str(error):
        return Taken(told)
    # So says a head that started a moment ago.
    return Unreachable(told) if "try again later" in str(error) else ArboristError(told)


def address_of(launch: RayLaunchSpec) -> str:
    """Of the dashboard that jobs are sent to."""
    return launch.address or os.environ.get(_VARIABLE) or _HERE


class RayClient:
    """A connection to a cluster's dashboard."""

    def __init__(self, address: str) -> None:
        self.address = address
        # Ray lets this variable, and RAY_ADDRESS where it is not set, win over what it is given.
        os.environ[_VARIABLE] = self.address
        with self._asked():
            from ray.job_submission import JobSubmissionClient

            for name in _CHATTY:
                logging.getLogger(name).setLevel(logging.WARNING)
            self._client = JobSubmissionClient(self.address)

    def jobs_of(self, run: str) -> list[JobState]:
        """Of all attempts at a run, by driver and attempt."""
        with self._asked():
            found = self._client.list_jobs()
        ours = [job for job in found if (job.metadata or {}).get(RUN) == run and job.submission_id]
        return sorted(map(state_of, ours), key=lambda job: (job.driver, job.attempt))

    def state(self, submission_id: str) -> JobState:
        """Of one job."""
        with self._asked():
            return state_of(self._client.get_job_info(submission_id))

    def submit(self, job: RayJob, folder: Path) -> None:
        """Send a job and the folder that it starts in."""
        with self._asked():
            self._client.submit_job(
                **{
                    **job._asdict(),
                    "runtime_env": {**job.runtime_env, "working_dir": str(folder)},
                    "entrypoint_resources": job.entrypoint_resources or None,
                    "entrypoint_label_selector": job.entrypoint_label_selector or None,
                }
            )

    async def words(self, submission_id: str) -> AsyncIterator[str]:
        """What a job prints, from its beginning until it has ended or the connection is lost."""
        import aiohttp

        try:
            async for said in self._client.tail_job_logs(submission_id):
                yield said
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            raise Unreachable(self._silent(str(error))) from error

    @contextmanager
    def _asked(self) -> Iterator[None]:
        from ray.exceptions import AuthenticationError

        try:
            yield
        except AuthenticationError as error:
            raise UserError(
                f"Ray at {self.address} lets in who has its token: expected RAY_AUTH_MODE=token "
                "and RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH) in the environment."
            ) from error
        except OSError as error:
            raise Unreachable(self._silent(str(error))) from error
        except (RuntimeError, ValueError) as error:
            raise _refused(self.address, error) from error

    def _silent(self, found: str) -> str:
        return (
            f"No dashboard of Ray answered at {self.address}: {found} Expected the one of a "
            f"running cluster, `http://HOST:8265` (launch.ray.address, or {_VARIABLE}); for one "
            "inside Kubernetes, `kubectl port-forward` its head's service first."
        )


def state_of(job: Any) -> JobState:
    """From Ray's details of a job."""
    of = job.metadata or {}
    code = _code(str(job.status.value), job.driver_exit_code, str(job.error_type))
    told = code is None or job.driver_exit_code is not None or code == DONE
    return JobState(
        submission_id=job.submission_id,
        driver=int(of.get(DRIVER, 0)),
        attempt=int(of.get(ATTEMPT, 0)),
        code=code,
        why="" if told else str(job.message or ""),
    )


def _code(status: str, code: int | None, error: str) -> int | None:
    """The exit code of a job, as a shell would tell it; None while it has not ended."""
    if status in ("PENDING", "RUNNING"):
        return None
    if status in ("SUCCEEDED", "STOPPED"):
        return DONE if status == "SUCCEEDED" else STOPPED
    if code is None:
        # Its machine or its supervisor is gone, unless it never had what it was to start in.
        return 1 if _SETUP in error else LOST
    return 128 - code if code < 0 else code
