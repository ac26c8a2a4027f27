"""The cache table.

Rule 1: only the secrets actor writes, with the pen of its incarnation: a pen taken later voids those before it, for the
        thread of an actor that was cut off may go on for a while. Any thread reads, without a lock (an ETS `protected`
        table): each write is one dict operation, so a reader sees the entry before or after it, never half.
Rule 2: an entry answers only for the id and version it was fetched under, and for the ARN it came with.
Rule 3: a write to a secret drops every entry in its lane before it is sent, and nothing older is stored behind it.
Rule 4: the table is made outside the actor and outlives its crashes; entries keep their deadlines.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import Get
from secrets_actor.domain.secret import Secret, Source

Key = tuple[str, str | None, str | None]


@dataclass(slots=True, eq=False)
class _Entry:
    secret: Secret
    fetched_at: float
    used_at: float  # written by readers: the last one wins, and any of them is good enough for LRU
    lane: str
    keys: tuple[Key, ...]


class Cache:
    """At most *max_entries* secrets for *ttl* seconds each (0: no cache); the least recently used goes first."""

    def __init__(self, ttl: float, max_entries: int) -> None:
        self._ttl, self._max_entries = ttl, max_entries
        self._by_key: dict[Key, _Entry] = {}  # what readers see
        self._by_lane: dict[str, list[_Entry]] = {}  # the writer's own index
        self._size = 0
        self._lock = threading.Lock()  # between pens
        self._pen: Pen | None = None

    def pen(self) -> Pen:
        """The right to write; whoever had it before has it no more."""
        pen = Pen(self)
        with self._lock:
            self._pen = pen
        return pen

    def forget(self) -> None:
        """Be as new: empty, and nobody holds the pen or the lock. Only while no actor runs, as in a forked child."""
        self._by_key, self._by_lane, self._size = {}, {}, 0
        self._lock, self._pen = threading.Lock(), None

    def read(self, get: Get, now: float) -> Secret | None:
        """The secret that answers *get* at clock time *now*, with its age; None if it must be fetched."""
        entry = None if get.refresh else self._by_key.get((get.secret_id, *get.version))
        if entry is None:
            return None
        age = now - entry.fetched_at
        if age >= self._ttl:
            return None
        entry.used_at = now
        return replace(entry.secret, age=age, source=Source.CACHE)

    def _store(self, get: Get, secret: Secret, now: float) -> None:
        lane = SecretId(get.secret_id).lane
        keys = tuple((secret_id, *get.version) for secret_id in dict.fromkeys((str(get.secret_id), secret.arn)))
        for key in keys:
            old = self._by_key.get(key)
            if old is not None:
                self._remove(old)
        entry = _Entry(secret, now, now, lane, keys)
        self._by_lane.setdefault(lane, []).append(entry)
        self._by_key.update(dict.fromkeys(keys, entry))
        self._size += 1
        if self._size > self._max_entries:
            self._remove(min(self._by_key.values(), key=lambda found: found.used_at))

    def _remove(self, entry: _Entry) -> None:
        for key in entry.keys:
            del self._by_key[key]
        siblings = self._by_lane[entry.lane]
        siblings.remove(entry)
        if not siblings:
            del self._by_lane[entry.lane]
        self._size -= 1

    def __len__(self) -> int:
        return self._size

    def __repr__(self) -> str:
        return f"<Cache [{self._size} secrets, ttl {self._ttl:g} s]>"


class Pen:
    """Writes to a cache for as long as nobody has taken a later pen; after that, does nothing."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def store(self, get: Get, secret: Secret, now: float) -> None:
        """Keep *secret*, fetched at *now* for *get*."""
        cache = self._cache
        with cache._lock:
            if cache._pen is self and cache._ttl > 0:
                cache._store(get, secret, now)

    def clear(self) -> None:
        """Forget everything."""
        cache = self._cache
        with cache._lock:
            if cache._pen is self:
                cache._by_key, cache._by_lane, cache._size = {}, {}, 0

    def drop(self, lane: str) -> None:
        """Forget all versions of the secrets in *lane*."""
        cache = self._cache
        with cache._lock:
            if cache._pen is self:
                for entry in tuple(cache._by_lane.get(lane, ())):
                    cache._remove(entry)
