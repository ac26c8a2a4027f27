"""The cache table.

Rule 1: only the secrets actor writes, with the pen of its incarnation: a pen taken later voids those before it, for the
        thread of an actor that was cut off may go on for a while. Any thread reads, without a lock (an ETS `protected`
        table): each write is one dict operation, so a reader sees the entry before or after it, never half. Readers
        write two marks, of which any order is good enough: that it was used, and that a refresh was asked for.
Rule 2: an entry answers only for the id and version it was fetched under, and by name also for the ARN it came with.
Rule 3: a write to a secret drops every entry in its lane before it is sent, and nothing older is stored behind it.
Rule 4: the table is made outside the actor and outlives its crashes; entries keep their deadlines.
Rule 5: an entry is a block of bytes. What leaves the table is wiped; a reader works on a copy, and takes a wiped one for
        none, for its times are 0.
Rule 6: past its TTL an entry is kept for as long as it may be served stale, and no longer.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from secrets_actor.domain.block import ASKED, TIMES, USED, arn_of
from secrets_actor.domain.errors import SecretNotFound
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import AWSCURRENT, Get
from secrets_actor.domain.secret import Secret
from secrets_actor.records import dataclass

# The name alone for the current version, as nearly everybody asks; else name or ARN with version id and stage.
Key = str | tuple[str, str | None, str | None]
# What a table keeps beside a block: its key, its place in the ring, the objects' own heads. Measured, about.
_OVERHEAD: Final = 200
_times = TIMES.unpack_from


@dataclass(frozen=True, slots=True)
class CacheRules:
    """*ttl*: seconds an entry answers (0: no cache), less a random share of *jitter* so that what came together does not
    end together. In the last *ahead* share of it a hit is served and refreshed. *max_stale*: the oldest, in seconds,
    that may be served when the store cannot answer (0: none). *missing_ttl*: seconds for which "there is no such
    secret" is remembered. The least recently used go first past *max_entries* and *max_bytes*."""

    ttl: float
    max_entries: int = 1024
    max_bytes: int = 64 * 2**20
    max_stale: float = 0.0
    missing_ttl: float = 0.0
    ahead: float = 0.0
    jitter: float = 0.0


class Cache:
    """Secrets, and what is known not to exist, under *rules*. *chance* gives numbers from 0 to 1."""

    def __init__(self, rules: CacheRules, chance: Callable[[], float] = lambda: 0.0) -> None:
        self.rules, self._chance = rules, chance
        self._table: dict[Key, bytearray] = {}
        self._shown: dict[Key, bytearray] = {}  # the table, while there is a tree behind it
        self._missing: dict[Key, float] = {}
        self._lanes: dict[str, set[Key]] = {}  # the keys in a lane, beside the lane itself
        self._ring: deque[Key] = deque()  # in the order they came; a used one gets a second chance (CLOCK)
        self._bytes = 0
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
        self._clear()
        self._lock, self._pen = threading.Lock(), None

    def show(self) -> None:
        """The tree is up: hits are served."""
        self._shown = self._table

    def hide(self) -> None:
        """The tree has ended, or is about to: no hits."""
        self._shown = {}

    # --- reading, in any thread -----------------------------------------------------------------------------------

    def hit(self, name: str, now: float) -> Secret | None:
        """The current version of the secret with this *name*, if it is fresh, and not due for a refresh either."""
        try:
            entry = self._shown.get(name)
        except TypeError:  # not even hashable: its maker will hear of it
            return None
        if entry is None:
            return None
        kept = bytes(entry)
        if now >= _times(kept)[1]:
            return None
        entry[USED] = 1
        return Secret.seen(name, kept, now)

    def read(self, get: Get, now: float) -> Secret | None:
        """The secret that answers *get* at clock time *now*; None if it must be fetched."""
        found = self._find(get)
        if found is None or get.refresh:
            return None
        name, kept = found
        fetched, _, ends = _times(kept)
        if now >= ends or (get.max_age is not None and now - fetched > get.max_age):
            return None
        return Secret.seen(name, kept, now)

    def stale(self, get: Get, now: float) -> Secret | None:
        """The secret for *get* that may be served when the store cannot answer."""
        oldest = self.rules.max_stale if get.max_age is None else min(self.rules.max_stale, get.max_age)
        found = self._find(get) if get.takes_stale and oldest > 0 else None
        if found is None:
            return None
        name, kept = found
        fetched = _times(kept)[0]
        return Secret.seen(name, kept, now) if fetched > 0 and now - fetched <= oldest else None

    def missing(self, get: Get, now: float) -> SecretNotFound | None:
        """The error for *get*, if the store said lately that there is no such secret."""
        ends = None if get.refresh or not self._missing else self._missing.get(key_of(get))
        if ends is None or now >= ends:
            return None
        return SecretNotFound(
            f"there is no secret {get.secret_id}, said the store a moment ago; create it, or ask with refresh"
        )

    def asks_refresh(self, get: Get, now: float) -> bool:
        """Whether the entry for *get* is due for a refresh and nobody has asked for one: then this is to be done now."""
        entry = self._table.get(key_of(get))
        if entry is None:
            return False
        _, due, ends = _times(entry)
        if not due <= now < ends or entry[ASKED]:
            return False
        entry[ASKED] = 1
        return True

    def _find(self, get: Get) -> tuple[str, bytes] | None:
        name = _name_in(get.secret_id)
        entry = self._table.get(key_of(get))
        if entry is None and name != get.secret_id:
            entry = self._table.get(_key(name, get))
            if entry is not None and arn_of(bytes(entry), name) != get.secret_id:
                return None
        if entry is None:
            return None
        entry[USED] = 1
        return name, bytes(entry)

    # --- writing, under the lock ----------------------------------------------------------------------------------

    def _store(self, get: Get, secret: Secret, now: float) -> None:
        rules, key, lane = self.rules, key_of(get), SecretId(get.secret_id).lane
        if secret.name != _name_in(get.secret_id):
            return  # a partial ARN that reads like another name's: a reader could not tell the name
        ends = now + rules.ttl * (1.0 - rules.jitter * self._chance())
        entry = bytearray(secret.block)
        TIMES.pack_into(entry, 0, now, ends - (ends - now) * rules.ahead, ends)
        self._missing.pop(key, None)
        old = self._table.get(key)
        self._table[key] = entry
        self._bytes += len(entry) + _OVERHEAD
        if old is None:
            self._ring.append(key)
            self._note(lane, key)
        else:
            self._wipe(old)
        while len(self._table) > rules.max_entries or (self._bytes > rules.max_bytes and len(self._table) > 1):
            self._evict()

    def _store_missing(self, get: Get, now: float) -> None:
        key, lane = key_of(get), SecretId(get.secret_id).lane
        if len(self._missing) >= self.rules.max_entries:
            self._missing.pop(next(iter(self._missing)))
        self._missing[key] = now + self.rules.missing_ttl
        self._note(lane, key)

    def _note(self, lane: str, key: Key) -> None:
        if key != lane:
            self._lanes.setdefault(lane, set()).add(key)

    def _evict(self) -> None:
        """Second chance, which is nearly least recently used, and costs the readers one mark."""
        key = self._ring.popleft()
        entry = self._table.get(key)
        if entry is not None and entry[USED]:
            entry[USED] = 0
            self._ring.append(key)
        elif entry is not None:
            self._remove(key)

    def _remove(self, key: Key) -> None:
        entry = self._table.pop(key, None)
        if entry is not None:
            self._wipe(entry)

    def _wipe(self, entry: bytearray) -> None:
        self._bytes -= len(entry) + _OVERHEAD
        entry[:] = bytes(len(entry))

    def _drop(self, lane: str) -> None:
        for key in (lane, *self._lanes.pop(lane, ())):
            self._missing.pop(key, None)
            self._remove(key)
        if len(self._ring) > 2 * len(self._table) + 64:  # what was dropped is still in it
            self._ring = deque(dict.fromkeys(key for key in self._ring if key in self._table))

    def _sweep(self, now: float) -> None:
        """Drop what may not be served any more."""
        for key, entry in tuple(self._table.items()):
            fetched, _, ends = _times(entry)
            if now >= ends and now - fetched > self.rules.max_stale:
                self._remove(key)
        for key, ends in tuple(self._missing.items()):
            if now >= ends:
                del self._missing[key]
        for lane, keys in tuple(self._lanes.items()):
            keys.intersection_update(self._table.keys() | self._missing.keys())
            if not keys:
                del self._lanes[lane]

    def _clear(self) -> None:
        for entry in self._table.values():
            self._wipe(entry)
        self._table.clear()
        self._missing, self._lanes = {}, {}
        self._ring.clear()
        self._bytes = 0

    @property
    def size(self) -> int:
        """Bytes of all entries, about."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._table)

    def __repr__(self) -> str:
        return f"<Cache [{len(self._table)} secrets, ttl {self.rules.ttl:g} s]>"


class Pen:
    """Writes to a cache for as long as nobody has taken a later pen; after that, does nothing."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def store(self, get: Get, secret: Secret, now: float) -> None:
        """Keep *secret*, fetched at *now* for *get*."""
        if self._cache.rules.ttl > 0:
            self._write(lambda cache: cache._store(get, secret, now))

    def store_missing(self, get: Get, now: float) -> None:
        """Remember that there is none for *get*, as the store said at *now*."""
        if self._cache.rules.missing_ttl > 0:
            self._write(lambda cache: cache._store_missing(get, now))

    def clear(self) -> None:
        """Forget everything."""
        self._write(Cache._clear)

    def drop(self, lane: str) -> None:
        """Forget all versions of the secrets in *lane*."""
        self._write(lambda cache: cache._drop(lane))

    def sweep(self, now: float) -> None:
        """Forget what may not be served any more."""
        self._write(lambda cache: cache._sweep(now))

    def _write(self, change: Callable[[Cache], None]) -> None:
        cache = self._cache
        with cache._lock:
            if cache._pen is self:
                change(cache)


def _name_in(secret_id: str) -> str:
    known = SecretId(secret_id)
    return known.lane if known.is_arn else str(known)


def key_of(get: Get) -> Key:
    """Under which key the answer to *get* is kept."""
    return _key(get.secret_id, get)


def _key(secret_id: str, get: Get) -> Key:
    version_id, stage = get.version
    plain = version_id is None and stage == AWSCURRENT and not secret_id.startswith("arn:")
    return str(secret_id) if plain else (str(secret_id), version_id, stage)
