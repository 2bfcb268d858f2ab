"""Files and functions that a person can read in one go, and names that say something."""

import ast

import pytest

from tests.architecture.source import modules

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60
EMPTY_NAMES = {"util", "utils", "helper", "helpers", "common", "misc", "manager"}


@pytest.mark.parametrize("module", modules(), ids=repr)
def test_module_is_small_and_its_functions_too(module):
    lines = module.text.count("\n")
    assert lines <= MAX_MODULE_LINES, f"{module.at(1)}: {lines} lines"
    long = [
        f"{module.at(node.lineno)} {node.name}: {length} lines"
        for node in ast.walk(ast.parse(module.text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION_LINES
    ]
    assert not long, "\n".join(long)


def test_module_names_say_what_is_inside():
    vague = [m.name for m in modules() if EMPTY_NAMES & set(m.name.replace("_", ".").split("."))]
    assert not vague
