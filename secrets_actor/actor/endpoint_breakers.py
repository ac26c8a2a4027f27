"""The breakers of the store in force, one for each endpoint. Decides which endpoint an outcome is about, and whether it
counts for or against it. PURE. How a breaker works is in breaker.py.

Rule 1: a lost connection, a failure of the store and a time-out count against the endpoint. A time-out counts by the
        time that was allowed: one caller's short deadline says little. A caller that gives up before its deadline,
        because it was cancelled, counts as if its deadline had passed.
        A node without an active node in its cluster is well, and counts as one that answers: it takes no writes, but
        serves reads.
Rule 2: a store without endpoints, such as the local one, has no breaker: nothing is refused.
Rule 3: an operation that was sent to an earlier store says nothing about the present one. The caller of this module has
        to leave such operations out.
Rule 4: an operation may go if at least one endpoint admits it. Its backend is told which endpoints to avoid: those
        whose breaker does not admit it. So a dead endpoint does not close the way to the others. The backend chooses
        among the others.
Rule 5: an outcome is about the endpoint that it names, its origin. One that names none is about the only endpoint that
        the operation could go to; if there were several, it is about none. So a backend with one endpoint has nothing
        to name.
Rule 6: if a backend went on from one endpoint to another, its attempts show how the earlier ones ended. The last
        attempt at each endpoint counts; for the endpoint that gave the outcome, the outcome counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct

from secrets_actor.actor.answer_check import is_attempt
from secrets_actor.actor.breaker import Breaker, BreakerRules, Circuit
from secrets_actor.domain import errors
from secrets_actor.domain.errors import (
    BackendTimeout,
    CircuitOpen,
    DeadlineExceeded,
    NoActiveNode,
    SecretsError,
    StoreFailure,
    Unreachable,
)
from secrets_actor.domain.tracing import OK, Attempt
from secrets_actor.otp import LifecycleEvent

# An answer with a status of 5xx counts as a quarter of a failure, because a store may fail at one operation and be well
# otherwise. A quarter is exact in binary, so that four of them make one.
_UNWELL: Final = 0.25
_LOST: Final = (Unreachable, StoreFailure, DeadlineExceeded)
_TIMEOUTS: Final = (BackendTimeout, DeadlineExceeded)
_NONE: Final[frozenset[str]] = frozenset()
# Finds the class of an error by its code, because an attempt has only the code. An unknown code says nothing.
_BY_CODE: Final = {
    one.code: one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, SecretsError)
}


class BreakerOpened(LifecycleEvent, frozen=True):
    """Nothing is sent to *endpoint* for *pause* seconds, because the last operation met *problem* (an error's code)."""

    endpoint: str
    problem: str
    pause: float


class BreakerClosed(LifecycleEvent, frozen=True):
    """*endpoint* answers again, and operations are sent there."""

    endpoint: str


class Sent(Struct, frozen=True):
    """One sending of an operation. *operation* is its number; *at* is when it was sent, and *deadline* when the last of
    its callers gives up (clock seconds). *only* is the endpoint that it could go to, if there was just one; *attempts*
    are those of its backend so far."""

    operation: int
    at: float
    deadline: float
    only: str | None
    attempts: list[Attempt]


class Turn(Struct, frozen=True):
    """The breaker of *endpoint* has changed its state. It has closed (*problem* is None), or opened for *pause* seconds
    because of *problem*, an error's code."""

    endpoint: str
    problem: str | None = None
    pause: float = 0.0


class EndpointBreakers:
    """One breaker for each of *endpoints*. *chance* returns random numbers from 0 to 1."""

    def __init__(self, rules: BreakerRules, chance: Callable[[], float], endpoints: Iterable[str]) -> None:
        self._breakers = {endpoint: Breaker(rules, chance) for endpoint in endpoints}
        # Whether all breakers are closed, and so none has a probe. It is remembered, because every operation asks
        # several times, and it is nearly always so.
        self._all_closed = True
        self._lone = next(iter(self._breakers)) if len(self._breakers) == 1 else None

    @property
    def state(self) -> Circuit:
        """The best of the breakers' states: closed if one breaker is closed, or if there is none."""
        states = {breaker.state for breaker in self._breakers.values()}
        if not states or Circuit.CLOSED in states:
            return Circuit.CLOSED
        return Circuit.HALF_OPEN if Circuit.HALF_OPEN in states else Circuit.OPEN

    def admits(self, operation: int, now: float) -> bool:
        """Whether *operation* may go. It becomes the probe of each endpoint whose pause is over and that has none."""
        if self._all_closed:
            return True
        # A list, because each breaker has to be asked: `any` alone would stop at the first that admits it.
        admitted = [breaker.admits(operation, now) for breaker in self._breakers.values()]
        return any(admitted)

    def avoided(self, operation: int) -> frozenset[str]:
        """Return the endpoints that the backend must not ask for *operation*, which may go."""
        if self._all_closed:
            return _NONE
        open_ones = [one for one, breaker in self._breakers.items() if breaker.state is not Circuit.CLOSED]
        return frozenset([one for one in open_ones if not self._breakers[one].is_probe(operation)])

    def only(self, avoided: frozenset[str]) -> str | None:
        """Return the endpoint that is not *avoided*, if there is just one; else None."""
        if not avoided:
            return self._lone
        left = [endpoint for endpoint in self._breakers if endpoint not in avoided]
        return left[0] if len(left) == 1 else None

    def shut(self, now: float) -> bool:
        """Whether a new operation would be refused."""
        return not self._all_closed and all(breaker.shut(now) for breaker in self._breakers.values())

    def goes_ahead(self, operation: int) -> bool:
        """Whether *operation* is a probe, and no endpoint is known to be well."""
        if self._all_closed or self.state is Circuit.CLOSED:
            return False
        return any(breaker.is_probe(operation) for breaker in self._breakers.values())

    def circuit_open(self, now: float) -> CircuitOpen:
        """Return the error for an operation that must not go now."""
        pause = min([breaker.pause(now) for breaker in self._breakers.values()])
        when = f"in {pause:.1f} s" if pause else "at this moment"
        names = ", ".join(self._breakers)
        text = f"{names} did not answer lately, so nothing is sent there; it is tried again {when}"
        return CircuitOpen(text, endpoint=names, retry_after=pause)

    def silent(self, now: float) -> bool:
        """Whether an endpoint with a closed breaker has not answered for *fair* seconds (see `BreakerRules`)."""
        return any(breaker.hears_nothing(float("-inf"), now) for breaker in self._breakers.values())

    def hears_nothing(self, sent: Sent, now: float) -> bool:
        """Whether the only endpoint that *sent* could go to has a closed breaker, and has been silent for *fair*
        seconds since the sending, or since its last answer if that came later."""
        breaker = None if sent.only is None else self._breakers[sent.only]
        return breaker is not None and breaker.hears_nothing(sent.at, now)

    def withdrawn(self, operation: int) -> None:
        """*operation* did not reach the endpoints whose probe it is: the next operation becomes their probe."""
        if not self._all_closed:
            for breaker in self._breakers.values():
                breaker.withdrawn(operation)

    def answered(self, sent: Sent, origin: str | None, now: float) -> list[Turn]:
        """The endpoint *origin* has answered, perhaps with a refusal. Return the breakers that turn."""
        endpoint = self._endpoint_of(sent, origin)
        turns, _ = self._count_other_attempts(sent, endpoint, now)
        if endpoint is not None and self._breakers[endpoint].succeeded(now):
            turns.append(Turn(endpoint))
        return self._turned(turns, sent.operation)

    def lost(self, sent: Sent, error: SecretsError, now: float) -> list[Turn]:
        """The operation *sent* met *error*. Return the breakers that turn."""
        endpoint = self._endpoint_of(sent, error.origin)
        turns, since = self._count_other_attempts(sent, endpoint, now)
        if endpoint is not None:
            turns += self._count_error(endpoint, sent.operation, type(error), error.code, since, sent.deadline, now)
        return self._turned(turns, sent.operation)

    def _turned(self, turns: list[Turn], operation: int) -> list[Turn]:
        """Note the state after *turns*, which *operation* has caused, and return them."""
        if turns:
            self._all_closed = all(breaker.state is Circuit.CLOSED for breaker in self._breakers.values())
        self.withdrawn(operation)
        return turns

    def _endpoint_of(self, sent: Sent, origin: str | None) -> str | None:
        """Return the endpoint that an outcome is about; None: it cannot be told (rule 5)."""
        return origin if origin in self._breakers else sent.only

    def _count_other_attempts(self, sent: Sent, but: str | None, now: float) -> tuple[list[Turn], float]:
        """Count the attempts at other endpoints than *but* (rule 6). Return the breakers that turn, and when the last
        of these attempts ended: the endpoint *but* cannot have been asked before."""
        if self._lone is not None or not self._breakers:
            return [], sent.at
        # The backend may still be at work, and nobody has checked yet what it has noted. What ends later than now has
        # another clock's time, such as the date: a breaker would stay open until then.
        noted = [one for one in tuple(sent.attempts) if is_attempt(one) and one.ended <= now]
        last = {one.origin: one for one in noted if one.origin in self._breakers and one.origin != but}
        turns: list[Turn] = []
        for endpoint, attempt in last.items():
            kind = _BY_CODE.get(attempt.outcome)
            if attempt.outcome == OK or (kind is not None and not _is_lost(kind)):
                turns += [Turn(endpoint)] if self._breakers[endpoint].succeeded(attempt.ended) else []
            elif kind is not None:
                turns += self._count_error(
                    endpoint, sent.operation, kind, attempt.outcome, attempt.began, attempt.ended, attempt.ended
                )
        return turns, max([sent.at, *[one.ended for one in last.values()]])

    def _count_error(
        self, endpoint: str, operation: int, kind: type[SecretsError], code: str, begun: float, until: float, now: float
    ) -> list[Turn]:
        """*endpoint* was asked at *begun*, had time until *until*, and an error of this *kind* came at *now*. Return
        its breaker, if it turns."""
        breaker, opens = self._breakers[endpoint], False
        if issubclass(kind, _TIMEOUTS):
            opens = breaker.timed_out(operation, begun, until - begun, now)
        elif _is_lost(kind):
            opens = breaker.failed(operation, begun, now, _UNWELL if issubclass(kind, StoreFailure) else 1.0)
        return [Turn(endpoint, code, breaker.pause(now))] if opens else []


def is_answer(error: SecretsError) -> bool:
    """Whether *error* is an answer: it shows that the store is there and well."""
    return not _is_lost(type(error))


def _is_lost(kind: type[SecretsError]) -> bool:
    return issubclass(kind, _LOST) and not issubclass(kind, NoActiveNode)
