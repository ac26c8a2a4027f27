"""A listener under test: a tree with a listener on real sockets, and raw clients that may break every rule of HTTP."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from secrets_actor.clock import now
from secrets_actor.faces.address import Address, TcpAddress, UnixAddress
from secrets_actor.faces.connection import Limits
from secrets_actor.faces.exchange import Handler, Request, Response
from secrets_actor.faces.listener import listener_spec
from secrets_actor.faces.sockets import Sockets
from secrets_actor.otp import (
    ChildSpec,
    Flags,
    LifecycleEvent,
    Node,
    OtpError,
    Pid,
    Supervisor,
    TimerServer,
    spawn,
    stop,
)

# Seconds that a test waits for what must come.
PATIENCE: Final = 10.0


class Answer:
    """What a raw client has read of one answer."""

    def __init__(self, head: bytes, body: bytes) -> None:
        self.head, self.body = head, body
        self.status = int(head.split(b" ", 2)[1])
        lines = [line.partition(b":") for line in head.split(b"\r\n")[1:] if line]
        self.headers = {name.decode().lower(): value.decode().strip() for name, _, value in lines}


class Client:
    """A raw connection, which sends bytes as they are. *source* is the IP address that it comes from."""

    def __init__(self, place: str, timeout: float = PATIENCE, source: str | None = None) -> None:
        if place.startswith("unix:"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(place.removeprefix("unix:"))
        else:
            host, _, port = place.rpartition(":")
            here = None if source is None else (source, 0)
            self.socket = socket.create_connection((host.strip("[]"), int(port)), timeout, here)
        self._read = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> Client:
        self.socket.sendall(data)
        return self

    def get(self, path: str = "/", *headers: str) -> Answer:
        return self.ask(request("GET", path, *headers))

    def post(self, body: bytes, path: str = "/", *headers: str) -> Answer:
        return self.ask(request("POST", path, f"Content-Length: {len(body)}", *headers) + body)

    def ask(self, data: bytes) -> Answer:
        return self.send(data).answer()

    def until(self, mark: bytes) -> bytes:
        """Read up to *mark*, and return it too. Raises EOFError."""
        while mark not in self._read:
            self._more()
        at = self._read.index(mark) + len(mark)
        found, self._read = self._read[:at], self._read[at:]
        return found

    def exactly(self, count: int) -> bytes:
        while len(self._read) < count:
            self._more()
        found, self._read = self._read[:count], self._read[count:]
        return found

    def _more(self) -> None:
        part = self.socket.recv(65536)
        if not part:
            raise EOFError(self._read)
        self._read += part

    def answer(self) -> Answer:
        """Read one answer whole."""
        head = self.until(b"\r\n\r\n")
        found = Answer(head, b"")
        if "content-length" in found.headers:
            found.body = self.exactly(int(found.headers["content-length"]))
        elif found.headers.get("transfer-encoding") == "chunked":
            while size := int(self.until(b"\r\n"), 16):
                found.body += self.exactly(size + 2)[:-2]
            self.exactly(2)
        return found

    def is_closed(self) -> bool:
        """Whether the server closes the connection, with nothing more to read."""
        try:
            self._more()
        except EOFError as end:
            return end.args == (b"",)
        except ConnectionResetError:
            return True
        return False


def request(method: str = "GET", path: str = "/", *headers: str, host: str = "localhost") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]).encode("latin-1")


class Counted:
    """A meter that keeps what it is told."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, ...], int] = {}
        self.gauges: dict[str, Callable[[], Any]] = {}

    def count(self, metric: Any, *labels: str, by: int = 1) -> None:
        key = (metric.name, *labels)
        self.counts[key] = self.counts.get(key, 0) + by

    def observe(self, metric: Any, seconds: float, *labels: str) -> None:
        pass

    def watch(self, owner: str, read: Callable[[], Any]) -> None:
        self.gauges[owner] = read

    def refusals(self) -> dict[str, int]:
        """How many there were, by reason."""
        return {labels[1]: count for labels, count in self.counts.items() if labels[0].endswith("listener_refusals")}


class Served:
    """A listener in a tree of its own."""

    def __init__(self, address: Address, make_handler: Callable[[], Handler], **options: Any) -> None:
        self.address, self.sockets, self.events = address, Sockets(), list[LifecycleEvent]()
        self.started: list[tuple[str, ...]] = []
        self.meter = Counted()
        self._again = threading.Condition()
        self.sockets.open(address, mode=options.pop("mode", 0o600), beyond_loopback=options.get("tls") is not None)
        limits, drain = options.pop("limits", Limits()), options.pop("drain_seconds", 0.0)
        self.spec = listener_spec(
            address,
            self.sockets,
            make_handler,
            limits=limits,
            drain_seconds=drain,
            meter=self.meter,
            listening=self._listening,
            **options,
        )
        self.node = Node(self.events.append)
        spec = replace(self.spec, name="listener", backoff=None)
        flags = Flags(intensity=100_000)
        self.root = spawn(self.node, lambda: Supervisor(flags, [ChildSpec("timers", TimerServer), spec]), label="root")
        [self.place] = self.started[0]

    def _listening(self, places: tuple[str, ...]) -> None:
        with self._again:
            self.started.append(places)
            self._again.notify_all()

    @property
    def listener(self) -> Pid:
        pid = self.node.registry.whereis("listener")
        assert pid is not None
        return pid

    def kill(self) -> None:
        """Kill the listener, and wait for the next one."""
        begun = len(self.started)
        self.listener.kill()
        with self._again:
            assert self._again.wait_for(lambda: len(self.started) > begun, PATIENCE)

    def client(self) -> Client:
        return Client(self.place)

    def close(self) -> None:
        with contextlib.suppress(OtpError):  # it has ended already, or another thread stops it
            stop(self.root)
        self.root.wait(PATIENCE)
        self.sockets.close_all()


@contextmanager
def served(handler: Handler, address: Address | Path | None = None, **options: Any) -> Iterator[Served]:
    """Serve *handler* on *address*: a folder for a Unix socket; None is a TCP port of loopback."""
    if address is None:
        address = TcpAddress("127.0.0.1", 0)
    elif isinstance(address, Path):
        address = UnixAddress(str(address / "api.sock"))
    one = Served(address, lambda: handler, **options)
    try:
        yield one
    finally:
        one.close()


async def echo(asked: Request) -> Response:
    """Answer by what was asked."""
    return Response(200, (("content-type", "text/plain"),), f"{asked.method} {asked.path} ".encode() + asked.body)


def eventually(what: Callable[[], bool]) -> bool:
    """Whether *what* becomes true in time."""
    end, pause = now() + PATIENCE, threading.Event()
    while not what():
        if now() > end:
            return False
        pause.wait(0.005)
    return True
