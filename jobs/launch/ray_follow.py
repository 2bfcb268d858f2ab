"""Following jobs of Ray's to their end, and starting them again where that may help.

The jobs do not need who follows them: whoever starts the same command again follows them on.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TextIO

from jobs.launch.again import DONE, is_worth_another
from jobs.launch.parcel import Parcel
from jobs.launch.ray_client import JobState, RayClient, Taken, Unreachable
from jobs.launch.ray_job import ray_job, stage
from schemas.errors import Interrupted, NoEngine

_LOOK_S = 1.0
"""Between two looks at a job that has nothing more to say."""
_SILENT_S = 60.0
"""How long a dashboard may be silent: its head may be starting again."""
_PAUSE_S = 5.0
"""Before a job is started again; twice as long each time."""
_LONGEST_PAUSE_S = 60.0

Say = Callable[[str], None]


class Sender(NamedTuple):
    """Submits a parcel to a cluster."""

    client: RayClient
    parcel: Parcel
    say: Say

    def begin(self, driver: int) -> JobState:
        """The job of a driver that is running, else a new one."""
        while True:
            before = [job for job in self.client.jobs_of(self.parcel.key) if job.driver == driver]
            running = next((job for job in before if job.code is None), None)
            if running is not None:
                self.say(f"{running.submission_id} runs already, and is followed")
                return running
            try:
                return self.send(driver, 1 + max((job.attempt for job in before), default=0))
            except Taken:
                self.say("somebody else submitted it just now")

    def send(self, driver: int, attempt: int) -> JobState:
        """A new job."""
        job = ray_job(self.parcel, driver, attempt)
        with tempfile.TemporaryDirectory(prefix="arborist-") as folder:
            stage(self.parcel, Path(folder))
            _insistently(lambda: self.client.submit(job, Path(folder)))
        self.say(f"submitted {job.submission_id}")
        return self.client.state(job.submission_id)


def _insistently(ask: Callable[[], None]) -> None:
    """Ask again while the cluster is not there: it may be starting."""
    until = time.monotonic() + _SILENT_S
    while True:
        try:
            return ask()
        except Unreachable:
            if time.monotonic() > until:
                raise
        time.sleep(_LOOK_S)


def follow(sender: Sender, jobs: list[JobState], out: TextIO | None = None) -> int:
    """Print what jobs print until all have ended, those included that are started for them.

    The exit code is that of the one job; of several drivers 0 as soon as one sealed the run they
    share, else that of the first.
    """
    followed = {job.driver: job for job in jobs}
    several = len(followed) > 1
    voices = {n: Voice(out or sys.stdout, n if several else None) for n in followed}
    try:
        codes = asyncio.run(_all_ends(sender, followed, voices))
    except KeyboardInterrupt:
        raise Interrupted(left_running(sender, list(followed.values()))) from None
    except Unreachable as error:
        raise NoEngine(
            f"{error} What was submitted goes on where its cluster does; the same command follows "
            "it again."
        ) from error
    return DONE if DONE in codes else codes[0]


def left_running(sender: Sender, jobs: list[JobState]) -> str:
    """How to go on with jobs that nobody follows."""
    address, names = sender.client.address, [job.submission_id for job in jobs]
    stops = "; ".join(f"`ray job stop --address {address} {name}`" for name in names)
    return (
        "No longer followed; what was submitted goes on, and is not started again should it fail. "
        f"The same command follows it again. To stop it, resumable: {stops}"
    )


class Voice:
    """Prints what a job says, line by line and with its driver's number where there are several."""

    def __init__(self, out: TextIO, driver: int | None) -> None:
        self._out, self._begin = out, "" if driver is None else f"[driver {driver}] "
        self._rest = ""

    def say(self, words: str) -> None:
        """Print whole lines, and keep the rest of the last one."""
        *lines, self._rest = (self._rest + words).split("\n")
        for line in lines:
            print(f"{self._begin}{line}", file=self._out, flush=True)

    def end(self) -> None:
        """Print what is kept."""
        if self._rest:
            self.say("\n")


async def _all_ends(
    sender: Sender, jobs: dict[int, JobState], voices: dict[int, Voice]
) -> list[int]:
    return await asyncio.gather(*(_end(sender, jobs, voice, n) for n, voice in voices.items()))


async def _end(sender: Sender, jobs: dict[int, JobState], voice: Voice, driver: int) -> int:
    """The exit code of the last job that is started for a driver."""
    retries = sender.parcel.spec.execution.launch.retries
    for tried in range(retries + 1):
        code = await _followed(sender, jobs[driver], voice)
        if not is_worth_another(code) or tried == retries:
            break
        pause_s = min(_PAUSE_S * 2**tried, _LONGEST_PAUSE_S)
        sender.say(f"starting it again in {pause_s:g} s ({tried + 1} of {retries} times)")
        await asyncio.sleep(pause_s)
        jobs[driver] = await asyncio.to_thread(sender.begin, driver)
    return code


async def _followed(sender: Sender, job: JobState, voice: Voice) -> int:
    """Print one job until it has ended; its exit code."""
    watch = _Watch(sender.client, job.submission_id, voice)
    while (ended := await watch.look()) is None:
        await asyncio.sleep(_LOOK_S)
    voice.end()
    why = f": {' '.join(ended.why.split())[:800]}" if ended.why else ""
    sender.say(f"{job.submission_id} ended with {ended.code}{why}")
    assert ended.code is not None
    return ended.code


class _Watch:
    """What was printed of a job, whose words begin again after a lost connection."""

    def __init__(self, client: RayClient, submission_id: str, voice: Voice) -> None:
        self._client, self._id, self._voice = client, submission_id, voice
        self._printed = 0
        self._heard_at = time.monotonic()

    async def look(self) -> JobState | None:
        """Print what is new; the state of the job once it has ended."""
        try:
            await self._listen()
            state = await asyncio.to_thread(self._client.state, self._id)
        except Unreachable:
            if time.monotonic() - self._heard_at > _SILENT_S:
                raise
            return None
        self._heard_at = time.monotonic()
        return None if state.code is None else state

    async def _listen(self) -> None:
        passed = 0
        async for words in self._client.words(self._id):
            new = words[max(0, self._printed - passed) :]
            passed += len(words)
            self._printed = max(self._printed, passed)
            self._heard_at = time.monotonic()
            if new:
                self._voice.say(new)
