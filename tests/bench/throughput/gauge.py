"""Watches vLLM's engine in this process, and makes each turn as long as it is to be.

It stands around `LLMEngine`, which the product and `LLM` both feed and step, and knows a turn by
its seed. Requests of no place in the trees (warming up, self-tests) pass unseen.
"""

import time
from collections.abc import Mapping
from typing import Any

from tests.bench.throughput.lengths import Turn
from tests.bench.throughput.record import Finish, Record, Step


class Gauge:
    """Between whoever wants turns and the engine."""

    def __init__(self, turns: Mapping[int, Turn], record: Record) -> None:
        self._turns, self._record = turns, record
        self._under_way: dict[str, Turn] = {}
        """By the engine's name for it."""

    def install(self) -> None:
        """For all engines of this process that are made later."""
        from vllm.v1.engine.llm_engine import LLMEngine

        add, step = LLMEngine.add_request, LLMEngine.step

        def add_request(engine: Any, name: str, prompt: Any, params: Any, **more: Any) -> str:
            self._note_request(name, prompt, params)
            return add(engine, name, prompt, params, **more)

        def timed_step(engine: Any) -> list[Any]:
            if not self._under_way:
                return step(engine)
            begun, there = time.perf_counter(), len(self._under_way)
            outputs = step(engine)
            ended = time.perf_counter()
            finished = [output for output in outputs if output.finished]
            running = _running(engine, there - len(finished)) + len(finished)
            self._record.steps.append(Step(begun, ended, running))
            for output in finished:
                self._note_end(output, ended)
            return outputs

        LLMEngine.add_request, LLMEngine.step = add_request, timed_step

    def _note_request(self, name: str, prompt: Any, params: Any) -> None:
        turn = self._turns.get(params.seed)
        if turn is None:
            return
        if turn.length is not None:
            params.min_tokens = params.max_tokens = turn.length
            params.ignore_eos = True
        self._under_way[name] = turn
        self._record.prompts.append(prompt["prompt_token_ids"])

    def _note_end(self, output: Any, now: float) -> None:
        turn = self._under_way.pop(output.request_id, None)
        if turn is None:
            return
        record = self._record
        record.finishes.append(Finish(now, turn.level))
        record.output_tokens += len(output.outputs[0].token_ids)
        record.prompt_computed += len(output.prompt_token_ids) - (output.num_cached_tokens or 0)


def _running(engine: Any, there: int) -> int:
    """After a step; of a core in another process it is not known how many wait."""
    core = getattr(engine.engine_core, "engine_core", None)
    return there if core is None else core.scheduler.get_request_counts()[0]
