"""What holds for every test: idle threads sleep, properties are bounded, memory is freed."""

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.memory import forgotten
from tests.trying import PROFILE

settings.load_profile(PROFILE)

# Read when torch is loaded. By default a thread that waits for the others of its team spins, which
# costs several times the work itself wherever the cores are shared: with other tests, say.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


# Commands that tests start inherit this. A shell that runs the tests in the background has SIGINT
# ignored, and then no Ctrl-C would reach them.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def memory() -> Iterator[None]:
    """What a test stores in this process goes with it; what its module stored before stays."""
    with forgotten():
        yield
