"""A transport to a Unix socket: all that one to a port does, but for what only a port has."""

import os
import socket
import threading
from pathlib import Path

import pytest

from secrets_actor.backends.http.origin import UNIX, Origin
from secrets_actor.clock import now as clock_now
from secrets_actor.domain import errors
from tests.backends.http.transport_rig import LONG, SLACK, SOON, ask, failing, full_unix_socket, unix_transport_to
from tests.needs import AS_ROOT
from tests.servers.behaviours import Answer, Hang, half_body
from tests.servers.faulty import FaultyServer


def test_a_unix_socket_has_a_host_for_http_and_its_path_for_people() -> None:
    origin = Origin(UNIX, "/run/x.sock", 0)

    assert (origin.authority, origin.url) == ("localhost", "http://localhost")
    assert (origin.name, origin.place) == ("unix:/run/x.sock", "unix:/run/x.sock")
    assert Origin("https", "a.example", 443).place == "a.example"


def test_requests_share_one_connection(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with FaultyServer(Answer(b"{}"), path=path) as server, unix_transport_to(path) as transport:
        answers = [ask(transport).body for _ in range(5)]

        assert (answers, server.connections, len(server.requests)) == ([b"{}"] * 5, 1, 5)


def test_a_server_that_was_started_again_on_its_socket_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with unix_transport_to(path) as transport:
        for _ in range(2):
            with FaultyServer(Answer(b"{}"), path=path):
                assert ask(transport).status == 200
            path.unlink()


def bound(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


def datagrams(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(str(path))


@pytest.mark.parametrize(
    ("prepare", "told"),
    [
        (lambda _path: None, "there is no socket; start it"),
        (bound, "nobody listens at this socket; start it"),
        (lambda path: path.write_bytes(b""), "nobody listens at this socket; start it"),
        (lambda path: path.symlink_to(path), "this is no socket that can be used; check the address"),
    ],
    ids=["nothing", "left behind", "a file", "a loop"],
)
def test_a_socket_that_cannot_be_used_is_an_error_that_says_what_to_do(
    prepare: object, told: str, tmp_path: Path
) -> None:
    path = tmp_path / "s"
    prepare(path)  # type: ignore[operator]
    with unix_transport_to(path) as transport:
        error = failing(transport)

    assert type(error) is errors.ConnectionFailed
    assert error.endpoint == f"unix:{path}"
    assert str(error) == f"unix:{path}: {told}"


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    with unix_transport_to(tmp_path / "f" / "s") as transport:
        assert "no such folder; check the address" in str(failing(transport))


@AS_ROOT
def test_a_socket_of_another_user_is_told() -> None:
    # Not in pytest's own folder, which only root may enter: the folder is what must not refuse.
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s"
        with FaultyServer(Answer(b"{}"), path=path):
            os.chmod(folder, 0o755)
            os.chmod(path, 0o600)
            with unix_transport_to(path) as transport:
                os.seteuid(65534)
                try:
                    error = failing(transport)
                finally:
                    os.seteuid(0)

    assert type(error) is errors.ConnectionFailed
    assert "this user may not open the socket" in str(error)


def test_what_answers_badly_is_told_as_over_a_port(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with FaultyServer(half_body(), Hang(), path=path), unix_transport_to(path) as transport:
        assert type(failing(transport)) is errors.BodyReadFailed
        assert type(failing(transport, SOON)) is errors.BackendTimeout


def test_a_full_queue_is_waited_for_until_the_deadline(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with full_unix_socket(path), unix_transport_to(path) as transport:
        started = clock_now()
        error = failing(transport, SOON)

    assert type(error) is errors.ConnectionFailed
    assert "no connection in time" in str(error)
    assert SOON * 0.9 <= clock_now() - started < SOON + SLACK


def test_a_full_queue_that_is_emptied_lets_the_next_one_in(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with full_unix_socket(path) as listener, unix_transport_to(path) as transport:
        served = threading.Thread(target=serve_second, args=(listener,))
        served.start()
        assert ask(transport).body == b"ok"
        served.join(LONG)


def serve_second(listener: socket.socket) -> None:
    """Take the connection that fills the queue, and answer the one after it."""
    with listener.accept()[0], listener.accept()[0] as second:
        second.recv(65536)
        second.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def test_close_ends_the_wait_for_a_full_queue_at_once(tmp_path: Path) -> None:
    path, caught = tmp_path / "s", []
    with full_unix_socket(path), unix_transport_to(path) as transport:
        waits = threading.Thread(target=lambda: caught.append(failing(transport)))
        waits.start()
        transport.close()
        waits.join(SLACK)

        assert not waits.is_alive()
    assert "given up" in str(caught[0])
