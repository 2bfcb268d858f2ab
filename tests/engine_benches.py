"""Engines under test, each with what a test must know to talk to it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

from pipeline.engines.engine import Engine
from pipeline.engines.scripted import ScriptedConfig, ScriptedEngine
from pipeline.engines.scripted_author import END, VOCAB_SIZE
from pipeline.engines.scripted_author import decode as decode_bytes
from schemas.records import EngineReport, EngineStats, Ids, Outcome, Request, Sampling, to_ids

CONTEXT = 512
SLOTS = 8
TOP = 6
"""The most likely tokens that a request may ask for."""


@dataclass
class Bench:
    """One started engine, touched by one thread that is not the main one, as pools do it."""

    engine: Engine
    encode: Callable[[str], Ids]
    decode: Callable[[Ids], str]
    stop_id: int
    vocab_size: int
    opening: str
    """Text after which the engine writes a user's turn."""
    sees_cache: bool = True
    """Whether it can tell how full the KV cache is."""
    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    parents: Iterator[int] = field(default_factory=count)

    def start(self) -> EngineReport:
        return self.thread.submit(self.engine.start).result()

    def run(self, *requests: Request) -> list[Outcome]:
        for request in requests:
            self.add(request)
        return self.finish()

    def add(self, request: Request) -> None:
        self.thread.submit(self.engine.add, request).result()

    def step(self) -> list[Outcome]:
        return self.thread.submit(self.engine.step).result()

    def finish(self) -> list[Outcome]:
        outcomes = []
        while self.engine.has_work():
            outcomes += self.step()
        return outcomes

    def stats(self) -> EngineStats:
        return self.thread.submit(self.engine.stats).result()

    def close(self) -> None:
        self.thread.submit(self.engine.close).result()

    def request(self, n: int = 1, *, first_child: int = 0, prompt: Ids | None = None, **more):
        """A request for children of a parent of their own."""
        sampling = {"max_tokens": 24, "stop_ids": (self.stop_id,)} | more.pop("sampling", {})
        parent = more.pop("parent_id", None) or f"parent-{next(self.parents)}"
        prompt = self.encode(self.opening) if prompt is None else prompt
        more = {"seed": 1234} | more
        return Request("000000", parent, first_child, n, prompt, Sampling(**sampling), **more)


def scripted_bench() -> Bench:
    config = ScriptedConfig(max_num_seqs=SLOTS, context=CONTEXT, mean_tokens=20)
    return Bench(
        ScriptedEngine(config),
        encode=lambda text: to_ids(list(text.encode())),
        decode=decode_bytes,
        stop_id=END,
        vocab_size=VOCAB_SIZE,
        opening="You are a helpful assistant. ",
    )


def vllm_bench() -> Bench:
    from jobs.prepare_model import prepare

    location = str(prepare())
    return _chat_bench(_vllm_engine(location), location, vocab_size=49152, stop_id=2)


def small_vllm_bench(*, adapter: str | None = None) -> Bench:
    """The same of the tiny packaged model, which loads in less time."""
    from jobs.prepare_tiny import prepare_tiny

    location = str(prepare_tiny())
    return _tiny_bench(_vllm_engine(location, adapter), location)


def _vllm_engine(location: str, adapter: str | None = None) -> Engine:
    from pipeline.engines.vllm import VllmConfig, VllmEngine

    config = VllmConfig(
        model=location,
        adapter=adapter,
        context=CONTEXT,
        dtype="float32",
        max_num_seqs=SLOTS,
        max_num_batched_tokens=512,
        kv_cache_gib=0.25,
        top_logprobs=TOP,
        log_level="ERROR",
    )
    return VllmEngine(config)


def tiny_vllm_bench(folder: Path) -> Bench:
    """Of a model that `tiny_llama` made."""
    from pipeline.engines.vllm import VllmConfig, VllmEngine

    config = VllmConfig(
        model=str(folder),
        context=128,
        dtype="float32",
        max_num_seqs=SLOTS,
        max_num_batched_tokens=256,
        kv_cache_gib=0.1,
        log_level="ERROR",
    )
    return _chat_bench(VllmEngine(config), str(folder), vocab_size=300, stop_id=2)


SERVER_OPTIONS = (
    *("--dtype", "float32", "--max-model-len", str(CONTEXT), "--max-num-seqs", str(SLOTS)),
    *("--max-num-batched-tokens", "512", "--kv-cache-memory-bytes", str(1 << 28)),
    *("--block-size", "32", "--enforce-eager", "--no-enable-chunked-prefill"),
    *("--max-logprobs", str(TOP), "--enable-prompt-tokens-details"),
)


def server_bench(url: str, **more) -> Bench:
    """Over a server of the tiny packaged model that was started with `SERVER_OPTIONS`."""
    from jobs.prepare_tiny import VOCABULARY, prepare_tiny
    from pipeline.engines.server import ServerConfig, ServerEngine

    location = str(prepare_tiny())
    settings = {
        "url": url,
        "key_variable": "SERVER_KEY",
        "weights": "believed",
        "load_codec": partial(_codec, location),
        "context": CONTEXT,
        "vocab_size": VOCABULARY,
        "concurrency": SLOTS,
        "top_logprobs": TOP,
    }
    bench = _tiny_bench(ServerEngine(ServerConfig(**settings | more)), location)
    bench.sees_cache = False
    return bench


def _codec(location: str):
    from pipeline.dialects.tokenizer import decode, encode, load_tokenizer
    from pipeline.engines.server import Codec

    tokenizer = load_tokenizer(location)
    return Codec(partial(encode, tokenizer), partial(decode, tokenizer))


def _tiny_bench(engine: Engine, location: str) -> Bench:
    from jobs.prepare_tiny import CLOSE, SPECIAL, VOCABULARY

    return _chat_bench(engine, location, VOCABULARY, SPECIAL.index(CLOSE))


def _chat_bench(engine: Engine, location: str, vocab_size: int, stop_id: int) -> Bench:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(location)
    system = "You are a curious user who asks short questions about science and travel." * 3
    return Bench(
        engine,
        encode=lambda text: to_ids(tokenizer.encode(text)),
        decode=lambda ids: tokenizer.decode(
            ids.tolist(), skip_special_tokens=False, clean_up_tokenization_spaces=False
        ),
        stop_id=stop_id,
        vocab_size=vocab_size,
        opening=f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n",
    )
