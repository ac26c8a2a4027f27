"""The server of one listener: a thread with a loop of its own, on sockets that others keep. The faces' door to asyncio.
What is said on a connection is HTTP (connection.py), or what systemd expects (credential_socket.py).

Rule 1: the loop may be at an end at any moment (`abandon`). The sockets that are kept outside stay open, so that the
        next server goes on with them; here are copies.
Rule 2: a connection that was accepted is answered or closed, in each way that a loop can end: a client that waits for a
        connection which nobody holds any more waits forever.
Rule 3: one timer looks after all connections, and none runs when there is no connection.
Rule 4: nothing of a request is logged or told: only the type of an error, and its place.
Rule 5: what clients can bring about is told once in a while, and counted each time.
Rule 6: descriptors are the process's. All its servers share them, so each counts the connections of the others, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import resource
import selectors
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from uvicorn.server import ServerState

from secrets_actor.clock import now, wall_time
from secrets_actor.domain import metrics
from secrets_actor.domain.metrics import NO_METER, Meter
from secrets_actor.faces.connection import LINGER, Connection, Limits, Refusal, configuration
from secrets_actor.faces.events import ConnectionsRefused, HandlerFailed
from secrets_actor.faces.peer import Names
from secrets_actor.faces.sockets import BACKLOG
from secrets_actor.forks import on_fork
from secrets_actor.otp import NO_THREAD, Clock, Crashed, Exit, Latch, LifecycleEvent, Observer, begin

if TYPE_CHECKING:
    import ssl

# Seconds that a loop has to end by itself before its connections are cut off from outside.
_CUT_AFTER: Final = 0.5
# Rounds of the loop in which a connection that was accepted becomes one of ours: asyncio takes three.
_QUIET_ROUNDS: Final = 5
# Seconds between two looks at tasks that take longer than that.
_PAUSE: Final = 0.005
# Seconds in which the tasks of a loop that ends must end.
_LAST_TASKS: Final = 1.0
# Descriptors that are kept free for all else: the store's connections, files, the audit log. Where the process may have
# few, connections get a quarter of them.
_SPARE_DESCRIPTORS: Final = 128
# Seconds between two reports of the same trouble.
_QUIET: Final = 60.0


class _Reported:
    """In the place of uvicorn's logger, whose texts and tracebacks may hold what a client has sent (rule 4)."""

    level = 100  # uvicorn asks for it, to see whether to tell details

    def __init__(self, failed: Callable[[BaseException], object]) -> None:
        self._failed = failed

    def error(self, _text: str, *_: object, exc_info: BaseException | None = None) -> None:
        if exc_info is not None:
            self._failed(exc_info)

    def warning(self, _text: str, *_: object) -> None:
        """Say nothing: it is counted as a refusal."""

    log = info = debug = warning


class _Running:
    """The servers of this process that accept connections (rule 6)."""

    lock = threading.Lock()
    servers: tuple[Server, ...] = ()  # replaced whole, under the lock: it is read without

    @classmethod
    def add(cls, server: Server) -> None:
        with cls.lock:
            cls.servers = (*cls.servers, server)

    @classmethod
    def remove(cls, server: Server) -> None:
        with cls.lock:
            cls.servers = tuple(one for one in cls.servers if one is not server)

    @classmethod
    def forget(cls) -> None:
        """In the child of a fork: they are the parent's, and so is whoever holds the lock."""
        cls.lock, cls.servers = threading.Lock(), ()


class Spoken(Protocol):
    """What the server asks of a connection, whatever is spoken on it. All but `cut` are called in the loop.

    `counted` is for whom the server counts it, None: for nobody. `due` is the moment (`clock.now`) at which its present
    phase is over. It is in `Server.state.connections` for as long as it is open.
    """

    counted: object
    due: float

    def over(self, moment: float) -> None:
        """End the present phase, whose time is over at *moment*."""

    def drain(self) -> None:
        """End when what is under way is answered; at once, if nothing is."""

    def abandon(self) -> None:
        """End now, or within some rounds of the loop. May be called again."""

    def cut(self) -> None:
        """Shut the connection down. Called in another thread, when the loop hangs."""


# Makes what is spoken on a connection that was accepted.
Speaks = Callable[["Server", asyncio.AbstractEventLoop], Any]


class Server:
    """Serves *sockets*, in a thread of its own. Any thread may call its methods.

    *speaks* makes what is spoken on a connection; that asks *handler* for the answers. *address* is the listener's name
    for requests, *label* that of its process for events. *tls* is an `ssl.SSLContext`. *clock* is the system's. *ended*
    is called, with the error, if the loop ends without having been told to.
    """

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        handler: Callable[[Any], Awaitable[Any]],
        *,
        speaks: Speaks = Connection,
        address: str,
        label: str,
        clock: Clock,
        limits: Limits,
        tls: ssl.SSLContext | None = None,
        meter: Meter = NO_METER,
        observe: Observer,
        ended: Callable[[BaseException], object],
    ) -> None:
        self.handle, self.address, self.clock, self.limits = handler, address, clock, limits
        self._speaks = speaks
        self.answered = 0
        self.drains = False
        self.label, self._tls, self._meter, self._observe, self._ended = label, tls, meter, observe, ended
        self._given = sockets
        self.config = configuration()
        self.state = ServerState()
        self.reported = _Reported(self.failed)
        self.names = Names(now)
        self.most = self._per_peer = self._room = 0
        self._open = 0
        self._by_peer: dict[object, int] = {}
        self._told: dict[LifecycleEvent, float] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._left: object = None
        self._selector: selectors.BaseSelector | None = None
        self._copies: list[socket.socket] = []
        self._servers: list[asyncio.Server] = []
        self._ran = True
        self._ticking = False
        self._dated = 0.0
        self._stop = self._empties = self._ends = False
        self._begun, self._over = Latch(), Latch()
        self._failure: BaseException | None = None
        shortest = min(limits.head_seconds, limits.idle_seconds, limits.request_seconds)
        self._tick_seconds = max(0.01, min(0.5, shortest / 4))
        on_fork(self)

    # --- for any thread -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to serve; return when connections are accepted. Raises what went wrong."""
        thread = threading.Thread(target=self._run, name=f"{self.label} loop", daemon=True)
        if not begin(thread):
            raise Exit(NO_THREAD)
        self._begun.wait(None)
        if self._failure is not None:
            raise self._failure

    def drain(self, seconds: float) -> bool:
        """Accept nothing more, let what is under way be answered, and end. Return whether all was answered in time."""
        self._call(self._begin_drain)
        done = self._over.wait(seconds)
        self.abandon()
        return done

    def abandon(self) -> None:
        """End at once: what is under way is cut off."""
        self._stop = True
        self._call(self._halt)
        if not self._over.wait(_CUT_AFTER):  # a face holds the loop
            for one in self._all():
                one.cut()

    def responds(self) -> bool:
        """Whether the loop has run since the last call of this; at the first call, True."""
        ran, self._ran = self._ran, False
        self._call(self._note_run)
        return ran

    def _note_run(self) -> None:
        self._ran = True

    @property
    def connections(self) -> int:
        """How many connections there are, without those over the limit."""
        return self._open

    def forget(self) -> None:
        """In the child of a fork: close all descriptors, and touch nothing else. The loop is the parent's: what is
        taken off its selector here would be gone there, too."""
        with contextlib.suppress(OSError):
            if self._selector is not None:
                self._selector.close()
            for copy in self._copies:
                copy.close()
            # Not closed: the objects that have these numbers would close them once more, whatever they are by then.
            nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            for connection in list(self.state.connections):
                os.dup2(nothing, connection.transport.get_extra_info("socket").fileno(), inheritable=False)
            os.close(nothing)
        _Running.forget()
        self._left = (self._loop, self.state)  # not dropped: asyncio would close the loop, and take it off the selector
        self._loop, self._copies, self._open = None, [], 0
        self.state = ServerState()
        self._begun, self._over = Latch(), Latch()
        self._begun.open()
        self._over.open()

    def _all(self) -> list[Spoken]:
        """Return the connections that are open. uvicorn's own type for them is another one."""
        return cast("list[Spoken]", list(self.state.connections))

    def _call(self, function: Callable[[], object]) -> None:
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed
                loop.call_soon_threadsafe(function)

    # --- the thread of the loop -----------------------------------------------------------------------------------

    def _run(self) -> None:
        failure: BaseException | None = None
        try:
            self._selector = selectors.DefaultSelector()
            self._loop = loop = asyncio.SelectorEventLoop(self._selector)
            loop.set_debug(False)
            loop.set_exception_handler(self._on_trouble)
            loop.run_until_complete(self._accept())
            self._begun.open()
            if not self._stop:
                loop.run_forever()
            if not self._stop:
                failure = RuntimeError("the loop of the listener was stopped")
        except BaseException as error:  # noqa: BLE001
            failure = error
        self._clean_up()
        if not self._begun.is_open:
            self._failure = failure
            self._begun.open()
        self._over.open()
        if failure is not None and self._failure is None and not self._stop:
            self._ended(failure)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.most, self._per_peer, self._room = self.limits.connections, self.limits.per_peer, sys.maxsize
        if soft != resource.RLIM_INFINITY:
            self._room = max(soft - _SPARE_DESCRIPTORS, soft // 4, 1)
        if self._room < self.most:  # half of what there is stays for others
            self.most, self._per_peer = self._room, min(self._per_peer, max(1, self._room // 2))
        _Running.add(self)
        handshake: dict[str, Any] = {}
        if self._tls is not None:
            handshake = {"ssl_handshake_timeout": self.limits.head_seconds, "ssl_shutdown_timeout": LINGER}
        self._copies = [one.dup() for one in self._given]
        for copy in self._copies:
            self._servers.append(
                await loop.create_server(
                    lambda: self._speaks(self, loop), sock=copy, ssl=self._tls, backlog=BACKLOG, **handshake
                )
            )

    def _begin_drain(self) -> None:
        self.drains = True
        # After one more round of the loop: who has connected by now is still accepted and served.
        asyncio.get_running_loop().call_later(0.0, self._drain)

    def _drain(self) -> None:
        self._accept_no_more()
        self._after_rounds(_QUIET_ROUNDS, self._close_idle)

    def _after_rounds(self, rounds: int, then: Callable[[], object]) -> None:
        """Call *then* after so many *rounds* of the loop: by then it has seen all connections and requests that came
        before. It is no matter of time, because the loop may not have run meanwhile."""
        if rounds:
            asyncio.get_running_loop().call_soon(self._after_rounds, rounds - 1, then)
        else:
            then()

    def _close_idle(self) -> None:
        for one in self._all():
            one.drain()
        self._after_rounds(_QUIET_ROUNDS, self._end_drain)

    def _accept_no_more(self) -> None:
        """Take the listening sockets off the loop. asyncio's servers are closed some rounds later: a connection that
        waits to become one of ours when its server is closed is lost, and its client is told nothing (asyncio has an
        assertion there)."""
        for copy in self._copies:
            if copy.fileno() >= 0:
                asyncio.get_running_loop().remove_reader(copy.fileno())

    def _end_drain(self) -> None:
        if self._open:
            self._empties = True  # `gone` goes on
        else:
            self._stop = True
            self._halt()

    def _halt(self) -> None:
        if not self._ends:  # else it would stop the loop in the middle of its clean-up
            asyncio.get_running_loop().stop()

    def _clean_up(self) -> None:
        self._ends = True
        _Running.remove(self)
        loop = self._loop
        if loop is None:
            if self._selector is not None:
                self._selector.close()
            return
        with contextlib.suppress(BaseException):
            loop.run_until_complete(self._end_all())
            loop.run_until_complete(loop.shutdown_asyncgens())
        with contextlib.suppress(BaseException):
            for server in self._servers:
                server.close()
        for copy in self._copies:
            copy.close()
        with contextlib.suppress(BaseException):
            self._cut_left()
            loop.close()

    async def _end_all(self) -> None:
        """End all connections and tasks. It takes several rounds: a connection that was accepted just now becomes one
        of ours two rounds later, and nobody would ever answer it."""
        self._accept_no_more()
        until, quiet, cancelled = now() + _LAST_TASKS, 0, {asyncio.current_task()}
        for turn in itertools.count():
            for one in self._all():
                one.abandon()
            tasks = asyncio.all_tasks()
            quiet = quiet + 1 if len(tasks) == 1 and not self.state.connections else 0
            if quiet == _QUIET_ROUNDS or now() > until:
                return
            if turn >= _QUIET_ROUNDS:  # the first ones are for the tasks that accept
                for task in tasks - cancelled:
                    task.cancel()
                cancelled |= tasks
            await asyncio.sleep(0.0 if turn < 2 * _QUIET_ROUNDS else _PAUSE)

    def _cut_left(self) -> None:
        """Shut down the connections that the loop still has, such as in the middle of the handshake of TLS."""
        if self._selector is not None:
            for key in list((self._selector.get_map() or {}).values()):
                with contextlib.suppress(OSError), socket.socket(fileno=os.dup(key.fd)) as left:
                    if not left.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                        left.shutdown(socket.SHUT_RDWR)

    def _on_trouble(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Take what asyncio would write to its log, with all that it knows."""
        error = context.get("exception")
        if isinstance(error, OSError) and "accept" in str(context.get("message")):
            self.report(
                ConnectionsRefused(self.label, type(error).__name__ if error.strerror is None else error.strerror)
            )
        elif isinstance(error, OSError):
            pass  # a client that has gone, or whose TLS is wrong: it is told by TLS itself
        elif error is not None:
            self.failed(error)

    def failed(self, error: BaseException) -> None:
        """Tell of *error*, which was raised while a request was answered."""
        self.report(HandlerFailed(self.label, str(Crashed.by(error))))

    def report(self, event: LifecycleEvent) -> None:
        """Tell *event*, if the same has not been told within a minute: clients must not be able to fill the log."""
        if self._ends:
            return
        moment = now()
        if moment >= self._told.get(event, 0.0):
            if len(self._told) > 100:
                self._told.clear()
            self._told[event] = moment + _QUIET
            self._observe(event)

    # --- for connections, in the loop -----------------------------------------------------------------------------

    def admits(self, whom: object) -> bool:
        """Count one more connection, of *whom*, unless there are enough."""
        self._tick_on()
        everyone = _Running.servers
        if (
            self._open >= self.most
            or sum([one._open for one in everyone]) >= self._room
            or sum([one._by_peer.get(whom, 0) for one in everyone]) >= self._per_peer
        ):
            return False
        self._open += 1
        self._by_peer[whom] = self._by_peer.get(whom, 0) + 1
        return True

    def gone(self, connection: Spoken) -> None:
        """Take off the count what *connection* has put there."""
        whom, connection.counted = connection.counted, None
        if whom is not None:
            self._open -= 1
            left = self._by_peer[whom] - 1
            if left:
                self._by_peer[whom] = left
            else:
                del self._by_peer[whom]
            if self._empties and not self._open:
                self._end_drain()

    def count(self, refusal: Refusal) -> None:
        """Count *refusal*."""
        self._meter.count(metrics.LISTENER_REFUSALS, refusal.reason)

    def _tick_on(self) -> None:
        if not self._ticking:
            self._ticking = True
            self._tick()

    def _tick(self) -> None:
        """Look after all connections, as long as there are any (rule 3)."""
        moment = now()
        if moment >= self._dated:
            self._dated = moment + 1.0
            # A new list: an answer under way has the old one.
            self.state.default_headers = [(b"date", formatdate(wall_time(), usegmt=True).encode())]
        for one in self._all():
            if one.due <= moment:
                one.over(moment)
        if self._open or self.state.connections:
            asyncio.get_running_loop().call_later(self._tick_seconds, self._tick)
        else:
            self._ticking = False
