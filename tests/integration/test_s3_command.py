"""The commands on S3, by `storage_options` alone: nothing in the environment says where it is."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from jobs.cli import main
from pipeline.storage.object_store import FsspecStore
from tests.builders import make_spec
from tests.s3_server import BUCKET, s3_server

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as address:
        yield address


def test_all_verbs_reach_a_run_by_storage_options_and_tell_no_secret(
    endpoint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    options = {"endpoint_url": endpoint}
    store = FsspecStore(f"s3://{BUCKET}/command", options)
    store.create("rows/rows.jsonl", b'{"prompt": "On rivers."}\n{"prompt": "On bread."}\n')
    spec = make_spec(
        fanouts=(1,),
        scripted={"mean_tokens": 5},
        generation={
            "recipe": "contextual",
            "turns": {},
            "roots": {"data": {"columns": {"text": "prompt"}}},
            "levels": [{"role": "assistant", "fanout": 2, "max_tokens": 20}],
        },
        location=f"{store.location}/runs",
        storage_options=options,
        roots=f"{store.location}/rows/rows.jsonl",
    )
    file = tmp_path / "spec.yaml"
    file.write_text(yaml.safe_dump(spec.model_dump(mode="json")))
    runs, how = f"{store.location}/runs", ["--storage-options", json.dumps(options)]
    out = ["--out", f"{store.location}/export"]
    assert main(["generate", str(file), "--json"]) == 0
    for words in (["status"], ["verify"], ["refine", "--exact"], ["export", *out]):
        assert main([words[0], runs, *words[1:], *how]) == 0
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err
    names = store.list("")
    assert any(name.startswith("export/") for name in names)
    for name in names:
        assert SECRET.encode() not in store.read(name), name
        assert endpoint.encode() not in store.read(name), name


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ('{"secret": "' + SECRET + '"}', "environment"),
        ("[1, 2]", "cannot be read"),
        ('{"a": ', "neither JSON nor YAML"),
        ('{"a": ' * 5000, "neither JSON nor YAML"),
        ('{"secret": "' + SECRET + '", "secret": 1}', "neither JSON nor YAML"),
        ("{}", ""),
    ],
)
def test_storage_options_that_cannot_be_used_are_named(
    given: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", str(tmp_path), "--storage-options", given]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert said in error and SECRET not in error
