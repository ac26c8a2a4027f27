"""A running daemon, and what its sockets answer."""

import http.client
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from secrets_actor.clock import now as clock_now
from tests.servers.daemon import Daemon, toml

PATIENCE = 20.0


@dataclass
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class UnixConnection(http.client.HTTPConnection):
    """A connection of the standard library's client to a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(
    where: Path | int, path: str, method: str = "GET", *, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Answer:
    """What is answered at *where*, the path of a socket or a port, over a new connection."""
    connection = UnixConnection(where) if isinstance(where, Path) else http.client.HTTPConnection("127.0.0.1", where)
    connection.timeout = PATIENCE
    try:
        connection.request(method, path, body or None, dict(headers or {}))
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, answer.read())
    finally:
        connection.close()


def configuration(folder: Path, *addresses: str, daemon: Mapping[str, Any] | None = None, **settings: Any) -> str:
    """A configuration on a local store in *folder*, with a listener at each of *addresses*."""
    rows = [{"address": address} for address in addresses]
    return toml({"local": {"path": folder / "store"}, **settings, "daemon": {"listen": rows, **(daemon or {})}})


def port_of(daemon: Daemon) -> int:
    """The port of its listener on TCP."""
    [line] = [one for one in daemon.stderr if one.startswith("listening on 127.0.0.1:")]
    return int(line.rpartition(":")[2])


def wait_for_connections(path: Path, count: int) -> None:
    """Return when the only listener has *count* connections, this question's among them. Raises `TimeoutError`."""
    end = clock_now() + PATIENCE
    while clock_now() < end:
        [listener] = ask(path, "/control/status").json["listeners"]
        if listener["traffic"].startswith(f"{count} connections"):
            return
    raise TimeoutError(f"never {count} connections")
