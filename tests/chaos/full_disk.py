"""A run on a disk that is full again and again, for `test_disk_full`.

Started in a mount namespace of its own, as `python -m tests.chaos.full_disk FOLDER`, with a tmpfs
mounted at the folder. Prints what stopped the attempts, as JSON.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from pipeline.storage.open import open_store
from schemas.errors import LocationError, StoreError
from tests.builders import assert_whole, make_spec, memory_store, rows_of, run_scripted

SPEC = make_spec(fanouts=(2, 2, 1), trees=6, bounds=(1, 4))
PAGE = 4096
PLENTY = 10**6


def make_room(folder: str, *, pages: int, names: int) -> None:
    """Leave so much on the disk, and names for so many more files."""
    disk = os.statvfs(folder)
    size = (disk.f_blocks - disk.f_bfree) * disk.f_frsize + pages * PAGE
    limits = f"remount,size={size},nr_inodes={disk.f_files - disk.f_ffree + names}"
    subprocess.run(["mount", "-o", limits, folder], check=True)


def grow_on(folder: str) -> list[str]:
    """Make a run on a disk that is always about to be full; what stopped its attempts."""
    healthy = memory_store()
    run_scripted(healthy, SPEC)
    store, stops = open_store(f"{folder}/run"), []
    for step in range(1, 500):
        # Each second time it is not room but names that run out.
        room = 1 + step // 2 % 24
        make_room(folder, pages=room if step % 2 else PLENTY, names=PLENTY if step % 2 else room)
        try:
            run_scripted(store, SPEC, f"attempt{step}")
        except (StoreError, LocationError) as error:
            stops.append(str(error))
            continue
        assert not list(Path(folder, "run", ".tmp").iterdir()), "half-written files are left"
        assert_whole(store, rows_of(healthy))
        return stops
    raise AssertionError("the run never came to its end")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(grow_on(sys.argv[1])))
