"""A JSON value as one line that every browser reads."""

import json
import math
from collections.abc import Mapping
from typing import Any


def json_line(value: Mapping[str, Any]) -> bytes:
    """UTF-8, with null for numbers that JSON has no way to write."""
    try:
        text = _dumped(value)
    except ValueError:
        text = _dumped(_finite(value))
    # Half a surrogate pair can stand in a text, and in no UTF-8.
    return f"{text}\n".encode("utf-8", "replace")


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value
