"""A run whose model lies in a store: the driver reads its headers, the engine copies the rest."""

import json
from pathlib import Path

import pytest
import yaml

from pipeline.engines.vllm_settings import COMPILED
from pipeline.engines.weights import weights_digest
from tests.command import run_command
from tests.s3_server import new_location, s3_server
from tests.tiny_llama import tiny_llama

PATIENCE_S = 500

SPEC = {
    "generation": {
        "recipe": "tg-sft",
        "seed": 3,
        "model": {"name": "tiny", "dtype": "float32", "context": 256},
        "roots": {"trees": 1, "topics": [{"text": "You ask about trees."}]},
        "levels": [
            {"role": "user", "fanout": 3, "max_tokens": 12},
            {"role": "assistant", "fanout": 2, "max_tokens": 12},
        ],
    },
}
ENGINE = {
    "backend": "vllm",
    "max_num_seqs": 8,
    "max_num_batched_tokens": 256,
    "kv_cache_gib": 0.1,
}


def spec_file(folder: Path, model: str, cache: Path) -> str:
    execution = {
        "location": f"file://{folder}/runs",
        "pool": "local",
        "workers": 0,
        "embedder": "hashing",
        "cache": str(cache),
        "engines": {"main": ENGINE | {"model": model}},
    }
    file = folder / "spec.yaml"
    file.write_text(yaml.safe_dump(SPEC | {"execution": execution}))
    return str(file)


@pytest.mark.long
@pytest.mark.vllm
@pytest.mark.timeout(2 * PATIENCE_S)
def test_run_with_a_model_in_s3_copies_it_once_and_is_the_run_of_its_directory(
    tmp_path, monkeypatch
):
    import s3fs

    for name in COMPILED:
        monkeypatch.delenv(name, raising=False)
    local, cache = tiny_llama(tmp_path / "tiny", hidden=128), tmp_path / "cache"
    with s3_server():
        uri = f"{new_location()}/tiny"
        store = s3fs.S3FileSystem(skip_instance_cache=True)
        for file in local.iterdir():
            store.put_file(str(file), f"{uri}/{file.name}")
        spec = spec_file(tmp_path, uri, cache)
        code, _, err = run_command("generate", spec, "--json", patience_s=PATIENCE_S)
        assert code == 0, err
        copies = sorted(p.name.split("-")[-1] for p in (cache / "models").glob("tiny-*"))
        assert len(copies) == 2
        assert copies[1] == "small"
        (run_file,) = (tmp_path / "runs").glob("*/run.json")
        (identity,) = json.loads(run_file.read_text())["identity"]["models"]
        assert identity["weights"] == weights_digest(str(local))
        # The same weights in a directory are the same run, which is found done.
        spec = spec_file(tmp_path, str(local), cache)
        again, _, err = run_command("generate", spec, "--json", patience_s=PATIENCE_S)
    assert (again, len(list((tmp_path / "runs").iterdir()))) == (0, 1), err
