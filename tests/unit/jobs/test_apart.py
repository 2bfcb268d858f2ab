"""A task in a process of its own: what it tells arrives, and however it ends is known."""

import os
import sys
import threading
import time

import pytest

from jobs.apart import Apart, Failed
from schemas.errors import Diverged

PATIENCE_S = 30


@pytest.fixture(scope="module")
def apart():
    return Apart(libraries=())


def tells(word, tell):
    sys.stdout.write(f"said {word}\n")
    sys.stdout.flush()
    tell({"word": word, "pid": os.getpid()})


def diverges(tell):
    raise Diverged("the loss is no number")


def breaks(tell):
    raise ValueError("a defect")


def is_killed(tell):
    os.kill(os.getpid(), 9)


def waits(tell):
    tell({"waiting": True})
    threading.Event().wait(PATIENCE_S)


def holds_on(tell):
    try:
        tell({"waiting": True})
        threading.Event().wait(PATIENCE_S)
    except KeyboardInterrupt:
        tell({"saved": True})


def test_apart_hears_what_another_process_tells_and_keeps_what_it_prints(apart, tmp_path):
    heard = []
    apart.run(tells, ("hello",), tmp_path / "log", heard.append)
    assert [note["word"] for note in heard] == ["hello"]
    assert heard[0]["pid"] != os.getpid()
    assert (tmp_path / "log").read_text("utf-8") == "said hello\n"


def test_apart_error_for_people_comes_back_with_kind_and_code(apart, tmp_path):
    with pytest.raises(Failed, match="the loss is no number") as raised:
        apart.run(diverges, (), tmp_path / "log")
    assert (raised.value.kind, raised.value.exit_code) == ("Diverged", 1)


def test_apart_defect_is_told_in_a_line_and_in_full_in_the_log(apart, tmp_path):
    with pytest.raises(Failed, match=r"ValueError: a defect .*log"):
        apart.run(breaks, (), tmp_path / "log")
    assert "Traceback" in (tmp_path / "log").read_text("utf-8")


def test_apart_process_that_is_killed_is_a_failure(apart, tmp_path):
    with pytest.raises(Failed, match="ended by signal 9"):
        apart.run(is_killed, (), tmp_path / "log")


def test_apart_stop_lets_the_task_end_by_itself(apart, tmp_path):
    heard = []

    def hear(note):
        heard.append(note)
        if "waiting" in note:
            apart.stop(False)

    apart.run(holds_on, (), tmp_path / "log", hear)
    assert heard == [{"waiting": True}, {"saved": True}]


@pytest.mark.parametrize("at_once", [False, True])
def test_apart_stop_ends_a_task_that_does_not_heed(apart, tmp_path, at_once):
    began = time.monotonic()
    with pytest.raises(Failed):
        apart.run(waits, (), tmp_path / "log", lambda note: apart.stop(at_once))
    assert time.monotonic() - began < PATIENCE_S
