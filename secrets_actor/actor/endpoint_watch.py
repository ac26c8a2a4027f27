"""The breaker of the store in force, and what is told of it. Part of the dispatcher; the rules are breaker.py's.

Rule 1: a lost way, a failure of the store and a time-out speak against the endpoint. A time-out as much as there was
        time: that one caller was in a hurry says little. A caller that gives up before its deadline, because it was
        cancelled, counts as if its deadline had passed.
Rule 2: a store without an endpoint, such as the local one, has no breaker.
Rule 3: what was sent to the store before says nothing about the present one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from secrets_actor.actor.breaker import Breaker, BreakerRules, Circuit
from secrets_actor.actor.flights import Flight
from secrets_actor.domain.errors import (
    BackendTimeout,
    CircuitOpen,
    DeadlineExceeded,
    SecretsError,
    StoreFailure,
    Unreachable,
)
from secrets_actor.domain.operations import token_of
from secrets_actor.domain.ports import BackendFactory
from secrets_actor.otp import GenServer, LifecycleEvent

# What an answer of 5xx counts: a quarter, for a store may fail at one operation and be well. Exact in binary.
_UNWELL: Final = 0.25
_LOST: Final = (Unreachable, StoreFailure, DeadlineExceeded)
_TIMEOUTS: Final = (BackendTimeout, DeadlineExceeded)


class BreakerOpened(LifecycleEvent, frozen=True):
    """Nothing is sent to *endpoint* for *pause* seconds: the last operation met *problem* (an error's code)."""

    endpoint: str
    problem: str
    pause: float


class BreakerClosed(LifecycleEvent, frozen=True):
    """*endpoint* answers again."""

    endpoint: str


class EndpointWatch:
    """Runs in the secrets actor's thread. *chance* gives numbers from 0 to 1."""

    def __init__(
        self, server: GenServer, rules: BreakerRules, chance: Callable[[], float], factory: BackendFactory
    ) -> None:
        self._server, self._rules, self._chance = server, rules, chance
        self.store_changed(factory)

    def store_changed(self, factory: BackendFactory) -> None:
        """Another endpoint, of which nothing is known."""
        self._factory, self._endpoint = factory, factory.endpoint
        self._breaker = Breaker(self._rules, self._chance)

    @property
    def state(self) -> Circuit:
        """The state of the breaker."""
        return self._breaker.state

    def refusal(self, flight: Flight) -> CircuitOpen | None:
        """The error for *flight*, if it must not go now."""
        now = self._server.node.clock.now()
        if self._endpoint is None or self._breaker.admits(flight.id, now):
            return None
        error = self._circuit_open(self._endpoint, now)
        if flight.repeated:  # it was sent before, to a worker that ended
            error.token = token_of(flight.operation)
        return error

    def refusal_of_another(self) -> CircuitOpen | None:
        """The error for who would send anything now; None if it may go."""
        now = self._server.node.clock.now()
        if self._endpoint is None or not self._breaker.shut(now):
            return None
        return self._circuit_open(self._endpoint, now)

    def is_probe(self, flight: Flight) -> bool:
        """Whether *flight* is the one that goes ahead."""
        return self._breaker.is_probe(flight.id)

    def sent(self, flight: Flight) -> None:
        """*flight* is on its way to the present store."""
        flight.factory, flight.sent_at = self._factory, self._server.node.clock.now()

    def answered(self, flight: Flight) -> None:
        """The store has said something about *flight*, be it no."""
        if self._endpoint is None or flight.factory is not self._factory:
            return
        if self._breaker.succeeded(self._server.node.clock.now()):
            self._server.node.observe(BreakerClosed(self._server.me.label, self._endpoint))

    def failed(self, flight: Flight, error: SecretsError, deadline: float) -> bool:
        """*flight*, which had until *deadline*, met *error*. Whether that opens the breaker."""
        if self._endpoint is None or flight.factory is not self._factory:
            return False
        now, breaker = self._server.node.clock.now(), self._breaker
        if isinstance(error, _TIMEOUTS):
            opened = breaker.timed_out(flight.id, flight.sent_at, deadline - flight.sent_at, now)
        elif isinstance(error, _LOST):
            opened = breaker.failed(flight.id, flight.sent_at, now, _UNWELL if isinstance(error, StoreFailure) else 1.0)
        else:
            breaker.withdrawn(flight.id)
            opened = False
        if not opened:
            return False
        pause = round(self._breaker.pause(now), 3)
        self._server.node.observe(BreakerOpened(self._server.me.label, self._endpoint, error.code, pause))
        return True

    def hears_nothing(self, flight: Flight | None = None) -> bool:
        """Whether the store, thought to be well, has been silent for longer than is fair: since *flight* was sent, or
        at all."""
        if self._endpoint is None or (flight is not None and flight.factory is not self._factory):
            return False
        begun = float("-inf") if flight is None else flight.sent_at
        return self._breaker.hears_nothing(begun, self._server.node.clock.now())

    def withdrawn(self, flight: Flight) -> None:
        """*flight* came to nothing before the store could say anything."""
        self._breaker.withdrawn(flight.id)

    def _circuit_open(self, endpoint: str, now: float) -> CircuitOpen:
        pause = self._breaker.pause(now)
        when = f"in {pause:.1f} s" if pause else "at this moment"
        text = f"{endpoint} did not answer lately, so nothing is sent there; it is tried again {when}"
        return CircuitOpen(text, endpoint=endpoint, retry_after=pause)


def is_answer(error: SecretsError) -> bool:
    """Whether it takes a store that is there to make *error*."""
    return not isinstance(error, _LOST)
