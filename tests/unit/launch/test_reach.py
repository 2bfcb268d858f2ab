import pytest

from jobs.launch.parcel import pack
from jobs.launch.reach import notes_for_nodes, notes_for_pods, notes_for_ray
from schemas.errors import SpecError
from tests.submitting import GENERATION, vllm, write_spec

DATA = {"generation": {"roots": {"data": {"columns": {"text": "text"}}}}}
VOLUMES = {"kubernetes": {"volumes": {"models": {"path": "/models", "claim": "models"}}}}


def packed(folder, **execution):
    return pack(str(write_spec(folder, **execution)))


@pytest.mark.parametrize(
    ("execution", "key"),
    [
        ({"location": "runs"}, "execution.location: runs"),
        ({"location": "memory://runs"}, "execution.location: memory://runs"),
        ({"engines": {"main": vllm(model="models/m")}}, "execution.engines.main.model: models/m"),
        ({"engines": {"main": vllm(adapter="lora")}}, "execution.engines.main.adapter: lora"),
        ({"benchmarks": ["gsm.jsonl"]}, "execution.benchmarks: gsm.jsonl"),
        ({"roots": ["s3://b/x.jsonl", "rows/*.jsonl"], **DATA}, "execution.roots: rows/*.jsonl"),
        ({"cache": "cache"}, "execution.cache: cache"),
        (
            {"embedder": "minilm", "generation": {"curation": {}}},
            "execution.embedder: minilm",
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("notes", [lambda p: notes_for_ray(p, None), notes_for_pods])
def test_path_on_this_machine_is_refused_where_the_job_runs_elsewhere(
    tmp_path, execution, key, notes
):
    with pytest.raises(SpecError, match=key.replace("*", r"\*")):
        notes(packed(tmp_path, **execution))


def test_all_that_is_missing_is_told_at_once(tmp_path):
    spec = packed(tmp_path, location="runs", engines={"main": vllm(model="m", adapter="lora")})
    with pytest.raises(SpecError, match=r"location.*model.*adapter"):
        notes_for_ray(spec, None)


def test_path_in_the_folder_that_is_sent_along_is_there(tmp_path):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "a.jsonl").write_text("{}")
    spec = packed(tmp_path, roots=["rows/*.jsonl", "rows"], **DATA)

    assert notes_for_ray(spec, tmp_path) == []
    with pytest.raises(SpecError, match="working_dir"):
        notes_for_ray(spec, tmp_path / "rows")


def test_path_out_of_the_folder_that_is_sent_along_is_not_there(tmp_path):
    (tmp_path / "sent").mkdir()
    (tmp_path / "a.jsonl").write_text("{}")
    with pytest.raises(SpecError, match=r"\.\./a\.jsonl"):
        notes_for_ray(packed(tmp_path, roots="../a.jsonl", **DATA), tmp_path / "sent")


def test_location_in_the_folder_that_is_sent_along_would_be_lost(tmp_path):
    (tmp_path / "runs").mkdir()
    with pytest.raises(SpecError, match="goes with the job"):
        notes_for_ray(packed(tmp_path, location="runs"), tmp_path)


def test_absolute_paths_are_named(tmp_path):
    [note] = notes_for_ray(
        packed(tmp_path, location="file:///runs", engines={"main": vllm()}), None
    )
    assert "execution.location: /runs" in note
    assert "execution.engines.main.model: /models/large" in note


def test_packaged_model_has_to_be_prepared_there(tmp_path):
    notes = notes_for_ray(packed(tmp_path, engines={"main": vllm(model="packaged")}), None)
    assert [note for note in notes if "arborist prepare-model" in note]


def test_scripted_engines_need_nothing(tmp_path):
    spec = packed(tmp_path, engines={"main": {"backend": "scripted", "model": "nowhere"}})
    assert notes_for_ray(spec, None) == notes_for_pods(spec) == notes_for_nodes(spec) == []


@pytest.mark.parametrize(
    "volume",
    [
        {"path": "/elsewhere", "claim": "runs"},
        {"path": "/data", "host": "/mnt"},
        {"path": "/data", "claim": "runs", "read_only": True},
        {"path": "/data/runs/deeper", "claim": "runs"},
    ],
    ids=str,
)
def test_location_on_a_pods_own_disk_is_refused(tmp_path, volume):
    launch = {"kubernetes": {"volumes": {"one": volume}}}
    with pytest.raises(SpecError, match="goes with the pod"):
        notes_for_pods(packed(tmp_path, location="/data/runs", launch=launch))


def test_location_on_a_volume_that_lasts_is_taken(tmp_path):
    launch = {"kubernetes": {"volumes": {"one": {"path": "/data", "claim": "runs"}}}}
    assert notes_for_pods(packed(tmp_path, location="file:///data/runs", launch=launch)) == []


def test_model_on_a_volume_is_there_and_another_is_named(tmp_path):
    engines = {"main": vllm(), "judge": vllm(model="/judges/small")}
    user, assistant = GENERATION["levels"]
    asked = {"levels": [user, assistant | {"engine": "judge"}]}
    there = packed(tmp_path, engines=engines, launch=VOLUMES, generation=asked)
    [note] = notes_for_pods(there)
    assert "/judges/small" in note
    assert "/models/large" not in note


def test_slurm_sees_the_folder_that_a_job_is_submitted_from(tmp_path):
    spec = packed(tmp_path, location="runs", engines={"main": vllm(model="models/m")})
    assert notes_for_nodes(spec) == []


def test_slurms_container_has_to_see_what_lies_elsewhere(tmp_path):
    launch = {"slurm": {"container": "arborist.sqsh"}}
    [note] = notes_for_nodes(packed(tmp_path, engines={"main": vllm()}, launch=launch))
    assert "/models/large" in note


def test_slurm_keeps_nothing_that_lies_in_memory(tmp_path):
    with pytest.raises(SpecError, match="memory"):
        notes_for_nodes(packed(tmp_path, location="memory://runs"))
