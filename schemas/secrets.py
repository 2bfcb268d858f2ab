"""Secrets: what stands in no spec, no location and no message. They belong into the environment."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

HIDDEN = "***"

BELONG = (
    "Secrets belong into the environment or a credentials file: AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY or AWS_PROFILE for s3://, GOOGLE_APPLICATION_CREDENTIALS for gs://, "
    "AZURE_STORAGE_CONNECTION_STRING for az://"
)

_PASSWORD = re.compile(r"(?<=://)(?!arn:)(?![^/@\s]*:\d+/)[^/\s@:]*:[^\s@]*@")
"""Name and password of a URI; a secret may hold slashes, a host may have a port."""

_SIGNATURE = re.compile(
    r"([?&;](?:[\w-]*(?:signature|token|secret|password|credential|key)|sig)=)[^&;\s\"')]+", re.I
)
"""What signs a URI, among its parameters."""

_NAME = re.compile(
    r"(?:key|token|secret|password|passwd|passphrase|pwd|credential|authorization|cookie|signature"
    r"|connectionstring|accesskeyid)s?$"
)
"""How names of options end, letters only, whose values are secrets."""

_PLAIN_NAMES = {"publickey"}

_BEARER = re.compile(r"\b(?:bearer|basic)\s+[\w.~+/=-]{8,}", re.I)
"""As it stands in a header."""

_PLAIN_TOKENS = ("google_default", "cloud", "anon", "cache", "browser")
"""Ways to find a token, for gcsfs; so is the path of a key file."""


def redacted(text: str) -> str:
    """The text without secrets that stand in its URIs."""
    return _SIGNATURE.sub(rf"\1{HIDDEN}", _PASSWORD.sub(f"{HIDDEN}@", text))


def holds_secret(location: str) -> bool:
    """Whether a location tells a password or is signed."""
    return redacted(location) != location


def secret_options(options: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """The keys of storage options, dotted, whose values are secrets."""
    for name, value in options.items():
        if _is_secret(str(name), value):
            yield f"{above}{name}"
        else:
            yield from _inside(value, f"{above}{name}")


def _inside(value: Any, where: str) -> Iterator[str]:
    """Those inside a value whose own name tells nothing."""
    if isinstance(value, Mapping):
        yield from secret_options(value, f"{where}.")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        # Headers may come as pairs of a name and a value.
        if len(value) == 2 and isinstance(value[0], str) and _is_named(*value):
            yield where
            return
        for index, item in enumerate(value):
            yield from secret_options({str(index): item}, f"{where}.")


def _is_secret(name: str, value: Any) -> bool:
    if isinstance(value, str) and (holds_secret(value) or _BEARER.search(value)):
        return True
    return _is_named(name, value)


def _is_named(name: str, value: Any) -> bool:
    plain = re.sub(r"[^a-z]", "", name.lower())
    if value is None or isinstance(value, bool) or plain in _PLAIN_NAMES or not _NAME.search(plain):
        return False
    names_a_way = isinstance(value, str) and (value in _PLAIN_TOKENS or value.endswith(".json"))
    return not (plain == "token" and names_a_way)
