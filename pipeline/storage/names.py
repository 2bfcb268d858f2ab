"""Names of objects: relative, `/` between parts, and never a way out of the location."""

from schemas.errors import StoreError

LONGEST = 1024
"""What S3 takes."""
_SHOWN = 200


def check_name(name: str) -> str:
    """The name itself, or an error for one that could escape its location or be hidden in it."""
    parts = name.split("/")
    shown = all(part and not part.startswith(".") for part in parts)
    if shown and name.isprintable() and len(name) <= LONGEST:
        return name
    raise StoreError(
        f"{name[:_SHOWN]!r} cannot name an object: expected relative parts divided by single "
        f"slashes, none empty or beginning with a dot, and {LONGEST:,} characters at most."
    )


def check_folder(prefix: str) -> str:
    """A folder's name without its last slash; the empty one is the location itself."""
    folder = prefix.removesuffix("/")
    return check_name(folder) if folder else ""


def is_shown(name: str) -> bool:
    """Whether a listing shows it: files with hidden parts are not ours."""
    return all(part and not part.startswith(".") for part in name.split("/"))
