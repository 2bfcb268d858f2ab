"""A few tokens before any work: whether an engine that has loaded computes what it should.

Weights that are no numbers, kernels that do not fit the device, a build without its tokenizer: all
load without a word, and would fill a run with noise. Looked at is only what holds for every model.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.engines.engine import Engine
from schemas.errors import ArboristError, EngineError
from schemas.records import (
    Completion,
    EngineReport,
    EngineStats,
    Failure,
    Ids,
    Outcome,
    Request,
    Sampling,
)

MOST_TOKENS = 8
SIBLINGS = 8
"""Children with a seed each, asked twice."""
FEWEST_ALIKE = SIBLINGS // 2
"""First tokens of the same seed. Kernels add up in another order when a prompt is in the cache,
which turns a token now and then; seeds that are not heard leave chance only."""
SLACK = 0.1
"""Rounding of a log-probability."""

_TRY = (
    "Expected a sound build and whole weights: see whether `arborist probe` finds the same, "
    "compare the model's files with their source, try another data type "
    "(generation.model.dtype, which makes another run) or another attention backend "
    "(args.attention_backend), or install versions that were tested together."
)


class Trial(NamedTuple):
    """What an engine is asked for."""

    prompt: Ids
    """What stands before a turn in the run."""
    vocab_size: int
    seeded: bool
    """Whether the run promises that the same seed says the same."""


class TestedEngine:
    """An engine that has passed its test once it has started."""

    __test__ = False
    """Not what pytest takes it for by its name."""

    def __init__(self, engine: Engine, trial: Trial) -> None:
        self._engine, self._trial = engine, trial
        self._before = EngineStats()
        """What the test has counted, which is no work."""

    def start(self) -> EngineReport:
        """Load, and be tested."""
        report = self._engine.start()
        require_sound(self._engine, self._trial)
        self._before = self._engine.stats()
        return report

    def add(self, request: Request) -> None:
        """Take a request in."""
        self._engine.add(request)

    def step(self) -> list[Outcome]:
        """Advance, and hand out what is finished."""
        return self._engine.step()

    def has_work(self) -> bool:
        """Whether a step could yield anything."""
        return self._engine.has_work()

    def stats(self) -> EngineStats:
        """Counters since the test."""
        now, before = self._engine.stats(), self._before
        return now._replace(
            steps=now.steps - before.steps,
            tokens=now.tokens - before.tokens,
            prompt_tokens=now.prompt_tokens - before.prompt_tokens,
            cached_tokens=now.cached_tokens - before.cached_tokens,
        )

    def close(self) -> None:
        """Free the device."""
        self._engine.close()


def require_sound(engine: Engine, trial: Trial) -> None:
    """Raise `EngineError` with what was seen, if an engine that has started computes nonsense."""
    try:
        wrong = _what_is_wrong(engine, trial)
    except ArboristError:
        raise
    # A build that breaks raises whatever its libraries do.
    except Exception as error:
        raise EngineError(
            f"The engine broke in its self-test: {type(error).__name__}: {error}. {_TRY}"
        ) from error
    if wrong:
        raise EngineError(f"The engine has loaded, but fails its self-test: {wrong}. {_TRY}")


def _what_is_wrong(engine: Engine, trial: Trial) -> str | None:
    likely = _asked(engine, _request(trial, 1, temperature=0.0))
    first = _asked(engine, _request(trial, SIBLINGS, temperature=1.0))
    again = _asked(engine, _request(trial, SIBLINGS, temperature=1.0))
    for outcome in (*likely, *first, *again):
        if isinstance(outcome, Failure):
            return f"a request failed ({outcome.reason}): {outcome.message}"
    made = [outcome for outcome in (*likely, *first, *again) if isinstance(outcome, Completion)]
    return (
        _bad_ids(made, trial.vocab_size)
        or _bad_logprobs(made)
        or _bad_likeliest(made[: len(likely)], trial.vocab_size)
        or _bad_text(made)
        or (_bad_seeds(first, again) if trial.seeded else None)
    )


def _request(trial: Trial, n: int, *, temperature: float) -> Request:
    sampling = Sampling(
        MOST_TOKENS, temperature=temperature, logprobs="tokens", ignore_eos=True, stop_ids=()
    )
    return Request("self-test", "self-test", 0, n, trial.prompt, sampling, seed=1)


def _asked(engine: Engine, request: Request) -> list[Outcome]:
    """Its outcomes, in order."""
    engine.add(request)
    outcomes: list[Outcome] = []
    while engine.has_work():
        outcomes += engine.step()
    if sorted(outcome.key for outcome in outcomes) != request.keys:
        return [Failure(request.keys[0], "engine", f"{len(outcomes)} outcomes of {request.n}")]
    return sorted(outcomes, key=lambda outcome: outcome.key)


def _bad_ids(made: Sequence[Completion], vocab_size: int) -> str | None:
    for completion in made:
        ids = completion.token_ids
        if len(ids) and not 0 <= ids.min() <= ids.max() < vocab_size:
            return f"it made the token ids {ids.tolist()}, of a vocabulary of {vocab_size}"
    if not any(len(completion.token_ids) for completion in made):
        return "it made no token at all, though it was to go on past the end of its text"
    return None


def _bad_logprobs(made: Sequence[Completion]) -> str | None:
    for completion in made:
        logprobs = completion.token_logprobs
        if logprobs is None or not np.isfinite(logprobs).all() or (logprobs > SLACK).any():
            found = None if logprobs is None else [round(float(value), 3) for value in logprobs]
            return (
                f"the log-probabilities of the tokens {completion.token_ids.tolist()} are {found}, "
                "expected finite numbers up to 0"
            )
    return None


def _bad_likeliest(greedy: Sequence[Completion], vocab_size: int) -> str | None:
    """At least as likely as all tokens would be if they were equally so."""
    least = -math.log(vocab_size)
    for completion in greedy:
        assert completion.token_logprobs is not None
        worst = min(completion.token_logprobs.tolist(), default=0.0)
        if worst < least - SLACK:
            return (
                f"a token that it says is the most likely has the log-probability {worst:.3f}, "
                f"but among {vocab_size} one has {least:.3f} at least"
            )
    return None


def _bad_text(made: Sequence[Completion]) -> str | None:
    if any(completion.text for completion in made):
        return None
    return f"its tokens are no text: {made[0].token_ids.tolist()} and all others decode to ''"


def _bad_seeds(first: Sequence[Outcome], again: Sequence[Outcome]) -> str | None:
    pairs = list(zip(map(_first_id, first), map(_first_id, again), strict=True))
    alike = sum(one == other for one, other in pairs)
    if alike >= FEWEST_ALIKE:
        return None
    return (
        f"asked twice with the same {len(pairs)} seeds, it began {alike} times with the same "
        f"token, but the run is to be seeded (generation.guarantee): {pairs}"
    )


def _first_id(outcome: Outcome) -> int | None:
    assert isinstance(outcome, Completion)
    return int(outcome.token_ids[0]) if len(outcome.token_ids) else None
