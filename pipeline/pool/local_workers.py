"""Workers on this machine: none but this process, or processes of their own.

A worker process is a fresh interpreter, neither forked from this one, which may hold engines,
devices and threads, nor made to import its main module, which may be a person's script. It is
driven by one thread, which sends a part and waits for the answer; so when a process dies, it is
known over which part.
"""

import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Pipe

from pipeline.pool.measuring import ENVIRONMENT, measured, pack, reported, unpack
from pipeline.pool.parts import ATTEMPTS, Assembly, Part, WorkerLimits, cut
from pipeline.pool.workers import Measure, Measured, MeasureFactory
from schemas.errors import ArboristError, PoolError
from schemas.measures import Measures, Turns, join_measures

_log = logging.getLogger(__name__)

_PROGRAM = """
import sys
from multiprocessing.connection import Connection
connection = Connection(int(sys.argv[1]))
sys.path[:] = connection.recv()
from pipeline.pool.measuring import serve
serve(connection)
"""

_END_S = 5.0
"""How long a process that hung up has to end."""


class InlineWorkers:
    """Measures in this process, when turns are submitted."""

    def __init__(self, make_measure: MeasureFactory) -> None:
        self._make_measure = make_measure
        self._measure: Measure | None = None
        self._done: list[Measured] = []
        self._error: ArboristError | None = None

    def start(self) -> None:
        """Make what measures."""
        self._measure = self._make_measure()

    def submit(self, wave: str, turns: Turns) -> None:
        """Measure them now; what that raises is for `collect`."""
        try:
            parts = [measured(self._measure, part.turns) for part in cut(wave, turns)]
            self._done.append(Measured(wave, join_measures(parts)))
        except Exception as error:  # noqa: BLE001 - `collect` raises it, whatever it is
            self._error = reported("Measuring", error)
            if self._error is not error:
                self._error.__cause__ = error

    def collect(self) -> list[Measured]:
        """Waves submitted since the last call."""
        if self._error is not None:
            raise self._error
        done, self._done = self._done, []
        return done

    def close(self) -> None:
        """Drop what was not collected."""
        self._done.clear()


class ProcessWorkers:
    """Measures in processes on this machine."""

    def __init__(
        self, make_measure: MeasureFactory, count: int, limits: WorkerLimits | None = None
    ) -> None:
        self._make_measure = make_measure
        self._count = count
        self._limits = limits or WorkerLimits()
        self._changed = threading.Condition()
        """Guards all that follows."""
        self._queue: deque[Part] = deque()
        self._assembly = Assembly()
        self._done: list[Measured] = []
        self._error: ArboristError | None = None
        self._processes: dict[int, _Process] = {}
        self._threads: list[threading.Thread] = []
        self._closing = False

    def start(self) -> None:
        """Begin to start the processes."""
        factory = pickle.dumps(self._make_measure)
        self._threads = [
            threading.Thread(target=self._drive, args=(place, factory), daemon=True)
            for place in range(self._count)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, wave: str, turns: Turns) -> None:
        """Queue the wave's parts."""
        parts = cut(wave, turns)
        with self._changed:
            self._assembly.expect(parts)
            self._queue.extend(parts)
            self._changed.notify_all()

    def collect(self) -> list[Measured]:
        """Waves finished since the last call."""
        with self._changed:
            if self._error is not None:
                raise self._error
            done, self._done = self._done, []
        return done

    def pids(self) -> list[int]:
        """The processes that were started and not replaced."""
        with self._changed:
            return [process.pid for process in self._processes.values()]

    def close(self) -> None:
        """End the processes at once: nothing that they hold is wanted any more."""
        with self._changed:
            self._closing = True
            self._queue.clear()
            self._done.clear()
            processes = list(self._processes.values())
            self._changed.notify_all()
        for process in processes:
            process.kill()
        for thread in self._threads:
            thread.join()

    # Below: on the threads, each of which drives the process in one place.

    def _drive(self, place: int, factory: bytes) -> None:
        try:
            self._replace(place, factory)
            while (part := self._next()) is not None:
                self._finish(part, self._measured(place, part, factory))
        except _Closed:
            pass
        except ArboristError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - in silence, its wave would wait for ever
            self._fail(reported("Driving a worker", error))
        finally:
            if place in self._processes:
                self._processes[place].kill()

    def _next(self) -> Part | None:
        with self._changed:
            while not self._queue and not self._closing:
                self._changed.wait()
            return None if self._closing else self._queue.popleft()

    def _finish(self, part: Part, measures: Measures) -> None:
        with self._changed:
            whole = self._assembly.put(part, measures)
            if whole is not None:
                self._done.append(whole)

    def _fail(self, error: ArboristError) -> None:
        with self._changed:
            self._error = self._error or error

    def _measured(self, place: int, part: Part, factory: bytes) -> Measures:
        """The measures of a part, by as many processes as it takes."""
        payload, limits = pack(part.turns), self._limits
        if not self._processes[place].is_alive():
            self._replace(place, factory)
        while True:
            try:
                with self._processes[place].given(limits.part_s, limits.over_part()) as process:
                    answer = unpack(process.ask(payload))
                break
            except _Died as death:
                self._survive()
                part = part.lost(str(death))
                _log.warning("A worker %s while it measured %s; replaced.", death, part)
                self._replace(place, factory)
        if isinstance(answer, ArboristError):
            raise answer
        measures: Measures = answer
        return measures

    def _replace(self, place: int, factory: bytes) -> None:
        """A process that is ready, in one place."""
        for attempt in range(1, ATTEMPTS + 1):
            process = self._launch(place)
            try:
                with process.given(self._limits.start_s, self._limits.at_start()):
                    error = unpack(process.start(factory))
            except _Died as death:
                self._survive()
                if attempt == ATTEMPTS:
                    raise PoolError(_start_failed(death)) from death
            else:
                if error is not None:
                    raise error
                return

    def _launch(self, place: int) -> "_Process":
        process = _Process()
        with self._changed:
            self._processes[place] = process
        self._survive()
        return process

    def _survive(self) -> None:
        """Go on, unless this is the end."""
        if self._closing:
            raise _Closed


class _Closed(Exception):
    """The workers are being closed."""


class _Died(Exception):
    """A process ended; the message says how."""


class _Process:
    """One interpreter that serves, and the line to it."""

    def __init__(self) -> None:
        self._line, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **ENVIRONMENT},
            )
        self.pid = self._process.pid
        self._overdue = ""

    @contextmanager
    def given(self, limit_s: float, overdue: str) -> Iterator["_Process"]:
        """So long for what is done meanwhile; then it is ended, which ends all waiting for it."""
        timer = threading.Timer(limit_s, self._end, [overdue])
        timer.daemon = True
        timer.start()
        try:
            yield self
        finally:
            timer.cancel()

    def _end(self, overdue: str) -> None:
        self._overdue = overdue
        self._process.kill()

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def start(self, factory: bytes) -> bytes:
        """Let it make what measures."""
        try:
            self._line.send(sys.path)
        except OSError as error:
            raise _Died(self._how()) from error
        return self.ask(factory)

    def ask(self, payload: bytes) -> bytes:
        """Its answer."""
        try:
            self._line.send_bytes(payload)
            return self._line.recv_bytes()
        except (EOFError, OSError) as error:
            raise _Died(self._how()) from error

    def kill(self) -> None:
        """End it and see that it has ended."""
        self._process.kill()
        self._process.wait()

    def _how(self) -> str:
        """How it ended."""
        try:
            code = self._process.wait(_END_S)
            if self._overdue:
                return f"{self._overdue} and was ended"
        except subprocess.TimeoutExpired:
            self.kill()
            return "hung up"
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"


def _start_failed(death: _Died) -> str:
    return (
        f"{ATTEMPTS} worker processes in a row ended while they started; the last one {death}. "
        f"Its own words are above; `{sys.executable}` must be able to import this program, and "
        "the machine needs the memory for each worker (`execution.workers`)."
    )
