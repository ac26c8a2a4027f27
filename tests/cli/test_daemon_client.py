"""The command line finds a daemon's socket and asks there; what goes wrong is an error that says what to do."""

import os
import socket
from pathlib import Path

import pytest

from secrets_actor import Settings
from secrets_actor.cli.daemon_client import DaemonClient, find_socket, sockets_of
from secrets_actor.errors import AccessDenied, ConnectionFailed, InvalidAnswer, SecretsError, ServerDown
from secrets_actor.runtime.daemon_settings import DaemonSettings, ListenSettings
from tests.servers.behaviours import Answer
from tests.servers.faulty import FaultyServer


def listening_at(*addresses: str) -> Settings:
    return Settings(daemon=DaemonSettings(listen=tuple(ListenSettings(address=one) for one in addresses)))


def test_a_configured_socket_is_where_the_daemon_is_looked_for(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    settings = listening_at("127.0.0.1:2773", f"unix:{tmp_path}/none.sock", f"unix:{path}")
    (tmp_path / "none.sock").write_text("no socket")

    assert find_socket(settings, {}) is None
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
        assert find_socket(settings, {}) == path


def test_without_a_configured_socket_it_is_that_of_the_user_and_then_that_of_the_machine() -> None:
    root = Path("/run/secrets-actor/api.sock")
    own = root if os.geteuid() == 0 else Path("/run/user/7/secrets-actor/api.sock")

    assert list(sockets_of(Settings(), {"XDG_RUNTIME_DIR": "/run/user/7"})) == list(dict.fromkeys([own, root]))
    assert list(sockets_of(Settings(), {})) == [root]
    assert list(sockets_of(listening_at("systemd:api", "unix:/a"), {})) == [Path("/a"), root]
    assert list(sockets_of(listening_at("127.0.0.1:2773"), {})) == []


def test_an_answer_is_json(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with FaultyServer(Answer(b'{"a": [1]}'), path=path) as server, DaemonClient(path) as client:
        assert client.ask("/control/status") == {"a": [1]}
        [request] = server.requests

    assert request.head.startswith(b"GET /control/status HTTP/1.1\r\nHost: localhost\r\n")


@pytest.mark.parametrize(
    ("status", "body", "kind", "told"),
    [
        (403, b'{"message": "uid:7 may not do admin"}', AccessDenied, "uid:7 may not do admin"),
        (503, b'{"message": "draining"}', ServerDown, "draining"),
        (404, b"<html>", InvalidAnswer, "HTTP 404; is it a secrets-actor that listens there?"),
        (200, b"<html>", InvalidAnswer, "the answer is no JSON; is it a secrets-actor that listens there?"),
    ],
)
def test_another_answer_is_an_error_that_names_the_socket(
    status: int, body: bytes, kind: type[SecretsError], told: str, tmp_path: Path
) -> None:
    path = tmp_path / "s"
    with FaultyServer(Answer(body, status=status), path=path), DaemonClient(path) as client:
        with pytest.raises(kind) as caught:
            client.ask("/control/tree")

    assert str(caught.value) == f"unix:{path}: {told}"


def test_where_nobody_listens_the_error_says_how_to_start_it(tmp_path: Path) -> None:
    with DaemonClient(tmp_path / "none") as client:
        with pytest.raises(ConnectionFailed, match="start it: secrets-actor run"):
            client.ask("/control/tree")
