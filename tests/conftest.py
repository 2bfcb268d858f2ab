"""What holds for every test: idle threads sleep, properties are bounded, memory is freed."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.memory import forgotten
from tests.trying import PROFILE

settings.load_profile(PROFILE)

# Read when torch is loaded. By default a thread that waits for the others of its team spins, which
# costs several times the work itself wherever the cores are shared: with other tests, say.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(autouse=True)
def memory() -> Iterator[None]:
    """What a test stores in this process goes with it; what its module stored before stays."""
    with forgotten():
        yield
