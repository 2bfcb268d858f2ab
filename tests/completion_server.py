"""A small server with the completions API as vLLM speaks it, which can be told to fail.

Tokens are bytes, as the scripted engine has them. What it says depends on the seed alone.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pipeline.engines.scripted_author import END

LOGPROB = -0.5
TOP = {"token_id:1": -1.0, "token_id:2": -2.0, "token_id:3": -3.0}


def said_with(seed: int) -> list[int]:
    """What is sampled, its end included."""
    return [*f"An answer to {seed}.".encode(), END]


@dataclass
class CompletionServer:
    """What it is and what becomes of requests for a child, by their number from 1."""

    fate: Callable[[int], str] = lambda number: "deliver"
    """`deliver`; `break`: the connection breaks after a few tokens; `abort`: the server ends the
    child; `400`, `429`, `500`...: a status; `400 in stream`: an error once the stream began;
    `more`, `fewer`: other tokens than were asked for; `hang`: nothing more comes."""
    names: tuple[str, ...] = ("model",)
    max_model_len: int | None = 512
    returns_ids: bool = True
    shift: int = 0
    """Between its tokenizer's ids and ours."""
    processed: bool = False
    """Whether its log-probabilities are those after temperature."""
    key: str | None = None
    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    """Requests for children."""
    released: threading.Event = field(default_factory=threading.Event)
    """Ends what hangs."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, body: dict[str, Any]) -> str:
        """Note a request for a child; its fate."""
        with self.lock:
            self.asked.append(body)
            return self.fate(len(self.asked))


@contextmanager
def running(server: CompletionServer) -> Iterator[CompletionServer]:
    """It listens on the loopback."""
    listener = ThreadingHTTPServer(
        ("127.0.0.1", 0), type("Handler", (_Handler,), {"about": server})
    )
    listener.daemon_threads = True
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    server.url = f"http://127.0.0.1:{listener.server_address[1]}"
    try:
        yield server
    finally:
        server.released.set()
        listener.shutdown()
        listener.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    about: CompletionServer

    def do_GET(self) -> None:
        server = self.about
        if server.key and self.headers.get("Authorization") != f"Bearer {server.key}":
            self.answer(401, {"error": "Unauthorized"})
        elif self.path == "/v1/models":
            length = server.max_model_len
            entries = [{"id": name, "max_model_len": length} for name in server.names]
            self.answer(200, {"data": entries})
        else:
            self.answer(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not body.get("stream"):
            self.answer(200, _one_token(self.about, body))
            return
        fate = self.about.note(body)
        if fate.isdigit():
            self.answer(int(fate), {"error": {"message": "as planned", "code": int(fate)}})
            return
        self.send(200, b"".join(_events(body, fate)))
        if fate == "hang":
            self.about.released.wait()

    def answer(self, status: int, content: dict[str, Any]) -> None:
        self.send(status, json.dumps(content).encode())

    def send(self, status: int, payload: bytes) -> None:
        self.send_response_only(status)
        if status == 429:
            self.send_header("Retry-After", "0.05")
        self.end_headers()
        self.wfile.write(payload)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _one_token(server: CompletionServer, body: dict[str, Any]) -> dict[str, Any]:
    prompt = body["prompt"]
    ids = list(prompt.encode()) if isinstance(prompt, str) else prompt
    choice: dict[str, Any] = {"text": "A", "finish_reason": "length"}
    if server.returns_ids:
        choice |= {"token_ids": [65], "prompt_token_ids": [i + server.shift for i in ids]}
    if body.get("logprobs"):
        best = -1.0 * (body["temperature"] if server.processed else 1.0)
        choice["logprobs"] = {"top_logprobs": [{"token_id:65": best}], "token_logprobs": [best]}
    return {"choices": [choice]}


def _events(body: dict[str, Any], fate: str) -> Iterator[bytes]:
    ids = said_with(body["seed"])[: body["max_tokens"]]
    first, rest = ids[:4], ids[4:]
    yield _event(body, first, prompt=body["prompt"])
    if fate in ("break", "hang"):
        return
    if fate.endswith("in stream"):
        status = int(fate.split()[0])
        yield _data({"error": {"message": "as planned", "code": status}})
    elif fate == "abort":
        yield _event(body, [], finish_reason="abort")
    else:
        rest = rest[:-3] if fate == "fewer" else rest
        ended = "stop" if ids[-1] == END else "length"
        yield _event(body, rest, finish_reason="length" if fate == "fewer" else ended)
    usage = {"prompt_tokens_details": {"cached_tokens": 2}}
    yield _data({"choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def _event(body: dict[str, Any], ids: list[int], prompt: list[int] | None = None, **more) -> bytes:
    choice: dict[str, Any] = {"token_ids": ids, "prompt_token_ids": prompt, **more}
    if body.get("logprobs") is not None:
        top = dict(list(TOP.items())[: body["logprobs"]])
        choice["logprobs"] = {
            "token_logprobs": [LOGPROB] * len(ids),
            "top_logprobs": [{f"token_id:{i}": LOGPROB - 9} | top for i in ids],
        }
    return _data({"choices": [choice]})


def _data(content: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"
