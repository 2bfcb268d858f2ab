"""What scripted children say: a pure function of the child's seed and the sampling.

Tokens are UTF-8 bytes; 256 and above are control tokens. Every byte of a hash of the seed picks
a phrase from the table whose turn it is, so turns are cheap, ordinary-looking, and all different.
"""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import shake_128
from itertools import accumulate, cycle
from math import exp, log
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from pipeline.engines.scripted_config import ScriptedConfig
from pipeline.engines.trim import trim_stop_string
from schemas.records import Ids, Kind, Sampling

CONTROL_TEXTS = {256: "<user>", 257: "<assistant>", 258: "<end>", 259: "<bos>"}
VOCAB_SIZE = 260
OPEN_USER = 256
END = 258

DUPLICATE = b"Could you tell me a little more about that?"

_ADJECTIVES = (
    "old young small quiet northern distant curious patient "
    "early careful famous simple hidden modern local brave"
)
_NOUNS = (
    "river teacher village engine library garden painter market "
    "doctor forest harbour student planet kitchen sailor bridge"
)
_ADVERBS = (
    "often rarely quickly slowly always never gently finally "
    "usually proudly calmly barely clearly kindly secretly simply"
)
_VERBS = (
    "carries explains follows repairs studies protects measures remembers "
    "describes supports changes collects answers visits improves questions"
)
_NUMBERS = (
    "two three four five six seven eight nine ten eleven twelve twenty thirty forty sixty many"
)
_THINGS = (
    "boats letters stories machines lessons paintings recipes experiments "
    "customs questions numbers melodies bridges animals journeys promises"
)
_PLACES = (
    "in near behind above beside outside beyond before after around within under past along at by"
)


def _phrases(form: str, first: str, second: str) -> list[bytes]:
    return [form.format(a, b).encode() for a in first.split() for b in second.split()]


_TABLES = (
    _phrases("The {} {}", _ADJECTIVES, _NOUNS),
    _phrases(" {} {}", _ADVERBS, _VERBS),
    _phrases(" {} {}", _NUMBERS, _THINGS),
    _phrases(" {} the {}. ", _PLACES, _NOUNS),
)
_PHRASE_LENGTHS = [len(phrase) for table in _TABLES for phrase in table]
_MEAN_PHRASE = sum(_PHRASE_LENGTHS) / len(_PHRASE_LENGTHS)
_SHORTEST_PHRASE = min(_PHRASE_LENGTHS)
_NUM_QUANTILES = 1024
_HEAD_BYTES = 4
"""Of a child's hash: two bytes for its habit, two for its length; then one a phrase."""


class Turn(NamedTuple):
    """What a child says. `token_ids` exclude the terminator."""

    token_ids: Ids
    text: str
    finish_reason: str
    stop_id: int | None
    failed: bool = False

    @property
    def num_sampled(self) -> int:
        """Tokens it took, the terminator included."""
        return len(self.token_ids) + (self.finish_reason == "stop")


class Author:
    """Writes turns as a config says."""

    def __init__(self, config: ScriptedConfig) -> None:
        bounds = accumulate(65536 * share for share in config.habits.values())
        self._habits = [
            (bound, habit) for habit, bound in zip(config.habits, bounds, strict=True) if bound
        ]
        self._phrase_counts = _phrase_counts(config.mean_tokens, config.sigma)
        self._num_hash = _HEAD_BYTES + max(self._phrase_counts)

    def write(self, seed: int, sampling: Sampling, kind: Kind = "turn") -> Turn:
        """The turn of the child with this seed; a judgement is a number from 1 to 5."""
        if sampling.ignore_eos and not sampling.stop_ids:
            return self._write_on(seed, sampling, kind)
        name = _name(seed)
        picks = shake_128(name).digest(self._num_hash)
        habit = self._habit(int.from_bytes(picks[:2], "little")) if self._habits else None
        if kind == "judge" and habit is None:
            score = str(1 + picks[_HEAD_BYTES] % 5)
            return _end(_ids(score.encode()), score, sampling)
        if habit == "truncate" or not sampling.stop_ids:
            body = _prose_of(name, sampling.max_tokens)
        else:
            rank = int.from_bytes(picks[2:4], "little") % _NUM_QUANTILES
            body = _prose(picks[_HEAD_BYTES : _HEAD_BYTES + self._phrase_counts[rank]])
        if habit is None or habit == "truncate":
            return _end(_ids(body), body.decode(), sampling)
        return _odd_turn(habit, body, sampling)

    def _write_on(self, seed: int, sampling: Sampling, kind: Kind) -> Turn:
        """A turn that goes on past its end until max_tokens, the end among its ids."""
        turn = self.write(seed, replace(sampling, stop_ids=(END,), ignore_eos=False), kind)
        if turn.stop_id is None:
            return turn
        more = _ids(_prose_of(b"more" + _name(seed), sampling.max_tokens))
        ids = np.concatenate([turn.token_ids, [turn.stop_id], more], dtype=np.int32)
        return _end(ids, decode(ids), sampling)

    def _habit(self, draw: int) -> str | None:
        return next((habit for bound, habit in self._habits if draw < bound), None)


def decode(token_ids: Sequence[int] | Ids) -> str:
    """The text of token ids."""
    return b"".join(
        CONTROL_TEXTS[i].encode() if i in CONTROL_TEXTS else bytes((i,))
        for i in map(int, token_ids)
    ).decode(errors="replace")


def _odd_turn(habit: str, body: bytes, sampling: Sampling) -> Turn:
    if habit == "fail":
        return Turn(_ids(b""), "", "error", None, failed=True)
    if habit == "leak":
        ids = np.concatenate([_ids(body), [OPEN_USER], _ids(DUPLICATE)]).astype(np.int32)
        return _end(ids, decode(ids), sampling)
    said = DUPLICATE if habit == "duplicate" else b""
    return _end(_ids(said), said.decode(), sampling)


def _end(ids: Ids, text: str, sampling: Sampling) -> Turn:
    """A turn as it ends: by its own stop, a stop text, or at max_tokens."""
    stop = sampling.stop_ids[0] if sampling.stop_ids else None
    finish = "stop"
    if len(ids) >= sampling.max_tokens:
        ids, stop, finish = ids[: sampling.max_tokens], None, "length"
        text = decode(ids)
    for stop_string in sampling.stop_strings:
        if stop_string in text:
            trimmed = trim_stop_string(ids, stop_string, decode)
            ids, text, stop, finish = trimmed.token_ids, trimmed.text, None, "stop"
    return Turn(ids, text, finish, stop)


def _name(seed: int) -> bytes:
    return seed.to_bytes(16, "little", signed=True)


def _prose_of(name: bytes, num_bytes: int) -> bytes:
    """At least so many."""
    num_phrases = num_bytes // _SHORTEST_PHRASE + 1
    return _prose(shake_128(name).digest(_HEAD_BYTES + num_phrases)[_HEAD_BYTES:])


def _prose(picks: bytes) -> bytes:
    body = b"".join([table[i] for table, i in zip(cycle(_TABLES), picks, strict=False)]).rstrip()
    return body if body.endswith(b".") else body + b"."


def _ids(body: bytes) -> Ids:
    return np.frombuffer(body, dtype=np.uint8).astype(np.int32)


def _phrase_counts(mean_tokens: float, sigma: float) -> list[int]:
    """Numbers of phrases at evenly spaced ranks of the length distribution."""
    centre = log(mean_tokens) - sigma**2 / 2
    ranks = [(i + 0.5) / _NUM_QUANTILES for i in range(_NUM_QUANTILES)]
    lengths = [exp(centre + sigma * NormalDist().inv_cdf(rank)) for rank in ranks]
    return [max(1, round(length / _MEAN_PHRASE)) for length in lengths]
