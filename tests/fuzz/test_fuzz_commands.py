"""The real command, its time and memory bounded by the system, with one input of each kind."""

import json
import resource
import subprocess
import sys

import pytest
import yaml

from schemas.fingerprint import run_id_of
from tests.builders import make_spec
from tests.command import REPOSITORY
from tests.fuzz.outcomes import EXITS, LONGEST
from tests.fuzz.sealed_runs import plain, resealed, sealed_run

MEMORY_BYTES = 6 << 30
CPU_S = 60


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))


def ended(*arguments: str) -> tuple[int, str, str]:
    """How the command ended, which has to be in one of the ways that are documented."""
    done = subprocess.run(
        [sys.executable, "-m", "jobs.cli", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        timeout=300,
        preexec_fn=limited,
        check=False,
    )
    said = done.stderr.decode("utf-8", "replace")
    assert done.returncode in EXITS, (done.returncode, said[-2000:])
    assert "Traceback" not in said, said[-2000:]
    assert len(said) <= LONGEST, said[:2000]
    return done.returncode, done.stdout.decode(), said


def bomb() -> str:
    """Nine lines that stand for billions of values."""
    lines = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 11)]
    return "\n".join(["l0: &l0 [x]", *lines, "generation: {roots: {topics: *l10}}"])


SPECS = {
    "bomb": lambda file: file.write_text(bomb()),
    "100 MB": lambda file: file.write_bytes(b"- a\n" * (25 << 20)),
    "deep": lambda file: file.write_text("[" * 100_000),
    "python tag": lambda file: file.write_text("a: !!python/object/apply:os.mkdir [PROOF]"),
    "itself": lambda file: file.write_text("generation: &a {model: *a}"),
    "huge": lambda file: file.write_text("generation: {seed: 0x" + "f" * 100_000 + "}"),
    "endless": lambda file: file.symlink_to("/dev/zero"),
    "a folder": lambda file: file.mkdir(),
}


@pytest.mark.parametrize("kind", SPECS)
def test_plan_of_a_hostile_spec_ends_with_one_paragraph(tmp_path, kind):
    file = tmp_path / "spec.yaml"
    SPECS[kind](file)
    code, out, said = ended("plan", str(file))
    assert (code, out) == (2, "")
    assert said.startswith("arborist: ")
    assert not (REPOSITORY / "PROOF").exists()


def test_generate_of_a_mutated_spec_ends_with_one_paragraph(tmp_path):
    content = make_spec(location=str(tmp_path / "runs")).model_dump(mode="json")
    content["generation"]["levels"][0]["fanout"] = 10**30
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(content))
    code, _, said = ended("generate", str(tmp_path / "spec.yaml"), "--engine", "scripted")
    assert code == 2 and "fanout" in said
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def run(tmp_path):
    """A sealed run on disk."""
    folder = tmp_path / "run"
    for name, payload in sealed_run().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(payload)
    return folder


def edit(file, change) -> None:
    content = plain(file.read_bytes())
    change(content)
    file.write_bytes(resealed(content))


@pytest.mark.parametrize("verb", ["status", "verify", "repair", "export", "refine", "explain"])
def test_commands_never_follow_a_name_out_of_the_run(run, verb):
    """Manifest and snapshot name a file of somebody else, by its right checksum."""
    (run.parent / "secret.parquet").write_bytes(b"secret")
    for file in (run / "snapshots" / "00001.json", run / "ledger" / "000000.json"):
        edit(file, lambda content: content["shards"][0].update(name="../secret.parquet"))
    for file in (run / "snapshots").glob("*.json"):
        edit(file, lambda content: content["shards"][0].update(name="../secret.parquet"))
    more = {"export": ("--out", str(run.parent / "out")), "explain": ("0",)}
    code, _, _ = ended(verb, str(run), *more.get(verb, ()))
    # What is retired is mended.
    assert code in ((0,) if verb == "repair" else (1, 2))
    assert (run.parent / "secret.parquet").read_bytes() == b"secret"


@pytest.mark.parametrize(("verb", "codes"), [("status", (0, 1, 2)), ("verify", (1, 2))])
def test_command_on_a_run_of_billions_of_planned_trees_ends_within_its_limits(run, verb, codes):
    """Nothing that is planned, and not there, is counted one by one: `CPU_S` would end that."""

    def grow(content):
        content["generation"]["roots"]["trees"] = 2**31 - 1
        content["run_id"] = run_id_of(content["generation"], content["identity"])

    edit(run / "run.json", grow)
    code, _, _ = ended(verb, str(run))
    assert code in codes


def test_engine_arguments_stay_secret(tmp_path):
    """They are shown by no refusal, and written beside no data."""
    content = make_spec(location=str(tmp_path / "runs")).model_dump(mode="json")
    content["execution"]["engines"]["main"]["args"] = {"load_format": "hf_SECRET"}
    file = tmp_path / "spec.yaml"
    file.write_text(yaml.safe_dump(content))
    code, out, said = ended("generate", str(file), "--engine", "scripted", "--json")
    assert code == 0 and json.loads(out)["complete"]
    written = b"".join(
        place.read_bytes() for place in (tmp_path / "runs").rglob("*") if place.is_file()
    )
    assert "SECRET" not in out + said and b"SECRET" not in written
    for args in (["hf_SECRET"], {"hf_token": "hf_SECRET"}):
        content["execution"]["engines"]["main"]["args"] = args
        file.write_text(yaml.safe_dump(content))
        code, out, said = ended("generate", str(file), "--engine", "scripted")
        assert code == 2 and "SECRET" not in out + said
