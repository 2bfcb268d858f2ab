"""Where the model of an engine group lies, and what of it is brought to this machine."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from jobs.cache import cache_folder
from jobs.prepare_model import packaged_location
from pipeline.storage.local_copy import local_copy
from pipeline.storage.model_folder import ModelFolder, is_in_store
from schemas.engine_group_spec import EngineGroupSpec
from schemas.errors import SpecError, StoreError
from schemas.execution_spec import ExecutionSpec


class ModelPlace(NamedTuple):
    """A directory of this machine, or the URI of one. Travels to where engines live."""

    location: str
    options: Mapping[str, Any]
    """Of the filesystem of a URI."""
    cache: str | None
    """`execution.cache`."""

    @classmethod
    def of(
        cls, group: EngineGroupSpec, name: str = "main", execution: ExecutionSpec | None = None
    ) -> "ModelPlace":
        """Where a group says that its model lies."""
        if group.model is None:
            raise SpecError(
                f"execution.engines.{name}.model: missing; expected the directory of a model, its "
                "URI in a store, or `packaged` for the small chat model that `arborist "
                "prepare-model` makes."
            )
        location = packaged_location(group.model)
        if execution is None:
            return cls(location, {}, None)
        return cls(location, execution.options_at([location]), execution.cache)

    def digest(self, adapter: str | None, *, code: bool) -> str:
        """Of the weights, of which not all are read."""
        from pipeline.engines.weights import files_digest, weights_digest

        if is_in_store(self.location):
            return files_digest(self._folder(), adapter, code=code)
        return weights_digest(self.location, adapter, code=code)

    def described(self) -> str:
        """A directory of this machine with everything but the weights, which may be there."""
        if not is_in_store(self.location):
            return self.location
        return str(local_copy(self._folder(), self.cache_folder(), weights=False))

    def whole(self, digest: str | None = None, *, code: bool = False) -> str:
        """A directory of this machine with the weights, which have this digest."""
        if not is_in_store(self.location):
            return self.location
        check = partial(_require_digest, self.location, digest, code)
        return str(local_copy(self._folder(), self.cache_folder(), check=check))

    def cache_folder(self) -> Path:
        """On the disk of the machine where this is asked."""
        return Path(self.cache).expanduser() if self.cache else cache_folder()

    def _folder(self) -> ModelFolder:
        return ModelFolder(self.location, self.options)


def _require_digest(location: str, expected: str | None, code: bool, copy: Path) -> None:
    from pipeline.engines.weights import weights_digest

    found = weights_digest(str(copy), code=code)
    if expected is not None and found != expected:
        raise StoreError(
            f"{location}: its copy on this machine has weights of digest {found}, expected those "
            f"that the run was planned with, {expected}. Put back the model that the run was "
            "planned with, or plan a new run for this one."
        )
