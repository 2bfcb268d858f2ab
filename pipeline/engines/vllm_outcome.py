"""Between our requests and outcomes and vLLM's own. Imports vllm only when called."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.engines.top_logprobs import flat_top_logprobs
from pipeline.engines.trim import Decode, Trimmed, trim_stop_id, trim_stop_string
from schemas.records import (
    ChildKey,
    Completion,
    Failure,
    Ids,
    Outcome,
    Sampling,
    TopLogprobs,
    to_ids,
)

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.outputs import CompletionOutput

BROKEN_OFF = ("abort", "error")
"""Finish reasons of children that were not finished."""


def sampling_params(sampling: Sampling) -> "SamplingParams":
    """Our sampling in vLLM's words, for one child; the seed is still missing."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        max_tokens=sampling.max_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        min_p=sampling.min_p,
        repetition_penalty=sampling.repetition_penalty,
        stop_token_ids=list(sampling.stop_ids),
        stop=list(sampling.stop_strings),
        # If set, vLLM leaves out what the tokenizer and generation config end texts with.
        ignore_eos=sampling.ignore_eos,
        logprobs=sampling.top_logprobs if wants_logprobs(sampling) else None,
        flat_logprobs=True,
        # Text is decoded once, at the end; only stop strings need it on the way.
        detokenize=bool(sampling.stop_strings),
        skip_special_tokens=False,
        spaces_between_special_tokens=False,
        # The copy for each child need not be a deep one, which takes longer than all the rest.
        skip_clone=True,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def wants_logprobs(sampling: Sampling) -> bool:
    """Whether any log-probabilities are asked for."""
    return sampling.logprobs != "none" or sampling.top_logprobs > 0


def outcome(
    key: ChildKey, sampling: Sampling, output: "CompletionOutput", decode: Decode
) -> Outcome:
    """A finished child of vLLM in our words."""
    reason = output.finish_reason or "error"
    if reason in BROKEN_OFF:
        return Failure(key, "engine", f"vLLM ended this child with finish reason {reason}")
    trimmed = trim(to_ids(list(output.token_ids)), reason, output.stop_reason, decode)
    logprobs = None
    if sampling.logprobs != "none":
        logprobs = token_logprobs(output.logprobs, len(trimmed.token_ids))
    top = None
    if sampling.top_logprobs:
        top = flat_top_logprobs(output.logprobs, sampling.top_logprobs, trimmed.positions)
    return completion(key, sampling, reason, trimmed, Logprobs(logprobs, top))


class Logprobs(NamedTuple):
    """Of a turn without what ended it."""

    of_tokens: "np.ndarray[Any, np.dtype[np.float32]] | None"
    """Of those that were sampled."""
    top: TopLogprobs | None


def completion(
    key: ChildKey, sampling: Sampling, reason: str, trimmed: Trimmed, logprobs: Logprobs
) -> Completion:
    """A finished child with as much of its log-probabilities as was asked for."""
    of_tokens = logprobs.of_tokens
    return Completion(
        key,
        trimmed.token_ids,
        trimmed.text,
        reason,
        trimmed.stop_id,
        None if of_tokens is None else float(of_tokens.sum(dtype=np.float64)),
        of_tokens if sampling.logprobs == "tokens" else None,
        logprobs.top,
    )


def trim(sampled: Ids, reason: str, stop_reason: int | str | None, decode: Decode) -> Trimmed:
    """The turn without what ended it.

    vLLM's stop reason is None for the model's own end of text, which is the last id all the same.
    """
    if reason != "stop":
        return Trimmed(sampled, decode(sampled), None)
    if isinstance(stop_reason, str):
        return trim_stop_string(sampled, stop_reason, decode)
    return trim_stop_id(sampled, decode)


def token_logprobs(flat: Any, num_tokens: int) -> "np.ndarray[Any, np.dtype[np.float32]]":
    """Log-probabilities of the first sampled ids, from vLLM's FlatLogprobs."""
    return np.asarray([flat.logprobs[i] for i in flat.start_indices[:num_tokens]], np.float32)
