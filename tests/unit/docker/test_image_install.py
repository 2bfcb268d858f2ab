"""The steps that fill an image, done in a folder: gigabytes and minutes, so only when asked for.

ARBORIST_IMAGE_INSTALL=1 pytest tests/unit/docker/test_image_install.py
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.docker.dockerfile import FOLDER, Step, environment, read

NOBODY = (10001, 10001)
PYTHON = Path(sys.base_prefix) / "bin"
IS_OPEN = os.geteuid() == 0 and all(above.stat().st_mode & 1 for above in PYTHON.parents)
"""Whether commands can be run as the image's user, who must reach the interpreter."""
BUILDS = {
    "generate": (
        {"DEVICE": "cpu"},
        "import gguf, ray, s3fs, sentence_transformers, torch, vllm",
        ["plan", "/specs/demo.yaml"],
    ),
    "sft": (
        {"TORCH": "torch==2.13.0+cpu"},
        "import accelerate, datasets, matplotlib, peft, ray, s3fs, tensorboard, torch, trl",
        ["sft", "--help"],
    ),
}


def build(steps: list[Step], root: Path) -> None:
    """Do what the steps of a builder's stages say, below a folder instead of `/`."""
    for step in steps:
        if step.word == "COPY" and not any(flag.startswith("--from") for flag in step.flags):
            *sources, target = shlex.split(step.command)
            for source in sources:
                copy(FOLDER.parent / source, below(root, target), whole=target.endswith("/"))
        elif step.word == "RUN" and "apt-get" not in step.command and "useradd" not in step.command:
            command = step.command.replace("/opt/", f"{root}/opt/").replace("/src", f"{root}/src")
            subprocess.run(
                ["sh", "-euc", command],
                env={
                    "PATH": f"{PYTHON}:/usr/bin:/bin",
                    "HOME": os.environ.get("HOME", "/root"),
                },
                check=True,
            )


def below(root: Path, place: str) -> Path:
    return root / place.lstrip("/")


def copy(source: Path, target: Path, *, whole: bool) -> None:
    """As COPY does: a folder's content, or a file under its name."""
    target = target / source.name if whole and source.is_file() else target
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, target, ignore=ignored, dirs_exist_ok=True)
    else:
        shutil.copy(source, target)


def become_nobody() -> None:
    os.setgroups([])
    os.setgid(NOBODY[1])
    os.setuid(NOBODY[0])


@pytest.fixture
def root() -> Iterator[Path]:
    """A folder that everybody may enter, as tests' usual ones are not."""
    folder = tempfile.TemporaryDirectory(prefix="image-", ignore_cleanup_errors=True)
    with folder as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif("ARBORIST_IMAGE_INSTALL" not in os.environ, reason="not asked for")
@pytest.mark.parametrize("name", BUILDS)
def test_steps_of_an_image_make_a_command_for_anybody(name: str, root: Path) -> None:
    arguments, imports, words = BUILDS[name]
    image = read(f"{name}.Dockerfile", arguments)
    assert image.image("run").startswith("python:"), "only what stands on plain Python"
    build(image.lineage("build"), root)
    build([s for s in image.last.steps if s.word == "COPY"], root)
    shutil.rmtree(root / "src")
    steps = image.lineage(image.last.name)
    settings = {
        key: value.replace("/opt/", f"{root}/opt/").replace("$PATH", "/usr/bin:/bin")
        for key, value in environment(steps).items()
    }
    settings |= {key: str(below(root, settings[key])) for key in settings if "CACHE" in key}
    settings |= {"PYTHONDONTWRITEBYTECODE": "1", "HOME": str(root / "home")}
    for folder in (root / "home", root / "cache"):
        folder.mkdir()
        os.chown(folder, *(NOBODY if IS_OPEN else (-1, -1)))

    def does(*command: str) -> str:
        done = subprocess.run(
            command,
            env=settings,
            cwd=root / "home",
            preexec_fn=become_nobody if IS_OPEN else None,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    entrypoint = str(below(root, "/usr/local/bin/arborist-entrypoint"))
    assert "generate" in does(entrypoint, "--help")
    does("python", "-c", imports)
    does(entrypoint, *(word.replace("/specs", f"{root}/specs") for word in words))
    if name == "generate":
        does(entrypoint, "prepare-model", "--only", "chat")
        spec = f"{root}/specs/demo.yaml"
        said = does(entrypoint, "generate", spec, "--engine", "scripted", "--location", "runs")
        assert "is sealed" in said
