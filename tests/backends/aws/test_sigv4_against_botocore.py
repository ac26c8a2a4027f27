"""Our signatures against botocore's, over what the vectors do not have: JSON bodies, targets, tokens, odd spacing."""

import json
import string
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from secrets_actor.backends.aws.sigv4_json import JSON_CONTENT_TYPE, JsonPost
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.backends.sigv4 import (
    HttpRequest,
    Scope,
    SigningKeys,
    sign_headers,
    sign_query,
)
from secrets_actor.domain.secret import SecretValue

VISIBLE = string.ascii_letters + string.digits + "+/=-_.~"
texts = st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable())
json_bodies = st.dictionaries(texts, st.recursive(texts | st.integers() | st.none(), st.lists), max_size=4)
keys = st.builds(
    lambda key_id, secret, token: (key_id, secret, token),
    st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", min_size=16, max_size=20),
    st.text(VISIBLE, min_size=1, max_size=40),
    st.none() | st.text(VISIBLE, min_size=1, max_size=300),
)
scopes = st.builds(
    Scope,
    st.sampled_from(["us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1", "eusc-de-east-1", "mars-9"]),
    st.sampled_from(["secretsmanager", "sts", "execute-api"]),
)
clocks = st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
targets = st.text(string.ascii_letters + ".", min_size=1, max_size=40)
spaced = st.lists(st.sampled_from([*"abcXYZ019\"',;=", " ", "  ", "\t", " \t "]), min_size=1, max_size=12).map("".join)
names = st.text(string.ascii_letters + string.digits, min_size=1, max_size=10).map(lambda name: f"X-Odd-{name}")
extra_headers = st.dictionaries(names, spaced, max_size=4).map(
    lambda found: {name.lower(): (name, value) for name, value in found.items()}  # one of each, whatever its case
)
segments = st.text(string.ascii_letters + string.digits + "-_.~ %é", min_size=0, max_size=6)
paths = st.lists(segments, max_size=4).map(lambda parts: "/" + "/".join(parts))
methods = st.sampled_from(["GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS"])
words = st.text(string.ascii_letters + string.digits + "-_.~ %é€&=+/?:@", min_size=1, max_size=8)
queries = st.dictionaries(words, words | st.just(""), max_size=5).map(
    lambda found: "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in found.items())
)
SETTINGS = settings(max_examples=100, deadline=None)


def botocores(
    request: HttpRequest, made: tuple[str, str, str | None], scope: Scope, at: datetime, patch: pytest.MonkeyPatch
) -> str:
    """botocore's Authorization header for *request*, its clock standing at *at*."""
    patch.setattr(auth, "get_current_datetime", lambda: at.replace(tzinfo=None))
    foreign = foreign_request(request)
    auth.SigV4Auth(BotocoreCredentials(*made), scope.service, scope.region).add_auth(foreign)
    return str(foreign.headers["Authorization"])


def foreign_request(request: HttpRequest) -> AWSRequest:
    query = f"?{request.query}" if request.query else ""
    url = "https://" + dict(request.headers)["Host"] + request.path + query
    return AWSRequest(request.method, url, dict(request.headers), request.body)


def ours(made: tuple[str, str, str | None]) -> AwsCredentials:
    key_id, secret, token = made
    return AwsCredentials(key_id, SecretValue(secret), None if token is None else SecretValue(token))


def json_is_signed_alike(
    content: Any, made: tuple[str, str, str | None], scope: Scope, at: datetime, target: str, extra: Any
) -> None:
    headers = (("Host", "secretsmanager.example:8443"), ("Content-Type", JSON_CONTENT_TYPE), ("X-Amz-Target", target))
    request = HttpRequest("POST", headers=(*headers, *extra.values()), body=json.dumps(content).encode())

    signed = sign_headers(request, ours(made), scope, at, SigningKeys())

    with pytest.MonkeyPatch.context() as patch:
        assert dict(signed.headers)["Authorization"] == botocores(request, made, scope, at, patch)


@given(content=json_bodies, made=keys, scope=scopes, at=clocks, target=targets, extra=extra_headers)
@SETTINGS
def test_a_json_request_is_signed_as_botocore_signs_it(
    content: Any, made: tuple[str, str, str | None], scope: Scope, at: datetime, target: str, extra: Any
) -> None:
    json_is_signed_alike(content, made, scope, at, target, extra)


@pytest.mark.slow
@given(content=json_bodies, made=keys, scope=scopes, at=clocks, target=targets, extra=extra_headers)
@settings(max_examples=5000, deadline=None)
def test_five_thousand_json_requests_are_signed_as_botocore_signs_them(
    content: Any, made: tuple[str, str, str | None], scope: Scope, at: datetime, target: str, extra: Any
) -> None:
    json_is_signed_alike(content, made, scope, at, target, extra)


@given(text=texts, made=keys, scope=scopes, at=clocks, target=targets)
@SETTINGS
def test_the_json_short_cut_is_signed_as_botocore_signs_it(
    text: str, made: tuple[str, str, str | None], scope: Scope, at: datetime, target: str
) -> None:
    body = json.dumps({"SecretId": text}, ensure_ascii=False).encode()

    sent = dict(JsonPost("[::1]:8443", scope, SigningKeys()).headers(target, body, ours(made), at))

    headers = (("Host", "[::1]:8443"), ("Content-Type", JSON_CONTENT_TYPE), ("X-Amz-Target", target))
    request = HttpRequest("POST", headers=(*headers, ("Content-Length", str(len(body)))), body=body)
    unsigned_length = HttpRequest("POST", headers=headers, body=body)
    with pytest.MonkeyPatch.context() as patch:
        assert sent[b"Authorization"].decode() == botocores(unsigned_length, made, scope, at, patch)
        assert sent[b"Authorization"].decode() != botocores(request, made, scope, at, patch)


@given(path=paths, made=keys, scope=scopes, at=clocks)
@SETTINGS
def test_any_path_is_signed_as_botocore_signs_it(
    path: str, made: tuple[str, str, str | None], scope: Scope, at: datetime
) -> None:
    request = HttpRequest("GET", path=path, headers=(("Host", "service.example"),))

    signed = sign_headers(request, ours(made), scope, at, SigningKeys())

    with pytest.MonkeyPatch.context() as patch:
        assert dict(signed.headers)["Authorization"] == botocores(request, made, scope, at, patch)


@given(
    method=methods, path=paths, query=queries, body=st.binary(max_size=200), made=keys, scope=scopes, at=clocks,
    extra=extra_headers,
)  # fmt: skip
@SETTINGS
def test_any_request_is_signed_as_botocore_signs_it(
    method: str,
    path: str,
    query: str,
    body: bytes,
    made: tuple[str, str, str | None],
    scope: Scope,
    at: datetime,
    extra: Any,
) -> None:
    request = HttpRequest(method, path, query, (("Host", "service.example"), *extra.values()), body)

    signed = sign_headers(request, ours(made), scope, at, SigningKeys())

    with pytest.MonkeyPatch.context() as patch:
        assert dict(signed.headers)["Authorization"] == botocores(request, made, scope, at, patch)


@given(
    method=methods, path=paths, query=queries, made=keys, scope=scopes, at=clocks, expires=st.integers(1, 604_800),
    extra=extra_headers,
)  # fmt: skip
@SETTINGS
def test_any_request_is_presigned_as_botocore_presigns_it(
    method: str,
    path: str,
    query: str,
    made: tuple[str, str, str | None],
    scope: Scope,
    at: datetime,
    expires: int,
    extra: Any,
) -> None:
    request = HttpRequest(method, path, query, (("Host", "service.example:8443"), *extra.values()))

    signed = sign_query(request, ours(made), scope, at, SigningKeys(), expires=expires)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auth, "get_current_datetime", lambda: at.replace(tzinfo=None))
        foreign = foreign_request(request)
        auth.SigV4QueryAuth(BotocoreCredentials(*made), scope.service, scope.region, expires).add_auth(foreign)
    assert sorted(signed.query.split("&")) == sorted(urlsplit(foreign.url).query.split("&"))


def test_the_comparison_notices_another_secret_key() -> None:
    request = HttpRequest("POST", headers=(("Host", "h.example"),), body=b"{}")
    at, scope = datetime(2026, 11, 23, tzinfo=UTC), Scope("us-east-1", "secretsmanager")

    signed = sign_headers(request, ours(("AKIDEXAMPLE", "right", None)), scope, at, SigningKeys())

    with pytest.MonkeyPatch.context() as patch:
        assert dict(signed.headers)["Authorization"] != botocores(
            request, ("AKIDEXAMPLE", "wrong", None), scope, at, patch
        )
