"""Every store the product claims, each at a location of its own, and a running server."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline.storage.open import open_store
from pipeline.storage.store import Store
from tests.engine_benches import SERVER_OPTIONS
from tests.s3_server import new_location, s3_server
from tests.vllm_server import on_cpu, vllm_server

KEY = "a key that only tests know"


class Served(NamedTuple):
    """A running server, and its process."""

    url: str
    pid: int


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    """A real vLLM server with the tiny packaged model, whose key the environment holds."""
    from jobs.prepare_tiny import prepare_tiny

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERVER_KEY", KEY)
        options = ("--model", str(prepare_tiny()), "--api-key", KEY, *SERVER_OPTIONS)
        with vllm_server(*options, environment=on_cpu(1)) as (url, pid):
            yield Served(url, pid)


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture(params=["file", "memory", "s3"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        request.getfixturevalue("s3_endpoint")
        return new_location()
    if request.param == "file":
        return f"file://{tmp_path}/runs"
    return f"memory://{uuid.uuid4().hex}"


@pytest.fixture
def open_again(location: str) -> Callable[[], Store]:
    """Opens the location anew, as another driver would."""
    return lambda: open_store(location)


@pytest.fixture
def store(open_again: Callable[[], Store]) -> Store:
    return open_again()
