"""A daemon that runs for long grows by nothing: neither by requests nor by connections that come and go."""

import os
import socket
from pathlib import Path
from typing import Final

import pytest

from tests.daemon.rig import ask, configuration, wait_for_connections
from tests.daemon.test_reload import create
from tests.servers.daemon import Daemon

GET: Final = b"GET /secretsmanager/get?secretId=db HTTP/1.1\r\nHost: localhost\r\n\r\n"
AT_ONCE: Final = 50
# Bytes. Memory that is in use has ups and downs of about one MiB; 64 bytes for each request would be 12 MiB.
GROWTH: Final = 8 << 20


def requests(path: Path, count: int) -> None:
    """Send *count* requests over one connection, and read an answer to each."""
    with connected(path) as client:
        for _ in range(count // AT_ONCE):
            client.sendall(GET * AT_ONCE)
            answered = 0
            while answered < AT_ONCE:
                answered += read(client).count(b"HTTP/1.1 200 ")


def connections(path: Path, count: int) -> None:
    """Open and close *count* connections: of four one asks nothing, one leaves before the answer."""
    for number in range(count):
        with connected(path) as client:
            if number % 4:
                client.sendall(GET)
            if number % 4 > 1:
                assert b"HTTP/1.1 200 " in read(client)


def connected(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(str(path))
    return client


def read(client: socket.socket) -> bytes:
    """Read some bytes; a status line may be cut in two only where it does not matter."""
    found = client.recv(1 << 20)
    assert found, "the daemon has closed the connection"
    while not found.endswith(b"}"):  # an answer ends with its JSON
        found += client.recv(1 << 20)
    return found


def resident(pid: int) -> int:
    """The bytes that process *pid* has in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
def test_200_000_requests_and_10_000_connections_leave_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    text = configuration(tmp_path, f"unix:{path}", log={"output": str(tmp_path / "log")})
    with Daemon(tmp_path, text, count=1) as daemon:
        assert create(path, "db") == 200
        requests(path, 20_000)
        connections(path, 1_000)
        wait_for_connections(path, 1)
        before, open_before = resident(daemon.pid), len(os.listdir(f"/proc/{daemon.pid}/fd"))
        threads = len(os.listdir(f"/proc/{daemon.pid}/task"))
        for _ in range(9):
            requests(path, 20_000)
            connections(path, 1_000)
        wait_for_connections(path, 1)
        assert resident(daemon.pid) - before < GROWTH
        assert len(os.listdir(f"/proc/{daemon.pid}/fd")) <= open_before
        assert len(os.listdir(f"/proc/{daemon.pid}/task")) <= threads
        assert ask(path, "/health").json["status"] == "ok"
