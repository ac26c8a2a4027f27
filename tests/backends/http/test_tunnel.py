"""The way to AWS over a real proxy that tunnels TLS, and over bad ones."""

import logging
import threading
from pathlib import Path
from typing import Any

import pytest
import trustme

from secrets_actor.backends.aws.backend import aws_backend_factory
from secrets_actor.backends.aws.credentials.static import StaticCredentials
from secrets_actor.backends.aws.endpoint import SETTING_NAMES, Endpoint, endpoint_for
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.backends.http.proxy import Proxy, parse_proxy
from secrets_actor.backends.http.transport import Tls, Transport
from secrets_actor.clock import now as clock_now
from secrets_actor.domain import errors
from secrets_actor.domain.operations import List
from secrets_actor.domain.ports import CallContext
from secrets_actor.domain.secret import SecretValue
from tests.backends.http.tls_server import TlsServer, certificate_files
from tests.servers.behaviours import Answer, Behaviour, Hang, HangUp, Reset
from tests.servers.faulty import FaultyServer
from tests.servers.tunnel import Tunnel

LONG = 20.0
AWS = endpoint_for("us-east-1")
HEADERS = [(b"Host", b"h"), (b"Content-Length", b"6")]


class Secured:
    """A TLS server that the authority vouches for as *host*, and the means to trust it."""

    def __init__(self, directory: Path, host: str = "secrets.example") -> None:
        authority = trustme.CA()
        self.ca, chain, key = certificate_files(directory, authority, authority.issue_cert(host))
        self.server = TlsServer(chain, key)


def ask(transport: Transport, within: float = LONG) -> Any:
    return transport.request("POST", [*HEADERS], b"canary", until=clock_now() + within)


def failing(transport: Transport, within: float = LONG) -> Any:
    with pytest.raises(errors.SecretsError) as caught:
        ask(transport, within)
    assert caught.value.__context__ is None
    return caught.value


def through(proxy_port: int, ca: Path, user: str = "", host: str = "secrets.example") -> Transport:
    endpoint = Endpoint("https", host, 443, "us-east-1")
    proxy = parse_proxy(f"http://{user}127.0.0.1:{proxy_port}", "aws.proxy_url")
    return Transport(endpoint, Tls(str(ca)), SETTING_NAMES, proxy)


def test_requests_go_over_one_tunnel_in_which_the_proxy_sees_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secured, seen = Secured(tmp_path), bytearray()
    with secured.server, FaultyServer(Tunnel("me:hunter2", secured.server.port, seen)) as proxy:
        transport = through(proxy.port, secured.ca, "me:hunter2@")
        assert [ask(transport).body for _ in range(3)] == [b"{}"] * 3
        transport.close()

        assert (proxy.connections, len(proxy.requests), secured.server.handshakes) == (1, 1, 1)
        assert proxy.requests[0].head.startswith(b"CONNECT secrets.example:443 HTTP/1.1\r\n")
    assert seen
    assert b"canary" not in seen
    assert "hunter2" not in caplog.text
    assert "bWU6aHVudGVyMg" not in caplog.text


@pytest.mark.parametrize("user", ["", "me:wrong@"])
def test_a_proxy_that_wants_to_know_who_asks_is_a_matter_of_configuration(tmp_path: Path, user: str) -> None:
    secured = Secured(tmp_path)
    with secured.server, FaultyServer(Tunnel("me:right", secured.server.port)) as proxy:
        transport = through(proxy.port, secured.ca, user)
        error = failing(transport)
        transport.close()

    assert type(error) is errors.ConfigurationError
    assert "wants a user and a password" in str(error)
    assert "wrong" not in f"{error!r} {error.__dict__}"


@pytest.mark.parametrize(
    ("behaviour", "told", "may_help"),
    [
        (Answer(b"<html>canary</html>", 403), "does not let us through (HTTP 403)", False),
        (Answer(b"x", 403, headers=(("Content-Encoding", "gzip"),)), "does not let us through (HTTP 403)", False),
        (Answer(b"", 404), "does not let us through (HTTP 404)", False),
        (Answer(b"", 429), "does not let us through (HTTP 429)", True),
        (Answer(b"", 502), "does not let us through (HTTP 502)", True),
        (Reset(), "broke off, or is no HTTP proxy", True),
        (HangUp(), "broke off, or is no HTTP proxy", True),
        (Hang(), "does not answer in time", True),
    ],
)
def test_a_proxy_that_does_not_let_through_is_named(
    tmp_path: Path, behaviour: Behaviour, told: str, may_help: bool
) -> None:
    with FaultyServer(behaviour) as proxy:
        transport = through(proxy.port, Secured(tmp_path).ca, "me:hunter2@")
        error = failing(transport, 0.5)
        assert f"secrets.example:443: the proxy 127.0.0.1:{proxy.port} {told}" in str(error)
        transport.close()

    assert type(error) is errors.ConnectionFailed
    assert error.retryable is may_help
    assert error.endpoint == "secrets.example:443"
    assert "hunter2" not in f"{error!r}{error.__dict__}"
    assert "canary" not in str(error)


@pytest.mark.parametrize(
    "noise",
    [
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000,
        b"HTTP/1.1 999 X\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nthe server, before it is asked",
        b"HTTP/1.1 101 Y\r\n\r\n",
    ],
)
def test_what_is_no_http_proxy_is_told(tmp_path: Path, noise: bytes) -> None:
    class Noise:
        def serve(self, connection: Any) -> None:
            connection.next_request()
            connection.client.sendall(noise)
            connection.ended.wait(5.0)

    with FaultyServer(Noise()) as proxy:
        transport = through(proxy.port, Secured(tmp_path).ca)
        error = failing(transport)
        transport.close()

    assert type(error) is errors.ConnectionFailed
    assert "is no HTTP proxy" in str(error)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.0 200\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 Connection established\r\n\r\n",
        b"HTTP/1.1 204 X\r\nContent-Length: 7\r\n\r\n",  # RFC 9110, 9.3.6: a length of it means nothing
    ],
)
def test_a_tunnel_begins_behind_the_head_of_any_success(tmp_path: Path, head: bytes) -> None:
    secured = Secured(tmp_path)
    with secured.server, FaultyServer(Tunnel(port=secured.server.port, opened=head)) as proxy:
        transport = through(proxy.port, secured.ca)
        assert ask(transport).body == b"{}"
        transport.close()


def test_a_proxy_that_is_not_there_is_named_and_not_aws(tmp_path: Path) -> None:
    with FaultyServer(Hang()) as proxy:
        port = proxy.port
    down = through(port, Secured(tmp_path).ca)
    unknown = Transport(AWS, Tls(), SETTING_NAMES, Proxy("no-such-host.invalid", 3128))

    assert "amazonaws.com:443: the proxy no-such-host.invalid:3128: its name is not known here" in str(failing(unknown))
    assert f"the proxy 127.0.0.1:{port}: connection refused" in str(failing(down))
    unknown.close()
    down.close()


def test_a_server_that_must_not_be_trusted_is_not_trusted_through_a_proxy_either(tmp_path: Path) -> None:
    secured = Secured(tmp_path, "elsewhere.example")
    with secured.server, FaultyServer(Tunnel(port=secured.server.port)) as proxy:
        transport = through(proxy.port, secured.ca)
        error = failing(transport)
        transport.close()

    assert type(error) is errors.TlsFailed
    assert "is for another host" in str(error)


def test_close_ends_the_wait_for_a_tunnel(tmp_path: Path) -> None:
    with FaultyServer(Hang()) as proxy:
        transport, caught = through(proxy.port, Secured(tmp_path).ca), []
        thread = threading.Thread(target=lambda: caught.append(failing(transport)))
        thread.start()
        proxy.wait_for_requests(1)
        started = clock_now()
        transport.close()
        thread.join(LONG)

    assert clock_now() - started < 5.0
    assert type(caught[0]) is errors.ConnectionFailed
    assert "given up" in str(caught[0])


def test_a_kit_opens_all_its_connections_through_its_proxy(tmp_path: Path) -> None:
    secured = Secured(tmp_path, "secretsmanager.us-east-1.amazonaws.com")
    with secured.server, FaultyServer(Tunnel(port=secured.server.port)) as proxy:
        opened = aws_backend_factory(
            endpoint=endpoint_for("us-east-1", None),
            ca_bundle=str(secured.ca),
            timeout=5.0,
            recovery_window=30,
            credentials=StaticCredentials(),
            proxy=Proxy("127.0.0.1", proxy.port),
        )
        backend = opened.connect()
        context = CallContext(clock_now() + LONG, AwsCredentials("AKIDEXAMPLE", SecretValue("x")))
        with pytest.raises(errors.InvalidAnswer):  # it answers `{}`, which is no list
            backend.perform(List(), context)
        backend.close()

        assert proxy.requests[0].head.startswith(b"CONNECT secretsmanager.us-east-1.amazonaws.com:443 HTTP/1.1\r\n")
        assert secured.server.handshakes == 3  # an attempt after such an answer has a connection of its own
