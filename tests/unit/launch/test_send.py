import pytest
import yaml

from jobs.cli import main
from tests.fake_tools import FakeTools
from tests.submitting import write_spec

IMAGE = {"image": "registry.example/arborist:1"}


@pytest.fixture
def tools(tmp_path, monkeypatch):
    tools = FakeTools(tmp_path / "bin")
    monkeypatch.setenv("PATH", tools.path)
    return tools


def kubectl(tools, *there):
    """Lists what is there, keeps what is created."""
    items = tools.answer("items.json", {"items": [_rayjob(*one) for one in there]})
    tools.add("kubectl", f"[[ $1 == get ]] && cat {items} || cat >>{tools.folder}/created.yaml")


def created(tools):
    file = tools.folder / "created.yaml"
    return list(yaml.safe_load_all(file.read_text())) if file.exists() else []


def _rayjob(driver, attempt, status):
    labels = {"arborist-driver": str(driver), "arborist-attempt": str(attempt)}
    metadata = {"name": f"there-{driver}-{attempt}", "labels": labels}
    return {"metadata": metadata, "status": {"jobDeploymentStatus": status} if status else {}}


def test_rayjob_is_created_in_its_namespace(tools, tmp_path):
    kubectl(tools)
    launch = {**IMAGE, "kubernetes": {"namespace": "research"}}
    spec = write_spec(tmp_path, launch=launch)

    assert main(["submit", str(spec), "--to", "kuberay"]) == 0

    [job] = created(tools)
    asked, sent = tools.calls("kubectl")
    assert job["kind"] == "RayJob"
    assert asked == (
        f"get rayjobs -n research -l arborist-run={job['metadata']['labels']['arborist-run']} "
        "-o json"
    )
    assert sent == "create -n research -f -"


@pytest.mark.parametrize("status", ["Running", "Initializing", "Suspended", None])
def test_rayjob_that_goes_on_is_not_doubled(tools, tmp_path, capsys, status):
    kubectl(tools, (0, 1, "Failed"), (0, 2, status))

    assert main(["submit", str(write_spec(tmp_path, launch=IMAGE)), "--to", "kuberay"]) == 0

    assert created(tools) == []
    assert "there-0-2 is there already" in capsys.readouterr().err


def test_rayjob_that_ended_is_followed_by_another_attempt(tools, tmp_path):
    kubectl(tools, (0, 1, "Failed"), (0, 2, "Complete"), (1, 1, "Running"))
    spec = write_spec(tmp_path, launch=IMAGE, drivers=3)

    assert main(["submit", str(spec), "--to", "kuberay"]) == 0

    calls = tools.calls("kubectl")
    assert calls.count("create -f -") == 2
    text = (tools.folder / "created.yaml").read_text()
    attempts = [line.split(": ")[1] for line in text.splitlines() if line.startswith("  name: ")]
    assert [name.split("-")[-2:] for name in attempts] == [["0", "3"], ["2", "1"]]


def test_invalid_rayjob_is_not_sent(tools, tmp_path):
    kubectl(tools)
    spec = write_spec(tmp_path, launch={**IMAGE, "kubernetes": {"tolerations": [{"kay": "x"}]}})

    assert main(["submit", str(spec), "--to", "kuberay"]) == 2
    assert created(tools) == []


def slurm(tools, queued=""):
    tools.add("squeue", f"printf '{queued}'")
    tools.add("sbatch", f"cat >{tools.folder}/script; echo '4711;cluster'")


def test_script_is_submitted_as_it_is_printed(tools, tmp_path, capsys):
    slurm(tools)
    spec = str(write_spec(tmp_path))
    assert main(["submit", spec, "--to", "slurm", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert tools.calls("sbatch") == []

    assert main(["submit", spec, "--to", "slurm"]) == 0

    assert (tools.folder / "script").read_text().strip() == printed.strip()
    assert tools.calls("sbatch") == ["--parsable"]
    assert "submitted job 4711" in capsys.readouterr().err


def test_job_that_waits_is_not_doubled(tools, tmp_path, capsys):
    slurm(tools, "99_[0-1] PENDING\\n")

    assert main(["submit", str(write_spec(tmp_path)), "--to", "slurm"]) == 0

    assert tools.calls("sbatch") == []
    told = capsys.readouterr().err
    assert "99_[0-1] PENDING is there already" in told
    assert "squeue --job 99" in told


def test_refusal_of_the_cluster_is_told(tools, tmp_path, capsys):
    slurm(tools)
    tools.add("sbatch", "cat >/dev/null; echo 'invalid partition: night' >&2; exit 1")

    assert main(["submit", str(write_spec(tmp_path)), "--to", "slurm"]) == 1
    assert "invalid partition: night" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(("target", "command"), [("kuberay", "kubectl"), ("slurm", "squeue")])
def test_tool_that_is_not_there_is_named(tmp_path, monkeypatch, capsys, target, command):
    monkeypatch.setenv("PATH", str(tmp_path))

    assert main(["submit", str(write_spec(tmp_path, launch=IMAGE)), "--to", target]) == 2

    told = " ".join(capsys.readouterr().err.split())
    assert f"`{command}` is not installed here" in told
    assert "--dry-run" in told


def test_dry_run_needs_no_cluster(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    spec = str(write_spec(tmp_path, launch=IMAGE, drivers=2))

    for target in ("ray", "kuberay", "slurm"):
        assert main(["submit", spec, "--to", target, "--dry-run"]) == 0
        assert "You are a cook." in capsys.readouterr().out
