"""The door to httpx against real sockets: every failure is typed, names the endpoint, and comes in time."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from secrets_actor.backends.aws.endpoint import Endpoint
from secrets_actor.backends.aws.transport import MAX_BODY, HttpAnswer, Tls, Transport
from secrets_actor.domain import errors
from tests.backends.aws.tls_server import TlsServer, certificate_files
from tests.servers.behaviours import Answer, Behaviour, Hang, HangUp, Reset, empty_body, half_body, html_500
from tests.servers.faulty import FaultyServer
from tests.servers.process import reserve

SOON = 0.3  # seconds that a test gives a server that will not answer
LONG = 20.0  # seconds that no test is meant to use up
SLACK = 5.0  # seconds within which `at once` has to come on a busy machine


def endpoint(port: int, scheme: str = "http", host: str = "127.0.0.1") -> Endpoint:
    return Endpoint(scheme, host, port, "us-east-1")


@contextmanager
def transport_to(
    port: int, scheme: str = "http", host: str = "127.0.0.1", tls: Tls | None = None
) -> Iterator[Transport]:
    transport = Transport(endpoint(port, scheme, host), tls or Tls())
    try:
        yield transport
    finally:
        transport.close()


def ask(transport: Transport, within: float = LONG, body: bytes = b"{}", token: bytes = b"t") -> HttpAnswer:
    headers = [(b"Host", b"h"), (b"Content-Length", b"%d" % len(body)), (b"X-Amz-Security-Token", token)]
    return transport.request("POST", headers, body, until=time.monotonic() + within)


def failing(transport: Transport, within: float = LONG) -> errors.SecretsError:
    with pytest.raises(errors.SecretsError) as caught:
        ask(transport, within)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert "\n" not in str(caught.value)
    return caught.value


class Raw:
    """Sends fixed bytes to whoever connects (with *read_first*, to whoever has asked), and waits for the end."""

    def __init__(self, sent: bytes, drip: float = 0.0, read_first: bool = False) -> None:
        self.sent, self.drip, self.read_first = sent, drip, read_first

    def serve(self, connection: object) -> None:
        client, ended = connection.client, connection.ended  # type: ignore[attr-defined]
        if self.read_first:
            connection.next_request()  # type: ignore[attr-defined]
        for at in range(len(self.sent)) if self.drip else ():
            client.sendall(self.sent[at : at + 1])
            if ended.wait(self.drip):
                return
        if not self.drip:
            client.sendall(self.sent)
        ended.wait()


# --- what comes back ------------------------------------------------------------------------------------------------


def test_an_answer_comes_back_whole_whatever_its_status() -> None:
    with FaultyServer(Answer(b'{"a":1}', 418, headers=(("X-Amzn-RequestId", "r-1"),))) as server:
        with transport_to(server.port) as transport:
            answer = ask(transport)

    assert (answer.status, answer.body, answer.headers["x-amzn-requestid"]) == (418, b'{"a":1}', "r-1")
    assert "r-1" not in repr(answer)


@pytest.mark.parametrize(("behaviour", "status"), [(html_500(), 500), (empty_body(), 200)])
def test_a_strange_but_whole_answer_is_an_answer(behaviour: Behaviour, status: int) -> None:
    with FaultyServer(behaviour) as server, transport_to(server.port) as transport:
        assert ask(transport).status == status


def test_a_connection_is_kept_for_the_next_request() -> None:
    with FaultyServer(Answer()) as server, transport_to(server.port) as transport:
        for _ in range(5):
            ask(transport)

        assert (server.connections, len(server.requests)) == (1, 5)


def test_a_connection_that_the_server_closed_meanwhile_is_not_used_again() -> None:
    with FaultyServer(Answer(), Answer()) as server, transport_to(server.port) as transport:
        ask(transport)
        server.drop()
        ask(transport)

        assert server.connections == 2


def test_the_request_goes_out_as_it_was_given() -> None:
    with FaultyServer(Answer()) as server, transport_to(server.port) as transport:
        transport.request(
            "PUT",
            [(b"Host", b"h"), (b"Content-Length", b"3")],
            b"\x00\xffz",
            until=time.monotonic() + LONG,
            path="/a/b?c",
        )

        assert server.requests[0].raw == b"PUT /a/b?c HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n\x00\xffz"


def test_a_redirect_is_not_followed_and_a_proxy_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with FaultyServer(Answer(status=302, headers=(("Location", "http://127.0.0.1:9/"),))) as server:
        with transport_to(server.port) as transport:
            assert ask(transport).status == 302


# --- failures -------------------------------------------------------------------------------------------------------


def test_a_refused_connection_is_a_connection_failure_that_names_the_endpoint() -> None:
    with reserve() as holder:
        port = holder.getsockname()[1]
        with transport_to(port) as transport:
            error = failing(transport)

    assert type(error) is errors.ConnectionFailed
    assert error.endpoint == f"127.0.0.1:{port}"
    assert str(error).startswith(f"127.0.0.1:{port}: connection refused")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "x" * 70 + ".invalid"])
def test_an_unknown_host_is_a_connection_failure(host: str) -> None:
    with transport_to(80, host=host) as transport:
        error = failing(transport)

    assert type(error) is errors.ConnectionFailed
    assert "host name is not known" in str(error)


@contextmanager
def nobody_accepts() -> Iterator[int]:
    """The port of a listener whose queue of connections is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        filling = [socket.socket() for _ in range(4)]
        try:
            for one in filling:
                one.setblocking(False)
                one.connect_ex(listener.getsockname())
            yield listener.getsockname()[1]
        finally:
            for one in filling:
                one.close()


def test_a_connection_that_does_not_come_about_in_time_is_a_connection_failure() -> None:
    with nobody_accepts() as port, transport_to(port) as transport:
        error = failing(transport, SOON)

    assert type(error) is errors.ConnectionFailed
    assert "no connection in time" in str(error)


@pytest.mark.parametrize("behaviour", [Reset(), HangUp(), Raw(b"SSH-2.0-OpenSSH_9\r\n\r\n"), Reset(read_first=False)])
def test_a_connection_that_breaks_before_the_answer_is_a_request_failure(behaviour: Behaviour) -> None:
    with FaultyServer(behaviour) as server, transport_to(server.port) as transport:
        port, error = server.port, failing(transport)

    assert type(error) is errors.RequestFailed
    assert error.endpoint == f"127.0.0.1:{port}"
    assert str(error).startswith(error.endpoint)


def test_an_answer_that_breaks_off_is_a_body_read_failure() -> None:
    with FaultyServer(half_body()) as server, transport_to(server.port) as transport:
        error = failing(transport)

    assert type(error) is errors.BodyReadFailed
    assert "never-show-this" not in f"{error} {error.__dict__}"


@pytest.mark.parametrize(
    "behaviour",
    [
        Hang(),
        Hang(read_first=False),
        Answer(b"x" * 1000, drip=0.02),
        Raw(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 1000, drip=0.02),
        Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
    ],
    ids=["hangs", "reads nothing", "drips its body", "drips its headers", "hangs before its body"],
)
def test_a_slow_server_is_cut_off_when_the_time_is_over(behaviour: Behaviour) -> None:
    with FaultyServer(behaviour) as server, transport_to(server.port) as transport:
        started = time.monotonic()
        error = failing(transport, SOON)
        spent = time.monotonic() - started

    assert type(error) is errors.BackendTimeout
    assert SOON <= spent < SOON + SLACK
    assert "within 0.3 s" in str(error)


def test_without_time_nothing_is_sent() -> None:
    with FaultyServer(Answer()) as server, transport_to(server.port) as transport:
        assert type(failing(transport, 0.0)) is errors.BackendTimeout
        assert server.connections == 0


def test_a_server_that_does_not_read_a_large_request_is_cut_off() -> None:
    with FaultyServer(Hang(read_first=False)) as server, transport_to(server.port) as transport:
        with pytest.raises(errors.BackendTimeout):
            ask(transport, SOON, body=b"x" * 64 * 1024 * 1024)


def test_a_body_of_any_length_is_not_swallowed() -> None:
    with FaultyServer(Answer(b"x" * (MAX_BODY + 1)), Answer(b"x" * MAX_BODY)) as server:
        with transport_to(server.port) as transport:
            assert type(failing(transport)) is errors.InvalidAnswer
            assert len(ask(transport).body) == MAX_BODY


def test_after_any_failure_the_next_request_gets_a_new_connection() -> None:
    script = [Reset(), HangUp(), half_body(), Raw(b"nonsense\r\n\r\n"), Hang(), Answer()]
    with FaultyServer(*script) as server, transport_to(server.port) as transport:
        failures = [type(failing(transport, 1.0)) for _ in script[:-1]]

        assert ask(transport).status == 200
    assert failures == [
        errors.RequestFailed,
        errors.RequestFailed,
        errors.BodyReadFailed,
        errors.RequestFailed,
        errors.BackendTimeout,
    ]


class ResetWithinRequest:
    """Resets the connection once a request has begun to come in."""

    def serve(self, connection: object) -> None:
        connection.client.recv(1)  # type: ignore[attr-defined]
        Reset(read_first=False).serve(connection)  # type: ignore[arg-type]


def test_a_connection_that_breaks_while_a_large_request_goes_out_is_a_request_failure() -> None:
    with FaultyServer(ResetWithinRequest()) as server, transport_to(server.port) as transport:
        with pytest.raises(errors.RequestFailed):
            ask(transport, body=b"x" * 64 * 1024 * 1024)


def test_an_answer_given_before_the_request_was_read_is_heard() -> None:
    early = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"
    with FaultyServer(Raw(early)) as server, transport_to(server.port) as transport:
        assert ask(transport).status == 413


def test_a_header_that_cannot_be_sent_is_not_quoted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with FaultyServer(Answer()) as server, transport_to(server.port) as transport:
        with pytest.raises(errors.RequestFailed) as caught:
            ask(transport, token=b"canary\r\nX-Other: 1")
        assert server.connections == 0

    assert "canary" not in f"{caught.value!r} {caught.value.__context__!r} {caplog.text}"


def test_nothing_that_is_sent_or_received_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with FaultyServer(Answer(b'{"SecretString":"canary"}')) as server, transport_to(server.port) as transport:
        assert b"canary" in ask(transport, body=b"canary", token=b"canary").body

    assert "receive_response_body.complete" in caplog.text
    assert "canary" not in caplog.text


# --- close from another thread --------------------------------------------------------------------------------------


def close_while_it_waits(transport: Transport, ready: Callable[[], object]) -> tuple[errors.SecretsError, float]:
    """The error that a request gets, and how long after `close` it came."""
    caught: list[BaseException] = []

    def run() -> None:
        try:
            ask(transport)
        except BaseException as exc:
            caught.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    ready()
    started = time.monotonic()
    transport.close()
    thread.join(LONG)
    spent = time.monotonic() - started
    assert not thread.is_alive()
    assert isinstance(caught[0], errors.SecretsError)
    return caught[0], spent


def wait_until(condition: Callable[[], bool]) -> None:
    deadline, pause = time.monotonic() + LONG, threading.Event()
    while not condition():
        assert time.monotonic() < deadline
        pause.wait(0.002)


def test_close_ends_a_request_that_waits_for_its_answer() -> None:
    with FaultyServer(Hang()) as server, transport_to(server.port) as transport:
        error, spent = close_while_it_waits(transport, lambda: server.wait_for_requests(1))

    assert type(error) is errors.RequestFailed
    assert "given up" in str(error)
    assert spent < SLACK


def test_close_ends_a_request_that_still_connects() -> None:
    with nobody_accepts() as port, transport_to(port) as transport:
        error, spent = close_while_it_waits(transport, lambda: wait_until(lambda: transport._wire._waker is not None))

    assert type(error) is errors.ConnectionFailed
    assert "given up" in str(error)
    assert spent < SLACK


def test_close_ends_a_request_that_waits_for_tls() -> None:
    with FaultyServer(Hang(read_first=False)) as server, transport_to(server.port, "https") as transport:
        error, spent = close_while_it_waits(transport, lambda: server.wait_for_connections(1))

    assert type(error) is errors.ConnectionFailed
    assert "given up" in str(error)
    assert spent < SLACK


def test_close_ends_a_request_within_its_answer() -> None:
    with FaultyServer(Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", read_first=True)) as server:
        with transport_to(server.port) as transport:
            error, spent = close_while_it_waits(transport, lambda: server.wait_for_requests(1))

    assert type(error) in (errors.BodyReadFailed, errors.RequestFailed)
    assert spent < SLACK


def test_a_closed_transport_asks_nothing_and_may_be_closed_again() -> None:
    with FaultyServer(Answer()) as server, transport_to(server.port) as transport:
        ask(transport)
        transport.close()
        transport.close()

        assert type(failing(transport)) is errors.ConnectionFailed
        assert len(server.requests) == 1


# --- TLS ------------------------------------------------------------------------------------------------------------

PAST = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC))
FUTURE = (datetime(2090, 1, 1, tzinfo=UTC), datetime(2091, 1, 1, tzinfo=UTC))


def test_a_server_that_the_ca_bundle_vouches_for_is_trusted(tmp_path: Path) -> None:
    authority = trustme.CA()
    ca, chain, key = certificate_files(tmp_path, authority, authority.issue_cert("127.0.0.1"))
    tls = Tls(str(ca))
    with TlsServer(chain, key) as server:
        for _ in range(2):
            with transport_to(server.port, "https", tls=tls) as transport:
                assert [ask(transport).body for _ in range(3)] == [b"{}"] * 3

        assert server.handshakes == 2
    assert tls.context() is tls.context()


@pytest.mark.parametrize(
    ("names", "validity", "own_ca", "told"),
    [
        (("localhost",), None, True, "is for another address"),
        (("127.0.0.1",), PAST, True, "has expired"),
        (("127.0.0.1",), FUTURE, True, "is not valid yet"),
        (("127.0.0.1",), None, False, "is not trusted here"),
    ],
    ids=["other host", "expired", "not yet valid", "other CA"],
)
def test_a_server_that_must_not_be_trusted_is_not(
    tmp_path: Path, names: tuple[str, ...], validity: tuple[datetime, datetime] | None, own_ca: bool, told: str
) -> None:
    authority, other = trustme.CA(), trustme.CA()
    times = {} if validity is None else {"not_before": validity[0], "not_after": validity[1]}
    certificate = (authority if own_ca else other).issue_cert(*names, **times)
    ca, chain, key = certificate_files(tmp_path, authority, certificate)
    with TlsServer(chain, key) as server, transport_to(server.port, "https", tls=Tls(str(ca))) as transport:
        error = failing(transport)

    assert type(error) is errors.TlsFailed
    assert told in str(error)
    assert not error.retryable


def test_a_name_that_the_certificate_does_not_have_is_refused(tmp_path: Path) -> None:
    authority = trustme.CA()
    ca, chain, key = certificate_files(tmp_path, authority, authority.issue_cert("elsewhere.example"))
    with TlsServer(chain, key) as server:
        with transport_to(server.port, "https", "localhost", Tls(str(ca))) as transport:
            error = failing(transport)

    assert type(error) is errors.TlsFailed
    assert "is for another host" in str(error)


def test_a_private_ca_is_not_trusted_without_a_bundle(tmp_path: Path) -> None:
    authority = trustme.CA()
    _, chain, key = certificate_files(tmp_path, authority, authority.issue_cert("127.0.0.1"))
    with TlsServer(chain, key) as server, transport_to(server.port, "https") as transport:
        assert type(failing(transport)) is errors.TlsFailed


def test_plain_http_behind_an_https_url_is_a_tls_failure() -> None:
    with FaultyServer(Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        with transport_to(server.port, "https") as transport:
            error = failing(transport)

    assert type(error) is errors.TlsFailed
    assert "https" in str(error)


def test_an_https_server_behind_an_http_url_is_a_request_failure(tmp_path: Path) -> None:
    authority = trustme.CA()
    _, chain, key = certificate_files(tmp_path, authority, authority.issue_cert("127.0.0.1"))
    with TlsServer(chain, key) as server, transport_to(server.port) as transport:
        assert type(failing(transport)) is errors.RequestFailed


@pytest.mark.parametrize(
    ("behaviour", "told"), [(HangUp(), "hung up"), (Reset(), "broke during TLS"), (Hang(), "not come about in time")]
)
def test_a_handshake_that_breaks_off_may_be_tried_again(behaviour: Behaviour, told: str) -> None:
    class OnFirstBytes:
        def serve(self, connection: object) -> None:
            connection.client.recv(1)  # type: ignore[attr-defined]
            if isinstance(behaviour, Hang):
                connection.ended.wait()  # type: ignore[attr-defined]
            elif isinstance(behaviour, Reset):
                Reset(read_first=False).serve(connection)  # type: ignore[arg-type]
            else:
                while connection.client.recv(4096, socket.MSG_DONTWAIT):  # type: ignore[attr-defined]
                    pass

    with FaultyServer(OnFirstBytes()) as server, transport_to(server.port, "https") as transport:
        error = failing(transport, 1.0)

    assert type(error) is errors.ConnectionFailed
    assert told in str(error)


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_ca_bundle_that_cannot_be_read_is_a_configuration_error(tmp_path: Path, content: bytes | None) -> None:
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_bytes(content)
    with FaultyServer(Answer()) as server, transport_to(server.port, "https", tls=Tls(str(bundle))) as transport:
        error = failing(transport)
        assert server.connections == 0

    assert isinstance(error, errors.ConfigurationError)
    assert error.mistakes == ("aws.ca_bundle: a readable file of CA certificates in PEM form",)


def test_one_context_is_made_however_many_threads_ask_for_it() -> None:
    tls, made = Tls(), []
    barrier = threading.Barrier(8)

    def run() -> None:
        barrier.wait(LONG)
        made.append(tls.context())

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)

    assert len(made) == 8
    assert len({id(context) for context in made}) == 1
