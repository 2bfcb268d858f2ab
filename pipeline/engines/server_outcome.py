"""Between our requests and outcomes and the completions API, as vLLM's server speaks it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from pipeline.engines.server_client import Passing
from pipeline.engines.top_logprobs import tail_mass
from pipeline.engines.trim import Decode
from pipeline.engines.vllm_outcome import BROKEN_OFF, Logprobs, completion, trim, wants_logprobs
from schemas.records import ChildKey, Failure, Outcome, Sampling, TopLogprobs, to_ids

STREAM_INTERVAL = 16
"""Tokens to a message: enough that the server is not busy with writing them, few enough that
tokens are seen to advance."""

_TOKEN = "token_id:"


def body(name: str, prompt: list[int], sampling: Sampling, seed: int) -> dict[str, Any]:
    """The request for one child.

    Whatever a server or a model may have defaults of its own for is said.
    """
    asked: dict[str, Any] = {
        "model": name,
        "prompt": prompt,
        "n": 1,
        "seed": seed,
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "repetition_penalty": sampling.repetition_penalty,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "stop_token_ids": list(sampling.stop_ids),
        "stop": list(sampling.stop_strings),
        "ignore_eos": sampling.ignore_eos,
        "add_special_tokens": False,
        # The server looks for stop strings in its own text, which must be spelled as ours is.
        "skip_special_tokens": False,
        "spaces_between_special_tokens": False,
        "return_token_ids": True,
        "return_tokens_as_token_ids": True,
        "stream": True,
        "stream_interval": STREAM_INTERVAL,
        "stream_options": {"include_usage": True},
    }
    if wants_logprobs(sampling):
        asked["logprobs"] = sampling.top_logprobs
    return asked


class Answer:
    """One child's answer as its messages come in."""

    def __init__(
        self,
        key: ChildKey,
        prompt: list[int],
        sampling: Sampling,
        note: Callable[[int], None] = lambda tokens: None,
    ) -> None:
        """`note` is told of each message how many tokens it brought."""
        self._key, self._prompt, self._sampling, self._note = key, prompt, sampling, note
        self._ids: list[int] = []
        self._logprobs: list[float] = []
        self._top: list[dict[str, float | None]] = []
        self._finish_reason: str | None = None
        self._stop_reason: int | str | None = None
        self._other_prompt = False
        self.cached_tokens = 0
        """Of the prompt, as far as the server tells."""

    def take(self, message: dict[str, Any]) -> None:
        """Take a message in."""
        if usage := message.get("usage"):
            details = usage.get("prompt_tokens_details") or {}
            self.cached_tokens = details.get("cached_tokens") or 0
        self._note(sum(self._take_choice(choice) for choice in message.get("choices") or ()))

    def require_whole(self) -> None:
        """Raise `Passing` if the child was broken off, as when a server is shut down."""
        if self._finish_reason is None or self._finish_reason in BROKEN_OFF:
            raise Passing(f"a child ended with finish reason {self._finish_reason}")

    def _take_choice(self, choice: dict[str, Any]) -> int:
        ids = choice.get("token_ids") or []
        self._ids += ids
        self._other_prompt |= choice.get("prompt_token_ids") not in (None, self._prompt)
        self._finish_reason = choice.get("finish_reason") or self._finish_reason
        if choice.get("stop_reason") is not None:
            self._stop_reason = choice["stop_reason"]
        if logprobs := choice.get("logprobs"):
            # JSON has no NaN.
            self._logprobs += [_number(value) for value in logprobs["token_logprobs"]]
            self._top += logprobs["top_logprobs"] or []
        return len(ids)

    def outcome(self, decode: Decode) -> Outcome:
        """The child, which is whole."""
        reason = self._finish_reason
        assert reason is not None
        if wrong := self._what_is_wrong():
            return Failure(self._key, "engine", wrong)
        trimmed = trim(to_ids(self._ids), reason, self._stop_reason, decode)
        logprobs = None
        if self._sampling.logprobs != "none":
            logprobs = np.asarray(self._logprobs[: len(trimmed.token_ids)], np.float32)
        rows = self._top[: trimmed.positions]
        top = top_logprobs(rows, self._ids, self._sampling.top_logprobs)
        return completion(self._key, self._sampling, reason, trimmed, Logprobs(logprobs, top))

    def _what_is_wrong(self) -> str | None:
        """Where the server did something else than it was asked for."""
        asked, found = self._sampling.max_tokens, len(self._ids)
        if self._other_prompt:
            return "the server put other tokens before the answer than it was given"
        if not found or (self._finish_reason == "length" and found != asked):
            return (
                f"the server returned {found} token ids with finish reason "
                f"{self._finish_reason}, asked for {asked}"
            )
        if wants_logprobs(self._sampling) and len(self._logprobs) != found:
            return f"the server returned {len(self._logprobs)} log-probabilities of {found} tokens"
        return None


def top_logprobs(
    rows: list[dict[str, float | None]], sampled: list[int], top: int
) -> TopLogprobs | None:
    """The `top` most likely at each position.

    A server lists the sampled token first, and then the most likely ones, each once: where they
    are one too many, the sampled token is none of them.
    """
    if not top:
        return None
    ids = np.empty((len(rows), top), np.int32)
    logprobs = np.empty((len(rows), top), np.float32)
    for place, (row, token) in enumerate(zip(rows, sampled, strict=False)):
        listed = {int(name.removeprefix(_TOKEN)): _number(value) for name, value in row.items()}
        if len(listed) > top:
            listed.pop(token, None)
        best = sorted(listed.items(), key=lambda pair: -pair[1])[:top]
        ids[place], logprobs[place] = zip(*best, strict=True)
    return TopLogprobs(ids, logprobs, tail_mass(logprobs))


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
