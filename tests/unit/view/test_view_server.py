"""The server: who is let in, and how answers travel."""

import http.client
import json
import threading
import uuid
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from pipeline.storage.open import open_store
from pipeline.view.json_line import json_line
from pipeline.view.server import ViewServer
from schemas.errors import EnvironmentMismatch
from tests.unit.view.viewed import grown


@pytest.fixture(scope="module")
def server() -> Iterator[ViewServer]:
    with ViewServer(grown(open_store(f"memory://{uuid.uuid4().hex}"))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def get(server, path, method="GET", **headers):
    """Status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def test_server_listens_on_the_loopback_alone(server):
    assert server.server_address[0] == "127.0.0.1"


def test_page_comes_with_a_policy_that_lets_nothing_else_in(server):
    status, headers, body = get(server, f"/{server.token}/")
    assert status == 200
    assert body.startswith(b"<!doctype html>")
    policy = dict(
        part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["connect-src"] == "'self'"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize("token", ["", "wrong", "%00", "é", "x" * 2000])
@pytest.mark.parametrize("rest", ["", "app.js", "api/run"])
def test_address_without_its_secret_is_refused(server, token, rest):
    status, _, body = get(server, f"/{quote(token, safe='%')}/{rest}")
    assert status == 403
    assert server.token.encode() not in body


@pytest.mark.parametrize(
    "host", ["example.com", "example.com:{port}", "127.0.0.1", "127.0.0.1:1", ""]
)
def test_name_of_another_host_is_refused(server, host):
    status, _, _ = get(
        server, f"/{server.token}/api/run", Host=host.format(port=server.server_port)
    )
    assert status == 421


def test_localhost_is_a_name_of_this_one(server):
    status, _, _ = get(server, f"/{server.token}/api/run", Host=f"localhost:{server.server_port}")
    assert status == 200


@pytest.mark.parametrize(
    "name", ["../server.py", "..%2fserver.py", "/etc/passwd", "none.js", "api/x"]
)
def test_what_is_no_page_is_not_found(server, name):
    status, _, _ = get(server, f"/{server.token}/{name}")
    assert status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_sent(server, method):
    assert get(server, f"/{server.token}/api/run", method)[0] == 501


def test_wrong_question_is_told_in_words(server):
    status, _, body = get(server, f"/{server.token}/api/tree?cohort=0&tree=99")
    assert status == 400
    assert "is not in cohort 0" in json.loads(body)["error"]


def test_list_comes_line_by_line(server):
    status, headers, body = get(server, f"/{server.token}/api/search?q=thirty")
    assert (status, headers["Content-Type"]) == (200, "application/x-ndjson")
    lines = [json.loads(line) for line in body.splitlines()]
    assert lines[-1] == {"next": None}
    assert [line["looked"] for line in lines[:-1]] == list(range(1, len(lines)))


def test_error_in_a_list_is_its_last_line(server):
    _, _, body = get(server, f"/{server.token}/api/search?q=the&row=x")
    assert "expected a whole number" in json.loads(body.splitlines()[-1])["error"]


def test_tokens_of_two_servers_differ(server):
    with ViewServer(server.viewed) as other:
        assert other.token != server.token
        assert len(other.token) >= 32


def test_taken_port_is_told_in_words(server):
    with pytest.raises(EnvironmentMismatch, match="choose another"):
        ViewServer(server.viewed, server.server_port)


def test_numbers_that_json_lacks_are_null():
    value = {"a": [1.5, float("nan"), (float("-inf"), {"b": float("inf")})], "c": "\ud800é"}
    assert json.loads(json_line(value)) == {"a": [1.5, None, [None, {"b": None}]], "c": "?é"}
