"""What this machine has for engines on its CPUs, as far as this process may use it.

Containers see the whole machine in /proc, and are held to less by their control group; so that is
read too, in both of its versions. Where a file is missing (other systems, sandboxes), what Python
knows takes its place.
"""

import os
import platform
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

_NO_LIMIT = 1 << 60
"""Version 1 of control groups writes a number of this size for none."""


class Machine(NamedTuple):
    """CPUs and memory. Hardware threads that share a core count once."""

    name: str
    """Of the CPU."""
    flags: frozenset[str]
    """Its instruction sets, as Linux names them."""
    cores: int
    """That this process may run on."""
    threads: int
    """Of the hardware, on these cores."""
    nodes: tuple[int, ...]
    """Cores of each NUMA node."""
    quota: float | None
    """CPUs' worth of time that the control group grants."""
    memory: int
    """Bytes, or the control group's limit."""
    available: int
    """Bytes of it that are free now, as the kernel guesses."""

    @property
    def usable(self) -> int:
        """Threads that can compute at once without sharing a core or being held back."""
        granted = self.cores if self.quota is None else min(self.cores, int(self.quota))
        return max(1, granted)


def this_machine(root: Path = Path("/"), allowed: Collection[int] | None = None) -> Machine:
    """The machine below a root; `allowed` are the CPUs that this process may run on."""
    cpus = sorted(_affinity() if allowed is None else allowed)
    homes = _numa_nodes(root)
    cores = {_core(root, cpu): homes.get(cpu, 0) for cpu in cpus}
    name, flags = _cpu_info(root)
    limit = _memory_limit(root)
    total, available = _memory(root)
    return Machine(
        name=name,
        flags=flags,
        cores=len(cores),
        threads=len(cpus),
        nodes=tuple(list(cores.values()).count(node) for node in sorted(set(cores.values()))),
        quota=_quota(root),
        memory=min(total, limit),
        available=min(available, limit),
    )


def _affinity() -> Collection[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return range(os.cpu_count() or 1)


def _core(root: Path, cpu: int) -> tuple[int, int]:
    """By what a core is known; a thread of the hardware whose core is not known has its own."""
    folder = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
    package, core = (_text(folder / name) for name in ("physical_package_id", "core_id"))
    return (int(package), int(core)) if package and core else (-1, cpu)


def _numa_nodes(root: Path) -> dict[int, int]:
    homes = {}
    for folder in (root / "sys/devices/system/node").glob("node[0-9]*"):
        for cpu in _listed(_text(folder / "cpulist")):
            homes[cpu] = int(folder.name.removeprefix("node"))
    return homes


def _listed(text: str) -> Iterator[int]:
    """The numbers in `0-3,8`."""
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _cpu_info(root: Path) -> tuple[str, frozenset[str]]:
    text = _text(root / "proc/cpuinfo")
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    known = name[1] if name else platform.processor() or platform.machine()
    return known, frozenset(flags[1].split() if flags else ())


def _memory(root: Path) -> tuple[int, int]:
    found: dict[str, str] = dict(
        re.findall(r"^(\w+):\s+(\d+) kB$", _text(root / "proc/meminfo"), re.MULTILINE)
    )
    if "MemTotal" in found:
        total = int(found["MemTotal"]) << 10
        return total, int(found.get("MemAvailable") or found["MemTotal"]) << 10
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return total, total


# The control group, and those that it lies in: the least of them counts.


def _quota(root: Path) -> float | None:
    granted = [
        *(_share(*_text(folder / "cpu.max").split()) for folder in _groups(root, "")),
        *(
            _share(_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us"))
            for folder in _groups(root, "cpu")
        ),
    ]
    return min((one for one in granted if one), default=None)


def _share(quota: str = "", period: str = "") -> float | None:
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() else None


def _memory_limit(root: Path) -> int:
    told = [
        *(_text(folder / "memory.max") for folder in _groups(root, "")),
        *(_text(folder / "memory.limit_in_bytes") for folder in _groups(root, "memory")),
    ]
    return min((int(text) for text in told if text.isdecimal()), default=_NO_LIMIT)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of this process's group and those above; version 2 has no controllers' names."""
    base = root / "sys/fs/cgroup" / controller
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            own = Path(path.lstrip("/"))
            yield from (base / part for part in (own, *own.parents))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
