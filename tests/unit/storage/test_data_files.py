import json

import pytest

from pipeline.storage.data_files import find_files
from schemas.errors import SpecError


@pytest.fixture
def folder(tmp_path):
    """Makes empty files below a folder that is returned."""

    def make(*names, **contents):
        for name in names:
            file = tmp_path / "set" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(contents.get(file.stem, {})))
        return str(tmp_path / "set")

    return make


def names_at(location):
    return [file.name for file in find_files(location)]


def test_folder_gives_its_data_in_order_and_nothing_about_it(folder):
    location = folder(
        *("data/train-00001.parquet", "data/train-00000.parquet", "README.md", ".git/x.parquet"),
        *("dataset_infos.json", "LICENSE.txt", "requirements.txt", "state.json"),
    )
    assert names_at(location) == ["data/train-00000.parquet", "data/train-00001.parquet"]
    assert names_at(f"{location}/") == names_at(f"file://{location}") == names_at(location)


def test_file_and_packed_file_are_found_by_name(folder):
    location = folder("a.jsonl", "b.jsonl.gz", "c.parquet/part-0.parquet")
    assert names_at(f"{location}/a.jsonl") == ["a.jsonl"]
    assert names_at(f"file://{location}/b.jsonl.gz") == ["b.jsonl.gz"]
    assert names_at(f"{location}/c.parquet") == ["part-0.parquet"]


def test_file_in_the_current_folder_is_found(folder, monkeypatch):
    monkeypatch.chdir(folder("a.jsonl", "b.jsonl"))
    assert names_at("a.jsonl") == ["a.jsonl"]
    assert names_at(".") == names_at("*.jsonl") == ["a.jsonl", "b.jsonl"]


def test_stars_stand_for_characters_of_one_part(folder):
    location = folder("data/train-0.jsonl", "data/train-1.jsonl", "data/test-0.jsonl", "x.jsonl")
    train = ["data/train-0.jsonl", "data/train-1.jsonl"]
    assert names_at(f"{location}/*/train-*") == train
    assert [f"data/{name}" for name in names_at(f"{location}/data/train*.jsonl")] == train
    assert names_at(f"{location}/*.jsonl") == ["x.jsonl"]


def test_saved_data_set_gives_the_files_that_it_names(folder):
    state = {"_data_files": [{"filename": "b.arrow"}, {"filename": "a.arrow"}]}
    location = folder(
        "a.arrow", "b.arrow", "old.arrow", "dataset_info.json", "state.json", state=state
    )
    assert names_at(location) == ["b.arrow", "a.arrow"]


@pytest.mark.parametrize(
    ("names", "below", "said"),
    [
        ([], "none", "none cannot be read: there is no such file, and no such folder"),
        ([], "none.jsonl", "none.jsonl cannot be read: there is no such file"),
        (["a.csv"], "a.csv", "a.csv is not of a known kind; expected files that end in"),
        (["a.csv"], "", "found a.csv; expected files that end in one of .jsonl"),
        (["a.parquet.gz"], "", "found a.parquet.gz; expected"),
        (["a.jsonl", "b.parquet"], "", "found .jsonl, .parquet; expected .* all in the same"),
        (["a.jsonl"], "b*", r"b\*: stands for nothing"),
        (["a.jsonl", "a.csv"], "a*", "stands for a.csv, a.jsonl; expected"),
        (
            ["train/state.json", "test/state.json", "dataset_dict.json"],
            "",
            "found the saved data sets test, train; expected one. .* such as .*set/test",
        ),
        (
            ["data/train-0.parquet", "data/validation-0.parquet"],
            "",
            "holds the splits train, validation; expected one. .*set/data/train-0.parquet",
        ),
        (["dev.jsonl", "training.jsonl"], "", "holds the splits train, validation"),
    ],
)
def test_location_that_names_no_data_says_what_is_there(folder, names, below, said):
    location = folder(*names)
    with pytest.raises(SpecError, match=said):
        find_files(f"{location}/{below}" if below else location)
