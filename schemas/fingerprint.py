"""What makes a run the same run: canonical bytes of its spec and of the content it refers to."""

import hashlib
import json
from typing import Any

from schemas.curation_spec import Strict
from schemas.generation_spec import GenerationSpec

FINGERPRINT_VERSION = 2


class ModelIdentity(Strict):
    """One model, by its content."""

    weights: str
    """Its adapter's too, where it writes with one."""
    tokenizer: str
    template: str
    dialect: str
    """Of all markers and stops, which depend on more files than the template."""


class Identity(Strict):
    """Digests and versions of what the spec only names."""

    models: tuple[ModelIdentity, ...]
    """By model index."""
    recipe: str
    """Its version; of a recipe of your own, the digest of its source too."""
    roots: str = ""
    """Of the rows of a data set, those that cannot be read among them."""
    curation: dict[str, str]
    """Versions of what decides verdicts: the selection, each filter used, the embedder, the
    benchmarks."""


def digest(payload: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(payload).hexdigest()


def canonical(value: Any) -> bytes:
    """The one spelling of a JSON value. Anything that is not plain JSON is an error."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def run_id(spec: GenerationSpec, identity: Identity) -> str:
    """The name of the run: equal for equal rows asked for, different otherwise."""
    return run_id_of(spec.model_dump(mode="json"), identity.model_dump(mode="json"))


def run_id_of(spec: Any, identity: Any) -> str:
    """The same of what is stored, which may lack settings that came later."""
    content = {"fingerprint": FINGERPRINT_VERSION, "spec": spec, "identity": identity}
    return digest(canonical(content))[:16]
