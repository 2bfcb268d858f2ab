"""What images promise, as far as it can be told from their files."""

import json
import os
import re
import shlex
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.unit.docker.dockerfile import FOLDER, Dockerfile, environment, read
from tests.unit.docker.pins import VLLM, images, pinned

REPOSITORY = FOLDER.parent
BIN = Path(sys.executable).parent
FILES = sorted(path.name for path in FOLDER.glob("*.Dockerfile"))
BUILDS = [
    ("generate.Dockerfile", {"DEVICE": "cpu"}),
    ("generate.Dockerfile", {"DEVICE": "gpu"}),
    ("sft.Dockerfile", {}),
]


@pytest.fixture(params=BUILDS, ids=lambda build: "-".join([build[0], *build[1].values()]))
def build(request: pytest.FixtureRequest) -> Dockerfile:
    return read(*request.param)


def test_hadolint_finds_nothing() -> None:
    files = [str(FOLDER / name) for name in FILES]
    done = subprocess.run([BIN / "hadolint", *files], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_shellcheck_finds_nothing() -> None:
    files = [*FOLDER.glob("*.sh"), REPOSITORY / "jobs" / "setup.sh", REPOSITORY / ".ci" / "run"]
    done = subprocess.run([BIN / "shellcheck", *files], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_image_runs_as_nobody_in_particular(build: Dockerfile) -> None:
    steps = build.lineage(build.last.name)
    words = [step.word for step in steps]
    (user,) = [step.rest for step in steps if step.word == "USER"]
    assert re.fullmatch(r"([1-9]\d{3,}):\1", user)
    uid = user.partition(":")[0]
    made = " ".join(step.command for step in steps if step.word == "RUN")
    assert f"useradd --uid {uid} --gid {uid}" in made and f"--owner {uid}" in made
    assert words.index("USER") > max(i for i, word in enumerate(words) if word in ("RUN", "COPY"))


def test_image_starts_by_an_init_and_tells_its_health(build: Dockerfile) -> None:
    steps = build.lineage(build.last.name)
    last = {step.word: step for step in steps}
    assert json.loads(last["ENTRYPOINT"].rest) == ["tini", "--", "arborist-entrypoint"]
    assert any("tini" in step.command and step.word == "RUN" for step in steps)
    assert 'CMD ["arborist-health"]' in last["HEALTHCHECK"].rest
    copied = [step.command for step in steps if step.word == "COPY"]
    assert "docker/entrypoint.sh /usr/local/bin/arborist-entrypoint" in copied
    assert "docker/health.sh /usr/local/bin/arborist-health" in copied


def test_image_kills_what_engines_leave_and_keeps_caches_in_its_volume(build: Dockerfile) -> None:
    steps = build.lineage(build.last.name)
    settings = environment(steps)
    assert settings["RAY_process_group_cleanup_enabled"] == "1"
    assert settings["PYTHONDONTWRITEBYTECODE"] == "1"
    assert settings["PATH"].startswith("/opt/arborist/bin:")
    (volume,) = [json.loads(step.rest)[0] for step in steps if step.word == "VOLUME"]
    caches = {n: v for n, v in settings.items() if "CACHE" in n}
    assert {"ARBORIST_CACHE", "XDG_CACHE_HOME", "TRITON_CACHE_DIR"} <= set(caches)
    assert all(place.startswith(volume) for place in [*caches.values(), settings["HF_HOME"]])


def test_login_shells_find_the_command_too(build: Dockerfile, tmp_path: Path) -> None:
    steps = build.lineage(build.last.name)
    (made,) = [step.command for step in steps if "profile.d" in step.command]
    profile = tmp_path / "arborist.sh"
    line = made.rpartition(" && ")[2].replace("/etc/profile.d/arborist.sh", str(profile))
    subprocess.run(["sh", "-euc", line], check=True)
    told = subprocess.run(
        ["sh", "-c", f". {profile}; echo $PATH"],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "/opt/arborist/bin:/usr/bin:/bin"


def test_bases_are_pinned_to_what_is_installed(build: Dockerfile) -> None:
    base = build.image(build.last.name)
    if base.startswith("vllm/"):
        assert base.partition(":")[2] == f"v{VLLM.partition('==')[2]}"
    else:
        minor = ".".join(map(str, sys.version_info[:2]))
        assert base.startswith(f"python:{minor}-slim-")
    installs = [step.command for step in build.lineage("build") if "pip" in step.command]
    assert "latest" not in base and installs
    torches = [t for line in installs for t in re.findall(r"torch==([\d.]+)", line)]
    assert set(torches) <= {pinned()["torch"]}


def test_builder_is_sent_all_that_is_copied_and_no_more(build: Dockerfile) -> None:
    copied = [
        source
        for stage in build.stages.values()
        for step in stage.steps
        if step.word == "COPY" and not any(f.startswith("--from") for f in step.flags)
        for source in shlex.split(step.command)[:-1]
    ]
    name = "sft" if "requirements/sft.txt" in copied else "generate"
    rules = (FOLDER / f"{name}.Dockerfile.dockerignore").read_text().splitlines()
    let_in = [rule[1:] for rule in rules if rule.startswith("!")]
    assert "*" in rules and ".git" not in let_in
    for source in copied:
        assert (REPOSITORY / source).exists(), source
        tops = [source, source.split("/")[0]]
        assert any(fnmatch(top, rule) for top in tops for rule in let_in), source


def test_pins_of_images_are_what_they_need() -> None:
    for name, text in images().items():
        found = (REPOSITORY / "requirements" / name).read_text()
        assert found == text, f"{name}: run `python -m tests.unit.docker.pins`"


def test_entrypoint_hands_words_to_the_command_and_to_ray(tmp_path: Path) -> None:
    health = tmp_path / "health"
    for name in ("ray", "arborist"):
        script = tmp_path / name
        script.write_text(f'#!/bin/sh\necho {name} "$@"\n')
        script.chmod(0o755)

    def says(*words: str, **variables: str) -> str:
        health.unlink(missing_ok=True)
        return subprocess.run(
            [FOLDER / "entrypoint.sh", *words],
            env={
                "PATH": f"{tmp_path}:{os.environ['PATH']}",
                "ARBORIST_HEALTH": str(health),
                **variables,
            },
            capture_output=True,
            text=True,
            check=False,
        ).stdout

    assert says("plan", "a spec.yaml") == "arborist plan a spec.yaml\n"
    assert says() == "arborist\n"
    assert not health.exists()
    head = says("head", "--dashboard-host=0.0.0.0", RAY_PORT="7000")
    assert head.startswith("ray start --head --block --num-cpus=0 --port=7000")
    assert head.endswith("--dashboard-host=0.0.0.0\n")
    assert health.read_text() == "127.0.0.1:7000\n"
    assert "--address=head:6379" in says("worker", "--num-cpus=2", RAY_HEAD="head:6379")
    assert health.read_text() == "head:6379\n"
    assert says("worker") == "" and not health.exists()
