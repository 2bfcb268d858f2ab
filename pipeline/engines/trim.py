"""From what an engine sampled to what a row holds: ids without terminator, text == decode(ids)."""

from collections.abc import Callable
from typing import NamedTuple

from schemas.records import Ids

Decode = Callable[[Ids], str]


class Trimmed(NamedTuple):
    """A turn without what ended it."""

    token_ids: Ids
    text: str
    stop_id: int | None

    @property
    def positions(self) -> int:
        """Tokens that top log-probabilities tell of: the one that ended the turn is among them."""
        return len(self.token_ids) + (self.stop_id is not None)


def trim_stop_id(sampled: Ids, decode: Decode) -> Trimmed:
    """Drop the last id, which ended the turn."""
    kept = sampled[:-1]
    return Trimmed(kept, decode(kept), int(sampled[-1]))


def trim_stop_string(sampled: Ids, stop: str, decode: Decode) -> Trimmed:
    """Keep the longest prefix of the ids whose text ends before the first `stop` starts.

    A stop that starts inside a token drops that token. All is kept where `stop` does not occur.
    """
    before = decode(sampled).partition(stop)[0]
    # A stop is a few tokens long and the engine ends with it, so the search starts at the end.
    for length in range(len(sampled), -1, -1):
        text = decode(sampled[:length])
        if before.startswith(text):
            return Trimmed(sampled[:length], text, None)
    raise AssertionError("the decoding of no ids is not empty")
