"""An engine over a running server: token ids go in and come out over HTTP.

Every child is a request of its own, with the seed that it would have in one for all its siblings:
so each is handed out when it is finished. Requests are held by an event loop in a thread of its
own; the thread that steps the engine only takes in what has come.
"""

import asyncio
import secrets
import threading
from collections import Counter, deque
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from pipeline.engines.server_client import Refused, ServerClient
from pipeline.engines.server_config import Codec, ServerConfig
from pipeline.engines.server_greeting import Greeting, greet
from pipeline.engines.server_outcome import Answer, body
from pipeline.engines.validity import EngineLimits, refuse, why_invalid
from schemas.errors import EngineError
from schemas.records import ChildKey, EngineReport, EngineStats, Failure, Outcome, Request

__all__ = ["Codec", "ServerConfig", "ServerEngine"]

T = TypeVar("T")

_TICK_S = 0.05
"""How long a step waits for a child to finish."""
_FAREWELL_S = 5.0


class ServerEngine:
    """One model on one server that somebody else started."""

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self._client = ServerClient(config)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="server", daemon=True)
        self._free = asyncio.Semaphore(config.concurrency)
        self._greeting: Greeting | None = None
        self._codec: Codec | None = None
        self._limits = EngineLimits(config.context, config.vocab_size, config.top_logprobs)
        self._inbox: deque[Request] = deque()
        self._refused: list[Outcome] = []
        self._under_way = 0
        """Children that were sent, or wait to be, and were not handed out."""
        self._news = threading.Condition()
        """Guards what follows, which both threads touch."""
        self._finished: list[Outcome] = []
        self._error: BaseException | None = None
        self._counts: Counter[str] = Counter()
        self._seen = 0
        """Messages before the last step."""
        self._steps = 0

    def start(self) -> EngineReport:
        """Look at the server, and load the tokenizer of its model."""
        self._codec = self._config.load_codec()
        self._thread.start()
        self._on_loop(self._client.open()).result()
        greeting = self._on_loop(greet(self._client, self._config, self._codec)).result()
        self._greeting = greeting
        return EngineReport(
            backend="server",
            backend_version=greeting.version,
            weights=self._config.weights,
            device="not seen",
            dtype="not seen",
            sampler="not seen; weights believed",
        )

    def add(self, request: Request) -> None:
        """Take a request in."""
        if self._greeting is None:
            raise EngineError("the engine over a server is not started, or was closed")
        if (reason := why_invalid(request, self._limits)) is not None:
            self._refused += refuse(request, reason)
        else:
            self._inbox.append(request)

    def step(self) -> list[Outcome]:
        """Send what waits, and take in what has come."""
        outcomes, self._refused = self._refused, []
        while self._inbox:
            self._send(self._inbox.popleft())
        if not self._under_way:
            return outcomes
        with self._news:
            self._news.wait_for(lambda: self._finished or self._error, 0 if outcomes else _TICK_S)
            if self._error is not None:
                raise self._error
            finished, self._finished = self._finished, []
            # A server that says nothing more stands still, however often it is asked.
            self._steps += self._counts["messages"] > self._seen
            self._seen = self._counts["messages"]
        self._under_way -= len(finished)
        return outcomes + finished

    def has_work(self) -> bool:
        """Whether a step could yield anything."""
        return bool(self._inbox or self._refused or self._under_way)

    def stats(self) -> EngineStats:
        """Counters since the start."""
        inbox = sum(request.n for request in self._inbox)
        with self._news:
            counts = self._counts
            return EngineStats(
                running=counts["running"],
                waiting=inbox + self._under_way - counts["running"],
                steps=self._steps,
                tokens=counts["tokens"],
                prompt_tokens=counts["prompt_tokens"],
                cached_tokens=counts["cached_tokens"],
            )

    def close(self) -> None:
        """Hang up."""
        self._greeting = None
        self._inbox.clear()
        self._refused, self._under_way = [], 0
        if self._thread.is_alive():
            self._on_loop(self._hang_up())
            self._thread.join(_FAREWELL_S)
        if not self._loop.is_running():
            self._loop.close()

    def _on_loop(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _send(self, request: Request) -> None:
        prompt = request.prompt.tolist()
        for key in request.keys:
            # Servers with one seed of their own would repeat each other.
            seed = secrets.randbits(63) if request.seed is None else request.seed + key.child_index
            self._under_way += 1
            child = self._on_loop(self._answer(key, request, prompt, seed % 2**63))
            child.add_done_callback(self._note_end)

    # On the event loop.

    async def _answer(self, key: ChildKey, request: Request, prompt: list[int], seed: int) -> None:
        assert self._greeting is not None and self._codec is not None
        asked = body(self._greeting.name, prompt, request.sampling, seed)
        async with self._free:
            self._note(running=1)
            try:
                answer = await self._client.stream(
                    "/v1/completions",
                    asked,
                    lambda: Answer(key, prompt, request.sampling, self._note_message),
                )
            except Refused as error:
                self._finish(Failure(key, "invalid", f"the server refuses it: {error}"))
            else:
                self._note(prompt_tokens=len(prompt), cached_tokens=answer.cached_tokens)
                self._finish(answer.outcome(self._codec.decode))
            finally:
                self._note(running=-1)

    def _note_message(self, tokens: int) -> None:
        self._note(messages=1, tokens=tokens)

    def _note(self, **more: int) -> None:
        with self._news:
            self._counts.update(more)

    def _finish(self, outcome: Outcome) -> None:
        with self._news:
            self._finished.append(outcome)
            self._counts["messages"] += 1
            self._news.notify_all()

    def _note_end(self, child: "Future[None]") -> None:
        if child.cancelled():
            return
        error = child.exception()
        if error is not None and not isinstance(error, CancelledError):
            with self._news:
                self._error = self._error or error
                self._news.notify_all()

    async def _hang_up(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.close()
        self._loop.stop()
