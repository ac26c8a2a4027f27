"""The process of one subscription: it calls the callback, and asks for the secret now and then.

Rule 1: the subscriber takes its changes from the table, one at a time. An exception of the callback is reported and
        goes no further. If the callback hangs, only this process waits.
Rule 2: if nothing was heard of the secret's version for about a TTL, the subscriber asks the secrets actor, as any
        caller does. Of several subscribers to one secret, only the first asks. If the store tells versions, it asks for
        those of all secrets that are due soon.
Rule 3: if the answer says nothing about a secret (an outage, or an actor that is being restarted), a subscriber asks
        again sooner than that, with growing pauses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from secrets_actor.actor.subscriptions import AT_LEAST, Entry, LookAgain, Question, Subscriptions
from secrets_actor.actor.version_tracking import outcome_of
from secrets_actor.domain.callbacks import done
from secrets_actor.domain.operations import CurrentVersions, Get, Operation
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


class AskSchedule(Struct, frozen=True):
    """Says how often the store is asked: every *ttl* seconds, made shorter by a random share, up to *jitter*. *chance*
    returns random numbers from 0 to 1."""

    ttl: float
    jitter: float
    chance: Callable[[], float]

    def interval(self) -> float:
        """Return the seconds until the next question."""
        return max(AT_LEAST, (self.ttl or _WITHOUT_TTL) * (1.0 - self.jitter * self.chance()))

    def pause(self, tries: int) -> float:
        """Return the seconds until the next question after so many *tries* without an answer."""
        return Backoff(AT_LEAST, maximum=self.interval(), jitter=0.5).delay(tries, self.chance())


class SubscriberFailed(LifecycleEvent, frozen=True):
    """The callback of a subscription to *secret_id* raised an exception of the type *error_type*. The subscription goes
    on."""

    secret_id: str
    error_type: str


class _Heard(Struct, frozen=True):
    """The answer to the subscriber's *question* has come, from the store or from the actor. *error* is None if there
    was one; *errors* are those of single secrets in it."""

    question: Question
    error: BaseException | None
    errors: Mapping[str, BaseException]


class Subscriber(GenServer):
    """Serves the subscription with this *number* in *table*. *secrets* is the name of the actor that it asks.
    *tells_versions* says whether the store in force tells versions."""

    trap_exit = True  # so that a stop waits for a callback that is running, as long as the spec allows

    def __init__(
        self,
        number: int,
        table: Subscriptions,
        secrets: Name,
        schedule: AskSchedule,
        tells_versions: Callable[[], bool],
    ) -> None:
        self._number, self._table, self._secrets, self._schedule = number, table, secrets, schedule
        self._tells_versions = tells_versions
        self._timer: Timer | None = None
        self._asking = False

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
            self._heard(message)
        while (change := self._table.take(self._entry, self.me)) is not None:
            try:
                done("callback", self._entry.callback(change))
            except BaseException as error:  # noqa: BLE001  # it is somebody else's code
                self.node.observe(SubscriberFailed(self.me.label, self._entry.secret_id, type(error).__name__))
        if self._entry.cancelled:
            return Stop()
        self._ask_when_due()
        return None

    def _heard(self, heard: _Heard) -> None:
        self._asking, self._interval = False, self._schedule.interval()
        question = heard.question
        self._table.heard(
            question,
            lambda one: outcome_of(heard.error or heard.errors.get(one), of_versions=question.of_versions),
            self.node.clock.now(),
            self._interval,
            self._schedule.pause,
        )

    def _ask_when_due(self) -> None:
        if self._asking:
            return
        now, of_versions = self.node.clock.now(), self._tells_versions()
        found = self._table.question(self._entry, self._interval, now, of_versions=of_versions)
        if isinstance(found, Question):
            self._ask(found)
        elif self._timer is None or not self._timer.pending or self._timer.due > found:
            if self._timer is not None:
                self.cancel_timer(self._timer)
            self._timer = self.send_after(found - now, LookAgain())

    def _ask(self, question: Question) -> None:
        self._asking, me, of_versions = True, self.me, question.of_versions
        caller: From[Any] = From()
        caller.note = Caller(LABEL)

        def heard(done: From[Any]) -> None:
            errors = done.result().errors if of_versions and done.error is None else {}
            me.post(_Heard(question, done.error, errors))

        caller.on_settled(heard)
        operation: Operation[Any] = CurrentVersions(question.ids) if of_versions else Get(question.ids[0], refresh=True)
        self._secrets.deliver(operation, caller)
