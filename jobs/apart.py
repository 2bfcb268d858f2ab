"""Work in a process of its own, which is forked from one that has the libraries loaded.

A process for each training gives all its memory back and cannot disturb the next. Loading torch
and TRL takes ten seconds, so one process loads them once and every other is a fork of it. Where
there are GPUs each loads them for itself: what a library begins with a GPU does not live on in a
fork, and a training there takes longer than that.
"""

import contextlib
import json
import logging
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from schemas.errors import ArboristError

Note = dict[str, Any]
Tell = Callable[[Note], None]
"""What a task may call at any time, with a few figures."""

LIBRARIES = ("jobs.experiments.cell", "trl.trainer.sft_trainer", "peft", "datasets")
GPUS = (Path("/dev/nvidiactl"), Path("/dev/kfd"), Path("/dev/dxg"))
"""What is there where NVIDIA's, AMD's or a Windows host's GPUs are."""

STOPPED = 130
_ENDED_BY_US = 124


class Failed(ArboristError):
    """A task ended otherwise than by being done."""

    def __init__(self, words: str, code: int, kind: str = "") -> None:
        super().__init__(words)
        self.exit_code, self.kind = code, kind


class Apart:
    """Runs one task after another, each in its own process."""

    def __init__(self, libraries: tuple[str, ...] = LIBRARIES) -> None:
        self._context = multiprocessing.get_context("forkserver")
        on_gpu = any(file.exists() for file in GPUS)
        self._context.set_forkserver_preload([] if on_gpu else list(libraries))
        self._running: multiprocessing.process.BaseProcess | None = None

    def run(
        self,
        task: Callable[..., None],
        arguments: tuple[str, ...],
        log: Path,
        heard: Tell = lambda note: None,
    ) -> None:
        """Until it is done. What it prints goes to a file; `Failed` says what went wrong."""
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=_inside, args=(task, arguments, str(log), theirs), daemon=False
        )
        process.start()
        theirs.close()
        self._running = process
        try:
            error = _listen(ours, process, heard)
        finally:
            self._running = None
        if process.exitcode:
            words = error.get("error") or _reason(process.exitcode, log)
            raise Failed(words, _code(process.exitcode), error.get("kind", ""))

    def stop(self, at_once: bool) -> None:
        """Tell the task that is running to come to an end."""
        if self._running is not None:
            self._running.kill() if at_once else self._running.terminate()


def _listen(ours: Connection, process: multiprocessing.process.BaseProcess, heard: Tell) -> Note:
    """Pass on what the task tells until it ends; its error, if it told one."""
    error: Note = {}
    with ours, contextlib.suppress(EOFError):
        while wait([ours, process.sentinel]):
            if not ours.poll():
                break
            note = json.loads(ours.recv_bytes())
            if "error" in note:
                error = note
            else:
                heard(note)
    process.join()
    return error


def _reason(code: int, log: Path) -> str:
    how = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
    return f"its process {how}; what it said last stands in {log}."


def _code(code: int) -> int:
    return 1 if code < 0 else code


def _inside(
    task: Callable[..., None], arguments: tuple[str, ...], log: str, theirs: Connection
) -> None:
    """The whole life of the process."""
    _end_with_parent()
    _redirect(log)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # A terminal's signals go to the one that leads, which decides and tells.
    os.setsid()
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    def tell(note: Note) -> None:
        with contextlib.suppress(BrokenPipeError):
            theirs.send_bytes(json.dumps(note).encode())

    try:
        task(*arguments, tell)
    except ArboristError as error:
        tell({"error": str(error), "kind": type(error).__name__})
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(STOPPED)
    # Whatever it was, the process that leads must hear of it.
    except BaseException as error:  # noqa: BLE001
        traceback.print_exc()
        tell({"error": f"{type(error).__name__}: {error} (the whole story is in {log})"})
        sys.exit(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(_ENDED_BY_US)

    threading.Thread(target=watch, daemon=True).start()


def _redirect(log: str) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(target, stream)
    os.close(target)
