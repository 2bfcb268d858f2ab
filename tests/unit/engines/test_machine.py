"""What is read of a machine, from trees of files like those that kernels show."""

from pathlib import Path

import pytest

from pipeline.engines.machine import this_machine

GIB = 1 << 30


@pytest.fixture
def machine(tmp_path: Path):
    def make(files: dict[str, str], cpus: int = 8):
        shown = {
            "proc/cpuinfo": "model name\t: Fast One\nflags\t\t: fpu avx2 avx512_bf16\n",
            "proc/meminfo": f"MemTotal: {64 << 20} kB\nMemAvailable: {40 << 20} kB\n",
        }
        for name, text in {**shown, **files}.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text + "\n")
        return this_machine(tmp_path, range(cpus))

    return make


def topology(cpus: int, cores: int, packages: int = 1) -> dict[str, str]:
    """CPU i is a hardware thread of core i % cores, as Linux counts them on x86."""
    per = cores // packages
    files = {}
    for cpu in range(cpus):
        folder = f"sys/devices/system/cpu/cpu{cpu}/topology"
        core = cpu % cores
        files[f"{folder}/physical_package_id"] = str(core // per)
        files[f"{folder}/core_id"] = str(core % per)
    for node in range(packages):
        own = [str(cpu) for cpu in range(cpus) if cpu % cores // per == node]
        files[f"sys/devices/system/node/node{node}/cpulist"] = ",".join(own)
    return files


def test_hardware_threads_of_a_core_count_once(machine):
    found = machine(topology(cpus=8, cores=4))
    assert (found.cores, found.threads, found.usable) == (4, 8, 4)
    assert (found.name, found.nodes) == ("Fast One", (4,))
    assert "avx512_bf16" in found.flags


def test_cores_are_counted_by_numa_node(machine):
    found = machine(topology(cpus=16, cores=8, packages=2), cpus=16)
    assert (found.cores, found.nodes) == (8, (4, 4))


def test_cpus_that_the_process_may_not_use_do_not_count(machine):
    found = machine(topology(cpus=16, cores=16, packages=2), cpus=10)
    assert (found.cores, found.nodes) == (10, (8, 2))


def test_without_a_topology_every_cpu_is_a_core(machine):
    found = machine({}, cpus=6)
    assert (found.cores, found.nodes, found.quota, found.usable) == (6, (6,), None, 6)
    assert (found.memory, found.available) == (64 * GIB, 40 * GIB)


def test_a_control_group_of_version_2_and_those_above_it_limit_the_machine(machine):
    found = machine(
        {
            "proc/self/cgroup": "0::/pods/mine",
            "sys/fs/cgroup/pods/mine/cpu.max": "max 100000",
            "sys/fs/cgroup/pods/cpu.max": "350000 100000",
            "sys/fs/cgroup/pods/mine/memory.max": str(16 * GIB),
        }
    )
    assert (found.quota, found.usable) == (3.5, 3)
    assert (found.memory, found.available) == (16 * GIB, 16 * GIB)


def test_a_control_group_of_version_1_limits_the_machine(machine):
    found = machine(
        {
            "proc/self/cgroup": "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x",
            # A container sees its own group as the root of each hierarchy.
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": str(2 * GIB),
        }
    )
    assert (found.quota, found.usable, found.memory) == (0.5, 1, 2 * GIB)


def test_a_control_group_without_limits_limits_nothing(machine):
    found = machine(
        {
            "proc/self/cgroup": "5:cpu:/\n4:memory:/",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
        }
    )
    assert (found.quota, found.memory) == (None, 64 * GIB)


def test_this_very_machine_has_cores_and_memory():
    found = this_machine()
    assert 1 <= found.usable <= found.cores <= found.threads
    assert sum(found.nodes) == found.cores
    assert 0 < found.available <= found.memory
