"""What a client has done in the background: subscriptions and prefetches. Nothing here waits, so both clients share
it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Final, Self

from msgspec import Struct

from secrets_actor.actor.cache import Cache
from secrets_actor.actor.failures import translated
from secrets_actor.actor.prefetch_plan import Wanted
from secrets_actor.actor.prefetcher import LABEL, PrefetchFailed
from secrets_actor.actor.sightings import NEVER
from secrets_actor.actor.subscriptions import Entry, Subscriptions
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

_TOO_MANY: Final = "too_many"


class Background(Struct, frozen=True):
    """The table of subscriptions, and how to start processes: under which supervisor, and by which spec."""

    subscriptions: Subscriptions
    subscribers: Name
    subscriber: Callable[[int], ChildSpec]
    prefetches: Name
    prefetcher: Callable[[Wanted], ChildSpec]
    observe: Observer
    cache: Cache
    clock: Clock
    running: Callable[[], bool]  # after a fork this starts a tree

    def subscribe(self, secret_id: str, callback: Callable[[NewVersion], object]) -> Subscription:
        """See `Subscribing.subscribe`."""
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
            answer: From[Any] = From()  # nobody there: whoever comes next finds it in the table
            self.subscribers.deliver(StartChild(self.subscriber(entry.number)), answer)
            if isinstance(answer.error, ForkedProcess):
                raise translated(answer.error)
            return Subscription(self.subscriptions, entry)
        except BaseException:  # nobody could ever cancel it
            self.subscriptions.remove(entry)
            raise

    def prefetch(self, wanted: Wanted) -> None:
        """See `Subscribing.prefetch`."""
        self.running()
        answer: From[Any] = From()
        self.prefetches.deliver(StartChild(self.prefetcher(wanted)), answer)
        if isinstance(answer.error, NoProcess):
            raise translated(answer.error)
        answer.on_settled(self._report)

    def _report(self, answer: From[Any]) -> None:
        if isinstance(answer.error, StartError) and lacks_thread(answer.error.reason):
            return  # it begins as soon as there is one
        if answer.error is not None:
            code = _TOO_MANY if isinstance(answer.error, ChildError) else translated(answer.error).code
            self.observe(PrefetchFailed(LABEL, "a prefetch", code))


class Subscription:
    """Goes on until it is cancelled, or its `with` ends."""

    def __init__(self, table: Subscriptions, entry: Entry) -> None:
        self._table, self._entry = table, entry

    @property
    def name(self) -> str:
        """The name or ARN that was subscribed to."""
        return self._entry.secret_id

    @property
    def active(self) -> bool:
        """Whether it has not been cancelled."""
        return not self._entry.cancelled

    def cancel(self) -> None:
        """Have no more calls of the callback begin; one that is under way goes on. Nothing if cancelled before."""
        notice_fork()
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
    """The part of a client that sets things going in the background."""

    _background: Background
    _callback: Callable[[str, Any], Any]  # what is made of a callback: who awaits it, or that nobody does

    def subscribe(self, secret_id: str, callback: Callable[[NewVersion], object]) -> Subscription:
        """Have *callback* called with a `NewVersion` whenever another version of this secret is the current one: once
        for each, in order, in a thread of its own, whatever other callbacks do.

        It is heard of with a set of ours, with any get that asks the store, and, if nobody asks, about every TTL (300 s
        if the cache is off, a second at least). The version that the cache serves now, or that the store names first,
        is no news; if there is no such secret yet, its first version is. What the callback raises is reported, as a
        life-cycle event, and stops nothing. Does not wait for the store.

        A coroutine function goes with `async_secrets` only: it is awaited on the event loop that subscribes, and the
        next change waits for it. Raises `InvalidSecretName`, `InvalidParameter`, `ForkedProcess`.
        """
        return self._background.subscribe(secret_id, self._callback("callback", callback))

    def prefetch(self, names: Iterable[str] = (), *, prefixes: Iterable[str] = (), tags: Iterable[str] = ()) -> None:
        """Fill the cache in the background: with the secrets of these *names*, those whose names begin with one of
        *prefixes*, and those that have one of *tags*, each a key or `key=value`. What the cache has is not fetched.

        Does not wait. What cannot be fetched is reported as a life-cycle event (`prefetch_failed` in the log), and so
        is the end (`prefetch_done`). Raises `InvalidSecretName`, `InvalidParameter`, `ServerDown`.
        """
        wanted = Wanted(names, prefixes, tags)
        if wanted:
            self._background.prefetch(wanted)
