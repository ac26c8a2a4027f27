"""The check of signatures against those that botocore makes, and against each way to change a signed request."""

import hashlib
import hmac
import json
import string
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from secrets_actor.backends.sigv4 import Scope, SigningKeys, sign_headers
from secrets_actor.domain.secret import SecretValue
from secrets_actor.faces.exchange import Request
from secrets_actor.faces.identity import Identity, Peer
from secrets_actor.faces.sigv4_check import (
    EXPIRED,
    INCOMPLETE,
    INVALID,
    MISMATCH,
    MISSING,
    UNRECOGNIZED,
    FoundKey,
    KeyOwner,
    SignatureRefused,
    check,
    identity_of,
)
from tests.backends.aws.test_sigv4_vectors import AWS_C_AUTH, keys_of, request_of
from tests.faces.asking import UNIX, changed, request

NOW: Final = datetime(2026, 11, 30, 4, 20, 22, tzinfo=UTC)
KEY_ID: Final = "AKLOCALCI"
SECRET: Final = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN: Final = "minted-token=="
OWNER: Final = KeyOwner("ci")
MINTED: Final = KeyOwner("minted", UNIX, "ci")


class TwoKeys:
    """A static key, which is just being replaced, and a minted one, whose time is over at some moment."""

    def __init__(self, *secret_keys: str, end: datetime = NOW + timedelta(hours=1)) -> None:
        self._secret_keys = tuple(map(SecretValue, secret_keys or (SECRET,)))
        self._end = end

    def find(self, access_key_id: str, session_token: str | None, now: datetime) -> FoundKey | None:
        if (access_key_id, session_token) == (KEY_ID, None):
            return FoundKey(OWNER, self._secret_keys)
        if (access_key_id, session_token) == ("ASIAMINTED", TOKEN):
            if now >= self._end:
                raise SignatureRefused(EXPIRED, "The security token included in the request is expired")
            return FoundKey(MINTED, self._secret_keys)
        return None


def signed(
    path: str = "/",
    body: bytes = b'{"SecretId": "db/password"}',
    *,
    host: str = "localhost:2773",
    headers: dict[str, str] | None = None,
    at: datetime = NOW,
    key: tuple[str, str, str | None] = (KEY_ID, SECRET, None),
    region: str = "us-east-1",
    service: str = "secretsmanager",
    peer: Peer | None = None,
) -> Request:
    """A request that botocore has signed, as it arrives here."""
    sent = {
        "Host": host,
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": "secretsmanager.GetSecretValue",
        **(headers or {}),
    }
    foreign = AWSRequest("POST", f"http://{host}{path}", sent, body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auth, "get_current_datetime", lambda: at.replace(tzinfo=None))
        auth.SigV4Auth(BotocoreCredentials(*key), service, region).add_auth(foreign)
    arrived = [(name, str(value)) for name, value in foreign.headers.items()]
    more = {} if peer is None else {"peer": peer}
    return request(path, *arrived, method="POST", body=body, **more)


def refused(asked: Request, at: datetime = NOW, keys: TwoKeys | None = None) -> tuple[str, str]:
    with pytest.raises(SignatureRefused) as caught:
        check(asked, keys or TwoKeys(), at, SigningKeys())
    return caught.value.code, caught.value.message


def with_header(asked: Request, name: str, change: Callable[[str], str]) -> Request:
    headers = tuple((given, change(value) if given == name else value) for given, value in asked.headers)
    assert headers != asked.headers
    return changed(asked, headers=headers)


def without(asked: Request, name: str) -> Request:
    return changed(asked, headers=tuple(one for one in asked.headers if one[0] != name))


def and_header(asked: Request, name: str, value: str) -> Request:
    return changed(asked, headers=(*asked.headers, (name, value)))


# --- what botocore signs -------------------------------------------------------------------------------------------

texts = st.text(min_size=1, max_size=20).filter(str.isprintable)
bodies = st.dictionaries(texts, texts | st.integers(), max_size=3).map(lambda made: json.dumps(made).encode())
spaced = st.lists(st.sampled_from([*"abcXYZ019\"',;=", " ", "  ", "\t", " \t "]), min_size=1, max_size=12)
names = st.text(string.ascii_letters + string.digits, min_size=1, max_size=10)
odd_headers = st.dictionaries(names.map(lambda name: f"X-Odd-{name.lower()}"), spaced.map("".join), max_size=4)
paths = st.lists(st.text(string.ascii_letters + "-_.~%é ", min_size=1, max_size=6), max_size=3).map(
    lambda parts: "/" + "/".join(parts)
)
hosts = st.sampled_from(["localhost", "localhost:2773", "127.0.0.1:2773", "[::1]:2773", "secrets.example:8443"])
secret_keys = st.text(string.ascii_letters + string.digits + "+/", min_size=1, max_size=40)
regions = st.sampled_from(["us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1", "local"])


@given(paths, bodies, hosts, odd_headers, secret_keys, regions, st.booleans())
def test_what_botocore_signs_is_accepted(
    path: str, body: bytes, host: str, headers: dict[str, str], secret: str, region: str, minted: bool
) -> None:
    key = ("ASIAMINTED", secret, TOKEN) if minted else (KEY_ID, secret, None)
    asked = signed(path, body, host=host, headers=headers, key=key, region=region)

    assert check(asked, TwoKeys(secret), NOW, SigningKeys()) == (MINTED if minted else OWNER)


@pytest.mark.parametrize(
    "case", [one for one in AWS_C_AUTH if not one["request"]["query"]], ids=lambda one: one["name"]
)
def test_the_requests_of_the_vectors_are_accepted(case: dict[str, Any]) -> None:
    """Odd paths, and headers that are repeated or spread over lines, signed by the code that the vectors check."""
    found, keys = request_of(case), keys_of(case)
    signed_now = sign_headers(found, keys, Scope("us-east-1", "secretsmanager"), NOW, SigningKeys())
    # A parser of HTTP joins the lines of one header with blanks (RFC 9112, 5.2).
    arrived = [(name, value.replace("\n", " ")) for name, value in (*found.headers, *signed_now.headers)]
    asked = request(found.path, *arrived, method=found.method, body=found.body)
    minted = keys.session_token is not None

    class TheirKeys:
        def find(self, access_key_id: str, session_token: str | None, _now: datetime) -> FoundKey | None:
            assert access_key_id == keys.reveal_id()
            assert (session_token is not None) == minted
            return FoundKey(OWNER, (keys.secret_key,))

    assert check(asked, TheirKeys(), NOW, SigningKeys()) == OWNER


@given(st.data(), st.booleans())
@settings(max_examples=200)
def test_a_signed_request_in_which_one_bit_is_changed_is_refused(data: st.DataObject, minted: bool) -> None:
    key = ("ASIAMINTED", SECRET, TOKEN) if minted else (KEY_ID, SECRET, None)
    body = b'{"SecretId": "db/password"}'
    headers = data.draw(st.sampled_from([{}, {"X-Amz-Content-SHA256": hashlib.sha256(body).hexdigest()}]))
    asked = signed("/sm/", body, headers=headers, key=key)
    part = data.draw(st.sampled_from(["method", "path", "body", *[name for name, _ in asked.headers]]))
    if part == "body":
        other = changed(asked, body=flipped(data, asked.body))
    elif part in ("method", "path"):
        text = flipped(data, getattr(asked, part).encode()).decode("latin-1")
        other = changed(asked, **{part: text})
    else:
        other = with_header(asked, part, lambda value: flipped(data, value.encode()).decode("latin-1"))

    assert refused(other)[0] in (INCOMPLETE, INVALID, UNRECOGNIZED, MISSING)


def flipped(data: st.DataObject, content: bytes) -> bytes:
    bit = data.draw(st.integers(0, len(content) * 8 - 1))
    turned = bytearray(content)
    turned[bit // 8] ^= 1 << bit % 8
    return bytes(turned)


@pytest.mark.parametrize("skew", [timedelta(minutes=5), -timedelta(minutes=5)])
def test_a_date_five_minutes_away_is_accepted(skew: timedelta) -> None:
    assert check(signed(at=NOW + skew), TwoKeys(), NOW, SigningKeys()) == OWNER


def test_an_older_date_is_refused_in_awss_words() -> None:
    asked = signed(at=datetime(2026, 11, 30, 4, 15, 0, tzinfo=UTC))

    assert refused(asked) == (
        INVALID,
        "Signature expired: 20261130T041500Z is now earlier than 20261130T041522Z (20261130T042022Z - 5 min.)",
    )


def test_a_later_date_is_refused_in_awss_words() -> None:
    asked = signed(at=datetime(2026, 11, 30, 4, 26, 0, tzinfo=UTC))

    assert refused(asked) == (
        INVALID,
        "Signature not yet current: 20261130T042600Z is still later than 20261130T042522Z (20261130T042022Z + 5 min.)",
    )


def signed_by_date(date: str, *, covered: bool = True) -> Request:
    """A request without X-Amz-Date, signed by the vectors' own algorithm."""
    names = "date;host" if covered else "host"
    lines = (f"date:{date}\n" if covered else "") + "host:h\n"
    canonical = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(b'').hexdigest()}"
    stamp = "20261130T042022Z"
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n20261130/x/secretsmanager/aws4_request\n"
    to_sign += hashlib.sha256(canonical.encode()).hexdigest()
    key = SigningKeys().get(SecretValue(SECRET), "20261130", Scope("x", "secretsmanager"))
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    given = f"AWS4-HMAC-SHA256 Credential={KEY_ID}/20261130/x/secretsmanager/aws4_request, "
    given += f"SignedHeaders={names}, Signature={signature}"
    return request("/", ("Host", "h"), ("Date", date), ("Authorization", given), method="POST")


@pytest.mark.parametrize("date", ["Mon, 30 Nov 2026 04:20:22 GMT", "20261130T042022Z"])
def test_a_date_header_does_in_the_place_of_x_amz_date(date: str) -> None:
    assert check(signed_by_date(date), TwoKeys(), NOW, SigningKeys()) == OWNER


def test_a_date_header_must_be_signed_then() -> None:
    assert refused(signed_by_date("20261130T042022Z", covered=False)) == (
        INVALID,
        "'X-Amz-Date' or 'Date' must be a 'SignedHeader' in the AWS Authorization.",
    )


def repeated(name: str) -> Callable[[Request], Request]:
    return lambda asked: and_header(asked, name, asked.one(name) or "")


def authorization(old: str, new: str) -> Callable[[Request], Request]:
    return lambda asked: with_header(asked, "authorization", lambda value: value.replace(old, new))


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda asked: without(asked, "authorization"), MISSING, "Missing Authentication Token"),
        (lambda asked: without(asked, "x-amz-date"), INCOMPLETE, "existence of either a 'X-Amz-Date' or a 'Date'"),
        (lambda asked: without(asked, "content-type"), INVALID, MISMATCH),
        (repeated("authorization"), INCOMPLETE, "'authorization' must stand once"),
        (repeated("host"), INCOMPLETE, "'host' must stand once"),
        (repeated("x-amz-date"), INCOMPLETE, "'x-amz-date' must stand once"),
        (repeated("x-amz-target"), INCOMPLETE, "'x-amz-target' must stand once"),
        (lambda asked: and_header(asked, "x-amz-security-token", TOKEN), INVALID, "which were not signed"),
        (lambda asked: and_header(asked, "x-amz-user-agent", "x"), INVALID, "which were not signed"),
        (lambda asked: and_header(asked, "content-type", "text/plain"), INVALID, MISMATCH),
        (lambda asked: changed(asked, query="X-Amz-Signature=1"), INCOMPLETE, "has no query"),
        (lambda asked: with_header(asked, "x-amz-date", lambda _: "today"), INCOMPLETE, "'basic format'"),
        (lambda asked: with_header(asked, "x-amz-date", lambda _: "20261131T000000Z"), INCOMPLETE, "'basic format'"),
        (authorization("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), INCOMPLETE, "requires the algorithm"),
        (authorization("Signature=", "Signature"), INCOMPLETE, "'key=value' parts"),
        (authorization("SignedHeaders=", "Signature="), INCOMPLETE, "'key=value' parts, each once"),
        (authorization(", ", ",\xa0"), INCOMPLETE, "'key=value' parts"),
        (authorization("Signature=", "Seal="), INCOMPLETE, "requires 'Signature' parameter."),
        (authorization("Credential=", "C="), INCOMPLETE, "requires 'Credential' parameter."),
        (authorization("Signature=", "Signature=A"), INVALID, MISMATCH),
        (authorization("/us-east-1", ""), INCOMPLETE, "exactly 5 slash-delimited"),
        (authorization("us-east-1", "US!"), INVALID, "a valid region"),
        (authorization("us-east-1", "us-east-2"), INVALID, MISMATCH),
        (authorization("aws4_request", "aws5_request"), INVALID, "valid terminator: 'aws4_request'"),
        (authorization("secretsmanager", "s3"), INVALID, "correct service: 'secretsmanager'"),
        (authorization("/20261130/", "/20261129/"), INVALID, "does not match YYYYMMDD"),
        (authorization(KEY_ID, "AKUNKNOWN"), UNRECOGNIZED, "security token included in the request is invalid"),
        (authorization("content-type;host", "host;content-type"), INCOMPLETE, "sorted"),
        (authorization("content-type;host", "content-type;host;host"), INCOMPLETE, "each once"),
        (authorization("content-type;", "Content-Type;"), INCOMPLETE, "lower case"),
        (authorization("host;", ""), INVALID, "'Host' must be a 'SignedHeader'"),
        (authorization("x-amz-date;", ""), INVALID, "which were not signed"),
    ],
)  # fmt: skip
def test_a_request_that_is_not_signed_by_the_rules_is_refused(
    change: Callable[[Request], Request], code: str, words: str
) -> None:
    found = refused(change(signed()))

    assert found[0] == code
    assert words in found[1]


@pytest.mark.parametrize(
    ("digest", "words"),
    [
        ("UNSIGNED-PAYLOAD", "The payload must be signed"),
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "The payload must be signed"),
        (hashlib.sha256(b"another body").hexdigest(), "does not match what was computed"),
    ],
)
def test_a_body_that_is_not_the_signed_one_is_refused(digest: str, words: str) -> None:
    asked = signed(headers={"X-Amz-Content-SHA256": digest})

    found = refused(asked)

    assert found[0] == INVALID
    assert words in found[1]


def test_a_wrong_secret_key_is_refused_in_awss_words() -> None:
    assert refused(signed(), keys=TwoKeys("another")) == (INVALID, MISMATCH)


@pytest.mark.parametrize("secret", ["old", "new"])
def test_while_a_secret_key_is_replaced_both_are_good(secret: str) -> None:
    assert check(signed(key=(KEY_ID, secret, None)), TwoKeys("old", "new"), NOW, SigningKeys()) == OWNER


@pytest.mark.parametrize("token", ["another", None])
def test_a_session_token_belongs_to_its_key_id(token: str | None) -> None:
    assert refused(signed(key=("ASIAMINTED", SECRET, token)))[0] == UNRECOGNIZED
    assert refused(signed(key=(KEY_ID, SECRET, token or TOKEN)))[0] == UNRECOGNIZED


def test_a_minted_key_that_has_ended_is_refused() -> None:
    asked = signed(key=("ASIAMINTED", SECRET, TOKEN))

    assert refused(asked, keys=TwoKeys(end=NOW))[0] == EXPIRED


def test_a_letter_whose_byte_is_a_no_break_space_is_no_blank() -> None:
    # botocore signs the text, and the header carries its UTF-8 bytes, which arrive decoded as Latin-1.
    sent = "voil\u00e0  \u00e9t\u00e9"
    asked = signed(headers={"X-Amz-User-Agent": sent})
    arrived = with_header(asked, "x-amz-user-agent", lambda value: value.encode().decode("latin-1"))

    assert check(arrived, TwoKeys(), NOW, SigningKeys()) == OWNER


def test_a_comma_alone_may_stand_between_the_parts() -> None:
    asked = with_header(signed(), "authorization", lambda value: value.replace(", ", ","))

    assert check(asked, TwoKeys(), NOW, SigningKeys()) == OWNER


def test_the_identity_is_that_of_the_owner_of_the_key() -> None:
    found = identity_of(signed(key=("ASIAMINTED", SECRET, TOKEN)), TwoKeys(), NOW, SigningKeys())

    assert found == Identity(UNIX, "ci", "minted")


def test_a_static_key_adds_to_what_is_known_of_the_peer() -> None:
    found = identity_of(signed(peer=UNIX), TwoKeys(), NOW, SigningKeys())

    assert found == Identity(UNIX, None, "ci")


def test_on_a_unix_socket_no_signature_is_needed() -> None:
    asked = without(signed(peer=UNIX), "authorization")

    assert identity_of(asked, TwoKeys(), NOW, SigningKeys()) == Identity(UNIX)


def test_on_a_unix_socket_a_wrong_signature_is_refused_all_the_same() -> None:
    with pytest.raises(SignatureRefused):
        identity_of(signed(peer=UNIX), TwoKeys("another"), NOW, SigningKeys())


def test_on_a_unix_socket_a_signature_in_the_query_is_refused_as_well() -> None:
    asked = changed(without(signed(peer=UNIX), "authorization"), query="X-Amz-Signature=1")
    with pytest.raises(SignatureRefused, match="has no query"):
        identity_of(asked, TwoKeys(), NOW, SigningKeys())


def test_on_tcp_a_signature_is_needed() -> None:
    with pytest.raises(SignatureRefused, match=MISSING):
        identity_of(without(signed(), "authorization"), TwoKeys(), NOW, SigningKeys())


def test_a_refusal_and_its_traceback_show_no_key_token_or_signature() -> None:
    asked = signed(key=("ASIAMINTED", SECRET, TOKEN))
    right = str(asked.one("authorization")).rpartition("=")[2]
    forged = with_header(asked, "authorization", lambda value: value.replace(right, "0" * 64))

    with pytest.raises(SignatureRefused) as caught:
        check(forged, TwoKeys(), NOW, SigningKeys())

    frames = [frame for frame, _ in traceback.walk_tb(caught.tb) if "/tests/" not in frame.f_code.co_filename]
    shown = f"{caught.value!r} {[frame.f_locals for frame in frames]}"
    assert [one for one in (right, SECRET, TOKEN, "0" * 64) if one in shown] == []
    assert SECRET not in repr(TwoKeys().find(KEY_ID, None, NOW))
