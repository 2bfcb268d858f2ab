"""The YAML at the head of a card, as the Hugging Face hub and `datasets` read it."""

import re
from typing import Any

import pyarrow as pa
import yaml

from pipeline.card.facts import Facts

TO_BE_CHECKED = "to-be-checked"
"""The name of a licence that nobody has stated yet."""

_BOUNDS = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
"""From a thousand on, ten times as many each."""


def front_matter(facts: Facts) -> str:
    """The whole block, between its two lines."""
    return f"---\n{yaml.safe_dump(metadata(facts), sort_keys=False, allow_unicode=True)}---\n"


def metadata(facts: Facts) -> dict[str, Any]:
    """What the block says."""
    rows = facts.rows
    return {
        "pretty_name": facts.title,
        **({"language": list(rows.languages)} if rows.languages else {}),
        **_license(facts),
        "size_categories": [size_category(rows.count)],
        "task_categories": ["text-generation"],
        "tags": _tags(facts),
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": "train", "path": f"{rows.kind}-*.parquet"}],
            }
        ],
        "dataset_info": {
            "config_name": "default",
            "features": features(rows.schema),
        },
    }


def _license(facts: Facts) -> dict[str, str]:
    if facts.license is not None:
        return {"license": facts.license}
    return {"license": "other", "license_name": TO_BE_CHECKED}


def _tags(facts: Facts) -> list[str]:
    papers = [f"arxiv:{paper.arxiv}" for paper in facts.papers]
    rehearsal = ["rehearsal"] if facts.rehearsal else []
    recipe = re.sub(r"[^a-z0-9.-]+", "-", facts.recipe.lower()).strip("-") or "own-recipe"
    tags = ["synthetic", "arborist", recipe, facts.rows.kind, *rehearsal, *papers]
    return list(dict.fromkeys(tags))


def size_category(rows: int) -> str:
    """What the hub calls so many rows."""
    place = sum(rows >= 10 ** (3 + step) for step in range(len(_BOUNDS)))
    if place == len(_BOUNDS):
        return f"n>{_BOUNDS[-1]}"
    return f"{_BOUNDS[place - 1]}<n<{_BOUNDS[place]}" if place else f"n<{_BOUNDS[0]}"


def features(schema: pa.Schema) -> list[dict[str, Any]]:
    """The columns, as `datasets` spells their types in YAML."""
    return [{"name": column.name, **_type(column.type)} for column in schema]


def _type(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_struct(kind):
        return {"struct": features(list(kind))}
    if pa.types.is_list(kind):
        inner = _type(kind.value_type)
        return {"list": inner.get("dtype", inner.get("struct", inner))}
    return {"dtype": {"float": "float32", "double": "float64"}.get(str(kind), str(kind))}
