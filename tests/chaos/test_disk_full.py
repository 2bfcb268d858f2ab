"""A real disk that has no room left, or no names for files: attempts stop, and none costs a row."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import REPOSITORY

MOUNT = 'mount -t tmpfs -o size=4k none "$0" && '


def apart(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a mount namespace of its own, with a small disk at a folder."""
    line = ["unshare", "--map-root-user", "--mount", "sh", "-c", MOUNT + command, str(folder)]
    return subprocess.run(
        [*line, sys.executable], cwd=REPOSITORY, capture_output=True, text=True, timeout=240
    )


def test_generate_disk_full_again_and_again_says_so_and_ends_whole(tmp_path: Path):
    try:
        allowed = apart(tmp_path, "true").returncode == 0
    except OSError:
        allowed = False
    if not allowed:
        pytest.skip("this machine lets no process mount a disk of its own")
    done = apart(tmp_path, 'exec "$1" -m tests.chaos.full_disk "$0"')
    assert done.returncode == 0, done.stderr
    stops = json.loads(done.stdout)
    assert len(stops) > 10
    for said in stops:
        assert "No space left on device" in said
        assert "start the same command again" in said
