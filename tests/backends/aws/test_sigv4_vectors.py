"""The published vectors: canonical request, string to sign and signature, each compared, in both forms."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from secrets_actor.backends.aws.sigv4_json import JsonPost
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.backends.sigv4 import (
    MAX_SIGNING_KEYS,
    HttpRequest,
    Scope,
    SigningKeys,
    amz_date,
    canonical_path,
    canonical_query,
    sign_headers,
    sign_query,
)
from secrets_actor.domain.secret import SecretValue

DATA = Path(__file__).parent / "data"
AWS_C_AUTH = json.loads((DATA / "aws-signing-test-suite-v4.json").read_text(encoding="utf-8"))["cases"]
BOTOCORE = json.loads((DATA / "aws4_testsuite.json").read_text(encoding="utf-8"))["cases"]
KEYS = AwsCredentials("AKIDEXAMPLE", SecretValue("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"))
SCOPE = Scope("us-east-1", "service")
AT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)


def request_of(case: dict[str, Any]) -> HttpRequest:
    request = case["request"]
    headers = tuple((name, value) for name, value in request["headers"])
    return HttpRequest(request["method"], request["path"], request["query"] or "", headers, request["body"].encode())


def keys_of(case: dict[str, Any]) -> AwsCredentials:
    given = case["credentials"]
    token = given.get("token")
    return AwsCredentials(
        given["access_key_id"],
        SecretValue(given["secret_access_key"]),
        None if token is None else SecretValue(token),
    )


def scope_of(case: dict[str, Any]) -> Scope:
    return Scope(case["region"], case["service"])


def time_of(case: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(case["timestamp"])


def test_all_the_vectors_are_here() -> None:
    assert (len(AWS_C_AUTH), len(BOTOCORE)) == (38, 34)


@pytest.mark.parametrize("case", [*AWS_C_AUTH, *BOTOCORE], ids=lambda case: case["name"])
def test_a_request_is_signed_as_published_in_header_form(case: dict[str, Any]) -> None:
    options, expected = case["options"], case["header"]

    signed = sign_headers(
        request_of(case),
        keys_of(case),
        scope_of(case),
        time_of(case),
        SigningKeys(),
        normalize_path=options.get("normalize", True),
        sign_token=not options.get("omit_session_token", False),
        content_sha256=options.get("sign_body", False),
    )

    assert signed.canonical_request == expected["canonical_request"]
    assert signed.string_to_sign == expected["string_to_sign"]
    assert dict(signed.headers)["Authorization"] == expected["authorization"]
    assert expected["authorization"].endswith(f"Signature={signed.signature}")
    assert signed.signature == expected.get("signature", signed.signature)


@pytest.mark.parametrize("case", AWS_C_AUTH, ids=lambda case: case["name"])
def test_a_request_is_signed_as_published_in_query_form(case: dict[str, Any]) -> None:
    options, expected = case["options"], case["query"]

    signed = sign_query(
        request_of(case),
        keys_of(case),
        scope_of(case),
        time_of(case),
        SigningKeys(),
        expires=options["expiration_in_seconds"],
        normalize_path=options["normalize"],
        sign_token=not options.get("omit_session_token", False),
    )

    assert signed.canonical_request == expected["canonical_request"]
    assert signed.string_to_sign == expected["string_to_sign"]
    assert signed.signature == expected["signature"]
    target = expected["signed_request"].split(" HTTP/1.1")[0].partition("?")[2]
    assert canonical_query(signed.query) == canonical_query(target)


def test_a_session_token_that_is_not_signed_is_still_sent() -> None:
    keys = AwsCredentials(KEYS.access_key_id, KEYS.secret_key, SecretValue("token+/="))
    request = HttpRequest("POST", headers=(("Host", "h"),))

    in_headers = sign_headers(request, keys, SCOPE, AT, SigningKeys(), sign_token=False)
    in_query = sign_query(request, keys, SCOPE, AT, SigningKeys(), sign_token=False)

    assert ("X-Amz-Security-Token", "token+/=") in in_headers.headers
    assert "token" not in in_headers.signed_headers
    assert "&X-Amz-Security-Token=token%2B%2F%3D&X-Amz-Signature=" in in_query.query
    assert "Token" not in in_query.canonical_request


@pytest.mark.parametrize("token", [None, "IQoJb3JpZ2luX2VjE//////////wEaCXVzLWVhc3QtMSJHMEUCIQ=="])
def test_the_json_short_cut_signs_as_the_general_form_does(token: str | None) -> None:
    keys = AwsCredentials(KEYS.access_key_id, KEYS.secret_key, None if token is None else SecretValue(token))
    body, target = b'{"SecretId":"db/password"}', "secretsmanager.GetSecretValue"
    request = HttpRequest(
        "POST",
        headers=(("Host", "h:8080"), ("Content-Type", "application/x-amz-json-1.1"), ("X-Amz-Target", target)),
        body=body,
    )

    headers = dict(JsonPost("h:8080", SCOPE, SigningKeys()).headers(target, body, keys, AT))

    general = dict(sign_headers(request, keys, SCOPE, AT, SigningKeys()).headers)
    assert headers[b"Authorization"].decode() == general["Authorization"]
    assert headers[b"X-Amz-Date"].decode() == general["X-Amz-Date"]
    assert headers.get(b"X-Amz-Security-Token") == (None if token is None else token.encode())
    assert (headers[b"Content-Length"], headers[b"Host"]) == (b"26", b"h:8080")


def test_a_short_cut_that_is_used_again_signs_with_the_keys_and_the_day_of_each_request() -> None:
    post = JsonPost("h", SCOPE, SigningKeys())
    others = AwsCredentials("AKIDOTHER", SecretValue("other"), SecretValue("token"))
    for keys, at in [(KEYS, AT), (KEYS, AT), (others, AT), (others, AT + timedelta(days=1)), (KEYS, AT), (others, AT)]:
        afresh = JsonPost("h", SCOPE, SigningKeys()).headers("s.Op", b"{}", keys, at)

        assert post.headers("s.Op", b"{}", keys, at) == afresh
    assert "token" not in repr(post) + repr(post._ready)


def test_a_signing_key_is_kept_for_its_day_and_the_cache_stays_small() -> None:
    keys = SigningKeys()

    first = keys.get(KEYS.secret_key, "20150830", SCOPE)

    assert keys.get(KEYS.secret_key, "20150830", SCOPE) is first
    for day in range(10, 10 + 3 * MAX_SIGNING_KEYS):
        keys.get(KEYS.secret_key, f"201508{day}", SCOPE)
    assert len(keys) == MAX_SIGNING_KEYS
    assert keys.get(KEYS.secret_key, "20150830", SCOPE) == first


def test_how_many_signing_keys_are_kept_is_the_owners_choice() -> None:
    keys = SigningKeys(3)

    for day in range(10, 20):
        keys.get(KEYS.secret_key, f"201508{day}", SCOPE)

    assert len(keys) == 3


def test_every_part_of_the_cache_key_counts() -> None:
    keys = SigningKeys()
    made = {
        keys.get(SecretValue(secret), day, Scope(region, service))
        for secret in ("a", "b")
        for day in ("20150830", "20150831")
        for region in ("us-east-1", "eu-west-1")
        for service in ("s", "t")
    }

    assert len(made) == 16


def test_no_repr_shows_a_key_a_token_or_a_signature() -> None:
    keys = SigningKeys()
    credentials = AwsCredentials("AKIDCANARY", SecretValue("canary-secret"), SecretValue(b"canary-token"))
    request = HttpRequest("POST", headers=(("Host", "h"),), body=b"canary-body")

    signed = sign_headers(request, credentials, SCOPE, AT, keys)

    shown = repr((request, signed, keys, sign_query(request, credentials, SCOPE, AT, keys)))
    assert "canary" not in shown.lower()
    assert signed.signature not in shown
    assert "<SigningKeys [1 kept]>" in shown


def test_a_time_in_another_zone_is_signed_as_utc() -> None:
    assert amz_date(AT.astimezone(timezone(timedelta(hours=9)))) == "20150830T123600Z"


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        amz_date(datetime(2015, 8, 30))  # noqa: DTZ001


def test_a_request_without_host_is_refused() -> None:
    with pytest.raises(ValueError, match="Host"):
        sign_headers(HttpRequest("GET"), KEYS, SCOPE, AT, SigningKeys())


def test_headers_that_change_on_the_way_are_not_signed() -> None:
    request = HttpRequest("GET", headers=(("Host", "h"), ("User-Agent", "x"), ("Connection", "close")))

    assert sign_headers(request, KEYS, SCOPE, AT, SigningKeys()).signed_headers == "host;x-amz-date"


def test_a_query_may_be_written_in_any_way() -> None:
    assert canonical_query("b=2&&a&c=%7e%2f+") == "a=&b=2&c=~%2F%2B"


def test_an_empty_path_is_the_root() -> None:
    assert canonical_path("", normalize=False) == "/"
    assert canonical_path("../..", normalize=True) == "/"
