"""What the errors of fsspec's backends mean.

Each backend has types of its own, and its libraries may not be installed, so an error is read by
the HTTP status and the code that it carries, by the names of its types, else by the Python type
that it was translated to.
"""

from collections.abc import Iterator
from typing import Any

from pipeline.storage.advice import ABOUT_CREDENTIALS, ABOUT_OPTIONS, advice_on
from schemas.errors import (
    AlreadyExists,
    ArboristError,
    LocationError,
    NotFound,
    StoreError,
    Unavailable,
)
from schemas.secrets import redacted

NO_BUCKET = "NoSuchBucket"
_NOT_IMPLEMENTED = 501
_TRANSIENT_STATUS = {408, 409, 425, 429}
_TRANSIENT_CODES = {
    *("RequestTimeout", "RequestTimeoutException", "IncompleteBody", "BadDigest"),
    *("XAmzContentSHA256Mismatch", "SlowDown", "Throttling", "ThrottlingException"),
    *("TooManyRequests", "RequestLimitExceeded", "InternalError", "ServiceUnavailable"),
    *("OperationAborted", "ConditionalRequestConflict"),
}
"""S3 answers some of these with 400."""

_FROM_AFAR = {
    *("HTTPClientError", "ConnectionError", "IncompleteReadError", "ResponseStreamingError"),
    *("CredentialRetrievalError", "MetadataRetrievalError"),
}
"""What botocore raises because of what lies beyond this process; all else is a wrong setting."""

_CUT_OFF = "HttpProcessingError"
"""What aiohttp raises about an answer that broke off; its code is not the store's."""

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
    if code_of(error) in _TRANSIENT_CODES:
        return True
    status = _status(error)
    if status is not None:
        return status in _TRANSIENT_STATUS or (status >= 500 and status != _NOT_IMPLEMENTED)
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return False
    names = _type_names(error)
    if "BotoCoreError" in names:
        return bool(names & _FROM_AFAR)
    return not isinstance(error, _DEFINITE)


def explain(verb: str, where: str, error: Exception, tries: int = 1) -> ArboristError:
    """The same as an error for people, after so many tries."""
    code = code_of(error)
    if isinstance(error, FileExistsError) or _status(error) == 412:
        return AlreadyExists(f"{where}: the object exists.")
    if isinstance(error, FileNotFoundError) and code != NO_BUCKET:
        return _absent(verb, where, error)
    reason = f"{where}: cannot {verb}: {told(error)}."
    if is_transient(error):
        return Unavailable(
            f"{reason} This was try {tries}. Nothing that is committed is lost: start the same "
            "command again once the store can be reached and is less busy; if it never can, "
            "check the endpoint (AWS_ENDPOINT_URL on S3) and the network."
        )
    advice = advice_on(code, _status(error), _type_names(error))
    if advice is not None:
        return LocationError(f"{reason} {advice}")
    if isinstance(error, PermissionError):
        return LocationError(f"{reason} {ABOUT_CREDENTIALS}")
    if isinstance(error, (TypeError, ValueError)) or "BotoCoreError" in _type_names(error):
        return LocationError(f"{reason} {ABOUT_OPTIONS}")
    return StoreError(reason)


def told(error: Exception) -> str:
    """What a backend says, in one sentence without secrets."""
    status, code = _status(error), code_of(error)
    answer = " ".join(str(part) for part in (status, code if code != str(status) else "") if part)
    words = redacted(" ".join(str(error).split())).rstrip(". ")
    if status is not None:
        return f"the store answered {answer}{f' ({words})' if words else ''}"
    return f"{type(error).__name__}{f': {words}' if words else ''}"


def retry_after(error: Exception) -> float:
    """For how many seconds the store asked not to be asked again."""
    for each in _causes(error):
        response: Any = getattr(each, "response", None)
        if isinstance(response, dict):
            headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
            asked = str(headers.get("retry-after", ""))
            return float(asked) if asked.isdigit() else 0.0
    return 0.0


def code_of(error: Exception) -> str:
    """The name that the store gives an error, such as SlowDown; empty if none."""
    for each in _causes(error):
        response: Any = getattr(each, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
    return ""


def _absent(verb: str, where: str, error: Exception) -> ArboristError:
    if verb == "read":
        return NotFound(f"{where}: there is no such object.")
    return LocationError(
        f"{where}: cannot {verb}: {redacted(str(error))}. Does the bucket or container exist?"
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was translated from."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__


def _type_names(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _status(error: BaseException) -> int | None:
    """The HTTP status an error, or what it was translated from, carries."""
    return next((s for each in _causes(error) if (s := _own_status(each)) is not None), None)


def _own_status(error: BaseException) -> int | None:
    if _CUT_OFF in _type_names(error):
        return None
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        status = getattr(error, "status_code", getattr(error, "code", None))
    return status if isinstance(status, int) and 300 <= status < 600 else None
