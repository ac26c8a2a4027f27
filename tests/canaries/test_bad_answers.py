"""Stores that fail and quote what they should not: nothing of it is let out, by nobody's logger."""

import base64
import json
import logging
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import trustme

from secrets_actor import AwsSettings, SecretsError, Settings, System, start
from tests.backends.http.tls_server import TlsServer, certificate_files
from tests.canaries.canary_forms import canary, plain_canary
from tests.canaries.canary_search import Hunt
from tests.canaries.planted_canaries import Values, plant_keys, some_keys
from tests.canaries.test_stores import aws
from tests.servers.behaviours import (
    Answer,
    Behaviour,
    Connection,
    Hang,
    HangUp,
    Reset,
    answer_json,
    aws_error,
    empty_body,
    half_body,
    half_json,
    html_500,
)
from tests.servers.faulty import FaultyServer
from tests.servers.process import reserve

# The same in every answer: what the store would have told, had it been well.
QUOTED: Final = canary()
KEY_LIKE: Final = plain_canary()
GOOD: Final = {"ARN": "arn:x", "Name": "a", "VersionId": "v" * 32, "VersionStages": ["AWSCURRENT"], "CreatedDate": 1.0}


@dataclass(frozen=True, slots=True)
class Bytes:
    """Send *answer* as it is, whatever the request."""

    answer: bytes = field(repr=False)

    def serve(self, connection: Connection) -> None:
        """Answer once."""
        connection.next_request()
        connection.client.sendall(self.answer)


def raw(text: str) -> Bytes:
    return Bytes(text.encode())


BAD_ANSWERS: Final[dict[str, Behaviour]] = {
    **{
        f"refusal {code}": aws_error(code, status, text=f"you sent {QUOTED} with {KEY_LIKE}")
        for code, status in (
            ("ResourceNotFoundException", 400),
            ("ResourceExistsException", 400),
            ("InvalidRequestException", 400),
            ("InvalidParameterException", 400),
            ("AccessDeniedException", 403),
            ("InvalidSignatureException", 403),
            ("UnrecognizedClientException", 400),
            ("ExpiredTokenException", 400),
            ("LimitExceededException", 400),
            ("DecryptionFailure", 400),
            ("InternalServiceError", 500),
        )
    },
    "a refusal by the value itself": aws_error(KEY_LIKE, 400, text=QUOTED),
    "a refusal with a prefix": aws_error(f"{KEY_LIKE}#{QUOTED}", 400, text=QUOTED),
    "a refusal of another kind": answer_json([QUOTED], 400),
    "a page": html_500(f"<html>you sent {QUOTED}".encode()),
    "nothing": empty_body(),
    "half a JSON": half_json({"SecretString": QUOTED, "Name": QUOTED}),
    "half a body": half_body({"SecretString": QUOTED, "Name": QUOTED}),
    "half an error": half_json({"__type": "Foo", "message": QUOTED}, 400),
    "a number for a value": answer_json({**GOOD, "SecretString": 7, "Else": QUOTED}),
    "a list for a value": answer_json({**GOOD, "SecretString": [QUOTED]}),
    "two values": answer_json({**GOOD, "SecretString": QUOTED, "SecretBinary": QUOTED}),
    "no base64": answer_json({**GOOD, "SecretBinary": QUOTED}),
    "a bad date": answer_json({**GOOD, "SecretString": QUOTED, "CreatedDate": QUOTED}),
    "stages of another kind": answer_json({**GOOD, "SecretString": QUOTED, "VersionStages": QUOTED}),
    "no name": answer_json({"SecretString": QUOTED}),
    "a bare value": answer_json(QUOTED),
    "no JSON at all": Answer(QUOTED.encode()),
    "no Unicode": Answer(b"\xff" + QUOTED.encode()),
    "nested without end": Answer(b"[" * 100_000 + QUOTED.encode()),
    "too long a value": answer_json({**GOOD, "SecretString": QUOTED * 1500}),
    "a redirection": Answer(b"{}", 302, headers=(("Location", f"http://127.0.0.1/{KEY_LIKE}"),)),
    "a length that is none": raw(f"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{QUOTED}"),
    "more than promised": raw(f'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{{}}{QUOTED}'),
    "broken chunks": raw(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{QUOTED}\r\n{QUOTED}"),
    "bad compression": Answer(QUOTED.encode(), headers=(("Content-Encoding", "gzip"),)),
    "a reset": Reset(),
    "a hang-up": HangUp(),
}  # fmt: skip

LOOKED_INTO: Final = ("refusal AccessDeniedException", "half a JSON", "broken chunks", "a reset")


def ask_all(hunt: Hunt, where: str, system: System, value: str) -> int:
    """Get and set, and how many of them failed."""
    failed = 0
    for call in (
        lambda: system.secrets.get("canaries/one"),
        lambda: system.secrets.set("canaries/one", value),
        system.secrets.list,
    ):
        try:
            hunt.text("answer", where, repr(call()))
        except SecretsError as error:
            hunt.error(where, error)
            failed += 1
    return failed


def test_no_piece_of_a_bad_answer_is_let_out(
    hunt: Hunt, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "secrets_actor.http")
    values, keys = Values.planted(hunt), some_keys()
    plant_keys(hunt, keys)
    hunt.plant("quoted", QUOTED)
    hunt.plant("key-like", KEY_LIKE)

    def ask(name: str) -> int:
        with (
            FaultyServer(BAD_ANSWERS[name]) as server,
            start(Settings(backend="aws_secrets_manager", aws=aws(server.url, keys))) as system,
        ):
            failed = ask_all(hunt, name, system, values.text)
            if name in LOOKED_INTO:
                hunt.objects(name, system)
        return failed

    with ThreadPoolExecutor(8) as pool:  # most of their time they wait before another attempt
        failed = sum(pool.map(ask, BAD_ANSWERS))
    hunt.text("standard output and error", "bad answers", "".join(capfd.readouterr()))

    assert failed >= 2 * len(BAD_ANSWERS)
    hunt.nothing_was_found(texts=5000, error=400, frames=200, log_of_secrets_actor=100)


@pytest.mark.slow
def test_a_store_that_cannot_be_reached_costs_no_secret(hunt: Hunt, tmp_path: Path) -> None:
    values, keys = Values.planted(hunt), some_keys()
    plant_keys(hunt, keys)
    authority, stranger = trustme.CA(), trustme.CA()
    _, chain, key = certificate_files(tmp_path, authority, authority.issue_cert("127.0.0.1"))
    other_ca = tmp_path / "other.pem"
    stranger.cert_pem.write_to_path(str(other_ca))

    def asked(where: str, url: str, **more: Any) -> None:
        aws_settings: AwsSettings = aws(url, keys, **more)
        settings = Settings(backend="aws_secrets_manager", call_timeout_seconds=0.15, aws=aws_settings)
        with start(settings) as system:
            assert ask_all(hunt, where, system, values.text) == 3
            hunt.objects(where, system)

    with reserve() as nobody:
        asked("refused", f"http://127.0.0.1:{nobody.getsockname()[1]}")
    with FaultyServer(Hang()) as server:
        asked("hanging", server.url)
        asked("hanging, one attempt", server.url, timeout=0.05)
    with FaultyServer(Answer(json.dumps({**GOOD, "SecretString": QUOTED}).encode(), drip=0.05)) as server:
        hunt.plant("quoted", QUOTED)
        asked("dripping", server.url)
        asked("no TLS there", server.url.replace("http", "https"))
    with TlsServer(chain, key) as server:
        asked("another authority", f"https://127.0.0.1:{server.port}", ca_bundle=other_ca)
        asked("another name", f"https://localhost:{server.port}", ca_bundle=tmp_path / "ca.pem")
    asked("no authority", "https://127.0.0.1:1", ca_bundle=tmp_path / "missing.pem")
    asked("no such host", "http://no-such-host.invalid")

    hunt.nothing_was_found(texts=1000, error=100, frames=50, log_of_secrets_actor=30)


class MetadataService:
    """A metadata service that gives out keys, or something else in their place."""

    def __init__(self, **answers: Answer) -> None:
        self._answers = answers

    def serve(self, connection: Any) -> None:
        """Answer by path."""
        while (request := connection.next_request()) is not None:
            path = request.head.split()[1].decode()
            which = "token" if path.endswith("/token") else "role" if path.endswith("/") else "keys"
            answer = self._answers[which]
            connection.client.sendall(answer._head() + answer.body)


@pytest.mark.slow
def test_what_the_metadata_service_says_is_not_let_out(hunt: Hunt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED", raising=False)
    values, keys, token = Values.planted(hunt), some_keys(), plain_canary()
    plant_keys(hunt, keys)
    hunt.plant("metadata token", token)
    document = {
        "Code": "Success",
        "AccessKeyId": keys.access_key_id,
        "SecretAccessKey": keys.secret_key,
        "Token": keys.session_token,
        "Expiration": "2036-01-01T00:00:00Z",
    }
    good = {
        "token": Answer(token.encode(), content_type="text/plain"),
        "role": Answer(b"my-role", content_type="text/plain"),
        "keys": answer_json(document),
    }
    quoting = json.dumps(document).encode()
    services = {
        "good": {},
        "token with a blank": {"token": Answer(f"{token} {token}".encode())},
        "token refused": {"token": Answer(token.encode(), 403)},
        "a key for a role": {"role": Answer(quoting)},
        "role refused": {"role": Answer(quoting, 404)},
        "half the keys": {"keys": Answer(quoting[:-20])},
        "keys and no date": {"keys": answer_json({**document, "Expiration": keys.secret_key})},
        "keys with a blank": {"keys": answer_json({**document, "SecretAccessKey": f"{keys.secret_key} x"})},
        "keys for a code": {"keys": answer_json({**document, "Code": keys.secret_key})},
        "keys refused": {"keys": Answer(quoting, 500)},
        "keys as a list": {"keys": answer_json([document])},
        "keys in base64": {"keys": Answer(base64.b64encode(quoting))},
    }
    with FaultyServer(aws_error("ExpiredTokenException", text=f"expired: {keys.session_token}")) as store:
        settings = Settings(
            backend="aws_secrets_manager",
            aws=AwsSettings(region="us-east-1", endpoint_url=store.url, auth_method="iam_role"),
        )
        for name, answers in services.items():
            with FaultyServer(MetadataService(**{**good, **answers})) as service:
                monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", service.url)
                with start(settings) as system:
                    assert ask_all(hunt, name, system, values.text) == 3
                    hunt.objects(name, system)

    hunt.nothing_was_found(texts=1000, error=100, frames=50, log_of_secrets_actor=30)


def test_the_bad_answers_reach_who_asks() -> None:
    """A check of the checks: what the table says is what is sent."""
    for name, behaviour in BAD_ANSWERS.items():
        if isinstance(behaviour, Bytes):
            with FaultyServer(behaviour) as server, socket.create_connection(("127.0.0.1", server.port)) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                sent = b"".join(iter(lambda: client.recv(65536), b""))
            assert QUOTED.encode() in sent, name
