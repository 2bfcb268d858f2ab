"""Names of objects: relative, `/` between parts, and never a way out of the location."""

from schemas.errors import StoreError

LONGEST = 1024
"""Bytes that S3 takes."""
LONGEST_PART = 255
"""Bytes that file systems take between two slashes."""
_SHOWN = 200


def check_name(name: str) -> str:
    """The name itself, or an error for one that could escape its location or be hidden in it."""
    parts = name.split("/")
    fits = max(map(_size, parts)) <= LONGEST_PART and _size(name) <= LONGEST
    if is_shown(name) and name.isprintable() and fits:
        return name
    raise StoreError(
        f"{name[:_SHOWN]!r} cannot name an object: expected relative parts divided by single "
        "slashes, none empty or beginning with a dot, each of at most "
        f"{LONGEST_PART} bytes, together of at most {LONGEST:,}."
    )


def _size(name: str) -> int:
    return len(name.encode("utf-8", "surrogatepass"))


def check_folder(prefix: str) -> str:
    """A folder's name without its last slash; the empty one is the location itself."""
    folder = prefix.removesuffix("/")
    return check_name(folder) if folder else ""


def is_shown(name: str) -> bool:
    """Whether a listing shows it: files with hidden parts are not ours."""
    return all(part and not part.startswith(".") for part in name.split("/"))
