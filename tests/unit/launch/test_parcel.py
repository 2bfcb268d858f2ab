from pathlib import Path

import pytest
import yaml

from jobs.launch.parcel import pack
from jobs.spec_file import load_spec, parse_spec
from tests.submitting import vllm, write_spec

SPECS = sorted((Path(__file__).parents[3] / "jobs" / "specs").glob("*.yaml"))
WHOLE = [file for file in SPECS if "generation" in yaml.safe_load(file.read_text("utf-8"))]


@pytest.mark.parametrize("file", WHOLE, ids=lambda file: file.stem)
def test_parcel_asks_for_the_same_rows_on_the_cluster_it_is_on(file):
    parcel, asked = pack(str(file)), load_spec(str(file))

    there = parse_spec(yaml.safe_load(parcel.text), name="there")

    assert there == parcel.spec
    assert there.generation == asked.generation
    assert (there.execution.pool, there.execution.ray_address) == ("ray", "auto")
    unmoved = {"pool": "ray", "ray_address": "auto"}
    assert there.execution == asked.execution.model_copy(update=unmoved)


def test_parcel_of_the_same_run_has_the_same_key_whatever_runs_it(tmp_path):
    one = pack(str(write_spec(tmp_path, name="one")))
    other = pack(str(write_spec(tmp_path, name="other", engines={"main": vllm()}, drivers=4)))

    assert one.key == other.key


@pytest.mark.parametrize(
    "changed", [{"generation": {"seed": 4}}, {"location": "s3://bucket/others"}], ids=str
)
def test_parcel_of_another_run_has_another_key(tmp_path, changed):
    one = pack(str(write_spec(tmp_path)))
    assert pack(str(write_spec(tmp_path, **changed))).key != one.key


def test_parcel_of_a_relative_location_is_of_the_folder_it_is_sent_from(tmp_path, monkeypatch):
    keys = set()
    for folder in (tmp_path / "one", tmp_path / "other"):
        folder.mkdir()
        monkeypatch.chdir(folder)
        keys.add(pack(str(write_spec(folder, location="runs"))).key)
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("Balance_32.16", "balance-32-16"),
        ("7b", "run-7b"),
        ("x" * 50, "x" * 40),
        ("a" * 39 + "-b", "a" * 39),
    ],
)
def test_name_is_made_of_the_files(tmp_path, file, name):
    assert pack(str(write_spec(tmp_path, name=file))).name == name


def test_name_of_the_spec_wins(tmp_path):
    assert pack(str(write_spec(tmp_path, launch={"name": "mine"}))).name == "mine"


def test_location_of_the_command_travels(tmp_path):
    parcel = pack(str(write_spec(tmp_path)), "s3://elsewhere/runs")

    assert parcel.spec.execution.location == "s3://elsewhere/runs"
    assert yaml.safe_load(parcel.text)["execution"]["location"] == "s3://elsewhere/runs"
