"""The process of one prefetch: it fills the cache in the background, and ends.

Rule 1: it asks one question at a time, so that a caller that needs a secret now does not wait behind secrets that may
        be needed later.
Rule 2: a secret that cannot be fetched is reported, and no caller gets an error for it. During an outage the prefetcher
        asks again, with growing pauses, and gives up in the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from secrets_actor.actor.cache import Cache
from secrets_actor.actor.error_translation import translated
from secrets_actor.actor.prefetch_plan import Plan, Wanted
from secrets_actor.domain.operations import Get, Operation
from secrets_actor.domain.tracing import Caller
from secrets_actor.otp import (
    Backoff,
    From,
    GenServer,
    Handled,
    Ignore,
    InitResult,
    LifecycleEvent,
    Name,
    Stop,
)

# The name of this caller in the audit log.
LABEL: Final = "prefetch"
# The pauses after questions without an answer: 1, 2, 4, 8 and 16 s, each made shorter by up to a half. Together they
# are about half a minute at most.
_PAUSES: Final = Backoff(1.0, maximum=30.0, jitter=0.5)
_TRIES: Final = 6


class PrefetchFailed(LifecycleEvent, frozen=True):
    """*subject*, one secret or several, was not prefetched; *code* is that of the error."""

    subject: str
    code: str


class PrefetchDone(LifecycleEvent, frozen=True):
    """A prefetch is over. *found* secrets were fetched, *missed* could not be, and for *left_out* the cache has no
    room."""

    found: int
    missed: int
    left_out: int


class _Go(Struct, frozen=True):
    """Timer: the pause is over."""


class _Answered(Struct, frozen=True):
    """The secrets actor has answered the question *asked*; *done* is the settled handle."""

    asked: Operation[Any]
    done: From[Any]


class Prefetcher(GenServer):
    """Asks the actor *secrets* for the *wanted* secrets, which fills *cache*. It begins after a random time of up to
    *spread* seconds, so that a fleet of programs that are started together do not ask together. *chance* returns random
    numbers from 0 to 1."""

    may_wait = False

    def __init__(self, wanted: Wanted, secrets: Name, cache: Cache, spread: float, chance: Callable[[], float]) -> None:
        self._wanted, self._secrets, self._cache = wanted, secrets, cache
        self._spread, self._chance = spread, chance
        self._tries = 0

    def init(self) -> InitResult:
        """Set the timer to begin. If the cache keeps nothing, there is nothing to do, and the process ends."""
        if self._cache.rules.ttl <= 0:
            return Ignore()
        self._plan = Plan(self._wanted, self._cache.rules.max_entries, self._is_kept)
        self.send_after(self._spread * self._chance(), _Go())
        return None

    def _is_kept(self, name: str) -> bool:
        return self._cache.read(Get(name), self.node.clock.now()) is not None

    def handle_info(self, message: Any) -> Handled:
        """Ask, if the pause is over; or take the answer."""
        if isinstance(message, _Go):
            return self._ask()
        if isinstance(message, _Answered):
            return self._answered(message.asked, message.done)
        return None

    def _ask(self) -> Handled:
        asked = self._plan.next()
        if asked is None:
            plan = self._plan
            self.node.observe(PrefetchDone(self.me.label, plan.found, plan.missed, plan.left_out))
            return Stop()
        caller: From[Any] = From()
        caller.note = Caller(LABEL)
        me = self.me
        caller.on_settled(lambda done: me.post(_Answered(asked, done)))
        self._secrets.deliver(asked, caller)
        return None

    def _answered(self, asked: Operation[Any], done: From[Any]) -> Handled:
        if done.error is None:
            missing = self._plan.answered(asked, done.result())
        else:
            error = translated(done.error)
            self._tries += 1
            if error.retryable and self._tries < _TRIES:
                self.send_after(_PAUSES.delay(self._tries, self._chance()), _Go())
                return None
            missing = self._plan.failed(asked, error)
        self._tries = 0
        for subject, code in missing:
            self.node.observe(PrefetchFailed(self.me.label, subject, code))
        return self._ask()
