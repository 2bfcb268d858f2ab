"""Where a Ray that was started for one process can be reached from."""

import json
import subprocess
import sys
import tempfile

import pytest

from tests.command import REPOSITORY

PROGRAM = """
import json, os, sys
from pathlib import Path
os.environ["RAY_TMPDIR"] = sys.argv[1]
from pipeline.pool.ray_connection import join_ray, leave_ray

join_ray(None, cpus=1)
import ray


@ray.remote(num_cpus=0)
class Actor:
    def pid(self):
        return os.getpid()


actor = Actor.remote()
ray.get(actor.pid.remote())


def stat(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def below(root):
    found, everyone = {root}, [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()]
    parents = {}
    for pid in everyone:
        try:
            parents[pid] = int(stat(pid)[1])
        except OSError:
            continue
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


sockets = set()
for pid in below(os.getpid()):
    try:
        links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        continue
    sockets |= {link[8:-1] for link in links if link.startswith("socket:[")}
listening = []
for table in ("tcp", "tcp6"):
    for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
        columns = line.split()
        if columns[3] == "0A" and columns[9] in sockets:
            listening.append(columns[1].partition(":")[0])
print(json.dumps({"listening": listening, "token": bool(os.environ.get("RAY_AUTH_TOKEN"))}))
leave_ray()
"""

LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_own_ray_listens_on_this_machine_only_and_asks_for_a_token(monkeypatch):
    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with tempfile.TemporaryDirectory(
        prefix="ray-", dir="/tmp", ignore_cleanup_errors=True
    ) as folder:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, folder],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["token"]
    assert len(found["listening"]) >= 4, found
    assert set(found["listening"]) <= LOOPBACK, found
