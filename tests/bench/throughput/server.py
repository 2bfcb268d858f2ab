"""Arm `server`: vLLM's own server and an asynchronous client, each subtree a coroutine.

No level waits for another: a turn's children are asked for as soon as it is there, and a bound on
open requests is all that holds them. So tools that generate through servers do it.
"""

import asyncio
import time
from typing import Any

from tests.bench.throughput.growing import Asked, Grower
from tests.bench.throughput.machine import server_command
from tests.bench.throughput.record import Finish, Record, Step
from tests.bench.throughput.setup import Setup
from tests.bench.throughput.spec import make_spec
from tests.vllm_server import on_cpu, vllm_server

START_S = 600.0
NAME = "it"


def measure(setup: Setup) -> Record:
    """One run."""
    from jobs.wiring import resolve

    resolved = resolve(make_spec(setup, "memory://bench-throughput"))
    options = [*server_command(setup), "--served-model-name", NAME]
    environment = on_cpu(setup.cpus) if setup.device == "cpu" else {}
    with vllm_server(*options, environment=environment, start_s=START_S) as (url, _):
        return asyncio.run(Client(url, Grower(resolved, setup), setup).run())


class Client:
    """Asks for whole trees."""

    def __init__(self, url: str, grower: Grower, setup: Setup) -> None:
        self._url, self._grower, self._setup = url, grower, setup
        self._free = asyncio.Semaphore(setup.concurrency)
        self._record = Record()
        self._open = 0
        self._since = 0.0
        """When the number of open requests changed last."""

    async def run(self) -> Record:
        """Grow them."""
        from aiohttp import ClientSession, ClientTimeout, TCPConnector

        limits = {"timeout": ClientTimeout(total=None), "connector": TCPConnector(limit=0)}
        async with ClientSession(**limits) as self._session:
            roots = self._grower.first()
            await self._ask({"model": NAME, "prompt": list(range(1000, 1040)), "max_tokens": 8})
            self._record.begin()
            self._since = self._record.begun
            await asyncio.gather(*map(self._subtree, roots))
            self._record.end()
        return self._record

    async def _subtree(self, asked: Asked) -> None:
        async with self._free:
            self._count(1)
            answer = await self._ask(_body(asked))
            ended = self._count(-1)
        said = self._take(asked, answer, ended)
        await asyncio.gather(*map(self._subtree, self._grower.below(asked, said)))

    async def _ask(self, body: dict[str, Any]) -> dict[str, Any]:
        async with self._session.post(f"{self._url}/v1/completions", json=body) as answer:
            if answer.status != 200:
                raise RuntimeError(f"the server refuses: {await answer.text()}")
            return await answer.json()

    def _count(self, change: int) -> float:
        """When another request is open, or one less. The engine is not seen from here: it is
        believed to run what it has slots for."""
        now = time.perf_counter()
        running = min(self._open, self._setup.slots)
        self._record.steps.append(Step(self._since, now, running))
        self._open, self._since = self._open + change, now
        return now

    def _take(self, asked: Asked, answer: dict[str, Any], ended: float) -> list[int]:
        """What was said, without its terminator."""
        (choice,), usage, record = answer["choices"], answer["usage"], self._record
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        record.prompts.append(asked.prompt)
        record.prompt_computed += len(asked.prompt) - cached
        record.output_tokens += len(choice["token_ids"])
        record.finishes.append(Finish(ended, asked.level))
        return choice["token_ids"][: -1 if choice["finish_reason"] == "stop" else None]


def _body(asked: Asked) -> dict[str, Any]:
    sampling = asked.sampling
    body = {
        "model": NAME,
        "prompt": asked.prompt,
        "seed": asked.seed,
        "max_tokens": asked.most,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "stop": list(sampling.stop_strings),
        "stop_token_ids": list(sampling.stop_ids),
        "logprobs": None if sampling.logprobs == "none" else 0,
        "skip_special_tokens": False,
        "add_special_tokens": False,
        "return_token_ids": True,
    }
    forced = {"min_tokens": asked.length, "ignore_eos": True} if asked.length else {}
    return body | forced
