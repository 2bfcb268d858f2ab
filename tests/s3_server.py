"""An S3 server on the loopback, and a wire to it that throttles, breaks and loses answers."""

import http.client
import random
import re
import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest

BUCKET = "runs"

Headers = list[tuple[str, str]]


_SERVE = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("http://%s:%s" % server.get_host_and_port(), flush=True)
sys.stdin.read()
server.stop()
"""


@contextmanager
def s3_server() -> Iterator[str]:
    """The endpoint of a fresh server with one bucket; the environment points to it.

    A process of its own: torch looks at every loaded module, and the server's do not bear it.
    """
    with (
        subprocess.Popen(
            [sys.executable, "-c", _SERVE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        assert server.stdin is not None and server.stdout is not None
        endpoint = server.stdout.readline().strip()
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        patch.setenv("AWS_ACCESS_KEY_ID", "anyone")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "anything")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        try:
            _request(endpoint, "PUT", f"/{BUCKET}")
            yield endpoint
        finally:
            server.stdin.close()


def new_location() -> str:
    """A location of its own in the bucket."""
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


def _request(endpoint: str, method: str, path: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=30)
    connection.request(method, path)
    assert connection.getresponse().status == 200
    connection.close()


class Asked(NamedTuple):
    """A request on its way."""

    verb: str
    """The method; LIST for a GET that lists; PART, START, COMPLETE, ABORT of uploads in parts."""
    path: str
    number: int
    """From 1, among the requests of its verb."""
    again: int
    """From 1, among the requests of its verb for its path."""


class Wire:
    """Decides what happens to requests."""

    def __init__(self) -> None:
        self.fate: Callable[[Asked], str] = deliver
        """`deliver`; `late`: so, after a while; `break`: the connection breaks before anything is
        done; `lose answer`: it breaks after it was done; `cut answer`: within the answer; `503`:
        not done, and answered with a status; `done, 503`: done, and answered so; `503 after 1`: not
        done, asked not to come back for a second; `503 Code`: with another code than the usual."""
        self.drops: set[str] = set()
        """Headers, in lower case, that get lost on their way."""
        self.seen: list[str] = []
        """Verbs."""
        self.fates: Counter[tuple[str, str]] = Counter()
        """Of verbs, how often which."""
        self.key_ids: set[str] = set()
        """Who signed."""
        self._lock = threading.Lock()
        self._asked: Counter[tuple[str, str]] = Counter()

    def clear(self) -> None:
        """As new."""
        self.fate, self.drops = deliver, set()
        for noted in (self.seen, self.fates, self.key_ids, self._asked):
            noted.clear()

    def decide(self, method: str, target: str, signed: str) -> str:
        """Note a request; its fate."""
        verb, path = _verb(method, target), urlsplit(target).path
        with self._lock:
            self.seen.append(verb)
            self._asked[verb, path] += 1
            asked = Asked(verb, path, self.seen.count(verb), self._asked[verb, path])
            self.key_ids |= set(re.findall("Credential=([^/]+)/", signed))
        fate = self.fate(asked)
        with self._lock:
            self.fates[verb, fate] += 1
        return fate


def deliver(asked: Asked) -> str:
    """No fault."""
    return "deliver"


def first(verb: str, times: int, fate: str) -> Callable[[Asked], str]:
    """This fate for the first requests of a verb; the others are delivered."""
    return lambda asked: fate if asked.verb == verb and asked.number <= times else "deliver"


FAULTS = (
    *("503", "429", "500", "502", "504", "400 RequestTimeout", "409 OperationAborted"),
    *("break", "lose answer", "cut answer", "done, 500", "done, 503", "late"),
)
"""What a request may live through and be tried again."""


class Weather:
    """Faults for a share of the requests, the same for the same seed: a request's fate depends on
    what is asked and how often it was, and not on the order in which threads come to ask."""

    def __init__(self, seed: int, share: float, faults: Sequence[str] = FAULTS) -> None:
        self._seed, self._share, self._faults = seed, share, faults

    def __call__(self, asked: Asked) -> str:
        dice = random.Random(f"{self._seed} {asked.verb} {asked.path} {asked.again}")
        return dice.choice(self._faults) if dice.random() < self._share else "deliver"


def _verb(method: str, target: str) -> str:
    url = urlsplit(target)
    asked = set(parse_qs(url.query, keep_blank_values=True))
    if method == "GET":
        return "LIST" if "list-type" in asked else "GET"
    if method == "POST":
        return "START" if "uploads" in asked else "COMPLETE"
    in_parts = {"PUT": "PART", "DELETE": "ABORT"}.get(method, method)
    return in_parts if "uploadId" in asked else method


LATE_S = 0.05
_CODES = {
    301: "PermanentRedirect",
    400: "InvalidRequest",
    403: "AccessDenied",
    404: "NoSuchKey",
    409: "ConditionalRequestConflict",
    429: "TooManyRequests",
    500: "InternalError",
    501: "NotImplemented",
    502: "BadGateway",
    503: "SlowDown",
    504: "GatewayTimeout",
}


@contextmanager
def wire_to(endpoint: str) -> Iterator[tuple[str, Wire]]:
    """An endpoint that hands requests on to another one, as its wire decides."""
    wire = Wire()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            fate = wire.decide(self.command, self.path, self.headers.get("Authorization", ""))
            if fate == "late":
                threading.Event().wait(LATE_S)
            undone = fate == "break" or fate[:1].isdigit()
            answer = None if undone else _forward(endpoint, self, body, wire.drops)
            if fate in ("break", "lose answer"):
                self.close_connection = True
            elif answer is not None and fate in ("deliver", "late", "cut answer"):
                self._answer(*answer, cut=fate == "cut answer")
            else:
                self._answer(*_refusal(fate.removeprefix("done, "), self.command))

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = handle_any

        def _answer(self, status: int, headers: Headers, body: bytes, *, cut: bool = False) -> None:
            self.send_response_only(status)
            for key, value in headers:
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if cut else body)
            self.close_connection |= cut

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", wire
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _refusal(fate: str, method: str) -> tuple[int, Headers, bytes]:
    status, _, more = fate.partition(" ")
    code = more if more and not more.startswith("after") else _CODES[int(status)]
    body = f"<Error><Code>{code}</Code><Message>As planned.</Message></Error>".encode()
    body = b"" if method == "HEAD" else body
    headers = [("Content-Length", str(len(body))), ("Content-Type", "application/xml")]
    if more.startswith("after"):
        headers.append(("Retry-After", more.removeprefix("after ")))
    return int(status), headers, body


def _forward(
    endpoint: str, request: BaseHTTPRequestHandler, body: bytes, drops: set[str]
) -> tuple[int, Headers, bytes]:
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=30)
    lost = {"expect", *drops}
    headers = {k: v for k, v in request.headers.items() if k.lower() not in lost}
    connection.request(request.command, request.path, body, headers)
    response = connection.getresponse()
    answer = response.read()
    hop = {"content-length", "transfer-encoding", "connection"}
    kept = [(k, v) for k, v in response.getheaders() if k.lower() not in hop]
    # The answer to HEAD tells a length without having a body.
    kept.append(("Content-Length", response.getheader("Content-Length", str(len(answer)))))
    connection.close()
    return response.status, kept, answer
