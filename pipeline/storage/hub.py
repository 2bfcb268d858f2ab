"""Data sets on the Hugging Face hub: read by name, changed by one commit.

The token comes from the environment (HF_TOKEN) or from `hf auth login`, the address from
HF_ENDPOINT. All of a commit is there or nothing is, so a data set is never half changed.
"""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.storage.names import is_shown
from schemas.errors import LocationError, NotFound, StoreError, Unavailable
from schemas.secrets import redacted

SCHEME = "hf://"
_PLACE = re.compile(r"hf://datasets/(?P<id>[\w.-]{1,96}/[\w.-]{1,96})/?")
_DATASET = "dataset"
_LONGEST = 400
"""Characters of what the hub says that are shown."""


def is_hub(location: str) -> bool:
    """Whether a location is one of the hub's."""
    return location.startswith(SCHEME)


class HubDataset:
    """One data set; it may not be there yet."""

    def __init__(self, location: str) -> None:
        found = _PLACE.fullmatch(location)
        if found is None:
            raise LocationError(
                f"{redacted(location)}: expected hf://datasets/OWNER/NAME, and the token in the "
                "environment (HF_TOKEN)."
            )
        self.location, self._id = location.rstrip("/"), found["id"]

    @property
    def exists(self) -> bool:
        """Whether it is there, as far as the token may see."""
        return self._info is not None

    @property
    def private(self) -> bool:
        """Whether others can not see it."""
        return self._info is not None and bool(self._info.private)

    def list(self, prefix: str = "") -> "list[str]":
        """Names of its files below a folder, sorted."""
        siblings = self._info.siblings or [] if self._info is not None else []
        names = (one.rfilename for one in siblings)
        return sorted(name for name in names if is_shown(name) and name.startswith(prefix))

    def read(self, name: str) -> bytes:
        """All bytes of a file; `NotFound` if there is none."""
        if name not in self.list():
            raise NotFound(f"{self.location}/{name}: there is no such file.")
        assert self._info is not None
        with self._explained("read"), tempfile.TemporaryDirectory() as folder:
            file = self._api.hf_hub_download(
                self._id,
                name,
                repo_type=_DATASET,
                revision=self._info.sha,
                local_dir=folder,
            )
            return Path(file).read_bytes()

    def make(self, *, private: bool) -> None:
        """Create it, empty."""
        with self._explained("create"):
            self._api.create_repo(self._id, repo_type=_DATASET, private=private, exist_ok=True)
        self.__dict__.pop("_info", None)

    def commit(
        self,
        files: Mapping[str, Path | bytes | BinaryIO],
        gone: Sequence[str],
        message: str,
    ) -> None:
        """Add or replace files and remove others, all at once; refused if it changed meanwhile."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        operations: list[Any] = [
            CommitOperationAdd(name, content) for name, content in files.items()
        ]
        operations += [CommitOperationDelete(name, is_folder=False) for name in gone]
        with self._explained("push to"):
            self._api.create_commit(
                self._id,
                operations,
                commit_message=message,
                repo_type=_DATASET,
                parent_commit=self._info.sha if self._info is not None else None,
            )
        self.__dict__.pop("_info", None)

    @cached_property
    def _api(self) -> Any:
        from huggingface_hub import HfApi

        return HfApi(library_name="arborist")

    @cached_property
    def _info(self) -> Any:
        """What the hub says of it; None where there is none."""
        from huggingface_hub.errors import RepositoryNotFoundError

        with self._explained("look at"):
            try:
                return self._api.dataset_info(self._id)
            except RepositoryNotFoundError as error:
                if error.response is not None and error.response.status_code == 401:
                    raise
                return None

    @contextmanager
    def _explained(self, verb: str) -> Iterator[None]:
        """Errors of the hub and on the way to it, for people."""
        # The library's own errors, of whichever of httpx and httpx2 it stands on.
        from huggingface_hub.errors import (  # type: ignore[attr-defined]
            EntryNotFoundError,
            HfHubHTTPError,
            HTTPError,
        )

        try:
            yield
        except HfHubHTTPError as error:
            raise _told(f"{self.location}: cannot {verb} it", error) from error
        except (HTTPError, ConnectionError, EntryNotFoundError) as error:
            raise Unavailable(
                f"{self.location}: cannot {verb} it: the hub is out of reach ({error}). Nothing "
                "there was changed; start the same command again once it can be reached."
            ) from error
        # What goes wrong with a large file comes as one of these, with the reason as its cause.
        except (RuntimeError, ValueError) as error:
            words = redacted(f"{error} {error.__cause__ or ''}".strip())
            raise StoreError(f"{self.location}: cannot {verb} it: {words[:_LONGEST]}") from error


def _told(what: str, error: Any) -> StoreError | LocationError:
    status = error.response.status_code if error.response is not None else 0
    words = redacted(" ".join(str(error).split()))[:_LONGEST]
    if status in (401, 403):
        return LocationError(
            f"{what}: the hub answered {status}. Expected a token that may write there, as "
            f"HF_TOKEN in the environment or by `hf auth login`. {words}"
        )
    if status in (409, 412):
        return Unavailable(
            f"{what}: somebody else changed it meanwhile. Start the same command again. {words}"
        )
    if status == 429 or status >= 500:
        return Unavailable(
            f"{what}: the hub answered {status}. Nothing there was changed; start the same "
            f"command again. {words}"
        )
    return LocationError(f"{what}: the hub answered {status}. {words}")
