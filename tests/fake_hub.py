"""The few answers of the Hugging Face hub that a push needs, on the loopback."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_abcdefghijklmnopqrstuvwxyz"


class FakeHub:
    """Data sets by name, each the files of its last commit. Parquet files are large ones there."""

    def __init__(self) -> None:
        self.endpoint = ""
        self.datasets: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.commits: list[dict[str, list[str]]] = []
        """Of each, the paths by what was done with them."""
        self.blobs: dict[str, bytes] = {}
        """Large files by digest."""
        self.refuses: int | None = None
        """The status of every answer to a commit."""
        self.is_away = False
        """Connections are closed without an answer."""

    def answer(self, verb: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        parts = [unquote(part) for part in path.strip("/").split("/")]
        if parts[:3] == ["api", "repos", "create"]:
            return self._create(json.loads(body))
        if parts == ["api", "validate-yaml"]:
            return _json({"errors": [], "warnings": []})
        if parts[0] == "blobs":
            assert hashlib.sha256(body).hexdigest() == parts[1]
            self.blobs[parts[1]] = body
            return 200, {}, b""
        if parts[:2] == ["api", "datasets"]:
            return self._api("/".join(parts[2:4]), parts[4:], body)
        name = "/".join(parts[1:3]).removesuffix(".git")
        if parts[3:] == ["info", "lfs", "objects", "batch"]:
            return self._batch(json.loads(body))
        assert parts[3] == "resolve"
        return self._resolve(name, "/".join(parts[5:]))

    def _create(self, asked: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        name = f"{asked['organization']}/{asked['name']}"
        assert asked["type"] == "dataset"
        self.datasets[name], self.private[name] = (
            {".gitattributes": b""},
            asked["visibility"] == "private",
        )
        return _json({"url": f"{self.endpoint}/datasets/{name}"})

    def _api(self, name: str, rest: list[str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        if name not in self.datasets:
            return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"
        if not rest or rest[0] == "revision":
            files = [{"rfilename": path} for path in sorted(self.datasets[name])]
            told = {"id": name, "sha": self._sha(), "private": self.private[name]}
            return _json({**told, "siblings": files})
        if rest[0] == "preupload":
            return _json({"files": [_mode(file) for file in json.loads(body)["files"]]})
        assert rest == ["commit", "main"]
        return self._commit(name, body)

    def _sha(self) -> str:
        return f"{len(self.commits):040x}"

    def _commit(self, name: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if self.refuses is not None:
            return self.refuses, {}, b'{"error": "As planned."}'
        files, done = dict(self.datasets[name]), dict[str, list[str]]()
        for line in map(json.loads, body.splitlines()):
            kind, value = line["key"], line["value"]
            if kind == "header":
                assert value["parentCommit"] == self._sha()
                continue
            done.setdefault(kind, []).append(value["path"])
            if kind == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif kind == "lfsFile":
                files[value["path"]] = self.blobs[value["oid"]]
            else:
                assert kind == "deletedFile"
                del files[value["path"]]
        self.datasets[name] = files
        self.commits.append(done)
        url = f"{self.endpoint}/datasets/{name}/commit/{self._sha()}"
        return _json({"success": True, "commitOid": self._sha(), "commitUrl": url})

    def _batch(self, asked: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        objects = [
            {
                **one,
                "actions": {
                    "upload": {"href": f"{self.endpoint}/blobs/{one['oid']}", "header": {}}
                },
            }
            for one in asked["objects"]
        ]
        return _json({"transfer": "basic", "objects": objects})

    def _resolve(self, name: str, path: str) -> tuple[int, dict[str, str], bytes]:
        content = self.datasets[name].get(path)
        if content is None:
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        etag = hashlib.sha1(content).hexdigest()
        return 200, {"ETag": f'"{etag}"', "X-Repo-Commit": self._sha()}, content


def _mode(file: dict[str, Any]) -> dict[str, Any]:
    large = file["path"].endswith(".parquet")
    return {
        "path": file["path"],
        "uploadMode": "lfs" if large else "regular",
        "shouldIgnore": False,
    }


def _json(value: Any) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    """A hub with nothing in it, that knows one token."""
    hub = FakeHub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = urlsplit(self.path).path
            if hub.is_away:
                self.close_connection = True
                return
            if self.headers.get("Authorization") != f"Bearer {TOKEN}" and "/blobs/" not in path:
                status, headers, answer = 401, {}, b'{"error": "Invalid token"}'
            else:
                status, headers, answer = hub.answer(self.command, path, body)
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer)

        do_GET = do_HEAD = do_POST = do_PUT = answer

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
