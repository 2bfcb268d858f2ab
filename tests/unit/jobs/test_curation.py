"""What decides verdicts is named before anything is spent, or refused."""

import io
import json
import threading
import time
from dataclasses import replace
from functools import partial
from platform import node

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.curation import curation_identity, make_workers, measure_factory
from jobs.generate import generate
from jobs.wiring import rehearsal, resolve
from pipeline.tree.turns import turns_of
from schemas.errors import EnvironmentMismatch, ModelError, SpecError
from tests.builders import make_spec
from tests.unit.samples import make_candidate, make_run, plant_some

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
    measure = measure_factory(spec, resolve(spec).run_file)()
    parents = plant_some(make_run(), range(1))
    said = [f"Well: {PASSAGE.upper()}!", "Nothing of the kind was ever said by anybody here today."]
    rows = [make_candidate((i,), text, parent_id=parents[0].node_id) for i, text in enumerate(said)]
    shares = measure(turns_of(make_run(), parents, rows)).column("contaminated")
    assert shares[0] > 0.8
    assert shares[1] == 0


def benchmarks_digest(*files):
    spec = spec_with(DECONTAMINATE, benchmarks=[str(file) for file in files])
    return curation_identity(spec)["benchmarks"]


def test_identity_names_the_content_of_benchmarks_and_not_their_place(tmp_path):
    names = [tmp_path / name for name in ("a.txt", "b.txt", "c.txt")]
    other = "Another text of more than thirteen words in all, which is read whole, word by word."
    for file, text in zip(names, [PASSAGE, PASSAGE, other], strict=True):
        file.write_text(text)
    same, moved, different = map(benchmarks_digest, names)
    assert same == moved != different


def test_identity_of_benchmarks_knows_no_order_form_or_repetition_of_files(tmp_path, benchmark):
    plain, more = tmp_path / "plain.txt", tmp_path / "more.txt"
    plain.write_text(PASSAGE)
    more.write_text(f"{PASSAGE} and dedicated to the proposition that all men are created equal")
    assert benchmarks_digest(plain) == benchmarks_digest(benchmark)
    assert benchmarks_digest(plain, more) == benchmarks_digest(more, plain, benchmark)
    assert benchmarks_digest(plain) != benchmarks_digest(plain, more)


def test_identity_of_benchmarks_knows_where_a_text_ends(tmp_path):
    """Two texts are not the one that their bytes make together."""
    words = PASSAGE.split()
    halves = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for file, part in zip(halves, (words[:10], words[10:]), strict=True):
        file.write_text(" ".join(part) + " ")
    whole = tmp_path / "whole.txt"
    whole.write_text(" ".join(words) + " ")
    assert benchmarks_digest(*halves) != benchmarks_digest(whole)


def with_identity(run_file, **changes):
    curation = run_file.identity.curation | changes
    identity = run_file.identity.model_copy(update={"curation": curation})
    return run_file.model_copy(update={"identity": identity})


@pytest.mark.parametrize("name", ["embedder", "language", "profanity", "text", "benchmarks"])
def test_worker_that_would_measure_with_something_else_is_refused(tmp_path, name):
    file = tmp_path / "exam.txt"
    file.write_text(PASSAGE)
    filters = ["language", "profanity", "decontaminate"]
    spec = spec_with({"filters": filters, "diversity": {}}, benchmarks=[str(file)])
    run_file = resolve(spec).run_file
    assert measure_factory(spec, run_file)() is not None
    here = run_file.identity.curation[name]
    with pytest.raises(EnvironmentMismatch) as caught:
        measure_factory(spec, with_identity(run_file, **{name: "of other make"}))()
    assert all(said in str(caught.value) for said in (node(), name, here, "of other make"))


def test_worker_that_lacks_the_embedder_says_where(tmp_path):
    folder = tmp_path / "gone"
    make = measure_factory(spec_with({}), resolve(spec_with({})).run_file)
    make = partial(make.func, *make.args[:3], str(folder), make.args[4])
    with pytest.raises(EnvironmentMismatch, match=rf"on {node()}: {folder}: found no such"):
        make()


@pytest.mark.parametrize("workers", [0, 1])
def test_worker_that_would_measure_with_something_else_ends_the_run(workers):
    spec = spec_with({"diversity": {}}, workers=workers)
    run = make_workers(spec, with_identity(resolve(spec).run_file, embedder="of other make"))
    deadline = time.monotonic() + 60
    try:
        with pytest.raises(EnvironmentMismatch, match="of other make"):
            run.start()
            while time.monotonic() < deadline:
                run.collect()
                threading.Event().wait(0.01)
    finally:
        run.close()


def test_package_of_the_embedder_is_missed_before_any_engine_starts(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.embedders.load.find_spec", lambda name: None)
    for name in ("modules.json", "config.json", "model.safetensors"):
        (tmp_path / name).write_text("{}")
    spec = spec_with({}, embedder=str(tmp_path))
    with pytest.raises(ModelError, match="sentence-transformers, which is not installed"):
        generate(spec, io.StringIO())


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
        curation_identity(spec_with(DECONTAMINATE, benchmarks=files))


def test_embedder_that_is_not_there_is_refused_before_the_run(tmp_path):
    with pytest.raises(ModelError, match="no such directory"):
        curation_identity(spec_with({}, embedder=str(tmp_path / "none")))
    curation_identity(spec_with({"diversity": None}, embedder=str(tmp_path / "none")))


def test_packaged_embedder_that_was_not_prepared_says_how(tmp_path, monkeypatch):
    monkeypatch.setenv("ARBORIST_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"prepare-model --only embedder.*arborist\[embedder\]"):
        curation_identity(spec_with({}, embedder="packaged"))


def test_rehearsal_needs_no_embedder(tmp_path, monkeypatch):
    monkeypatch.setenv("ARBORIST_CACHE", str(tmp_path))
    spec = rehearsal(spec_with({}, embedder="packaged"))
    assert curation_identity(spec)["embedder"].startswith("hashing")


def test_identity_names_what_is_used_and_nothing_else():
    bare = curation_identity(spec_with({"filters": [], "duplicates": "keep", "diversity": None}))
    full = curation_identity(spec_with({"filters": ["echo"], "diversity": {}}))
    assert set(bare) < set(full)
    assert {"embedder", "echo", "signature"} <= set(full) - set(bare)


def test_each_turn_is_measured_with_the_dialect_of_its_own_model():
    spec = spec_with({"filters": ["role_leak"], "diversity": None})
    run_file = resolve(spec).run_file
    other = run_file.dialects[0].model_copy(update={"leak_ids": (ord("!"),)})
    two = run_file.model_copy(update={"dialects": (*run_file.dialects, other)})
    run, parents = (
        replace(make_run(), tongues=(0, 1), dialects=two.dialects),
        plant_some(make_run(), range(1)),
    )
    rows = [
        make_candidate((i,), "Well!", parent_id=parents[0].node_id, model_index=i % 2)
        for i in range(5)
    ]
    measures = measure_factory(spec, two)()(turns_of(run, parents, rows))
    assert measures.column("role_leak").tolist() == [0, 1, 0, 1, 0]
