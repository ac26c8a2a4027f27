"""The process of one subscription: it calls the callback, and asks for the secret now and then.

Rule 1: the subscriber takes its changes from the table, one at a time. An exception of the callback is reported and
        goes no further. If the callback hangs, only this process waits.
Rule 2: if nothing was heard of the secret's version for about a TTL, the subscriber asks the secrets actor, as any
        caller does. Of several subscribers to one secret, only the first asks.
Rule 3: if the answer says nothing about the secret (an outage, or an actor that is being restarted), the subscriber
        asks again sooner than that, with growing pauses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from secrets_actor.actor.subscriptions import ASKING, Entry, LookAgain, Subscriptions
from secrets_actor.actor.version_tracking import NEVER
from secrets_actor.domain.callbacks import done
from secrets_actor.domain.errors import SecretNotFound, SecretsError
from secrets_actor.domain.operations import Get
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
    Ok,
    Stop,
    Timer,
)

# The name of this caller in the audit log.
LABEL: Final = "subscription"
# Seconds between two questions if the cache is off, and so there is no TTL. It is the default TTL.
_WITHOUT_TTL: Final = 300.0
# The fewest seconds between two questions: a subscription is no reason to ask AWS more often than that.
_AT_LEAST: Final = 1.0


class AskSchedule(Struct, frozen=True):
    """Says how often the store is asked: every *ttl* seconds, made shorter by a random share, up to *jitter*. *chance*
    returns random numbers from 0 to 1."""

    ttl: float
    jitter: float
    chance: Callable[[], float]

    def interval(self) -> float:
        """Return the seconds until the next question."""
        return max(_AT_LEAST, (self.ttl or _WITHOUT_TTL) * (1.0 - self.jitter * self.chance()))

    def pause(self, tries: int) -> float:
        """Return the seconds until the next question after so many *tries* without an answer."""
        return Backoff(_AT_LEAST, maximum=self.interval(), jitter=0.5).delay(tries, self.chance())


class SubscriberFailed(LifecycleEvent, frozen=True):
    """The callback of a subscription to *secret_id* raised an exception of the type *error_type*. The subscription goes
    on."""

    secret_id: str
    error_type: str


class _Heard(Struct, frozen=True):
    """The answer to the subscriber's question has come, from the store or from the actor. *error* is None if it was a
    secret."""

    error: BaseException | None


class Subscriber(GenServer):
    """Serves the subscription with this *number* in *table*. *secrets* is the name of the actor that it asks."""

    trap_exit = True  # so that a stop waits for a callback that is running, as long as the spec allows

    def __init__(self, number: int, table: Subscriptions, secrets: Name, schedule: AskSchedule) -> None:
        self._number, self._table, self._secrets, self._schedule = number, table, secrets, schedule
        self._timer: Timer | None = None
        self._asking, self._tries, self._not_before = False, 0, NEVER

    def init(self) -> InitResult:
        """Take the subscription over, unless another process has it."""
        entry = self._table.claim(self._number, self.me)
        if entry is None:
            return Ignore()
        self._entry: Entry = entry
        self._interval = self._schedule.interval()
        return Ok(then=LookAgain())

    def handle_continue(self, message: Any) -> Handled:
        """Look into the table for the first time. A change may wait there from an earlier process."""
        return self.handle_info(message)

    def handle_info(self, message: Any) -> Handled:
        """Take the answer to a question, if the message is one. In any case call the callback with the changes that
        wait, and ask for the secret if it is time: the message may say that something is new, or a timer has fired."""
        if isinstance(message, _Heard):
            self._heard(message.error)
        elif isinstance(message, LookAgain) and message.doubt:
            self._tries, self._not_before = 0, NEVER
        while (change := self._table.take(self._entry, self.me)) is not None:
            try:
                done("callback", self._entry.callback(change))
            except BaseException as error:  # noqa: BLE001  # it is somebody else's code
                self.node.observe(SubscriberFailed(self.me.label, self._entry.secret_id, type(error).__name__))
        if self._entry.cancelled:
            return Stop()
        self._ask_when_due()
        return None

    def _heard(self, error: BaseException | None) -> None:
        self._asking, now = False, self.node.clock.now()
        self._table.heard(self._entry)
        if error is None or (isinstance(error, SecretsError) and not error.retryable):
            self._tries, self._interval = 0, self._schedule.interval()
            # After a secret or "not found", the table's `seen_at` delays the next question. After another error, such
            # as a denial, it does not: the whole interval has to be waited for here.
            denied = error is not None and not isinstance(error, SecretNotFound)
            self._not_before = now + (self._interval if denied else _AT_LEAST)
        else:
            self._tries += 1
            self._not_before = now + self._schedule.pause(self._tries)

    def _ask_when_due(self) -> None:
        if self._asking:
            return
        now, due = self.node.clock.now(), max(self._table.seen_at(self._entry) + self._interval, self._not_before)
        if now >= due and self._table.may_ask(self._entry, now):
            self._ask()
            return
        # If it is due, another subscriber is asking: look again when that one would have its answer at the latest.
        due = max(due, now + ASKING) if now >= due else due
        if self._timer is None or not self._timer.pending or self._timer.due > due:
            if self._timer is not None:
                self.cancel_timer(self._timer)
            self._timer = self.send_after(due - now, LookAgain())

    def _ask(self) -> None:
        self._asking, me = True, self.me
        caller: From[Any] = From()
        caller.note = Caller(LABEL)
        caller.on_settled(lambda done: me.post(_Heard(done.error)))
        self._secrets.deliver(Get(self._entry.secret_id, refresh=True), caller)
