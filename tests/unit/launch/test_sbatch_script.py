import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from jobs.launch.parcel import pack
from jobs.launch.sbatch_script import notes, sbatch_script
from jobs.spec_file import parse_spec
from schemas.errors import SpecError
from tests.submitting import vllm, write_spec

SHELLCHECK = Path(sys.executable).with_name("shellcheck")
FULL = {
    "drivers": 3,
    "grace_s": 40,
    "engines": {"main": vllm(gpus=2, tensor_parallel=2, replicas=5)},
    "launch": {
        "name": "full",
        "retries": 5,
        "time_limit_s": 86_430,
        "environment": {"NOTE": "it's $HOME `here`"},
        "slurm": {
            "partition": "gpu",
            "account": "lab",
            "qos": "low",
            "constraint": "h100&nvlink",
            "gpus_per_node": 4,
            "gpu_type": "h100",
            "cpus_per_node": 64,
            "memory_gib": 500.5,
            "container": "nvcr.io#lab/arborist:1",
            "mounts": ["/data:/data"],
            "setup": ["module load cuda", "source venv/bin/activate"],
            "options": ["--reservation=night"],
        },
    },
}
CASES = {"small": {}, "full": FULL, "gpus": {"engines": {"main": vllm(replicas=17)}}}


def script_of(folder, execution):
    return sbatch_script(pack(str(write_spec(folder, **execution))))


def options_of(script):
    return dict(
        line.removeprefix("#SBATCH --").partition("=")[::2]
        for line in script.splitlines()
        if line.startswith("#SBATCH ")
    )


@pytest.mark.parametrize("execution", CASES.values(), ids=CASES)
def test_script_passes_shellcheck(tmp_path, execution):
    script = script_of(tmp_path, execution)
    if execution is FULL:
        # It is the user's own line that names a file which is not here.
        script = script.replace("source venv", "# shellcheck source=/dev/null\nsource venv")
    done = subprocess.run(
        [SHELLCHECK, "-"], input=script, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("execution", CASES.values(), ids=CASES)
def test_script_carries_the_spec(tmp_path, execution):
    parcel = pack(str(write_spec(tmp_path, **execution)))
    carried = re.search(r"<<'(\w+)'\n(.*?)\n\1\n", sbatch_script(parcel), re.DOTALL)

    assert carried
    assert parse_spec(yaml.safe_load(carried[2]), name="there") == parcel.spec


def test_spec_that_holds_the_fence_is_carried_whole(tmp_path):
    topics = [{"text": "one\nARBORIST_SPEC\nrm -rf /\nARBORIST_SPEC_"}]
    parcel = pack(str(write_spec(tmp_path, generation={"roots": {"trees": 1, "topics": topics}})))
    carried = re.search(r"<<'(\w+)'\n(.*?)\n\1\n", sbatch_script(parcel), re.DOTALL)

    assert carried
    assert parse_spec(yaml.safe_load(carried[2]), name="there") == parcel.spec


def test_settings_arrive(tmp_path):
    script = script_of(tmp_path, FULL)
    options = options_of(script)

    assert options["nodes"] == "3"
    assert options["array"] == "0-2"
    assert options["time"] == "1441"
    assert options["gpus-per-node"] == "h100:4"
    assert options["cpus-per-task"] == "64"
    assert options["mem"] == "501G"
    assert options["constraint"] == "h100&nvlink"
    assert options["reservation"] == "night"
    assert options["signal"] == "B:TERM@140"
    assert "requeue" in options
    assert "exclusive" not in options
    assert "--num-gpus=4 --num-cpus=64" in script
    assert '--container-image="nvcr.io#lab/arborist:1"' in script
    assert '--container-mounts="$PWD:$PWD,/data:/data"' in script


def test_whole_nodes_are_asked_for_unless_it_is_said(tmp_path):
    options = options_of(script_of(tmp_path, CASES["gpus"]))
    assert (options["nodes"], options["gpus-per-node"], options["mem"]) == ("3", "8", "0")
    assert "exclusive" in options
    assert "array" not in options


def test_variables_mean_what_they_say(tmp_path):
    script = script_of(tmp_path, FULL)
    [line] = [line for line in script.splitlines() if line.startswith("export NOTE")]
    told = subprocess.run(
        ["bash", "-c", f'{line}; printf %s "$NOTE"'], capture_output=True, text=True, check=True
    )
    assert told.stdout == "it's $HOME `here`"


@pytest.mark.parametrize(
    ("execution", "told"),
    [
        ({"launch": {"slurm": {"partition": "gpu\n#SBATCH --x"}}}, "slurm.partition"),
        ({"launch": {"slurm": {"container": 'a"; rm'}}}, "slurm.container"),
        ({"launch": {"slurm": {"container": "c", "mounts": ["/a:/a $(id)"]}}}, "slurm.mounts"),
        ({"launch": {"slurm": {"options": ["--x\nrm"]}}}, "slurm.options"),
        ({"launch": {"slurm": {"options": ["gpu"]}}}, "slurm.options"),
        ({"launch": {"environment": {"A-B": "1"}}}, "launch.environment"),
        (
            {"engines": {"main": vllm(replicas=17)}, "launch": {"slurm": {"nodes": 2}}},
            r"nodes: found 2, .* need 3",
        ),
        ({"engines": {"main": vllm(labels={"pool": "a"})}}, r"main\.labels: found pool"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(tmp_path, execution, told):
    with pytest.raises(SpecError, match=told):
        script_of(tmp_path, execution)


def test_label_that_nodes_must_not_have_is_kept_by_all(tmp_path):
    labels = {"ray.io/market-type": "!spot"}
    assert script_of(tmp_path, {"engines": {"main": vllm(labels=labels)}})


def test_notes_tell_what_is_asked_of_the_cluster(tmp_path):
    told = "\n".join(notes(pack(str(write_spec(tmp_path, **FULL)))))
    assert "of 4 GPUs for each driver: 3" in told
    assert "may be shared" in told
