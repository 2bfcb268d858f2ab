"""Arms: what an SftSpec's content becomes when a few things are different."""

from collections.abc import Iterator, Mapping
from typing import Any

RUNS = "runs."
"""What names of runs begin with where a location may stand."""

Content = dict[str, Any]

FIXED = {
    "output": "each cell has a folder of its own",
    "model": "all arms start from the same one",
    "teacher": "all are held against the same one",
    "retention": "all arms are measured on the same items",
}
"""What an arm cannot say, and why."""


def merged(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> Content:
    """The base with an overlay's values: mappings go into mappings, all else takes the place."""
    result = dict(base)
    for key, value in overlay.items():
        below = result.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            result[key] = merged(below, value)
        else:
            result[key] = value
    return result


def arm_content(base: Mapping[str, Any], overlay: Mapping[str, Any] | None) -> Content:
    """An arm's own content: the base with what differs, without the parts set to null."""
    content = merged(base, overlay or {})
    parts = content.get("parts")
    if isinstance(parts, Mapping):
        content["parts"] = {name: part for name, part in parts.items() if part is not None}
    return content


def refused(overlay: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    """Keys that an arm cannot set, each with the reason."""
    overlay = overlay or {}
    yield from ((key, why) for key, why in FIXED.items() if key in overlay)
    for section in ("training", "mix"):
        inner = overlay.get(section)
        if isinstance(inner, Mapping) and "seed" in inner:
            yield f"{section}.seed", "seeds are the experiment's to say"


def named_runs(content: Mapping[str, Any]) -> dict[str, str]:
    """By name of a run, one place in an SftSpec's content where it is used."""
    found: dict[str, str] = {}
    for where, holder, key in _places(content):
        value = holder[key]
        if isinstance(value, str) and value.startswith(RUNS):
            found.setdefault(value.removeprefix(RUNS), where)
    return found


def with_runs(content: Mapping[str, Any], locations: Mapping[str, str]) -> Content:
    """The content with locations in the place of names."""
    result: Content = _copied(content)
    for _, holder, key in _places(result):
        name = str(holder[key]).removeprefix(RUNS)
        if str(holder[key]).startswith(RUNS) and name in locations:
            holder[key] = locations[name]
    return result


def with_seed(content: Mapping[str, Any], seed: int) -> Content:
    """The content with its seeds set."""
    return merged(content, {"training": {"seed": seed}, "mix": {"seed": seed}})


def _places(content: Mapping[str, Any]) -> Iterator[tuple[str, Content, str]]:
    """Where runs may be named."""
    for name, part in _mappings(content, "parts"):
        run = part.get("run")
        if isinstance(run, dict) and "location" in run:
            yield f"parts.{name}.run.location", run, "location"
    retention = content.get("retention")
    if isinstance(retention, Mapping):
        for name, samples in _mappings(retention, "samples"):
            if "run" in samples:
                yield f"retention.samples.{name}.run", samples, "run"


def _mappings(content: Mapping[str, Any], key: str) -> Iterator[tuple[str, Content]]:
    inner = content.get(key)
    if isinstance(inner, Mapping):
        yield from ((str(name), value) for name, value in inner.items() if isinstance(value, dict))


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(inner) for key, inner in value.items()}
    return value
