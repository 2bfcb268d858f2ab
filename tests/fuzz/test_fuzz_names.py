"""Names of objects, waves and recipes that lead elsewhere."""

import sys
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.recipes import load_recipe
from pipeline.storage.file_store import FileStore
from pipeline.storage.names import check_name
from pipeline.storage.open import open_store
from schemas.errors import SpecError, StoreError
from schemas.manifest import ShardEntry
from schemas.wave_id import WaveId
from tests.fuzz.mutations import HOSTILE
from tests.fuzz.outcomes import fuzzed, refusal

TEXTS = [value for value in HOSTILE if isinstance(value, str)]
parts = st.sampled_from((*TEXTS, ".", "nodes", "a", "\\", "%2e%2e", "C:", "con", "a" * 300))
names = st.lists(parts, min_size=1, max_size=4).map("/".join) | st.text()


@fuzzed
@given(name=names)
def test_no_operation_leaves_the_location(tmp_path_factory, name):
    above = tmp_path_factory.getbasetemp() / "above"
    above.mkdir(exist_ok=True)
    (above / "x").write_bytes(b"theirs")
    inside = above / uuid.uuid4().hex
    stores = (FileStore(inside), open_store(f"memory://{uuid.uuid4().hex}/inside"))
    for store in stores:
        operations = [lambda: store.create(name, b"ours"), lambda: store.read(name)]  # noqa: B023
        operations += [lambda: store.open(name), lambda: store.delete(name)]  # noqa: B023
        operations += [lambda: store.list(name)]  # noqa: B023
        for operation in operations:
            refusal("names", operation)
    assert (above / "x").read_bytes() == b"theirs"
    assert {place.name for place in above.iterdir() if place.is_file()} == {"x"}


@fuzzed
@given(name=names)
def test_name_that_is_checked_stays_inside(name):
    try:
        checked = check_name(name)
    except StoreError:
        return
    assert not {"", ".", ".."} & {*checked.split("/")}
    assert "\x00" not in checked


@fuzzed
@given(name=names, table=st.sampled_from(("nodes", "drops")))
def test_shard_is_named_after_its_wave_and_nothing_else(name, table):
    for tried in (name, f"{table}/{name}", f"{table}/000000-{name}.parquet"):
        entry = {"name": tried, "rows": 0, "bytes": 0, "sha256": "0" * 64, "table": table}
        try:
            found = ShardEntry.model_validate(entry).name
        except ValueError:
            continue
        assert found.count("/") == 1 and found.startswith(f"{table}/"), found
        assert WaveId.parse(found.partition("/")[2].partition("-")[0]) is not None


MODULES = (
    "os",
    "json",
    "tests.fuzz.mutations",
    "this",
    "pipeline",
    "a..b",
    ".",
    "é",
    "",
    "class",
    "no",
)


@fuzzed
@given(
    module=st.sampled_from(MODULES) | st.text(max_size=20),
    attribute=st.sampled_from(("", "path", "Method", "__class__", "a.b", "é"))
    | st.text(max_size=9),
)
def test_recipe_of_any_name_is_refused(module, attribute):
    for name in (f"{module}:{attribute}", module + attribute):
        said = refusal("recipe names", lambda: load_recipe(name))  # noqa: B023
        assert said is not None, name


@pytest.mark.parametrize(
    "source",
    [
        *("1/0", "raise SystemExit(0)", "import nowhere", "def", "class Own: pass", "\x00"),
        "from pipeline.recipes import Method\nclass Own(Method):\n  def __init__(self, x): pass",
        "from pipeline.recipes import Method\nclass Own(Method): pass",
    ],
)
def test_recipe_of_any_source_is_refused(tmp_path, monkeypatch, source):
    module = f"own_{uuid.uuid4().hex}"
    (tmp_path / f"{module}.py").write_text(source)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert refusal("recipe sources", lambda: load_recipe(f"{module}:Own", tmp_path))


def test_recipe_is_not_taken_from_inside_a_run(tmp_path, monkeypatch):
    """A run of a stranger names a recipe, and brings its module along."""
    module = f"own_{uuid.uuid4().hex}"
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "nodes").mkdir()
    for folder in (tmp_path, tmp_path / "nodes"):
        (folder / f"{module}.py").write_text("open('proof', 'w')")
        monkeypatch.setattr(sys, "path", [*sys.path])
        monkeypatch.chdir(folder)
        with pytest.raises(SpecError, match="cannot be imported"):
            load_recipe(f"{module}:Own")
    assert not list(tmp_path.rglob("proof"))
