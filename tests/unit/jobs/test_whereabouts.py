"""Whether a driver's process is gone: only where that is certain."""

import os
import subprocess
import sys

from jobs.whereabouts import here, is_gone


def test_this_process_is_not_gone():
    me = here("a", 60.0)
    assert me.pid == os.getpid()
    assert not is_gone(me)


def test_process_that_ended_here_is_gone_even_before_it_is_reaped():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    there = here("a", 60.0).model_copy(update={"pid": child.pid, "born": birth(child.pid)})
    assert not is_gone(there)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert is_gone(there)
    child.communicate()
    assert is_gone(there)


def test_process_with_the_same_id_that_began_at_another_time_is_another_one():
    me = here("a", 60.0)
    assert me.born is not None
    assert is_gone(me.model_copy(update={"born": me.born - 1}))


def test_nothing_is_certain_of_processes_elsewhere():
    """Another host, another boot, or another space of process ids."""
    dead = here("a", 60.0).model_copy(update={"born": 0})
    assert is_gone(dead)
    for place in ({"host": "elsewhere"}, {"machine": "another boot"}, {"machine": ""}):
        assert not is_gone(dead.model_copy(update=place))


def birth(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rpartition(")")[2].split()[19])
