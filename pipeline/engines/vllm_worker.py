"""What vLLM's worker processes load of ours: they end with the process of their engine.

vLLM's own workers notice that its end only once they have loaded, and when they look; until then
they hold their devices. The kernel is asked to end them instead, whatever they do.
"""

import ctypes
import multiprocessing
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


class EndsWithItsEngine:
    """Mixed into vLLM's worker, so that its process loads this module."""


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is None or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent.pid:
        # It ended before the kernel was asked.
        os.kill(os.getpid(), signal.SIGKILL)


# vLLM offers no other moment in a worker before it takes its device.
_end_with_parent()
