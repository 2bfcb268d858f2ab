"""The spec for clusters that comes with the product, as each launcher would send it."""

import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from jobs.cli import main
from tests.architecture.source import REPOSITORY

SPEC = str(REPOSITORY / "jobs/specs/cluster.yaml")


def printed(target: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["submit", SPEC, "--to", target, "--dry-run"]) == 0
    return capsys.readouterr().out


def test_two_rayjobs_whose_pods_pass_the_schema_of_kubernetes(capsys: pytest.CaptureFixture[str]):
    jobs = list(yaml.safe_load_all(printed("kuberay", capsys)))
    assert [job["kind"] for job in jobs] == ["RayJob", "RayJob"]
    for job in jobs:
        cluster = job["spec"]["rayClusterSpec"]
        for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
            metadata = {"name": "one", **group["template"]["metadata"]}
            pod = {"apiVersion": "v1", "kind": "Pod", **group["template"], "metadata": metadata}
            kubernetes_validate.validate(pod, "1.31", strict=True)


def test_batch_script_passes_shellcheck(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    script = tmp_path / "generate.sbatch"
    script.write_text(printed("slurm", capsys))
    checker = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run([checker, script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "#SBATCH --array=0-1" in script.read_text()


def test_jobs_api_is_asked_for_two_drivers_off_spot_nodes(capsys: pytest.CaptureFixture[str]):
    told = printed("ray", capsys)
    assert told.count("submission_id") == 2
    assert "!spot" in told
