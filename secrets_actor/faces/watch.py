"""Waits for changes of secrets, for other processes: server-sent events, and gets that are answered when something has
changed.

Rule 1: an event holds a version id, and never a value: who wants the value gets it, and the policy decides then.
Rule 2: all who wait for one secret share one subscription. A subscription has a process, which asks the store about
        once a TTL; a hundred callers must not make a hundred of them.
Rule 3: who waits is first entered here, and then the current version is looked up, so no change falls in between. Of
        several changes that come while a client reads slowly, it hears of the last.
Rule 4: the policy is asked again before each event, because it may have changed since the stream began; so may the
        tokens.
Rule 5: there is a limit to how many wait, and to how many of them are one user's, so that no user takes all places. A
        place is free again when the server closes the stream.

Source of the format: the HTML standard, "Server-sent events".
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, Self

import msgspec

from secrets_actor.client.aio import settled
from secrets_actor.client.background import Subscription
from secrets_actor.domain import metrics
from secrets_actor.domain.errors import AccessDenied
from secrets_actor.domain.metrics import Reading
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.secret import NewVersion
from secrets_actor.faces.identity import Identity
from secrets_actor.faces.service import Service
from secrets_actor.otp import CallTimeout, From

# How many may wait at a time, in all.
MOST: Final = 200
# How many of them may be of one user, or, on TCP, of those who show the same proof.
MOST_OF_ONE: Final = 100
# Seconds after which a stream without news sends a comment, so that nothing on the way takes it for dead.
PING: Final = 15.0
# Milliseconds after which a client whose stream has ended asks again.
_RETRY: Final = 3000


class TooManyWait(Exception):
    """As many as may wait, in all or of this caller, are waiting already."""


class _Watcher:
    """One who waits. `news` is the version that it has not heard of yet."""

    __slots__ = ("awaited", "holder", "news", "topic")

    def __init__(self, topic: "_Topic", holder: object) -> None:
        self.topic, self.holder = topic, holder
        self.news: str | None = None
        self.awaited: From[None] | None = None


class _Topic:
    """A secret that somebody waits for, by one id."""

    __slots__ = ("secret_id", "subscription", "watchers")

    def __init__(self, secret_id: SecretId) -> None:
        self.secret_id = secret_id
        self.subscription: Subscription | None = None
        self.watchers = set[_Watcher]()


class Watches:
    """All who wait for changes. For any thread and any loop.

    *tokens* returns the names of the tokens in force; without it, none is taken away while it is used. *most* may wait
    at a time, *most_of_one* of them for one user. *ping* is in seconds.
    """

    def __init__(
        self,
        service: Service,
        tokens: Callable[[], frozenset[str]] | None = None,
        *,
        most: int = MOST,
        most_of_one: int = MOST_OF_ONE,
        ping: float = PING,
    ) -> None:
        self._service, self._tokens = service, tokens
        self._most, self._most_of_one, self._ping = most, most_of_one, ping
        # Nobody holds it for long: under it, tables are changed and handles are settled.
        self._lock = threading.Lock()
        self._topics: dict[SecretId, _Topic] = {}
        self._holders = Counter[object]()
        self._released = False
        service.meter.watch("watches", self._readings)

    @property
    def waiting(self) -> int:
        """How many wait now."""
        with self._lock:
            return self._holders.total()

    def _readings(self) -> Iterator[Reading]:
        yield metrics.WATCHES, (), self.waiting

    async def events(self, identity: Identity, secret_id: SecretId, heard: str | None) -> "EventStream":
        """Return a stream of events for *identity*: the current version, unless it is the one *heard* of last, and then
        each other version that becomes current.

        Raises `TooManyWait`, and what a get raises: `AccessDenied`, `SecretNotFound`, ...
        """
        action = await self._permitted(identity, secret_id)
        watcher = self._enter(identity, secret_id)
        try:
            self._subscribe(identity, watcher.topic)
            current = await self._current(identity, secret_id, action)
        except BaseException:
            self.leave(watcher)
            raise
        return EventStream(self, identity, action, watcher, current, heard)

    async def changed(self, identity: Identity, secret_id: SecretId, version_id: str, seconds: float) -> None:
        """Wait until the secret has another current version than *version_id*, or *seconds* are over. Raises
        `TooManyWait`, and what a get raises."""
        watcher = self._enter(identity, secret_id)
        try:
            self._subscribe(identity, watcher.topic)
            clock = self._service.clock
            until, current = clock.now() + seconds, await self._current(identity, secret_id, "get")
            while current == version_id:
                left = until - clock.now()
                news = await self.news(watcher, left) if left > 0 else None
                if news is None:
                    return
                current = news
        finally:
            self.leave(watcher)

    def still_proven(self, identity: Identity) -> bool:
        """Whether the token that *identity* showed when it began to wait is in force."""
        return identity.token is None or self._tokens is None or identity.token in self._tokens()

    async def still_permitted(self, identity: Identity, action: str, secret_id: SecretId) -> bool:
        """Whether the policy lets *identity* hear of the secret now (rule 4)."""
        if not self.still_proven(identity):
            return False
        try:
            await self._service.gate.check(identity, action, secret_id)
        except AccessDenied:
            return False
        return True

    async def _permitted(self, identity: Identity, secret_id: SecretId) -> str:
        """Return the action by which *identity* may know the versions of the secret: `get` or `describe`. Raises
        `AccessDenied`."""
        gate = self._service.gate
        # `may` leaves no refusal in the audit log; it takes names only.
        if not secret_id.is_arn and not gate.may(identity, "get", secret_id):
            await gate.check(identity, "describe", secret_id)
            return "describe"
        try:
            await gate.check(identity, "get", secret_id)
        except AccessDenied:
            await gate.check(identity, "describe", secret_id)
            return "describe"
        return "get"

    async def _current(self, identity: Identity, secret_id: SecretId, action: str) -> str | None:
        client = self._service.client(identity)
        if action == "get":  # the cache has the answer, as a rule
            return (await client.get(secret_id)).version_id
        described = await client.describe(secret_id)
        return next((one for one, stages in described.versions.items() if "AWSCURRENT" in stages), None)

    async def news(self, watcher: _Watcher, seconds: float | None = None) -> str | None:
        """Return the version that *watcher* has not heard of; None if there is none after *seconds* (None: the time of
        a ping)."""
        with self._lock:
            awaited = watcher.awaited = From()
            if watcher.news is not None or (self._released and seconds is not None):
                awaited.reply(None)
        try:
            await settled(awaited, self._ping if seconds is None else seconds)
        except CallTimeout:
            return None
        with self._lock:
            news, watcher.news = watcher.news, None
        return news

    def release(self) -> None:
        """Have all gets that wait for a change answered now, and each that comes: the daemon is about to end, and a
        get that waits is a request under way, for which it would wait. Streams are ended by their listeners."""
        with self._lock:
            self._released = True
            for topic in self._topics.values():
                for watcher in topic.watchers:
                    if watcher.awaited is not None:
                        watcher.awaited.reply(None)

    def _enter(self, identity: Identity, secret_id: SecretId) -> _Watcher:
        holder = _holder(identity)
        with self._lock:
            if self._holders.total() >= self._most or self._holders[holder] >= self._most_of_one:
                raise TooManyWait
            self._holders[holder] += 1
            topic = self._topics.get(secret_id)
            if topic is None:
                topic = self._topics[secret_id] = _Topic(secret_id)
            watcher = _Watcher(topic, holder)
            topic.watchers.add(watcher)
            return watcher

    def _subscribe(self, identity: Identity, topic: _Topic) -> None:
        """Subscribe to the topic's secret, unless that is done. Not under the lock, which the callback takes."""
        if topic.subscription is not None:
            return
        made = self._service.client(identity).subscribe(topic.secret_id, lambda news: self._tell(topic, news))
        with self._lock:
            if topic.subscription is None:
                topic.subscription = made
        if topic.subscription is not made:  # another thread was quicker
            made.cancel()

    def _tell(self, topic: _Topic, news: NewVersion) -> None:
        """Tell all who wait for *topic*, in the thread of its subscription."""
        with self._lock:
            for watcher in topic.watchers:
                watcher.news = news.new_version_id
                if watcher.awaited is not None:
                    watcher.awaited.reply(None)

    def leave(self, watcher: _Watcher) -> None:
        """Let *watcher* wait no longer. May be called more than once."""
        topic, subscription = watcher.topic, None
        with self._lock:
            if watcher not in topic.watchers:
                return
            topic.watchers.remove(watcher)
            self._holders[watcher.holder] -= 1
            if not self._holders[watcher.holder]:
                del self._holders[watcher.holder]
            if not topic.watchers:
                subscription, topic.subscription = topic.subscription, None
                del self._topics[topic.secret_id]
        if subscription is not None:
            subscription.cancel()


class EventStream:
    """The stream of one client. It is no generator: one that has not begun could not be closed, and would keep its
    place."""

    def __init__(
        self,
        watches: Watches,
        identity: Identity,
        action: str,
        watcher: _Watcher,
        current: str | None,
        heard: str | None,
    ) -> None:
        self._watches, self._identity, self._action, self._watcher = watches, identity, action, watcher
        self._sent = heard
        self._ahead = [b"retry: %d\n\n" % _RETRY]
        if current is not None and current != heard:
            self._ahead.append(_event("current" if heard is None else "changed", watcher.topic.secret_id, current))
            self._sent = current
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Wait for the next event, or for the time of a comment."""
        if self._ahead:
            return self._ahead.pop(0)
        while not self._ended:
            version_id = await self._watches.news(self._watcher)
            if version_id is None:
                return b": ping\n\n"
            if version_id == self._sent:
                continue
            secret_id = self._watcher.topic.secret_id
            if not await self._watches.still_permitted(self._identity, self._action, secret_id):
                break  # the client asks again, and is refused by a status
            self._sent = version_id
            return _event("changed", secret_id, version_id)
        await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the stream. May be called more than once."""
        self._ended = True
        self._watches.leave(self._watcher)


def _holder(identity: Identity) -> object:
    """Return whose place it is: that of a user of this machine; else of those who show the same proof."""
    peer = identity.peer
    return identity.token or identity.key or peer.certificate if peer.uid is None else peer.uid


def _event(kind: str, secret_id: str, version_id: str) -> bytes:
    data = msgspec.json.encode({"SecretId": str(secret_id), "VersionId": version_id}).decode()
    # A line end would end the field, and a NUL makes the id void (HTML standard). No store of ours has such an id.
    given = f"id: {version_id}\n" if version_id.isprintable() else ""
    return f"{given}event: {kind}\ndata: {data}\n\n".encode()
