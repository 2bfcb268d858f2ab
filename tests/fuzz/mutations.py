"""Changes to what is well formed: hostile values in trees of JSON or YAML, damage to bytes."""

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 0.5, -0.0, 1e-320, 1e308, 1e300,
    2**31 - 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63), 10**30, 10**400,
    "", " ", "x", "0", "1.x", "..", "../../x", "/etc/passwd", "file:///etc/passwd", "s3://a/b",
    "nodes/../../x", ".hidden", "a\x00b", "\n", "é漢字🌳", "٣", "1_0", "000000", "-1", "{text}",
    "{text.__class__}", "{0}", "{", "%s", "a" * 5000, "os:system", "__main__:main", "a.b:c", "~",
    "~nobody-here/x", "nan", "inf", "memory://", "://", "http://127.0.0.1:1/x",
    [], {}, [[]], [None], [1], ["x"], {"": ""}, {"x": None}, [[[[[[]]]]]],
)  # fmt: skip

NOT_JSON: tuple[Any, ...] = (float("nan"), float("inf"), -float("inf"))
"""What YAML can say besides."""

Path = tuple[Any, ...]


def paths(tree: Any, above: Path = ()) -> Iterator[Path]:
    """To every value inside, the tree's own first."""
    yield above
    inner: Any = ()
    if isinstance(tree, dict):
        inner = tree.items()
    elif isinstance(tree, list):
        inner = enumerate(tree)
    for key, value in inner:
        yield from paths(value, (*above, key))


def _at(tree: Any, path: Path) -> Any:
    for part in path:
        tree = tree[part]
    return tree


def put(tree: Any, path: Path, value: Any) -> Any:
    """A copy with another value at a place."""
    if not path:
        return copy.deepcopy(value)
    changed = copy.deepcopy(tree)
    _at(changed, path[:-1])[path[-1]] = copy.deepcopy(value)
    return changed


def without(tree: Any, path: Path) -> Any:
    """A copy that lacks a place."""
    changed = copy.deepcopy(tree)
    if path:
        del _at(changed, path[:-1])[path[-1]]
    return changed


@st.composite
def mutated(draw: st.DrawFn, tree: Any, values: tuple[Any, ...] = HOSTILE) -> Any:
    """A tree in which up to three places were changed, removed, renamed, doubled or swapped."""
    for _ in range(draw(st.integers(1, 3))):
        places = list(paths(tree))
        place = draw(st.sampled_from(places))
        match draw(st.sampled_from(("put", "put", "put", "drop", "key", "double", "move"))):
            case "put":
                tree = put(tree, place, draw(st.sampled_from(values)))
            case "drop":
                tree = without(tree, place)
            case "move":
                tree = put(tree, place, _at(tree, draw(st.sampled_from(places))))
            case "double":
                if isinstance(found := _at(tree, place), list):
                    tree = put(tree, place, found + found)
            case _:
                if isinstance(found := _at(tree, place), dict):
                    key = draw(st.sampled_from(("x", "", "../x", "1", "é", "a" * 300)))
                    tree = put(tree, place, {**found, key: draw(st.sampled_from(values))})
    return tree


@st.composite
def damaged(draw: st.DrawFn, payload: bytes) -> bytes:
    """Bytes that were cut, flipped, overwritten, doubled or joined."""
    found = bytearray(payload)
    for _ in range(draw(st.integers(1, 4))):
        if not found:
            break
        place = draw(st.integers(0, len(found) - 1))
        match draw(st.sampled_from(("flip", "flip", "byte", "cut", "insert", "remove", "zero"))):
            case "flip":
                found[place] ^= 1 << draw(st.integers(0, 7))
            case "byte":
                found[place] = draw(st.sampled_from((0, 1, 0x7F, 0x80, 0xFF)))
            case "cut":
                del found[place:]
            case "insert":
                found[place:place] = draw(st.binary(min_size=1, max_size=16))
            case "remove":
                del found[place : place + draw(st.integers(1, 64))]
            case _:
                found[place : place + 8] = bytes(8)
    return bytes(found)
