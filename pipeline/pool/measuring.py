"""What runs in a worker: packed turns in, packed measures out, or the error that came instead."""

import os
import pickle
import queue
import signal
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from pipeline.pool.workers import Measure, MeasureFactory
from schemas.errors import ArboristError, PoolError
from schemas.measures import Measures, Turns

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}
"""Of every worker: one thread, since there are as many workers as cores are to be used; no device,
since those belong to the engines; models come from directories, in silence."""


def pack(value: object) -> bytes:
    """As it crosses processes."""
    return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)


def unpack(payload: bytes) -> Any:
    """What `pack` packed. Only processes that this one started are listened to."""
    return pickle.loads(payload)


class Measuring:
    """Answers to payloads. Errors are answers too, since what a call raises changes on its way."""

    def __init__(self, make_measure: MeasureFactory) -> None:
        self._make_measure = make_measure
        self._measure: Measure | None = None

    def start(self) -> bytes:
        """Make what measures: None, or the error."""
        return _answer("Starting to measure", self._start)

    def measure(self, payload: bytes) -> bytes:
        """The measures of packed turns, or the error."""
        return _answer("Measuring", lambda: measured(self._measure, unpack(payload)))

    def _start(self) -> None:
        self._measure = self._make_measure()


def measured(measure: Measure | None, turns: Turns) -> Measures:
    """The measures of turns; one row a turn is a promise that is held."""
    assert measure is not None, "start comes first"
    measures = measure(turns)
    if len(measures) != len(turns):
        raise PoolError(f"a measure gave {len(measures)} rows for {len(turns)} turns.")
    return measures


def _answer(doing: str, work: Callable[[], Measures | None]) -> bytes:
    try:
        return pack(work())
    except Exception as error:  # noqa: BLE001 - it is the driver's to hear, whatever it is
        return pack(reported(doing, error))


def reported(doing: str, error: Exception) -> ArboristError:
    """An error as the driver raises it: ours unchanged, others as one of ours with their text."""
    if isinstance(error, ArboristError):
        return error
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return PoolError(f"{doing} failed with {type(error).__name__}: {error}{where}")


def serve(connection: Connection) -> None:
    """Measure what comes until the driver hangs up: the whole life of a worker process."""
    # An interrupt from the keyboard reaches all processes; the driver decides what becomes of them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    inbox: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, inbox), daemon=True).start()
    factory = inbox.get()
    measuring = Measuring(lambda: unpack(factory)())
    with suppress(OSError):  # The driver is gone, and so will be this process.
        connection.send_bytes(measuring.start())
        while True:
            connection.send_bytes(measuring.measure(inbox.get()))


def _receive(connection: Connection, inbox: "queue.SimpleQueue[bytes]") -> None:
    with suppress(EOFError, OSError):
        while True:
            inbox.put(connection.recv_bytes())
    # Ends the process amid whatever it measures, so that none outlives its driver.
    os._exit(0)
