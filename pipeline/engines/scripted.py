"""An engine without a model, for rehearsals and tests.

Speaks the dialect of `pipeline.dialects.scripted`: a token is a UTF-8 byte. What a child says
depends on its seed alone, never on the engine, the order, or the clock, so a run that lost
engines ends with the rows of one that did not.
"""

import threading
import time
from collections import deque
from itertools import count

import numpy as np

from pipeline.engines.scripted_author import VOCAB_SIZE, Author, Turn
from pipeline.engines.scripted_config import ScriptedConfig
from pipeline.engines.scripted_delivery import Delivery
from pipeline.engines.scripted_logprobs import TOKEN_LOGPROB, scripted_top_logprobs
from pipeline.engines.validity import EngineLimits, refuse, why_invalid
from schemas.errors import EngineError
from schemas.records import (
    ChildKey,
    Completion,
    EngineReport,
    EngineStats,
    Failure,
    Outcome,
    Request,
    Sampling,
)

__all__ = ["TOKEN_LOGPROB", "WEIGHTS", "ScriptedConfig", "ScriptedEngine"]

WEIGHTS = "scripted"

_HANG_S = 0.01
"""A step in which nothing happens takes this long, so that it does not keep a CPU busy."""


class ScriptedEngine:
    """Runs up to `max_num_seqs` children at once; each takes the steps its length asks for."""

    def __init__(self, config: ScriptedConfig, incarnation: int = 0) -> None:
        self._config = config
        self._incarnation = incarnation
        self._faulty = config.faulty(incarnation)
        self._poison = config.poison.encode() if config.poison and self._faulty else None
        self._delivery = _delivery(config) if self._faulty else None
        self._author = Author(config)
        self._limits = EngineLimits(config.context, VOCAB_SIZE, max_top_logprobs=VOCAB_SIZE)
        self._own_seeds = count(incarnation << 48)
        self._refused: list[Outcome] = []
        self._waiting: deque[Request] = deque()
        self._num_waiting = 0
        self._running: dict[int, list[Outcome]] = {}
        """Outcomes by the step that finishes them."""
        self._num_running = 0
        self._finished = 0
        self._steps = 0
        self._tokens = 0
        self._prompt_tokens = 0
        self._cached_tokens = 0
        self._closed = False

    def start(self) -> EngineReport:
        """Load nothing."""
        time.sleep(self._config.load_s)
        if self._config.hang_start and self._faulty:
            threading.Event().wait()
        if self._config.fail_start and self._faulty:
            raise EngineError(
                f"the scripted engine (incarnation {self._incarnation}) fails to start, as its "
                "section `scripted` asks with fail_start"
            )
        return EngineReport(
            backend="scripted",
            backend_version="1",
            weights=WEIGHTS,
            device="none",
            dtype="none",
            sampler="seeded phrases",
        )

    def add(self, request: Request) -> None:
        """Take a request in."""
        if self._closed:
            raise EngineError("the scripted engine is closed; start a new one")
        if (reason := why_invalid(request, self._limits)) is not None:
            self._refused += refuse(request, reason)
            return
        self._waiting.append(request)
        self._num_waiting += request.n

    def step(self) -> list[Outcome]:
        """Advance all running children by `tokens_per_step`."""
        outcomes, self._refused = self._refused, []
        if not self.has_work() or self._hangs():
            return outcomes
        self._die_if_asked()
        self._admit()
        self._steps += 1
        if self._config.step_s:
            time.sleep(self._config.step_s)
        done = self._running.pop(self._steps, [])
        self._num_running -= len(done)
        self._finished += len(done)
        done = done if self._delivery is None else self._delivery.hand_out(self._steps, done)
        return outcomes + done if outcomes else done

    def has_work(self) -> bool:
        """Whether a step could yield anything."""
        return bool(self._refused or self._num_running or self._num_waiting or self._delivery)

    def stats(self) -> EngineStats:
        """Counters since the start."""
        return EngineStats(
            running=self._num_running,
            waiting=self._num_waiting,
            kv_use=self._num_running / self._config.max_num_seqs,
            steps=self._steps,
            tokens=self._tokens,
            prompt_tokens=self._prompt_tokens,
            cached_tokens=self._cached_tokens,
        )

    def close(self) -> None:
        """Drop all work."""
        self._closed = True
        self._refused, self._running = [], {}
        self._delivery = None
        self._waiting.clear()
        self._num_running = self._num_waiting = 0

    def _hangs(self) -> bool:
        limit = self._config.hang_after
        hangs = self._faulty and limit is not None and self._finished >= limit
        if hangs:
            time.sleep(_HANG_S)
        return hangs

    def _die_if_asked(self) -> None:
        limit = self._config.die_after
        if self._faulty and limit is not None and self._finished >= limit:
            raise EngineError(
                f"the scripted engine (incarnation {self._incarnation}) dies after "
                f"{self._finished} children, as its section `scripted` asks with die_after"
            )

    def _admit(self) -> None:
        """Start waiting children while there are free slots."""
        free = self._config.max_num_seqs - self._num_running
        while free > 0 and self._waiting:
            request = self._waiting.popleft()
            self._refuse_poison(request)
            if request.n > free:
                request, rest = request.cut(free)
                self._waiting.appendleft(rest)
            self._run(request)
            free -= request.n

    def _refuse_poison(self, request: Request) -> None:
        if self._poison is None:
            return
        prompt = request.prompt[request.prompt < 256].astype(np.uint8).tobytes()
        if self._poison in prompt:
            raise EngineError(
                f"the scripted engine (incarnation {self._incarnation}) dies of the prompt of "
                f"parent {request.parent_id}, as its section `scripted` asks with poison"
            )

    def _run(self, request: Request) -> None:
        sampling, per_step = request.sampling, self._config.tokens_per_step
        self._num_waiting -= request.n
        self._num_running += request.n
        self._prompt_tokens += request.n * len(request.prompt)
        self._cached_tokens += (request.n - 1) * len(request.prompt)
        for index in range(request.first_child, request.first_child + request.n):
            seed = next(self._own_seeds) if request.seed is None else request.seed + index
            turn = self._author.write(seed, sampling, request.kind)
            self._tokens += turn.num_sampled
            last_step = self._steps + max(1, -(-turn.num_sampled // per_step))
            key = ChildKey(request.parent_id, request.kind, index)
            outcome = _outcome(key, turn, sampling)
            self._running.setdefault(last_step, []).append(outcome)


def _delivery(config: ScriptedConfig) -> Delivery | None:
    if not (config.repeat_share or config.late_share):
        return None
    return Delivery(repeat_share=config.repeat_share, late_share=config.late_share)


def _outcome(key: ChildKey, turn: Turn, sampling: Sampling) -> Outcome:
    if turn.failed:
        return Failure(key, "engine", "the scripted engine fails this child, as asked")
    num_tokens = len(turn.token_ids)
    return Completion(
        key,
        turn.token_ids,
        turn.text,
        turn.finish_reason,
        turn.stop_id,
        None if sampling.logprobs == "none" else TOKEN_LOGPROB * num_tokens,
        np.full(num_tokens, TOKEN_LOGPROB, np.float32) if sampling.logprobs == "tokens" else None,
        scripted_top_logprobs(turn, sampling.top_logprobs) if sampling.top_logprobs else None,
    )
