"""What is said of runs that look like the one that begins."""

import uuid

import pytest

from jobs.siblings import siblings
from jobs.wiring import resolve
from pipeline.storage.open import join, open_store
from pipeline.storage.runs import create_run
from schemas.fingerprint import run_id
from tests.builders import make_spec


@pytest.fixture(params=["memory", "file"])
def spec(request, tmp_path):
    location = str(tmp_path) if request.param == "file" else f"memory://{uuid.uuid4().hex}"
    return make_spec(location=location, generation={"curation": {"diversity": {}}})


def store(spec, run_file, **identity):
    """Begin the run as if its identity were another one."""
    curation = run_file.identity.curation | identity.pop("curation", {})
    models = tuple(model.model_copy(update=identity) for model in run_file.identity.models)
    changed = run_file.identity.model_copy(update={"curation": curation, "models": models})
    name = run_id(run_file.generation, changed)
    other = run_file.model_copy(update={"run_id": name, "identity": changed})
    create_run(open_store(join(spec.execution.location, other.run_id)), other)
    return other


def test_siblings_of_another_identity_are_named_with_what_differs(spec):
    ours = resolve(spec).run_file
    other = store(spec, ours, dialect="f" * 64, curation={"embedder": "abc", "text": "Unicode 9"})
    [line] = siblings(spec.execution, ours)
    assert f"/{other.run_id} holds" in line
    assert "embedder was abc, is hashing-1" in line
    assert "text was Unicode 9" in line and "dialect was ...fff" in line
    assert "weights" not in line and "selection" not in line


def test_siblings_say_what_only_one_of_them_has(spec):
    ours = resolve(spec).run_file
    store(spec, ours, curation={"older": "1"})
    assert "older was 1, is nothing." in next(siblings(spec.execution, ours))


def test_the_run_itself_rehearsals_other_specs_and_other_folders_are_not_named(spec):
    ours = resolve(spec).run_file
    create_run(open_store(join(spec.execution.location, ours.run_id)), ours)
    store(spec, ours, weights="real")
    store(spec, resolve(make_spec(trees=3)).run_file, curation={"embedder": "abc"})
    below = open_store(join(spec.execution.location, "notes"))
    below.create("run.json", b"of something else")
    open_store(join(spec.execution.location, "more")).create("file", b"")
    assert list(siblings(spec.execution, ours)) == []
