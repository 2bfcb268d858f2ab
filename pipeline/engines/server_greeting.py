"""What can be seen of a running server before it is given work, and what has to fit.

Its weights cannot be seen: they are believed to be those of the model that the group names, and
the report says so. Its name, its context, its tokenizer, that it returns token ids, and what its
log-probabilities are can be seen, and are.
"""

import logging
import math
from typing import Any, NamedTuple

from pipeline.engines.server_client import Message, Passing, Refused, ServerClient
from pipeline.engines.server_config import Codec, ServerConfig
from schemas.errors import EngineError, EnvironmentMismatch, ModelError

_log = logging.getLogger(__name__)

PROBE = "Naïve café, 東京 in 2024:\tdon't stop...  \n\nE = mc², or 3.14159 🌳 «да»?"
"""Tokenizers that agree on this are taken for the same."""

_HOT = 2.0
_UNLIKE = 0.3
"""Between the best log-probabilities of two temperatures; kernels alone differ by far less."""


class Greeting(NamedTuple):
    """A server that fits."""

    name: str
    """Under which the model is served."""
    version: str


async def greet(client: ServerClient, config: ServerConfig, codec: Codec) -> Greeting:
    """Look at the server; raises where it does not fit."""
    served = await client.await_server("/v1/models")
    entry = _chosen(served, config)
    _require_context(entry, config)
    name = str(entry["id"])
    try:
        ids = await _require_tokenizer(client, name, config, codec)
        await _require_logprobs(client, name, config, ids)
        return Greeting(name, await _version(client))
    except Refused as error:
        raise ModelError(
            f"{config.root}: the server refuses a request of one token: {error}. Expected "
            "`vllm serve` with a tokenizer"
            f"{_and_top(config.top_logprobs)}."
        ) from error
    except Passing as error:
        raise EngineError(f"The server at {config.root} failed at the start: {error}") from error


def _chosen(served: Message, config: ServerConfig) -> Message:
    """The entry of the model that is meant."""
    entries = [entry for entry in served.get("data") or () if isinstance(entry, dict)]
    names = [str(entry.get("id")) for entry in entries]
    if config.name is None and len(entries) == 1:
        return entries[0]
    if config.name in names:
        return entries[names.index(config.name)]
    wanted = "one, or `server.name` to say which" if config.name is None else repr(config.name)
    raise ModelError(
        f"{config.root}: serves {', '.join(map(repr, names)) or 'no model'}; expected {wanted}."
    )


def _require_context(entry: Message, config: ServerConfig) -> None:
    found = entry.get("max_model_len")
    if isinstance(found, int) and found < config.context:
        raise ModelError(
            f"{config.root}: serves {entry['id']!r} with a context of {found} tokens, but "
            f"model.context is {config.context}. Start the server with --max-model-len "
            f"{config.context}, or lower model.context, which makes another run."
        )


async def _require_tokenizer(
    client: ServerClient, name: str, config: ServerConfig, codec: Codec
) -> list[int]:
    """The ids of the probe, which the server must agree on."""
    choice = await _one_token(client, name, PROBE, temperature=0.0)
    ours, found = list(codec.encode(PROBE)), choice.get("prompt_token_ids")
    if found is None or not choice.get("token_ids"):
        raise EnvironmentMismatch(
            f"{config.root}: the server returns text, but no token ids, without which rows cannot "
            "be exact. Expected vLLM's server, which knows `return_token_ids` since 0.10.2."
        )
    if found != ours:
        same = (one == other for one, other in zip(ours, found, strict=False))
        where = next((place for place, agree in enumerate(same) if not agree), len(ours))
        raise ModelError(
            f"{config.root}: {name!r} has another tokenizer than the model that the engine group "
            f"names: the ids of one text differ from place {where} on ({found[where : where + 4]}, "
            f"expected {ours[where : where + 4]}). Name the directory of the model that is served."
        )
    return ours


async def _require_logprobs(
    client: ServerClient, name: str, config: ServerConfig, prompt: list[int]
) -> None:
    """That they are what the model believes, before temperature; as many as may be asked for."""
    top = max(1, config.top_logprobs)
    cold, hot = [
        _best(await _one_token(client, name, prompt, temperature=temperature, logprobs=top))
        for temperature in (0.0, _HOT)
    ]
    # What is no number is the self-test's to tell about.
    if math.isfinite(cold) and math.isfinite(hot) and abs(cold - hot) > _UNLIKE:
        raise EnvironmentMismatch(
            f"{config.root}: its log-probabilities change with the temperature ({cold:.3f} and "
            f"{hot:.3f} for one token), but rows hold what the model believes before it. Start "
            "the server with --logprobs-mode raw_logprobs."
        )


async def _one_token(
    client: ServerClient, name: str, prompt: str | list[int], **sampling: Any
) -> Message:
    asked = {
        "model": name,
        "prompt": prompt,
        "max_tokens": 1,
        "seed": 0,
        "top_p": 1.0,
        "top_k": 0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "add_special_tokens": False,
        "return_token_ids": True,
        "return_tokens_as_token_ids": True,
    }
    answer = await client.post("/v1/completions", asked | sampling)
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices:
        raise Refused(f"found no choices in the answer {str(answer)[:200]}")
    choice: Message = choices[0]
    return choice


def _best(choice: Message) -> float:
    listed = ((choice.get("logprobs") or {}).get("top_logprobs") or [None])[0] or {}
    found = [value for value in listed.values() if value is not None]
    return max(found, default=math.nan)


async def _version(client: ServerClient) -> str:
    """vLLM's; other servers and gateways do not tell."""
    try:
        return f"vllm {(await client.get('/version')).get('version', 'of unknown version')}"
    except (EngineError, Refused, Passing) as error:
        _log.info("the server does not tell its version: %s", error)
        return "of unknown version"


def _and_top(top: int) -> str:
    return f" and --max-logprobs {top} or more" if top else ""
