"""Locations that two drivers may share, and a Ray of our own."""

import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.s3_server import new_location, s3_server


@pytest.fixture(scope="module")
def s3() -> Iterator[None]:
    with s3_server():
        yield


@pytest.fixture(params=["file", "s3"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        request.getfixturevalue("s3")
        return new_location()
    return f"file://{tmp_path}/{uuid.uuid4().hex}"


@pytest.fixture(scope="module")
def own_ray() -> Iterator[None]:
    """A small Ray that ends with the module."""
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    folder = tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True)
    with folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder.name)
        import ray

        ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()
