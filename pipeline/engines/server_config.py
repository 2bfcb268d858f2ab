"""What an engine over a running server is told."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.engines.trim import Decode
from schemas.errors import EnvironmentMismatch

PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Between tries of a request that a server failed: a short absence goes by unnoticed, and a longer
one is the pool's to deal with."""


class Codec(NamedTuple):
    """The tokenizer of the model that is served."""

    encode: Callable[[str], Sequence[int]]
    """Ids of a text, with nothing put before or after it."""
    decode: Decode


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """One engine over one server."""

    url: str
    """Of its root, without `/v1`."""
    name: str | None = None
    """Under which the model is served; None where the server serves one only."""
    key_variable: str | None = None
    """Of the environment of the engine's process, which holds the key."""
    timeout_s: float = 600.0
    """For an answer."""
    weights: str
    """Digest of the weights that the server is believed to have loaded."""
    load_codec: Callable[[], Codec]
    context: int
    vocab_size: int
    concurrency: int = 512
    """Requests that the server is asked at once."""
    top_logprobs: int = 0
    """The most that a request may ask for."""
    awaited_s: float = 60.0
    """How long the server may be out of reach at the start."""
    pauses_s: Sequence[float] = PAUSES_S

    @property
    def root(self) -> str:
        """Where paths begin, however the URL was written."""
        return self.url.rstrip("/").removesuffix("/v1")

    def headers(self) -> dict[str, str]:
        """What every request carries."""
        if self.key_variable is None:
            return {}
        key = os.environ.get(self.key_variable)
        if not key:
            raise EnvironmentMismatch(
                f"server.key_variable: {self.key_variable} is not set where the engine for "
                f"{self.url} runs; expected it to hold the server's key, on every node that "
                "engines may lie on."
            )
        return {"Authorization": f"Bearer {key}"}
