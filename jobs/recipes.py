"""From the name of a recipe to the recipe, its defaults and its identity.

Who names a recipe decides where its module may lie. A spec is one's own: its recipe is also looked
for where the command is started. A run may be a stranger's, and must not bring code along: what it
names is looked for among what is installed, and in the folder that the command line names.
"""

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.recipes import RECIPES, Method
from schemas.errors import EnvironmentMismatch, SpecError
from schemas.fingerprint import canonical, digest
from schemas.manifest import RunFile

_LONGEST_NAME = 200


def load_recipe(name: str, beside: Path | None = None) -> Method:
    """One of ours by name, or one of your own as `package.module:Class`, also from a folder."""
    if name in RECIPES:
        return RECIPES[name]
    module, colon, attribute = name.partition(":")
    if not (
        colon
        and len(name) <= _LONGEST_NAME
        and all(part.isidentifier() for part in module.split("."))
    ):
        raise SpecError(
            f"generation.recipe: found {name[:100]}, expected one of {', '.join(RECIPES)}, or "
            "`package.module:Class` for one of your own."
        )
    made = getattr(_import(name, module, beside), attribute, None)
    if not (isinstance(made, type) and issubclass(made, Method)):
        # What it holds is not shown: `os:environ` is full of secrets.
        found = f"no {attribute or 'name'} in {module}" if made is None else _kind(made)
        raise SpecError(
            f"generation.recipe: {name}: found {found}, expected a class that derives from "
            "pipeline.recipes.Method."
        )
    try:
        recipe = made()
    except Exception as error:
        raise SpecError(
            f"generation.recipe: {name} cannot be made: {type(error).__name__}: {error}. Expected "
            "a class that is made without arguments."
        ) from error
    if not isinstance(getattr(recipe, "name", None), str):
        raise SpecError(f"generation.recipe: {name} has no `name`, expected a short text.")
    return recipe


def _kind(made: Any) -> str:
    return (
        f"the class {made.__qualname__}" if isinstance(made, type) else f"a {type(made).__name__}"
    )


def look_in(folder: Path) -> None:
    """Find modules in a folder, too."""
    # Other files there may be named like libraries, which must stay what they are: it comes last.
    place = str(folder.resolve())
    if place not in sys.path:
        sys.path.append(place)
        importlib.invalidate_caches()


def _import(name: str, module: str, beside: Path | None) -> Any:
    if beside is not None:
        look_in(beside)
    try:
        return importlib.import_module(module)
    except (ImportError, ValueError) as error:
        raise SpecError(
            f"generation.recipe: {name} cannot be imported{_from(beside, error)}"
        ) from error
    except SyntaxError as error:
        raise SpecError(
            f"generation.recipe: {name} is no Python: {error.filename}:{error.lineno}: {error.msg}."
        ) from error
    # A script that ends itself when it is imported would end this command, too.
    except (Exception, SystemExit) as error:
        raise SpecError(
            f"generation.recipe: {name} raises {type(error).__name__} when it is imported: {error}."
        ) from error


def _from(beside: Path | None, error: Exception) -> str:
    if beside is not None:
        return f" from {beside}: {error}. Start the command where the module lies, or install it."
    return (
        f": {error}. Only a spec's recipe is looked for where the command is started, as a run may "
        "bring code of strangers along; name the folder of the module with --recipe-from, or "
        "install it."
    )


def recipe_identity(name: str) -> str:
    """What rows depend on: the version of ours; of one's own also the source.

    That is the files of its class and of the classes it derives from. What these import besides is
    not covered; a raised `version` makes a change there known.
    """
    recipe = load_recipe(name)
    said = f"{recipe.name} {recipe.version}"
    if name in RECIPES:
        return said
    methods = [cls for cls in type(recipe).__mro__ if issubclass(cls, Method)]
    ours = [cls for cls in methods if _package(cls) == "pipeline"]
    bases = ", ".join(f"{getattr(cls, 'name', cls.__name__)} {cls.version}" for cls in ours)
    return f"{said} of {bases} {_source_digest(type(recipe))}"


def _package(cls: type) -> str:
    return cls.__module__.partition(".")[0]


def _source_digest(recipe: type) -> str:
    """Of files by the names of their modules, wherever they lie."""
    known = {"pipeline", *sys.stdlib_module_names}
    modules = {cls.__module__ for cls in recipe.__mro__ if _package(cls) not in known}
    files = {module: getattr(sys.modules[module], "__file__", None) for module in modules}
    sources = {module: digest(Path(file).read_bytes()) for module, file in files.items() if file}
    return digest(canonical(sources))


def check_recipe(run_file: RunFile) -> None:
    """Levels, prompts and plan of a run are its recipe's, so another one would tell of another."""
    here = recipe_identity(run_file.generation.recipe)
    if here != run_file.identity.recipe:
        raise EnvironmentMismatch(
            f"run {run_file.run_id} was made by recipe {run_file.identity.recipe}; here it is "
            f"{here}. Use the version, or the file, that made it."
        )


def with_defaults(generation: Mapping[str, Any], beside: Path | None = None) -> dict[str, Any]:
    """A `generation` section, with what its recipe says where the section does not."""
    content = dict(generation)
    name = content.get("recipe", "tg-sft")
    if not isinstance(name, str):
        return content
    recipe = load_recipe(name, beside)
    merged = _merged(recipe.defaults, content)
    if isinstance(merged.get("levels"), list):
        merged["levels"] = [_level(recipe, level) for level in merged["levels"]]
    return merged


def _level(recipe: Method, level: Any) -> Any:
    if not isinstance(level, dict):
        return level
    return {**recipe.level_defaults.get(str(level.get("role")), {}), **level}


def _merged(defaults: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**defaults, **said}
    for key, value in defaults.items():
        if isinstance(value, Mapping) and isinstance(said.get(key), Mapping):
            merged[key] = _merged(value, said[key])
    return merged
