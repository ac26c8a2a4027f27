"""The backend as a port: close, refusals, sharing, silence."""

import logging
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import trustme

from secrets_actor.backends.aws.backend import aws_backend_factory
from secrets_actor.backends.aws.credentials.static import StaticCredentials
from secrets_actor.backends.aws.endpoint import endpoint_for
from secrets_actor.clock import now as clock_now
from secrets_actor.domain import errors
from secrets_actor.domain.operations import Get, Operation, Set
from secrets_actor.domain.ports import Backend, CallContext
from secrets_actor.domain.secret import SecretValue
from tests.backends.aws.backend_rig import (
    FOUND,
    LONG,
    NAMED,
    SECRET,
    SLACK,
    connect,
    context,
    do,
    failing,
    once,
)
from tests.backends.http.tls_server import TlsServer, certificate_files
from tests.servers.account import Keys
from tests.servers.behaviours import (
    Hang,
    Receipt,
    answer_json,
    aws_error,
    html_500,
)
from tests.servers.faulty import FaultyServer


def in_a_thread(backend: Backend) -> tuple[threading.Thread, list[BaseException]]:
    caught: list[BaseException] = []

    def run() -> None:
        try:
            do(backend, Get("a"))
        except BaseException as exc:
            caught.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, caught


def test_close_ends_a_request_and_it_is_not_tried_again() -> None:
    with FaultyServer(Hang()) as server:
        backend = connect(server.url)
        thread, caught = in_a_thread(backend)
        server.wait_for_requests(1)
        started = clock_now()
        backend.close()
        backend.close()
        thread.join(LONG)

        assert not thread.is_alive()
        assert clock_now() - started < SLACK
        assert type(caught[0]) is errors.RequestFailed
        assert server.connections == 1
        assert repr(backend) == f"<AwsBackend [127.0.0.1:{server.port}, closed]>"


def test_close_ends_a_pause_between_attempts() -> None:
    hinted = aws_error("ThrottlingException", headers=(("x-amz-retry-after", "60000"),))
    with FaultyServer(hinted) as server:
        backend = connect(server.url)
        thread, caught = in_a_thread(backend)
        server.wait_for_requests(1)
        started = clock_now()
        backend.close()
        thread.join(LONG)

    assert not thread.is_alive()
    assert clock_now() - started < 4.0  # the pause would be five seconds and more
    assert isinstance(caught[0], errors.SecretsError)


def test_a_closed_backend_refuses() -> None:
    with FaultyServer(FOUND) as server:
        backend = connect(server.url)
        backend.close()

        assert type(failing(backend, Get("a"))) is errors.ConnectionFailed
        assert server.connections == 0


def test_a_call_without_keys_or_with_impossible_ones_is_not_sent() -> None:
    with FaultyServer(FOUND) as server:
        backend = connect(server.url)
        with pytest.raises(errors.MissingAccessKey):
            backend.perform(Get("a"), CallContext(clock_now() + LONG))
        with pytest.raises(errors.CredentialsError, match="session token"):
            backend.perform(Get("a"), context(Keys("AKID", "s", "line\nend")))
        backend.close()
        assert server.connections == 0


def test_an_operation_that_it_does_not_know_is_refused() -> None:
    class Strange(Operation[None]):
        kind = "strange"

    backend = connect("http://127.0.0.1:9")
    with pytest.raises(errors.UnknownMessage, match="Strange"):
        backend.perform(Strange(), context())
    assert backend.name == "aws_secrets_manager"


def test_a_bad_region_or_url_is_told_when_the_kit_is_made() -> None:
    with pytest.raises(errors.ConfigurationError, match=r"aws\.endpoint_url"):
        connect("nonsense")


def test_all_connections_of_a_kit_share_one_tls_context(tmp_path: Path) -> None:
    authority = trustme.CA()
    ca, chain, key = certificate_files(tmp_path, authority, authority.issue_cert("127.0.0.1"))
    with TlsServer(chain, key) as server:
        made = aws_backend_factory(
            endpoint=endpoint_for("us-east-1", f"https://127.0.0.1:{server.port}"),
            ca_bundle=str(ca),
            timeout=5.0,
            recovery_window=30,
            credentials=StaticCredentials(),
        )
        first, second = made.connect(), made.connect()
        assert type(failing(first, Get("a"))) is errors.InvalidAnswer  # it answers {}: TLS came about
        first.close()
        ca.unlink()  # whoever read the bundle again would fail now
        assert type(failing(second, Get("a"))) is errors.InvalidAnswer
        second.close()

        assert server.handshakes == 6  # three attempts each


def test_no_value_key_or_token_is_logged_or_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    keys = Keys("AKIDCANARY", "canary-secret", "canary-token")
    answers = [
        Receipt(NAMED, last=True),
        once(answer_json({**SECRET, "SecretString": "canary-value"})),
        html_500(b"canary"),
    ]
    with FaultyServer(*answers) as server:
        backend = connect(server.url)
        shown = [repr(backend), repr(do(backend, Set("a", SecretValue("canary-value")), keys))]
        shown.append(repr(backend.perform(Get("a"), context(keys))))
        error = failing(backend, Get("a"), keys)
        backend.close()

    text = f"{shown} {error!r} {error.__dict__} {caplog.text}".lower()
    assert "secrets_actor.http" in text
    assert "canary" not in text


def test_a_start_loads_no_tls_and_a_connection_no_httpx() -> None:
    """What is loaded on the way to the first secret is most of the time that it takes."""
    code = """
import sys
before = set(sys.modules)  # such as what a measurement of coverage brought
from secrets_actor.backends.aws import backend, endpoint
from secrets_actor.backends.aws.credentials import instance_metadata, shared_files, static
shared_files.profile_settings({})  # without a shared file, as on most servers
make = backend.aws_backend_factory
factory = make(endpoint=endpoint.endpoint_for("us-east-1"), ca_bundle=None, timeout=5.0, recovery_window=30,
                  credentials=static.StaticCredentials())
heavy = {"httpx", "httpcore", "httptools", "asyncio", "click", "configparser", "cryptography", "sqlite3",
         "pydantic", "ssl", "_hashlib", "secrets_actor.aws_json"}
print(sorted(heavy & (set(sys.modules) - before)))
factory.connect().close()
from secrets_actor.backends.http.transport import Tls
Tls().context()
print(sorted(heavy & (set(sys.modules) - before) - {"_hashlib"}))  # a measurement of coverage has brought that one
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert result.stdout.splitlines() == ["[]", "['httptools', 'secrets_actor.aws_json', 'ssl']"]
