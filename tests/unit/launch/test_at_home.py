"""Paths of a parcel for a cluster whose head is this machine."""

import socket

from jobs.launch.at_home import at_home, is_here
from jobs.launch.parcel import pack
from jobs.spec_file import parse_spec
from jobs.spec_yaml import read_mapping
from tests.submitting import SCRIPTED, vllm, write_spec


def test_relative_paths_become_absolute_and_names_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    engines = {
        "main": vllm(model="models/large", adapter="models/adapter"),
        "small": vllm(model="packaged"),
        "far": vllm(model="s3://bucket/model"),
        "dry": SCRIPTED,
    }
    file = write_spec(
        tmp_path, location="runs", engines=engines, benchmarks=["data/*.jsonl"], embedder="packaged"
    )
    asked = pack(str(file))
    there = at_home(asked)
    execution = there.spec.execution
    assert execution.location == f"{tmp_path}/runs"
    assert execution.benchmarks == (f"{tmp_path}/data/*.jsonl",)
    assert execution.embedder == "packaged"
    assert [group.model for group in execution.engines.values()] == [
        f"{tmp_path}/models/large",
        "packaged",
        "s3://bucket/model",
        None,
    ]
    assert execution.engines["main"].adapter == f"{tmp_path}/models/adapter"
    assert (there.key, there.name) == (asked.key, asked.name)
    assert there.spec.generation == asked.spec.generation
    written = tmp_path / "there.yaml"
    written.write_text(there.text)
    assert parse_spec(read_mapping(str(written), "two sections"), name="there") == there.spec


def test_what_listens_on_loopback_may_be_a_tunnel_to_elsewhere():
    with socket.create_server(("127.0.0.1", 0)) as tunnel:
        port = tunnel.getsockname()[1]
        assert not is_here(f"http://127.0.0.1:{port}")
        assert not is_here(f"http://cluster.example:{port}")
    assert not is_here(f"http://127.0.0.1:{port}")
