"""Secrets are found in specs and locations, and taken out of messages."""

import pytest

from jobs.spec_file import parse_spec
from schemas.errors import SpecError
from schemas.secrets import holds_secret, redacted, secret_options

SECRET = "wJalrXUtnFEMI/K7MDENG"

TELLING = [
    f"s3://AKIAEXAMPLE:{SECRET}@bucket/runs",
    f"http://someone:{SECRET}@127.0.0.1:9000",
    f"https://host/rows.jsonl?X-Amz-Algorithm=A&X-Amz-Signature={SECRET}",
    f"az://box/runs?sv=2024&sig={SECRET}",
]

PLAIN = [
    "runs/balance",
    "file:///data/a@b:c/runs",
    "s3://bucket/a@b/c:d",
    "s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/mine/runs",
    "abfs://box@account.dfs.core.windows.net/runs",
    "http://127.0.0.1:9000/a@b",
    "https://host/rows.jsonl?version=3&keyword=x",
]


@pytest.mark.parametrize("location", TELLING)
def test_secret_in_a_location_is_found_and_taken_out(location: str) -> None:
    assert holds_secret(location)
    assert SECRET not in redacted(f'Could not connect to "{location}", at all.')


@pytest.mark.parametrize("location", PLAIN)
def test_plain_location_stays_as_it_is(location: str) -> None:
    assert redacted(location) == location


def test_secret_options_are_named_at_any_depth() -> None:
    options = {
        "key": "AKIA",
        "secret": SECRET,
        "anon": False,
        "client_kwargs": {"aws_session_token": SECRET, "region_name": "eu-west-1"},
        "account_key": SECRET,
        "endpoint_url": f"http://a:{SECRET}@host",
        "profile": "lab",
        "token": SECRET,
    }
    assert sorted(secret_options(options)) == [
        "account_key",
        "client_kwargs.aws_session_token",
        "endpoint_url",
        "key",
        "secret",
        "token",
    ]


@pytest.mark.parametrize(
    ("options", "where"),
    [
        *(({name: SECRET}, name) for name in ("secret_key", "access_key", "access_token")),
        *(({name: SECRET}, name) for name in ("api_key", "private_key", "API-Key", "x-auth-token")),
        *(({name: SECRET}, name) for name in ("refreshToken", "db_passwd", "user_password")),
        ({"passwd": 12345678}, "passwd"),
        ({"headers": {"Authorization": f"Bearer {SECRET}"}}, "headers.Authorization"),
        ({"headers": {"Set-Cookie": "session=1"}}, "headers.Set-Cookie"),
        ({"headers": [["Authorization", SECRET]]}, "headers.0"),
        ({"headers": [f"Authorization: Bearer {SECRET}"]}, "headers.0"),
        ({"endpoints": ["http://host", f"http://a:{SECRET}@host"]}, "endpoints.1"),
        ({"hosts": [{"name": "a"}, {"client_secret": SECRET}]}, "hosts.1.client_secret"),
        ({"a": [[{"b": [{"secret": SECRET}]}]]}, "a.0.0.b.0.secret"),
        ({"credentials": {"type": "service_account"}}, "credentials"),
    ],
)
def test_secret_is_found_by_how_its_name_ends_wherever_it_stands(options: dict, where: str) -> None:
    assert list(secret_options({"anon": False, **options})) == [where]


@pytest.mark.parametrize(
    "options",
    [
        {"key_file": "/etc/keys/mine.pem", "key_path": "/etc/keys", "token_file": "/run/token"},
        {"SSEKMSKeyId": "arn:aws:kms:eu-west-1:123456789012:key/mine", "public_key": "ssh-rsa A"},
        {"token": None, "use_token": False, "secret_key": None},
        {"retries": [1, 2], "pair": ["region", "eu-west-1"], "config": {"keys_per_page": 100}},
        {"headers": {"User-Agent": "basic"}, "hosts": ["a", "b"], "cookie_jar": "/tmp/jar"},
    ],
)
def test_options_that_only_sound_like_secrets_are_none(options: dict) -> None:
    assert list(secret_options(options)) == []


@pytest.mark.parametrize("token", ["google_default", "anon", "/etc/keys/service.json"])
def test_way_to_find_a_token_is_no_secret(token: str) -> None:
    assert list(secret_options({"token": token, "project": "lab"})) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"location": TELLING[0]},
        {"location": "s3://bucket/runs", "storage_options": {"key": "AKIA", "secret": SECRET}},
        {"location": "runs", "roots": TELLING[2]},
        {"location": "runs", "benchmarks": [TELLING[2]]},
        {"location": "runs", "engines": {"main": {"model": TELLING[0]}}},
        {
            "location": "runs",
            "engines": {"main": {"backend": "server", "server": {"urls": [TELLING[1]]}}},
        },
    ],
)
def test_spec_with_a_secret_is_refused_without_telling_it(settings: dict) -> None:
    generation = {
        "model": {"name": "m", "context": 64},
        "roots": {"topics": [{"text": "x"}]},
        "levels": [{"role": "user", "fanout": 1, "max_tokens": 8}],
    }
    content = {"generation": generation, "execution": settings}
    with pytest.raises(SpecError, match="environment") as caught:
        parse_spec(content, name="spec.yaml")
    assert SECRET not in str(caught.value)


def test_storage_options_go_to_stores_of_the_same_kind_only() -> None:
    from schemas.execution_spec import ExecutionSpec

    options = {"endpoint_url": "http://127.0.0.1:9000"}
    on_s3 = ExecutionSpec(location="s3://b/runs", storage_options=options)
    assert on_s3.options_at(("s3://b/rows.jsonl",)) == options
    assert on_s3.options_at(("https://host/rows.jsonl",)) == {}
    in_folder = ExecutionSpec(location="runs", storage_options=options)
    assert in_folder.options_at(("s3://b/rows.jsonl",)) == options
