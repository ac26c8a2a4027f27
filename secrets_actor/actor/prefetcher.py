"""The process of one prefetch: fills the cache in the background, and ends.

Rule 1: one question at a time: a caller who waits for a secret does not wait behind those that may be wanted one day.
Rule 2: what is missing is reported, and is nobody's failure. During an outage it asks again, with growing pauses, and
        gives up in the end.
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
# Pauses between questions in vain: 1, 2, 4, 8, 16 s, less up to half; half a minute in all, about.
_PAUSES: Final = Backoff(1.0, maximum=30.0, jitter=0.5)
_TRIES: Final = 6


class PrefetchFailed(LifecycleEvent, frozen=True):
    """*subject*, one secret or several, was not prefetched; *code* is the error's."""

    subject: str
    code: str


class PrefetchDone(LifecycleEvent, frozen=True):
    """A prefetch is over: how many secrets were fetched, how many could not be, and for how many the cache has no
    room."""

    found: int
    missed: int
    left_out: int


class _Go(Struct, frozen=True):
    """The pause is over."""


class _Answered(Struct, frozen=True):
    asked: Operation[Any]
    done: From[Any]


class Prefetcher(GenServer):
    """Fetches what is *wanted* by way of *secrets*, into *cache*. It begins within *spread* seconds, so that a fleet
    that is started at once does not ask at once. *chance* gives numbers from 0 to 1."""

    may_wait = False

    def __init__(self, wanted: Wanted, secrets: Name, cache: Cache, spread: float, chance: Callable[[], float]) -> None:
        self._wanted, self._secrets, self._cache = wanted, secrets, cache
        self._spread, self._chance = spread, chance
        self._tries = 0

    def init(self) -> InitResult:
        """Look forward to it. With a cache that keeps nothing there is nothing to do."""
        if self._cache.rules.ttl <= 0:
            return Ignore()
        self._plan = Plan(self._wanted, self._cache.rules.max_entries, self._is_kept)
        self.send_after(self._spread * self._chance(), _Go())
        return None

    def _is_kept(self, name: str) -> bool:
        return self._cache.read(Get(name), self.node.clock.now()) is not None

    def handle_info(self, message: Any) -> Handled:
        """Time to ask, or the answer."""
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
