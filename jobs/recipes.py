"""From the name of a recipe to the recipe, its defaults and its identity."""

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.recipes import RECIPES, Method
from schemas.errors import SpecError
from schemas.fingerprint import digest


def load_recipe(name: str) -> Method:
    """One of ours by name, or one of your own as `package.module:Class`."""
    if name in RECIPES:
        return RECIPES[name]
    module, colon, attribute = name.partition(":")
    if not (colon and all(part.isidentifier() for part in module.split("."))):
        raise SpecError(
            f"generation.recipe: found {name}, expected one of {', '.join(RECIPES)}, or "
            "`package.module:Class` for one of your own."
        )
    made = getattr(_import(name, module), attribute, None)
    if not (isinstance(made, type) and issubclass(made, Method)):
        found = f"no {attribute or 'name'} in {module}" if made is None else f"{made!r}"
        raise SpecError(
            f"generation.recipe: {name}: found {found}, expected a class that derives from "
            "pipeline.recipes.Method."
        )
    recipe = made()
    if not isinstance(getattr(recipe, "name", None), str):
        raise SpecError(f"generation.recipe: {name} has no `name`, expected a short text.")
    return recipe


def _import(name: str, module: str) -> Any:
    # As `python -m` does: a recipe of one's own lies where the command is started.
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise SpecError(
            f"generation.recipe: {name} cannot be imported from {Path.cwd()}: {error}. Start the "
            "command where the module lies, or install it."
        ) from error
    except SyntaxError as error:
        raise SpecError(
            f"generation.recipe: {name} is no Python: {error.filename}:{error.lineno}: {error.msg}."
        ) from error


def recipe_identity(name: str) -> str:
    """What rows depend on: the version of ours, the source of one's own."""
    recipe = load_recipe(name)
    said = f"{recipe.name} {recipe.version}"
    if name in RECIPES:
        return said
    file = sys.modules[type(recipe).__module__].__file__
    return said if file is None else f"{said} {digest(Path(file).read_bytes())}"


def with_defaults(generation: Mapping[str, Any]) -> dict[str, Any]:
    """A `generation` section, with what its recipe says where the section does not."""
    content = dict(generation)
    name = content.get("recipe", "tg-sft")
    if not isinstance(name, str):
        return content
    recipe = load_recipe(name)
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
