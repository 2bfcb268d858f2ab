"""What decides verdicts is named before anything is spent, or refused."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.curation import check_inputs, curation_identity, measure_factory
from jobs.wiring import rehearsal
from pipeline.dialects.scripted import scripted_dialect
from pipeline.tree.frontier import root_parents
from pipeline.tree.turns import turns_of
from schemas.errors import ModelError, SpecError
from tests.builders import make_spec
from tests.unit.samples import make_candidate, make_run

PASSAGE = (
    "Four score and seven years ago our fathers brought forth on this continent a new nation "
    "conceived in liberty"
)
DECONTAMINATE = {"filters": ["decontaminate"], "diversity": None}


def spec_with(curation, **execution):
    return make_spec(generation={"curation": curation}, **execution)


@pytest.fixture(params=["jsonl", "json", "parquet", "txt"])
def benchmark(request, tmp_path):
    """The passage in a file of each kind."""
    file = tmp_path / f"exam.{request.param}"
    rows = [{"id": 7, "q": {"text": [PASSAGE]}}, {"id": 8, "q": {"text": ["Short."]}}]
    if request.param == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    elif request.param == "jsonl":
        file.write_text("\n".join(map(json.dumps, rows)) + "\n")
    elif request.param == "json":
        file.write_text(json.dumps(rows))
    else:
        file.write_text(f"{PASSAGE}\nShort.\n")
    return file


def test_benchmark_texts_of_any_kind_are_looked_for(benchmark):
    spec = spec_with(DECONTAMINATE, benchmarks=[str(benchmark)])
    check_inputs(spec)
    measure = measure_factory(spec, scripted_dialect())()
    parents = root_parents(make_run(), range(1))
    said = [f"Well: {PASSAGE.upper()}!", "Nothing of the kind was ever said by anybody here today."]
    rows = [make_candidate((i,), text, parent_id=parents[0].node_id) for i, text in enumerate(said)]
    shares = measure(turns_of(parents, rows, scripted_dialect())).column("contaminated")
    assert shares[0] > 0.8
    assert shares[1] == 0


def test_identity_names_the_content_of_benchmarks_and_not_their_place(tmp_path):
    names = [tmp_path / name for name in ("a.txt", "b.txt", "c.txt")]
    for file, text in zip(names, [PASSAGE, PASSAGE, "Another."], strict=True):
        file.write_text(text)
    same, moved, other = (
        curation_identity(spec_with(DECONTAMINATE, benchmarks=[str(file)])) for file in names
    )
    assert same == moved
    assert same["benchmarks"] != other["benchmarks"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (None, "", "empty, but the filter `decontaminate`"),
        ("gone.jsonl", None, "gone.jsonl cannot be read"),
        ("exam.csv", "a,b", "not of a known kind"),
        ("exam.jsonl", "{", "not what its name says"),
        ("exam.parquet", "PAR", "not what its name says"),
        ("exam.txt", b"\xff\xfe\xfa", "not what its name says"),
    ],
)
def test_benchmarks_that_cannot_be_read_are_refused(tmp_path, name, content, said):
    files = [] if name is None else [str(tmp_path / name)]
    if name is not None and content is not None:
        payload = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(payload)
    with pytest.raises(SpecError, match=said):
        check_inputs(spec_with(DECONTAMINATE, benchmarks=files))


def test_embedder_that_is_not_there_is_refused_before_the_run(tmp_path):
    with pytest.raises(ModelError, match="no such directory"):
        check_inputs(spec_with({}, embedder=str(tmp_path / "none")))
    check_inputs(spec_with({"diversity": None}, embedder=str(tmp_path / "none")))


def test_packaged_embedder_that_was_not_prepared_says_how(tmp_path, monkeypatch):
    monkeypatch.setenv("ARBORIST_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="arborist prepare-model"):
        check_inputs(spec_with({}, embedder="packaged"))


def test_rehearsal_needs_no_embedder(tmp_path, monkeypatch):
    monkeypatch.setenv("ARBORIST_CACHE", str(tmp_path))
    spec = rehearsal(spec_with({}, embedder="packaged"))
    check_inputs(spec)
    assert curation_identity(spec)["embedder"].startswith("hashing")


def test_identity_names_what_is_used_and_nothing_else():
    bare = curation_identity(spec_with({"filters": [], "duplicates": "keep", "diversity": None}))
    full = curation_identity(spec_with({"filters": ["echo"], "diversity": {}}))
    assert set(bare) < set(full)
    assert {"embedder", "echo", "signature"} <= set(full) - set(bare)
