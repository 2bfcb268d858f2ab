"""An S3 server on the loopback, and a wire to it that can lose answers."""

import http.client
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

BUCKET = "runs"


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


class Wire:
    """Decides what happens to requests, by number (from 1) among those it is asked about."""

    def __init__(self) -> None:
        self.fate: Callable[[str, int], str] = lambda method, number: "deliver"
        """`deliver`; `lose answer`: done, but the connection breaks; `done, 503`: done, but
        answered with a status; `503`: not done, and answered with a status."""
        self.seen: list[str] = []


@contextmanager
def wire_to(endpoint: str) -> Iterator[tuple[str, Wire]]:
    """An endpoint that hands requests on to another one, as its wire decides."""
    wire = Wire()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            wire.seen.append(self.command)
            fate = wire.fate(self.command, wire.seen.count(self.command))
            status, headers, answer = 0, [], b""
            if not fate.isdigit():
                status, headers, answer = _forward(endpoint, self, body)
            if fate == "lose answer":
                self.close_connection = True
            elif fate == "deliver":
                self._answer(status, headers, answer)
            else:
                self._answer(int(fate.removeprefix("done, ")), [("Content-Length", "0")], b"")

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = handle_any

        def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
            self.send_response_only(status)
            for key, value in headers:
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

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


def _forward(
    endpoint: str, request: BaseHTTPRequestHandler, body: bytes
) -> tuple[int, list[tuple[str, str]], bytes]:
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=30)
    headers = {k: v for k, v in request.headers.items() if k.lower() != "expect"}
    connection.request(request.command, request.path, body, headers)
    response = connection.getresponse()
    answer = response.read()
    hop = {"content-length", "transfer-encoding", "connection"}
    kept = [(k, v) for k, v in response.getheaders() if k.lower() not in hop]
    # The answer to HEAD tells a length without having a body.
    kept.append(("Content-Length", response.getheader("Content-Length", str(len(answer)))))
    connection.close()
    return response.status, kept, answer
