"""The listener: the process that serves one address. It stands under `faces`, and runs a server.

Rule 1: the sockets are not the listener's (`Sockets`): one that is started again goes on with them, and the clients
        that connected meanwhile are served by the new one.
Rule 2: the server has a thread and a loop of its own. If the loop ends by itself, the process crashes, so that its
        supervisor starts both anew.
Rule 3: a listener asks its loop now and then. One that does not run, because a face blocks it, makes the process crash:
        else the address would be dead, and nobody would know. Looks are counted, not seconds, because a machine that
        slept has let seconds pass.
Rule 4: a listener that is stopped in an orderly way drains: what is under way is answered, up to `drain_seconds`. One
        that is killed ends at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from secrets_actor.domain import metrics
from secrets_actor.domain.metrics import NO_METER, Meter, Reading
from secrets_actor.faces.address import Address
from secrets_actor.faces.connection import Connection, Limits
from secrets_actor.faces.server import Server, Speaks
from secrets_actor.faces.sockets import Sockets
from secrets_actor.otp import Backoff, ChildSpec, ExitReason, GenServer, Handled, cast

if TYPE_CHECKING:
    import ssl

# The first restarts come at once, because clients wait. A listener that ends again and again is started again more
# slowly, but never so slowly that a client that waits would give up.
BACKOFF: Final = Backoff(initial=0.02, factor=2.0, maximum=1.0, jitter=0.5, stable=5.0, at_once=3)
# Seconds that a listener has beyond its drain, to cut off what is still under way.
_BEYOND_DRAIN: Final = 5.0
# Seconds between two looks at the loop, and how many in a row may find that it has not run (rule 3).
LOOK_SECONDS: Final = 5.0
_MISSED: Final = 3
_LOOK: Final = "look"


class LoopEnded(Struct, frozen=True):
    """The server's loop has ended by *error*, without having been told to."""

    error: BaseException


class Drain(Struct, frozen=True):
    """Cast: drain now, and serve no more. For an end of several listeners at a time: a supervisor stops one after the
    other, and each may take all of its `drain_seconds`."""


class LoopStuck(RuntimeError):
    """The loop of a listener has not run for a while: a face, or what it calls, blocks it."""


class Listener(GenServer):
    """Serves the sockets of *address* by the handler that *make_handler* makes, anew for each start.

    *speaks* says what is spoken there; without it that is HTTP, and the handler is a `Handler` of exchange.py.
    *listening* is called when connections are accepted, with the places where they can be made: `unix:PATH`,
    `HOST:PORT`.
    """

    trap_exit = True

    def __init__(
        self,
        address: Address,
        sockets: Sockets,
        make_handler: Callable[[], Callable[[Any], Awaitable[Any]]],
        *,
        speaks: Speaks = Connection,
        limits: Limits,
        tls: ssl.SSLContext | None = None,
        meter: Meter = NO_METER,
        drain_seconds: float = 0.0,
        listening: Callable[[tuple[str, ...]], object] = lambda _: None,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._address, self._sockets, self._make_handler = address, sockets, make_handler
        self._speaks = speaks
        self._limits, self._tls, self._meter = limits, tls, meter
        self._drain_seconds, self._listening = drain_seconds, listening
        self._look_seconds, self._missed = look_seconds, 0
        self._server: Server | None = None

    def init(self) -> None:
        """Begin to serve."""
        me = self.me
        self._server = server = Server(
            self._sockets.of(self._address),
            self._make_handler(),
            speaks=self._speaks,
            address=str(self._address),
            label=me.label,
            clock=self.node.clock,
            limits=self._limits,
            tls=self._tls,
            meter=self._meter,
            observe=self.node.observe,
            ended=lambda error: cast(me, LoopEnded(error)),
        )
        server.start()
        try:
            self._meter.watch(me.label, self._readings)
            self.send_after(self._look_seconds, _LOOK)
            self._listening(self._sockets.places(self._address))
        except BaseException:  # a process that does not come up has no terminate, and its loop would serve on
            server.abandon()
            raise
        if not me.is_alive():  # it was killed meanwhile, when there was nothing to abandon yet
            server.abandon()

    def _readings(self) -> Iterable[Reading]:
        if self._server is not None:
            yield metrics.LISTENER_CONNECTIONS, (), self._server.connections

    def handle_cast(self, message: Any) -> Handled:
        """Crash if the loop has (rule 2)."""
        match message:
            case LoopEnded():
                raise message.error
            case Drain():
                if self._server is not None:
                    self._server.drain(self._drain_seconds)
                return None
            case _:
                return super().handle_cast(message)

    def handle_info(self, message: Any) -> Handled:
        """Look whether the loop runs (rule 3)."""
        if message is not _LOOK or self._server is None:
            return super().handle_info(message)
        self._missed = 0 if self._server.responds() else self._missed + 1
        if self._missed >= _MISSED:
            raise LoopStuck("a face blocks the loop")
        self.send_after(self._look_seconds, _LOOK)
        return None

    def terminate(self, reason: ExitReason) -> None:
        """Drain, if this is an orderly end (rule 4)."""
        if self._server is not None:
            if reason.expected:
                self._server.drain(self._drain_seconds)
            else:
                self._server.abandon()

    def abandon(self) -> None:
        """End the server at once: the process was killed."""
        if self._server is not None:
            self._server.abandon()

    def status(self) -> str:
        """Return how many connections there are, and how many requests were answered."""
        if self._server is None:
            return ""
        return f"{self._server.connections} connections, {self._server.answered} requests"


def listener_spec(
    address: Address,
    sockets: Sockets,
    make_handler: Callable[[], Callable[[Any], Awaitable[Any]]],
    *,
    speaks: Speaks = Connection,
    limits: Limits = Limits(),  # noqa: B008  # frozen
    tls: ssl.SSLContext | None = None,
    meter: Meter = NO_METER,
    drain_seconds: float = 0.0,
    listening: Callable[[tuple[str, ...]], object] = lambda _: None,
    look_seconds: float = LOOK_SECONDS,
) -> ChildSpec:
    """Return the spec of the listener of *address*, as in `Listener`. Its id is `listener ADDRESS`."""
    return ChildSpec(
        f"listener {address}",
        lambda: Listener(
            address,
            sockets,
            make_handler,
            speaks=speaks,
            limits=limits,
            tls=tls,
            meter=meter,
            drain_seconds=drain_seconds,
            listening=listening,
            look_seconds=look_seconds,
        ),
        shutdown=drain_seconds + _BEYOND_DRAIN,
        backoff=BACKOFF,
    )
