"""A run over a real vLLM server that somebody else has started."""

import json
from pathlib import Path

import pytest
import yaml

from jobs.cli import main
from jobs.prepare_tiny import cached_tiny
from pipeline.engines.weights import weights_digest
from tests.engine_benches import CONTEXT

GENERATION = {
    "recipe": "tg-sft",
    "seed": 3,
    "model": {"name": "tiny", "context": CONTEXT},
    "top_logprobs": 2,
    "roots": {"trees": 1, "topics": [{"text": "You ask about trees."}]},
    "levels": [
        {"role": "user", "fanout": 3, "max_tokens": 24},
        {"role": "assistant", "fanout": 2, "max_tokens": 24},
    ],
}


def spec_file(folder: Path, url: str, **server) -> str:
    group = {
        "backend": "server",
        "model": "packaged-tiny",
        "replicas": 2,
        "max_num_seqs": 4,
        "server": {"urls": [url], "key_variable": "SERVER_KEY", **server},
    }
    execution = {
        "location": f"file://{folder}/runs",
        "pool": "local",
        "workers": 0,
        "embedder": "hashing",
        "engines": {"main": group},
    }
    file = folder / "spec.yaml"
    file.write_text(yaml.safe_dump({"generation": GENERATION, "execution": execution}))
    return str(file)


@pytest.mark.vllm
@pytest.mark.slow
def test_run_over_a_server_is_exact_and_says_that_its_weights_are_believed(
    served, tmp_path, capsys
):
    assert main(["generate", spec_file(tmp_path, served.url), "--json"]) == 0
    (run,) = (tmp_path / "runs").iterdir()
    assert main(["verify", str(run), "--model", str(cached_tiny())]) == 0, capsys.readouterr()
    manifest = json.loads(next(run.glob("ledger/*.json")).read_text())
    (software,) = manifest["software"]
    assert software["backend"] == "server"
    assert software["backend_version"].startswith("vllm 0.")
    assert "believed" in software["sampler"]
    (identity,) = json.loads((run / "run.json").read_text())["identity"]["models"]
    assert identity["weights"] == weights_digest(str(cached_tiny()))


@pytest.mark.vllm
@pytest.mark.slow
def test_run_over_a_server_of_another_name_is_refused_as_a_mistake(served, tmp_path, capsys):
    assert main(["generate", spec_file(tmp_path, served.url, name="llama")]) == 2
    assert "expected 'llama'" in " ".join(capsys.readouterr().err.split())
