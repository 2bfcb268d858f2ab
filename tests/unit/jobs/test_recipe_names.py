"""Recipes by name: defaults merged into what a spec says, recipes of one's own, identities."""

import shutil
import sys
from pathlib import Path

import pytest

from jobs.recipes import load_recipe, look_in, recipe_identity, with_defaults
from pipeline.recipes import RECIPES, Method
from pipeline.recipes.tg_sft import TgSft
from schemas.errors import SpecError

OWN = """\
from pipeline.recipes import Method


class Own(Method):
    name = "own"
    defaults = {"curation": {"duplicates": "keep", "filters": ["empty"]}, "seed": 5}
    level_defaults = {"user": {"temperature": 0.5, "stop": ["!"]}}


class Nameless(Method):
    pass


class Stranger:
    name = "stranger"
"""


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module of one's own in the working directory."""
    name = f"own_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return name


@pytest.fixture
def own(beside: str) -> str:
    """The same, where Python finds it."""
    look_in(Path.cwd())
    return beside


def refusal(name: str, beside: Path | None = None) -> str:
    with pytest.raises(SpecError) as caught:
        load_recipe(name, beside)
    assert str(caught.value).startswith("generation.recipe: ")
    return str(caught.value)


def test_load_recipe_knows_ours_by_name():
    assert {name: load_recipe(name).name for name in RECIPES} == {name: name for name in RECIPES}


def test_load_recipe_imports_ones_own_from_a_folder_that_is_named(beside):
    recipe = load_recipe(f"{beside}:Own", Path.cwd())
    assert isinstance(recipe, Method) and recipe.name == "own"


def test_load_recipe_takes_nothing_from_the_working_directory_unasked(beside):
    message = refusal(f"{beside}:Own")
    assert f"No module named '{beside}'" in message and "--recipe-from" in message
    assert beside not in sys.modules


@pytest.mark.parametrize("name", ["tg_sft", "", "own.Own", ":Own", ".own:Own", "a b:Own", "..:Own"])
def test_load_recipe_unknown_name_lists_ours_and_the_form_of_ones_own(name):
    message = refusal(name)
    assert f"found {name}, expected one of tg-sft," in message
    assert "`package.module:Class`" in message


def test_load_recipe_unimportable_module_says_from_where(own):
    message = refusal("no_such_module_here:Own", Path.cwd())
    assert "cannot be imported from" in message and str(Path.cwd()) in message
    assert "No module named 'no_such_module_here'" in message


def test_load_recipe_module_that_lacks_an_import_says_which(own):
    Path("needs_more.py").write_text("import no_such_library\n")
    assert "No module named 'no_such_library'" in refusal("needs_more:Own", Path.cwd())


def test_load_recipe_module_that_is_no_python_says_where(own):
    Path("no_python.py").write_text("class Own(\n")
    message = refusal("no_python:Own", Path.cwd())
    assert "is no Python" in message and "no_python.py:1" in message


def test_load_recipe_missing_class_is_named(own):
    assert f"found no Other in {own}, expected a class" in refusal(f"{own}:Other")


def test_load_recipe_class_that_is_no_method_is_shown(own):
    message = refusal(f"{own}:Stranger")
    assert "Stranger" in message and "derives from pipeline.recipes.Method" in message


def test_load_recipe_method_without_a_name_says_so(own):
    assert "has no `name`" in refusal(f"{own}:Nameless")


def test_recipe_identity_of_ours_is_name_and_version():
    assert recipe_identity("tg-sft") == f"tg-sft {RECIPES['tg-sft'].version}"


def test_recipe_identity_of_ones_own_changes_with_its_source(own):
    before = recipe_identity(f"{own}:Own")
    assert recipe_identity(f"{own}:Own") == before
    with Path(f"{own}.py").open("a") as file:
        file.write("# Another comment.\n")
    assert recipe_identity(f"{own}:Own") != before


@pytest.fixture
def derived(own) -> str:
    """A recipe that derives from another of one's own and from one of ours, each in its file."""
    below, mixed = f"{own}_below", f"{own}_mixed"
    Path(f"{mixed}.py").write_text("class Mixed:\n    colour = 1\n")
    Path(f"{below}.py").write_text(
        f"from pipeline.recipes.tg_sft import TgSft\nfrom {own} import Own\n"
        f"from {mixed} import Mixed\n\n\nclass Below(Mixed, Own, TgSft):\n    name = 'below'\n"
    )
    return f"{below}:Below"


def test_recipe_identity_of_ones_own_changes_with_the_source_of_all_it_derives_from(own, derived):
    found = [recipe_identity(derived)]
    for name in (own, f"{own}_mixed", f"{own}_below"):
        with Path(f"{name}.py").open("a") as file:
            file.write("# Another comment.\n")
        found.append(recipe_identity(derived))
    assert len(set(found)) == 4


def test_recipe_identity_of_ones_own_changes_with_our_version(own, derived, monkeypatch):
    before = recipe_identity(derived)
    assert before.startswith(f"below {RECIPES['tg-sft'].version} of tg-sft ")
    monkeypatch.setattr(TgSft, "version", TgSft.version + 1)
    assert recipe_identity(derived) != before


def test_recipe_identity_does_not_depend_on_where_the_source_lies(own, tmp_path, monkeypatch):
    first = recipe_identity(f"{own}:Own")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.move(f"{own}.py", elsewhere)
    look_in(elsewhere)
    monkeypatch.delitem(sys.modules, own)
    assert recipe_identity(f"{own}:Own") == first


def test_load_recipe_other_files_beside_it_hide_no_library(own, monkeypatch):
    """`colorsys` is of the standard library, and nothing here has loaded it."""
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    Path("colorsys.py").write_text("raise RuntimeError('not the library')\n")
    Path("colourful.py").write_text(f"import colorsys\n{OWN}")
    assert load_recipe("colourful:Own", Path.cwd()).name == "own"


def test_with_defaults_fill_what_is_not_said(own):
    merged = with_defaults({"recipe": f"{own}:Own", "levels": [{"role": "user"}]})
    assert merged["seed"] == 5
    assert merged["curation"] == {"duplicates": "keep", "filters": ["empty"]}
    assert merged["levels"] == [{"role": "user", "temperature": 0.5, "stop": ["!"]}]


def test_with_defaults_what_is_said_wins_key_by_key_in_sections(own):
    said = {"recipe": f"{own}:Own", "seed": 0, "curation": {"duplicates": "near"}}
    merged = with_defaults(said)
    assert merged["seed"] == 0
    assert merged["curation"] == {"duplicates": "near", "filters": ["empty"]}


def test_with_defaults_lists_are_taken_whole(own):
    merged = with_defaults({"recipe": f"{own}:Own", "curation": {"filters": ["truncated"]}})
    assert merged["curation"]["filters"] == ["truncated"]


def test_with_defaults_an_explicit_null_wins(own):
    levels = [{"role": "user", "stop": None}]
    merged = with_defaults({"recipe": f"{own}:Own", "curation": None, "levels": levels})
    assert merged["curation"] is None
    assert merged["levels"] == [{"role": "user", "temperature": 0.5, "stop": None}]


def test_with_defaults_levels_are_filled_by_their_role(own):
    levels = [{"role": "user"}, {"role": "assistant"}, {"role": "user", "temperature": 1.0}]
    merged = with_defaults({"recipe": f"{own}:Own", "levels": levels})
    assert [level.get("temperature") for level in merged["levels"]] == [0.5, None, 1.0]


def test_with_defaults_leave_what_is_said_as_it_was(own):
    said = {
        "recipe": f"{own}:Own",
        "curation": {"duplicates": "near"},
        "levels": [{"role": "user"}],
    }
    with_defaults(said)
    assert said["curation"] == {"duplicates": "near"} and said["levels"] == [{"role": "user"}]
    assert load_recipe(f"{own}:Own").defaults["curation"]["duplicates"] == "keep"


@pytest.mark.parametrize(
    "odd", [{"levels": 3}, {"levels": ["user", None]}, {"levels": [{}]}, {"recipe": 7}, {}]
)
def test_with_defaults_leave_what_is_wrong_to_the_schema(odd):
    merged = with_defaults(odd)
    assert merged.get("levels") == odd.get("levels") and merged.get("recipe") == odd.get("recipe")


def test_with_defaults_unknown_recipe_is_refused():
    with pytest.raises(SpecError, match=r"generation\.recipe: found tg-sfd, expected one of"):
        with_defaults({"recipe": "tg-sfd"})
