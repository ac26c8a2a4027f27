"""Each way in which a connection fails is an error of its own."""

import logging
import subprocess
import sys

import pytest

from secrets_actor.backends.http.response_parser import MAX_BODY
from secrets_actor.clock import now as clock_now
from secrets_actor.domain import errors
from tests.backends.http.transport_rig import (
    SLACK,
    SOON,
    Raw,
    ask,
    failing,
    nobody_accepts,
    transport_to,
)
from tests.log_records import fields_of
from tests.servers.behaviours import Answer, Behaviour, Hang, HangUp, Reset, half_body
from tests.servers.faulty import FaultyServer
from tests.servers.process import reserve


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


def test_a_connection_that_does_not_come_about_in_time_is_a_connection_failure() -> None:
    with nobody_accepts() as port, transport_to(port) as transport:
        error = failing(transport, SOON)

    assert type(error) is errors.ConnectionFailed
    assert "no connection in time" in str(error)


@pytest.mark.parametrize("behaviour", [Reset(), HangUp(), Raw(b"SSH-2.0-OpenSSH_9\r\n\r\n")])
def test_a_connection_that_breaks_before_the_answer_is_a_request_failure(behaviour: Behaviour) -> None:
    with FaultyServer(behaviour) as server, transport_to(server.port) as transport:
        port, error = server.port, failing(transport)

    assert type(error) is errors.RequestFailed
    assert error.endpoint == f"127.0.0.1:{port}"
    assert str(error).startswith(error.endpoint)


def test_a_connection_that_is_reset_at_once_breaks_as_it_is_made_or_before_the_answer() -> None:
    with FaultyServer(Reset(read_first=False)) as server, transport_to(server.port) as transport:
        port, error = server.port, failing(transport)

    assert type(error) in (errors.ConnectionFailed, errors.RequestFailed)  # whichever the reset is faster than
    assert error.endpoint == f"127.0.0.1:{port}"


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
        Raw(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 1000, drip=0.02, read_first=True),
        Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", read_first=True),
    ],
    ids=["hangs", "reads nothing", "drips its body", "drips its headers", "hangs before its body"],
)
def test_a_slow_server_is_cut_off_when_the_time_is_over(behaviour: Behaviour) -> None:
    with FaultyServer(behaviour) as server, transport_to(server.port) as transport:
        started = clock_now()
        error = failing(transport, SOON)
        spent = clock_now() - started

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


class AnswersAtTheFirstByte:
    """Answers when it has seen the first byte of a request, and reads no more."""

    def serve(self, connection: object) -> None:
        connection.client.recv(1)  # type: ignore[attr-defined]
        connection.client.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")  # type: ignore[attr-defined]
        connection.ended.wait()  # type: ignore[attr-defined]


def test_an_answer_given_before_the_request_was_read_is_heard() -> None:
    with FaultyServer(AnswersAtTheFirstByte()) as server, transport_to(server.port) as transport:
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
        port = server.port

    (record,) = [record for record in caplog.records if record.name == "secrets_actor.http"]
    assert record.getMessage().startswith(f"POST to 127.0.0.1:{port}: HTTP 200 in ")
    facts = fields_of(record)
    assert facts.pop("duration_ms") > 0
    assert facts == {"event": "http_answer", "method": "POST", "endpoint": f"127.0.0.1:{port}", "status": 200}
    assert "canary" not in caplog.text


def test_no_module_and_no_logger_of_the_program_is_touched() -> None:
    code = (
        "import logging, sys, secrets_actor.backends.http.transport; "
        "loggers = [one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)]; "
        "print([one for one in loggers if one.filters], [name for name in sys.modules if sys.modules[name] is None])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout == "[] []\n"
