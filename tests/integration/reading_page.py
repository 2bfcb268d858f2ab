"""The code of docs/reading.md, section by section; as a program, one section run by itself.

    python -m tests.integration.reading_page ANSWER LOCATION NUMBERS...

runs the numbered blocks of the page, in order, in this process and its folder, with LOCATION in the
place of the page's. What the page's variables hold then is JSON in the file ANSWER.
"""

import ast
import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

PAGE = Path(__file__).parents[2] / "docs" / "reading.md"
PLACE = 'LOCATION = "runs/demo"'


class Block(NamedTuple):
    """A fenced block."""

    section: str
    language: str
    code: str

    @property
    def libraries(self) -> set[str]:
        """The packages that it imports."""
        found = set()
        for node in ast.walk(ast.parse(self.code)):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or "").partition(".")[0])
        return found


def blocks() -> list[Block]:
    """All of the page, in order."""
    found, section = [], ""
    for part in re.finditer(r"^## ([^\n]+)$|^```(\w*)\n(.*?)^```$", PAGE.read_text(), re.M | re.S):
        if part[1]:
            section = part[1]
        else:
            found.append(Block(section, part[2], part[3]))
    return found


def missing(chosen: list[Block]) -> list[str]:
    """Libraries that are not installed here."""
    wanted = set().union(*(block.libraries for block in chosen))
    return sorted(name for name in wanted if importlib.util.find_spec(name) is None)


def main() -> None:
    """Run blocks as a reader would, one after the other."""
    answer, location, *numbers = sys.argv[1:]
    page, names = blocks(), dict[str, Any]()
    chosen = [(number, page[number]) for number in map(int, numbers)]
    if any("ray" in block.libraries for _, block in chosen):
        _small_ray()
    for number, block in chosen:
        code = block.code.replace(PLACE, f"LOCATION = {location!r}")
        exec(compile(code, f"reading.md block {number}", "exec"), names)
    shown = {name: _SHOW[name](names[name]) for name in _SHOW if name in names}
    Path(answer).write_text(json.dumps(shown))


def _small_ray() -> None:
    """A cluster that a reader may have."""
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)


def _records(found: Any) -> list[dict[str, Any]]:
    """Rows as mappings, whatever holds them."""
    library = type(found).__module__.partition(".")[0]
    if library in ("duckdb", "_duckdb"):
        return found.to_arrow_table().to_pylist()
    if library in ("pyarrow",):
        return found.to_pylist()
    if library == "polars":
        return found.to_dicts()
    if library == "ray":
        return found.take_all()
    if library == "pyspark":
        return [row.asDict(recursive=True) for row in found.collect()]
    return list(found.values() if isinstance(found, dict) else found)


def _ids(found: Any) -> list[str]:
    return [row["node_id"] for row in _records(found)]


def _conversations(found: Any) -> dict[str, list[list[str]]]:
    return {
        row["leaf"]: [[said["role"], said["content"]] for said in row["messages"]]
        for row in _records(found)
    }


def _examples(found: Any) -> list[dict[str, list[int]]] | None:
    """Of a data set in ids with labels, its rows."""
    return list(found) if "labels" in getattr(found, "column_names", ()) else None


def _losses(trainer: Any) -> list[float]:
    return [entry["train_loss"] for entry in trainer.state.log_history if "train_loss" in entry]


_SHOW = {
    "kept": _ids,
    "conversations": _conversations,
    "messages": lambda found: len(list(found)),
    "rows": _examples,
    "trainer": _losses,
}

if __name__ == "__main__":
    main()
