"""What the errors of fsspec's backends mean.

Each backend has types of its own, and its libraries may not be installed, so an error is read by
the HTTP status it carries, else by the Python type it was translated to.
"""

from typing import Any

from schemas.errors import AlreadyExists, ArboristError, LocationError, NotFound, StoreError

_TRANSIENT_STATUS = {408, 409, 425, 429}
_DEFINITE = (
    FileNotFoundError,
    FileExistsError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
    ImportError,
    AttributeError,
    ValueError,
    TypeError,
)


def is_transient(error: Exception) -> bool:
    """Whether the same operation may succeed if it is tried again."""
    status = _status(error)
    if status is not None:
        return status in _TRANSIENT_STATUS or status >= 500
    return not isinstance(error, _DEFINITE) and not _lacks_credentials(error)


def explain(verb: str, where: str, error: Exception) -> ArboristError:
    """The same as an error for people."""
    if isinstance(error, FileExistsError) or _status(error) == 412:
        return AlreadyExists(f"{where}: the object exists.")
    if isinstance(error, FileNotFoundError):
        return _absent(verb, where, error)
    reason = f"{where}: cannot {verb}: {type(error).__name__}: {error}."
    if isinstance(error, PermissionError) or _lacks_credentials(error):
        return LocationError(
            f"{reason} Check the credentials in the environment, and that they allow to read, "
            "write, list and delete below this location."
        )
    if isinstance(error, (TypeError, ValueError)):
        return LocationError(f"{reason} Check the location and its storage_options.")
    return StoreError(reason)


def _absent(verb: str, where: str, error: Exception) -> ArboristError:
    if verb == "read":
        return NotFound(f"{where}: there is no such object.")
    return LocationError(f"{where}: cannot {verb}: {error}. Does the bucket or container exist?")


def _lacks_credentials(error: Exception) -> bool:
    return "Credential" in type(error).__name__


def _status(error: BaseException) -> int | None:
    """The HTTP status an error, or what it was translated from, carries."""
    seen: BaseException | None = error
    while seen is not None:
        found = _own_status(seen)
        if found is not None:
            return found
        seen = seen.__cause__
    return None


def _own_status(error: BaseException) -> int | None:
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        status = getattr(error, "status_code", getattr(error, "code", None))
    return status if isinstance(status, int) and 400 <= status < 600 else None
