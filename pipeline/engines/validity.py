"""Requests that can never work, found before an engine sees them."""

from typing import NamedTuple

from schemas.records import Failure, Outcome, Request


class EngineLimits(NamedTuple):
    """What a request must fit into."""

    context: int
    """Tokens a prompt and its answer may take together."""
    vocab_size: int
    max_top_logprobs: int


def why_invalid(request: Request, limits: EngineLimits) -> str | None:
    """What is wrong with a request, for people; None for a request that can work."""
    return _bad_prompt(request, limits) or _bad_sampling(request) or _bad_top(request, limits)


def refuse(request: Request, message: str) -> list[Outcome]:
    """The outcomes of a request that can never work."""
    return [Failure(key, "invalid", message) for key in request.keys]


def _bad_prompt(request: Request, limits: EngineLimits) -> str | None:
    num_prompt, max_tokens = len(request.prompt), request.sampling.max_tokens
    if num_prompt == 0:
        return "the prompt is empty; expected at least one token id"
    lowest, highest = int(request.prompt.min()), int(request.prompt.max())
    if lowest < 0 or highest >= limits.vocab_size:
        return (
            f"the prompt holds token ids {lowest} to {highest}; "
            f"expected ids from 0 to {limits.vocab_size - 1}"
        )
    if num_prompt + max_tokens > limits.context:
        return (
            f"{num_prompt} prompt tokens and max_tokens {max_tokens} do not fit into the "
            f"context of {limits.context} tokens; raise model.context or lower max_tokens"
        )
    return None


def _bad_sampling(request: Request) -> str | None:
    sampling = request.sampling
    bounds = {
        "n": request.n >= 1,
        "first_child": request.first_child >= 0,
        "max_tokens": sampling.max_tokens >= 1,
        "temperature": 0.0 <= sampling.temperature <= 2.0,
        "top_p": 0.0 < sampling.top_p <= 1.0,
        "top_k": sampling.top_k >= 0,
        "min_p": 0.0 <= sampling.min_p <= 1.0,
        "repetition_penalty": 0.0 < sampling.repetition_penalty <= 2.0,
        "stop_strings": all(sampling.stop_strings),
    }
    broken = [name for name, holds in bounds.items() if not holds]
    if not broken:
        return None
    name = broken[0]
    found = getattr(request, name) if hasattr(request, name) else getattr(sampling, name)
    return f"{name} is {found}, which no engine supports"


def _bad_top(request: Request, limits: EngineLimits) -> str | None:
    asked = request.sampling.top_logprobs
    if 0 <= asked <= limits.max_top_logprobs:
        return None
    return f"top_logprobs is {asked}; this engine gives 0 to {limits.max_top_logprobs}"
