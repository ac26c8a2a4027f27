"""A bad server of ours on loopback: it plays a behaviour for each connection, and counts what came.

    with FaultyServer(Reset(), html_500(), Forward(moto.port)) as server:
        ...                       # first connection: RST; second: HTML 500; third and later: forwarded to moto

Rule 1: the last behaviour of the script is played for all further connections.
Rule 2: one thread a connection; at the end all sockets are hung up, all gates opened, all threads joined. A thread
        that does not end fails the test.
"""

import contextlib
import select
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.servers.behaviours import Behaviour, Forward, Gate
from tests.servers.http_messages import Message, Stream, hang_up

WAIT_SECONDS: Final = 10.0


class FaultyServer:
    """Context manager; `url` is where it listens."""

    def __init__(self, *script: Behaviour, path: Path | None = None) -> None:
        """Play *script*, on a free port, or at the Unix socket *path*."""
        if not script:
            raise ValueError("give at least one behaviour")
        self._script, self._path = script, path
        self._changed = threading.Condition()
        self._live: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._connections = 0
        self._requests: list[Message] = []
        self._strangers: list[BaseException] = []
        self.ended = threading.Event()

    # --- what tests ask ---------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The port it listens on, or listened on."""
        return self._port

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def _where(self) -> object:
        return self._path or self.port

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        with self._changed:
            return self._connections

    @property
    def requests(self) -> list[Message]:
        """The whole requests that were read so far, in the order of their arrival."""
        with self._changed:
            return list(self._requests)

    def wait_for_connections(self, count: int, timeout: float = WAIT_SECONDS) -> None:
        """Return when *count* connections were accepted. Raises `TimeoutError`."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._connections >= count, timeout):
                raise TimeoutError(f"{self._connections} connections after {timeout:g} s, not {count}")

    def wait_for_requests(self, count: int, timeout: float = WAIT_SECONDS) -> None:
        """Return when *count* requests were read. Raises `TimeoutError`."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._requests) >= count, timeout):
                raise TimeoutError(f"{len(self._requests)} requests after {timeout:g} s, not {count}")

    def drop(self) -> None:
        """Hang up every connection there is, on both sides. New ones are served."""
        with self._changed:
            live = list(self._live)
        for one in live:
            _shut(one)

    # --- its life ---------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self._path is None:
            self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
            self._port = int(self._listener.getsockname()[1])
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(self._path))
            self._listener.listen(128)
        self._wake, self._waker = socket.socketpair()
        self._acceptor = threading.Thread(target=self._accept, name=f"faulty-{self._where}")
        self._acceptor.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.ended.set()
        self._waker.close()
        self._acceptor.join(WAIT_SECONDS)
        self._listener.close()
        self._wake.close()
        for gate in self._gates():
            gate.end()
        self.drop()
        for thread in self._threads:
            thread.join(WAIT_SECONDS)
        stuck = [one.name for one in (self._acceptor, *self._threads) if one.is_alive()]
        if stuck:
            raise RuntimeError(f"threads of the bad server did not end: {stuck}")
        if self._strangers and _error is None:
            raise self._strangers[0]

    def _gates(self) -> list[Gate]:
        return [one.gate for one in self._script if isinstance(one, Forward) and one.gate is not None]

    def _accept(self) -> None:
        while True:
            readable, _, _ = select.select([self._listener, self._wake], [], [])
            if self._wake in readable:
                return
            client, _ = self._listener.accept()
            if self._path is None:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._changed:
                behaviour = self._script[min(self._connections, len(self._script) - 1)]
                self._connections += 1
                name = f"faulty-{self._where}-{self._connections}"
                self._live.add(client)
                self._changed.notify_all()
            thread = threading.Thread(target=self._serve, args=(client, behaviour), name=name)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket, behaviour: Behaviour) -> None:
        connection = _Connection(self, client)
        try:
            behaviour.serve(connection)
        except OSError:
            pass  # the client, or the test, ended it: that is what this server is for
        except BaseException as stranger:
            self._strangers.append(stranger)
        finally:
            with self._changed:
                self._live -= {client, *connection.adopted}
            hang_up(client)

    def _read(self, request: Message) -> None:
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()

    def _keep(self, upstream: socket.socket) -> None:
        with self._changed:
            self._live.add(upstream)


class _Connection:
    """One accepted connection, as behaviours see it."""

    def __init__(self, server: FaultyServer, client: socket.socket) -> None:
        self.client, self.ended = client, server.ended
        self.adopted: list[socket.socket] = []
        self._server, self._stream = server, Stream(client)

    def next_request(self) -> Message | None:
        """The next request, counted and kept by the server; None when the client has ended."""
        request = self._stream.request()
        if request is not None:
            self._server._read(request)
        return request

    def adopt(self, upstream: socket.socket) -> None:
        """Hang *upstream* up too when the server ends or drops its connections."""
        self.adopted.append(upstream)
        self._server._keep(upstream)


def _shut(connection: socket.socket) -> None:
    # Only shut, not closed: the thread that serves it closes it, and its number cannot be given to another meanwhile.
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
