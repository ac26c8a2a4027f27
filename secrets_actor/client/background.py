"""Subscriptions and prefetches: the work that a client has done in the background.

Nothing here waits for the store, so the clients for threads and for asyncio share this code as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Final, Self

from msgspec import Struct

from secrets_actor.actor.cache import Cache
from secrets_actor.actor.error_translation import translated
from secrets_actor.actor.prefetch_plan import Wanted
from secrets_actor.actor.prefetcher import LABEL, PrefetchFailed
from secrets_actor.actor.subscriptions import Entry, Subscriptions
from secrets_actor.actor.version_tracking import NEVER
from secrets_actor.domain.errors import InvalidParameter
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import Get
from secrets_actor.domain.secret import NewVersion
from secrets_actor.forks import notice_fork
from secrets_actor.otp import (
    ChildError,
    ChildSpec,
    Clock,
    ForkedProcess,
    From,
    Name,
    NoProcess,
    Observer,
    StartChild,
    StartError,
    lacks_thread,
)
from secrets_actor.pickling import LivesHere

_TOO_MANY: Final = "too_many"


class Background(Struct, frozen=True):
    """The means to start background work: the table of subscriptions, two supervisors, and child specs for them.

    *subscriber* makes the spec for the subscription of a number, *prefetcher* that for one prefetch. *observe* is told
    of prefetches that could not be started. *running*: whether the tree is up, or could be brought up.
    """

    subscriptions: Subscriptions
    subscribers: Name
    subscriber: Callable[[int], ChildSpec]
    prefetches: Name
    prefetcher: Callable[[Wanted], ChildSpec]
    observe: Observer
    cache: Cache
    clock: Clock
    running: Callable[[], bool]  # in the child of a fork, calling it starts a tree

    def subscribe(self, secret_id: str, callback: Callable[[NewVersion], object]) -> Subscription:
        """Do what `Subscribing.subscribe` says."""
        known = SecretId(secret_id)
        if not callable(callback):
            raise InvalidParameter("callback", "a function of a NewVersion")
        self.running()
        now = self.clock.now()
        cached = self.cache.read(Get(known), now)
        seen = (None, NEVER) if cached is None else (cached, now - cached.age)
        entry = self.subscriptions.new(known, callback)
        try:
            self.subscriptions.add(entry, *seen)
            # If the supervisor is just being restarted, this is lost, which does no harm: a supervisor that starts
            # makes a process for each entry of the table.
            answer: From[Any] = From()
            self.subscribers.deliver(StartChild(self.subscriber(entry.number)), answer)
            if isinstance(answer.error, ForkedProcess):
                raise translated(answer.error)
            return Subscription(self.subscriptions, entry)
        except BaseException:  # the caller has no Subscription, so it could never cancel the entry
            self.subscriptions.remove(entry)
            raise

    def prefetch(self, wanted: Wanted) -> None:
        """Do what `Subscribing.prefetch` says."""
        self.running()
        answer: From[Any] = From()
        self.prefetches.deliver(StartChild(self.prefetcher(wanted)), answer)
        if isinstance(answer.error, NoProcess):
            raise translated(answer.error)
        answer.on_settled(self._report)

    def _report(self, answer: From[Any]) -> None:
        if isinstance(answer.error, StartError) and lacks_thread(answer.error.reason):
            return  # no failure: the prefetch begins as soon as a thread is to be had
        if answer.error is not None:
            code = _TOO_MANY if isinstance(answer.error, ChildError) else translated(answer.error).code
            self.observe(PrefetchFailed(LABEL, "a prefetch", code))


class Subscription(LivesHere):
    """A subscription to one secret. It goes on until `cancel` is called, or until the end of its `with` block."""

    _advice = "its callback runs in this process: subscribe anew in the process that is to hear of changes"

    def __init__(self, table: Subscriptions, entry: Entry) -> None:
        self._table, self._entry = table, entry

    @property
    def name(self) -> str:
        """The name or ARN of the secret, as it was given to `subscribe`."""
        return self._entry.secret_id

    @property
    def active(self) -> bool:
        """Whether the subscription goes on: true until it is cancelled."""
        return not self._entry.cancelled

    def cancel(self) -> None:
        """End the subscription. No call of the callback begins after this; a call that is under way goes on.

        May be called more than once, and from the callback itself.
        """
        notice_fork()  # a child that Python did not tell of its fork has to forget the parent's locks first
        self._table.remove(self._entry)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    def __repr__(self) -> str:
        return f"<Subscription to {self.name} [{'active' if self.active else 'cancelled'}]>"


class Subscribing:
    """The part of both clients that starts work in the background: subscriptions and prefetches."""

    _background: Background
    # Takes the name and the value of a callback parameter; returns the function that a thread of ours calls. The client
    # for threads refuses coroutine functions here, the one for asyncio awaits them on its loop.
    _callback: Callable[[str, Any], Any]

    def subscribe(self, secret_id: str, callback: Callable[[NewVersion], object]) -> Subscription:
        """Have *callback* called with a `NewVersion` whenever the secret gets another current version.

        The callback is called once for each new version, in order, in a thread of the subscription's own: a slow
        callback delays no other subscription. Returns at once, without waiting for the store.

        A new version is noticed when this system sets the secret, when any get asks the store, and otherwise about once
        a TTL (every 300 seconds if the cache is off; once a second at most). The version that the cache has now, or
        that the store names first, is not reported. If the secret does not exist yet, its first version is. OpenBao and
        Vault are asked for the versions of all subscriptions together; a value is read when its version is another one.

        An error that the callback raises is reported as a life-cycle event, and the subscription goes on. Only
        `async_secrets` takes a coroutine function: it is awaited on the event loop that subscribes, and the next change
        waits for it.

        Raises `InvalidSecretName`, `InvalidParameter`, and `ForkedProcess` in the child of a fork that may not use the
        system.
        """
        return self._background.subscribe(secret_id, self._callback("callback", callback))

    def prefetch(self, names: Iterable[str] = (), *, prefixes: Iterable[str] = (), tags: Iterable[str] = ()) -> None:
        """Fill the cache in the background, and return at once.

        Fetched are the secrets with these *names*, those whose names begin with one of *prefixes*, and those that have
        one of *tags*, each a key or `key=value`. A secret that the cache has is not fetched again.

        A secret that cannot be fetched is reported as a life-cycle event (`prefetch_failed` in the log), and so is the
        end of the prefetch (`prefetch_done`). Raises `InvalidSecretName`, `InvalidParameter`, and `ServerDown` if the
        system does not run.
        """
        wanted = Wanted.of(names, prefixes, tags)
        if wanted:
            self._background.prefetch(wanted)
