"""The page for operators says what the code says."""

import ast
import re

import yaml

from schemas.engine_group_spec import EngineGroupSpec
from schemas.execution_spec import ExecutionSpec
from tests.architecture.source import REPOSITORY, modules

PAGE = (REPOSITORY / "docs/operating.md").read_text("utf-8")
ERRORS = PAGE.partition("| message | code | meaning |")[2].partition("\n\n")[0]
GIB = 2**30


def literals() -> str:
    """All that the product can say, with a gap for each value that it fills in."""
    said = []
    for module in modules():
        for node in ast.walk(ast.parse(module.text)):
            if isinstance(node, ast.JoinedStr):
                parts = (p.value if isinstance(p, ast.Constant) else "\0" for p in node.values)
                said.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                said.append(node.value)
    return "\n".join(said)


def test_every_message_of_the_page_is_one_that_the_product_can_say():
    quoted = re.findall(r"^\| `([^`]+)` \|", ERRORS, re.MULTILINE)
    assert len(quoted) > 15
    product = literals()
    assert [message for message in quoted if message not in product] == []


def test_the_page_names_defaults_that_are_the_defaults():
    defaults = {
        name: field.default
        for spec in (ExecutionSpec, EngineGroupSpec)
        for name, field in spec.model_fields.items()
    }
    named = re.findall(r"`([a-z_]+): ([0-9.]+)`", PAGE)
    told = [(name, float(value)) for name, value in named if name not in ("gpus", "most", "least")]
    assert len(told) > 1
    assert told == [(name, defaults[name]) for name, _ in told]


def test_the_page_shows_an_engine_group_that_is_one():
    [block] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    [group] = yaml.safe_load(block)["engines"].values()
    assert EngineGroupSpec.model_validate(group).backend == "server"


def test_tokens_that_memory_holds_follow_from_the_formula():
    rows = re.findall(
        r"\((\d+)(?: layers)?, (\d+)(?: KV heads)? of (\d+)\).*?\| (\d+) KiB \| ([\d,]+)", PAGE
    )
    assert len(rows) == 3
    for layers, heads, size, kib, tokens in rows:
        of_token = 2 * int(layers) * int(heads) * int(size) * 2
        assert of_token == int(kib) * 1024
        assert int(tokens.replace(",", "")) == 40 * GIB // of_token
