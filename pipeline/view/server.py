"""The server of the pages: the loopback alone, a secret in the address, nothing from elsewhere."""

import hmac
import secrets
from collections.abc import Mapping
from contextlib import closing
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pipeline.view.json_line import json_line
from pipeline.view.query import Lines, Query
from pipeline.view.routes import ROUTES
from pipeline.view.run import ViewedRun
from schemas.errors import ArboristError, EnvironmentMismatch, UserError

LOOPBACK = "127.0.0.1"
_NAMES = (LOOPBACK, "localhost")
_KINDS = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_REQUEST_S = 60.0
"""A connection that says nothing for so long is closed."""


def page_files() -> dict[str, bytes]:
    """Everything that a browser is given as it is, by name."""
    folder = files("pipeline.view").joinpath("page")
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


class ViewServer(ThreadingHTTPServer):
    """Listens once it is made; `serve_forever` answers."""

    daemon_threads = True

    def __init__(self, viewed: ViewedRun, port: int = 0) -> None:
        self.viewed, self.pages = viewed, page_files()
        self.token = secrets.token_urlsafe(24)
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            raise EnvironmentMismatch(
                f"port {port} of {LOOPBACK} cannot be listened on: {error.strerror}; choose "
                "another one by --port, or 0 for any that is free."
            ) from error
        self.hosts = frozenset(f"{name}:{self.server_port}" for name in _NAMES)

    def server_bind(self) -> None:
        """Without asking a name server for our name, which may take long."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = LOOPBACK, self.server_address[1]

    @property
    def address(self) -> str:
        """Where a browser finds the first page."""
        return f"http://{LOOPBACK}:{self.server_port}/{self.token}/"


class _Handler(BaseHTTPRequestHandler):
    server: ViewServer
    protocol_version = "HTTP/1.1"
    server_version = "arborist"
    sys_version = ""
    timeout = _REQUEST_S

    def do_GET(self) -> None:
        """One request; a browser that went away is no defect."""
        try:
            self._route()
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            self.close_connection = True

    def _route(self) -> None:
        # A name that another site had pointed here (DNS rebinding) is not one of ours.
        if self.headers.get("Host", "") not in self.server.hosts:
            expected = " or ".join(sorted(self.server.hosts))
            self._refuse(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"this server is {expected} only; a tunnel has to keep the port",
            )
            return
        address = urlsplit(self.path)
        token, _, rest = address.path.removeprefix("/").partition("/")
        if not hmac.compare_digest(unquote(token).encode(), self.server.token.encode()):
            self._refuse(HTTPStatus.FORBIDDEN, "the address lacks its secret")
        elif rest.startswith("api/"):
            self._answer(rest.removeprefix("api/"), dict(parse_qsl(address.query)))
        else:
            self._page(rest or "index.html")

    def _page(self, name: str) -> None:
        found = self.server.pages.get(name)
        if found is None:
            self._refuse(HTTPStatus.NOT_FOUND, "no such page")
            return
        kind = _KINDS.get(name.rpartition(".")[2], "application/octet-stream")
        self._send(HTTPStatus.OK, f"{kind}; charset=utf-8", found)

    def _answer(self, name: str, query: Mapping[str, str]) -> None:
        route = ROUTES.get(name)
        if route is None:
            self._refuse(HTTPStatus.NOT_FOUND, "no such question")
            return
        try:
            answer = route(self.server.viewed, Query(query))
        except ArboristError as error:
            self._refuse(_status(error), str(error))
            return
        if isinstance(answer, dict):
            self._send(HTTPStatus.OK, "application/json", json_line(answer))
        else:
            self._stream(answer)

    def _stream(self, lines: Lines) -> None:
        """A line as soon as it is found; writing ends where the browser has stopped listening."""
        self._head(HTTPStatus.OK, "application/x-ndjson")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        with closing(lines):
            try:
                for line in lines:
                    self.wfile.write(json_line(line))
            except ArboristError as error:
                self.wfile.write(json_line({"error": str(error)}))

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self._send(status, "application/json", json_line({"error": why}))

    def _send(self, status: HTTPStatus, kind: str, payload: bytes) -> None:
        self._head(status, kind)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def _head(self, status: HTTPStatus, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in _HEADERS.items():
            self.send_header(name, value)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: addresses carry the secret."""


def _status(error: ArboristError) -> HTTPStatus:
    asked_wrongly = isinstance(error, UserError)
    return HTTPStatus.BAD_REQUEST if asked_wrongly else HTTPStatus.INTERNAL_SERVER_ERROR
