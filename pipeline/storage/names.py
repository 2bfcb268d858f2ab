"""Names of objects: relative, `/` between parts, and never a way out of the location."""

from schemas.errors import StoreError


def check_name(name: str) -> str:
    """The name itself, or an error for one that could escape its location or be hidden in it."""
    parts = name.split("/")
    if all(part and not part.startswith(".") for part in parts) and name.isprintable():
        return name
    raise StoreError(
        f"{name!r} cannot name an object: expected relative parts divided by single slashes, none "
        "of them empty or beginning with a dot."
    )


def check_folder(prefix: str) -> str:
    """A folder's name without its last slash; the empty one is the location itself."""
    folder = prefix.removesuffix("/")
    return check_name(folder) if folder else ""


def is_shown(name: str) -> bool:
    """Whether a listing shows it: files with hidden parts are not ours."""
    return all(part and not part.startswith(".") for part in name.split("/"))
