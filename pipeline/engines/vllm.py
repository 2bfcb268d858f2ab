"""vLLM, its core in this process, fed and stepped by one thread.

Every child is a request of its own to vLLM, with the seed that vLLM would give it as one of n:
so each is handed out when it is finished, not when the slowest of its siblings is. Siblings
share their prompt through the prefix cache either way.
"""

import secrets
import threading
from collections import deque
from subprocess import SubprocessError
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.engines.adapter import lora_request
from pipeline.engines.distribution import require_one_vllm
from pipeline.engines.trim import Decode
from pipeline.engines.validity import EngineLimits, refuse, why_invalid
from pipeline.engines.vllm_load import load_vllm
from pipeline.engines.vllm_outcome import outcome, sampling_params
from pipeline.engines.vllm_report import decoder, engine_report
from pipeline.engines.vllm_settings import VllmConfig, set_environment
from pipeline.engines.weights import weights_digest
from schemas.errors import EngineError
from schemas.records import ChildKey, EngineReport, EngineStats, Failure, Outcome, Request, Sampling

if TYPE_CHECKING:
    from vllm.config import ModelConfig
    from vllm.lora.request import LoRARequest
    from vllm.v1.engine.llm_engine import LLMEngine

__all__ = ["VllmConfig", "VllmEngine"]

LOAD_ERRORS = (ImportError, OSError, RuntimeError, SubprocessError, TypeError, ValueError)
_ONE_A_PROCESS = threading.Lock()
"""vLLM keeps its groups and the batch at hand in module globals, so engines would mix them up."""


class _Child(NamedTuple):
    """A child that vLLM is at work on."""

    key: ChildKey
    sampling: Sampling
    num_prompt: int


class VllmEngine:
    """One model on one device group."""

    def __init__(self, config: VllmConfig) -> None:
        self._config = config
        self._engine: LLMEngine | None = None
        self._decode: Decode | None = None
        self._limits = EngineLimits(config.context, 0, 0)
        self._adapter: LoRARequest | None = None
        self._inbox: deque[Request] = deque()
        self._refused: list[Outcome] = []
        self._children: dict[str, _Child] = {}
        """By the id that vLLM knows them by."""
        self._holds_process = False
        self._num_submitted = 0
        self._steps = 0
        self._tokens = 0
        self._prompt_tokens = 0
        self._cached_tokens = 0

    def start(self) -> EngineReport:
        """Load the model."""
        installed = require_one_vllm()
        code = bool(self._config.args.get("trust_remote_code"))
        weights = weights_digest(self._config.model, self._config.adapter, code=code)
        self._hold_process()
        set_environment(self._config)
        engine = self._load()
        self._limits = _limits(engine.model_config)
        self._decode = decoder(engine.get_tokenizer())
        return engine_report(engine, installed, weights)

    def add(self, request: Request) -> None:
        """Take a request in."""
        self.loaded()
        if (reason := why_invalid(request, self._limits)) is not None:
            self._refused += refuse(request, reason)
        else:
            self._inbox.append(request)

    def step(self) -> list[Outcome]:
        """Hand waiting requests to vLLM, and let it sample a token of each running child."""
        engine = self.loaded()
        while self._inbox:
            self._submit(engine, self._inbox.popleft())
        outcomes, self._refused = self._refused, []
        if self._children:
            outputs = engine.step()
            self._steps += 1
            outcomes += [self._finish(output) for output in outputs if output.finished]
        return outcomes

    def has_work(self) -> bool:
        """Whether a step could yield anything."""
        return bool(self._inbox or self._refused or self._children)

    def stats(self) -> EngineStats:
        """Counters since the start."""
        running, waiting, kv_use = 0, 0, 0.0
        if self._engine is not None:
            scheduler = self._engine.engine_core.engine_core.scheduler
            running, waiting = scheduler.get_request_counts()
            kv_use = scheduler.get_kv_cache_usage()
        return EngineStats(
            running=running,
            waiting=waiting + sum(request.n for request in self._inbox),
            kv_use=kv_use,
            steps=self._steps,
            tokens=self._tokens,
            prompt_tokens=self._prompt_tokens,
            cached_tokens=self._cached_tokens,
        )

    def close(self) -> None:
        """Free the device."""
        engine, self._engine = self._engine, None
        self._inbox.clear()
        self._refused, self._children = [], {}
        if engine is not None:
            engine.engine_core.shutdown()
        self._free_process()

    def loaded(self) -> "LLMEngine":
        """What vLLM itself calls an engine."""
        if self._engine is None:
            raise EngineError("the vLLM engine is not started, or was closed")
        return self._engine

    def _hold_process(self) -> None:
        if not _ONE_A_PROCESS.acquire(blocking=False):
            raise EngineError(
                "a process holds one vLLM engine at most, and this one has one already; "
                "expected replicas: 1 with pool: local, or pool: ray, where every engine has "
                "a process of its own."
            )
        self._holds_process = True

    def _free_process(self) -> None:
        if self._holds_process:
            self._holds_process = False
            _ONE_A_PROCESS.release()

    def _load(self) -> "LLMEngine":
        # Engines that draw their own seeds must not repeat each other, here or in a later attempt.
        seed = secrets.randbits(31)
        try:
            self._engine = load_vllm(self._config, seed)
            self._load_adapter(self._engine)
            return self._engine
        except LOAD_ERRORS as error:
            self.close()
            adapter = f" with {self._config.adapter}" if self._config.adapter else ""
            raise EngineError(
                f"vLLM could not load {self._config.model}{adapter}: "
                f"{type(error).__name__}: {error}"
            ) from error

    def _load_adapter(self, engine: "LLMEngine") -> None:
        """Before the first request asks for it, which would be the one to fail."""
        if self._config.adapter is not None:
            self._adapter = lora_request(self._config.adapter)
            engine.add_lora(self._adapter)

    def _submit(self, engine: "LLMEngine", request: Request) -> None:
        params = sampling_params(request.sampling)
        prompt = request.prompt.tolist()
        for key in request.keys:
            # vLLM takes a copy of the parameters, and would take a name twice without a word.
            if request.seed is not None:
                params.seed = (request.seed + key.child_index) % 2**63
            name = str(self._num_submitted)
            self._num_submitted += 1
            try:
                engine.add_request(name, _tokens(prompt), params, lora_request=self._adapter)
            except ValueError as error:
                self._refused.append(Failure(key, "invalid", f"vLLM refuses it: {error}"))
            else:
                self._children[name] = _Child(key, request.sampling, len(prompt))

    def _finish(self, output: Any) -> Outcome:
        assert self._decode is not None
        child = self._children.pop(output.request_id)
        (sampled,) = output.outputs
        self._tokens += len(sampled.token_ids)
        self._prompt_tokens += child.num_prompt
        self._cached_tokens += output.num_cached_tokens or 0
        return outcome(child.key, child.sampling, sampled, self._decode)


def _limits(model: "ModelConfig") -> EngineLimits:
    vocab_size, top = model.get_vocab_size(), model.max_logprobs
    return EngineLimits(model.max_model_len, vocab_size, vocab_size if top == -1 else top)


def _tokens(prompt: list[int]) -> Any:
    from vllm.inputs import tokens_input

    return tokens_input(prompt_token_ids=prompt)
