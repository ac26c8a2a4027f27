"""The cache table.

Rule 1: only the secrets actor writes, through the writer of its incarnation. A later writer voids those before it,
        because the thread of an actor that was cut off may go on for a while. Any thread reads, without a lock (an ETS
        `protected` table): each write is one dict operation, so a reader sees the entry before or after it, never half
        of it. Readers write two marks, of which any order is good enough: that the entry was used, and that a refresh
        was asked for.
Rule 2: an entry answers for the secret whose name and ARN the store has answered with (cache_keys.py). A secret has
        one entry for each version: what was asked for later takes the place of what was asked for before, under
        whatever id, and the entries of an earlier secret of that name go. A caller who was given one is not given
        another from here that may be older.
Rule 3: a write to a secret drops every entry in its lanes before it is sent, and nothing older is stored behind it.
Rule 4: the table is made outside the actor and outlives its crashes; entries keep their deadlines.
Rule 5: an entry is a block of bytes. What leaves the table is wiped; a reader works on a copy, and takes a wiped one
        for none, for its times are 0.
Rule 6: past its TTL an entry is kept for as long as it may be served stale, and no longer: the actor sweeps now and
        then. A sweep is made of steps, each of which looks at one thing, and is done a slice at a time: a hundred
        thousand entries at once would hold up the secrets actor for 50 ms. After each step the table is whole, so what
        is stored, dropped or cleared between two of them is no trouble.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final, NoReturn

from secrets_actor.actor.cache_keys import CacheRules, Key, all_versions, id_in, is_version, key_for, key_of, places
from secrets_actor.domain.errors import SecretNotFound
from secrets_actor.domain.names import SecretId, without_suffix
from secrets_actor.domain.operations import Get, takes_stale
from secrets_actor.domain.packed_secret import ASKED, DUE, TIMES, USED, arn_of, version_of
from secrets_actor.domain.ports import TakesHit
from secrets_actor.domain.secret import BlankSecret, Secret, block_of, put_block, secret_of_block

# What a table keeps beside a block: its key, its place in the ring, the objects' own heads. Measured, about.
_OVERHEAD: Final = 200
# Steps in a slice of a sweep: about a millisecond.
SLICE: Final = 1000
_times, _due = TIMES.unpack_from, DUE.unpack_from
_NEVER: Final = (-math.inf, None)


class Cache:
    """Secrets, and what is known not to exist, under *rules*. *chance* gives numbers from 0 to 1."""

    def __init__(self, rules: CacheRules, chance: Callable[[], float] = lambda: 0.0) -> None:
        self.rules, self._chance = rules, chance
        self._table: dict[Key, bytearray] = {}
        self._shown: dict[Key, bytearray] = {}  # the table, while there is a tree behind it
        self._missing: dict[Key, float] = {}
        # When an answer about a version last came, and with which version id; None: with a no.
        self._heard: dict[Key, tuple[float, str | None]] = {}
        self._lanes: dict[str, set[Key]] = {}  # the keys in a lane, beside the lane itself
        self._ring: deque[Key] = deque()  # in the order they came; a used one gets a second chance (CLOCK)
        self._gone: set[Key] = set()  # the keys in the ring that have no entry
        self._bytes = 0
        self._lock = threading.Lock()  # between writers
        self._writer: CacheWriter | None = None

    def writer(self) -> CacheWriter:
        """Return a new writer. The one before it writes nothing from now on."""
        writer = CacheWriter(self)
        with self._lock:
            self._writer = writer
        return writer

    def forget(self) -> None:
        """Become as new: empty, without a writer, the lock free. Only while no actor runs, as in a forked child."""
        self._clear()
        self._lock, self._writer = threading.Lock(), None

    def show(self) -> None:
        """The tree is up: hits are served."""
        self._shown = self._table

    def hide(self) -> None:
        """The tree has ended, or is about to: no hits."""
        self._shown = {}

    # --- reading, in any thread -----------------------------------------------------------------------------------

    def hit(self, name: str, now: float, note: TakesHit, caller: str | None) -> Secret | None:
        """The current version of the secret with this *name*, if it is fresh, and not due for a refresh either. *note*
        is told first that *caller* gets it."""
        try:
            entry = self._shown[name]
        except (KeyError, TypeError):  # or not even hashable: its maker will hear of it
            return None
        kept = bytes(entry)
        if now >= _due(kept)[0]:
            return None
        entry[USED] = 1
        note(name, kept, now, caller)
        secret: Secret = BlankSecret()  # secret_of_block, written out: a call would be a third of all this
        secret._name, secret._seen_at = name, now
        put_block(secret, kept)
        return secret

    def read(self, get: Get, now: float) -> Secret | None:
        """The secret that answers *get* at clock time *now*; None if it must be fetched."""
        found = None if get.refresh else self._find(get)
        if found is None:
            return None
        name, _, kept = found
        fetched, _, ends = _times(kept)
        if now >= ends or (get.max_age is not None and now - fetched > get.max_age):
            return None
        return secret_of_block(name, kept, now)

    def stale(self, get: Get, now: float) -> Secret | None:
        """The secret for *get* that may be served when the store cannot answer."""
        oldest = self.rules.max_stale if get.max_age is None else min(self.rules.max_stale, get.max_age)
        found = self._find(get) if takes_stale(get) and oldest > 0 else None
        if found is None:
            return None
        name, _, kept = found
        return secret_of_block(name, kept, now) if now - _times(kept)[0] <= oldest else None

    def missing(self, get: Get, now: float) -> SecretNotFound | None:
        """The error for *get*, if the store said lately that there is no such secret."""
        ends = None if get.refresh or not self._missing else self._missing.get(key_of(get))
        if ends is None or now >= ends:
            return None
        return SecretNotFound(
            f"there is no secret {get.secret_id}, said the store a moment ago; create it, or ask with refresh"
        )

    def asks_refresh(self, get: Get, now: float) -> bool:
        """Whether the entry for *get* is due for a refresh and nobody has asked for one: do it now, then."""
        found = self._find(get)
        if found is None:
            return False
        _, entry, kept = found
        _, due, ends = _times(kept)
        if not due <= now < ends:
            return False
        if entry[ASKED]:  # from here to the mark is no call: no other thread and no signal handler comes between
            return False
        entry[ASKED] = 1
        return True

    def _find(self, get: Get) -> tuple[str, bytearray, bytes] | None:
        name, keys = places(get)
        for key in keys:
            entry = self._table.get(key)
            kept = b"" if entry is None else bytes(entry)
            if entry is None or not _times(kept)[2]:
                continue
            if len(keys) == 1 or SecretId(get.secret_id).means(arn_of(kept, name)):
                entry[USED] = 1
                return name, entry, kept
        return None

    # --- writing, under the lock ----------------------------------------------------------------------------------

    def _store(self, get: Get, secret: Secret, now: float, kept: bool = True, came_at: float = -math.inf) -> None:
        rules, name = self.rules, secret.name
        key = self._place(get, secret, kept and not self._is_overtaken(get, name, now, secret.version_id))
        self._hear(key_for(name, get), came_at, secret.version_id)
        if key is None:
            return
        ends = now + rules.ttl * (1.0 - rules.jitter * self._chance())
        entry = bytearray(block_of(secret))
        TIMES.pack_into(entry, 0, now, ends - (ends - now) * rules.ahead, ends)
        self._make_room(key, len(entry))
        old = self._table.get(key)
        self._table[key] = entry
        self._bytes += len(entry) + _OVERHEAD
        if old is not None:
            self._wipe(old)
        elif key in self._gone:
            self._gone.remove(key)
        else:
            self._ring.append(key)
        self._note(name, key)

    def _is_overtaken(self, get: Get, name: str, asked_at: float, version_id: str | None) -> bool:
        """Whether the store was asked at *asked_at*, before another answer came that is not the same: nobody knows
        which of the two is the newer one."""
        heard = (self._heard.get(key, _NEVER) for key in (key_for(name, get), all_versions(name)))
        return any(asked_at < came_at and known != version_id for came_at, known in heard)

    def _hear(self, key: Key, came_at: float, version_id: str | None) -> None:
        self._heard.pop(key, None)
        if len(self._heard) >= self.rules.max_entries:
            self._heard.pop(next(iter(self._heard)))
        self._heard[key] = came_at, version_id

    def _place(self, get: Get, secret: Secret, kept: bool) -> Key | None:
        """The one key for *secret*, if it is to be *kept*. What else there is of it in this version, and of an earlier
        secret in its place, is forgotten. None if it is not kept, is not what was asked for, or could not be found."""
        asked, name, arn = SecretId(get.secret_id), secret.name, secret.arn
        partial = without_suffix(arn)
        if not asked.fits(name, arn):
            return None
        by_name = key_for(name, get)
        place = key_of(get) if not asked.is_arn or asked.means(arn) else None
        others: list[Key] = []
        for key in (name, *self._lanes.get(name, ())):
            same_version = is_version(key, get)
            if same_version and key in self._missing and SecretId(id_in(key)).fits(name, arn):
                del self._missing[key]
            entry = self._table.get(key)
            if entry is None:
                continue
            known = arn_of(entry, name)
            in_its_place = without_suffix(known) == partial is not None or (not asked.is_arn and id_in(key) == name)
            if not in_its_place or (known == arn and not same_version):
                continue
            if not kept and known == arn and version_of(bytes(entry)) == secret.version_id:
                continue
            if known == arn and asked.is_arn and (key == by_name or place is None):
                place = key
            others.append(key)
        for key in others:
            if key != place or not kept:
                self._remove(key)
        return place if kept else None

    def _make_room(self, key: Key, size: int) -> None:
        """For an entry of so many bytes."""
        while self._table:
            old = self._table.get(key)
            grown = self._bytes + size + _OVERHEAD - (0 if old is None else len(old) + _OVERHEAD)
            if len(self._table) + (old is None) <= self.rules.max_entries and grown <= self.rules.max_bytes:
                return
            self._evict()

    def _store_missing(self, get: Get, now: float) -> None:
        key = key_of(get)
        if len(self._missing) >= self.rules.max_entries:
            self._missing.pop(next(iter(self._missing)))
        self._missing[key] = now + self.rules.missing_ttl
        for lane in SecretId(get.secret_id).lanes:
            self._note(lane, key)

    def _note(self, lane: str, key: Key) -> None:
        if key != lane:
            self._lanes.setdefault(lane, set()).add(key)

    def _evict(self) -> None:
        """Second chance, which is nearly least recently used, and costs the readers one mark."""
        key = self._ring.popleft()
        if key in self._gone:
            self._gone.remove(key)
        elif self._table[key][USED]:
            self._table[key][USED] = 0
            self._ring.append(key)
        else:
            self._wipe(self._table.pop(key))

    def _remove(self, key: Key) -> None:
        entry = self._table.pop(key, None)
        if entry is not None:
            self._gone.add(key)
            self._wipe(entry)

    def _wipe(self, entry: bytearray) -> None:
        self._bytes -= len(entry) + _OVERHEAD
        entry[:] = bytes(len(entry))

    def _drop(self, lanes: Iterable[str]) -> None:
        for lane in lanes:
            for key in (lane, *self._lanes.pop(lane, ())):
                self._missing.pop(key, None)
                self._remove(key)
        self._tidy()

    def _outdate(self, lanes: Iterable[str], now: float) -> None:
        for lane in lanes:
            for key in (lane, *self._lanes.get(lane, ())):
                self._missing.pop(key, None)
                entry = self._table.get(key)
                if entry is not None:
                    fetched, due, ends = _times(entry)
                    TIMES.pack_into(entry, 0, fetched, min(due, now), min(ends, now))

    def _refuse(self, get: Get, asked_at: float, whole: bool, came_at: float) -> bool:
        asked = SecretId(get.secret_id)
        overtaken = any(self._is_overtaken(get, lane, asked_at, None) for lane in asked.lanes)
        for lane in asked.lanes:
            self._hear(all_versions(lane) if whole else key_for(lane, get), came_at, None)
            for key in (lane, *self._lanes.get(lane, ())):
                entry = self._table.get(key)
                if entry is None or not (whole or is_version(key, get)):
                    continue
                if not asked.is_arn or asked.may_mean(arn_of(entry, lane)):
                    self._remove(key)
        self._tidy()
        return overtaken

    def _forget_unreadable(self, name: str, arn: str, came_at: float) -> None:
        self._hear(all_versions(name), came_at, None)
        for key in (name, *self._lanes.get(name, ())):
            entry = self._table.get(key)
            if entry is not None and arn_of(entry, name) == arn:
                self._remove(key)
        self._tidy()

    def _age(self, seconds: float) -> None:
        for entry in self._table.values():
            fetched, due, ends = _times(entry)
            TIMES.pack_into(entry, 0, fetched - seconds, due - seconds, ends - seconds)
        for key in self._missing:
            self._missing[key] -= seconds

    def _tidy(self) -> None:
        if len(self._gone) > len(self._table) + 64:
            self._ring = deque(key for key in self._ring if key in self._table)
            self._gone.clear()

    def _clear(self) -> None:
        for entry in self._table.values():
            self._wipe(entry)
        self._table.clear()
        self._missing, self._heard, self._lanes = {}, {}, {}
        self._ring.clear()
        self._gone.clear()
        self._bytes = 0

    # --- sweeping, under the lock ---------------------------------------------------------------------------------

    def _sweep(self, now: float) -> Iterator[None]:
        """The steps of a sweep at clock time *now*."""
        yield from self._sweep_entries(now)
        yield from self._sweep_missing(now)
        yield from self._sweep_lanes()

    def _sweep_entries(self, now: float) -> Iterator[None]:
        """Once around the ring: so no key is left there that has no entry."""
        for _ in range(len(self._ring)):
            if not self._ring:
                return
            key = self._ring.popleft()
            entry = self._table.get(key)
            if entry is None:
                self._gone.discard(key)
            else:
                fetched, _, ends = _times(entry)
                if now >= ends and now - fetched > self.rules.max_stale:
                    self._wipe(self._table.pop(key))
                else:
                    self._ring.append(key)
            yield

    def _sweep_missing(self, now: float) -> Iterator[None]:
        for key in tuple(self._missing):
            if now >= self._missing.get(key, now):
                self._missing.pop(key, None)
            yield

    def _sweep_lanes(self) -> Iterator[None]:
        for lane in tuple(self._lanes):
            keys = self._lanes.get(lane, set())
            keys.difference_update([key for key in keys if key not in self._table and key not in self._missing])
            if not keys:
                self._lanes.pop(lane, None)
            yield

    # --- to look at -----------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Bytes of all entries, about."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._table)

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("the cache holds secrets, and cannot be pickled")

    def __repr__(self) -> str:
        return f"<Cache [{len(self._table)} secrets, ttl {self.rules.ttl:g} s]>"


class CacheWriter:
    """Writes to a cache, for as long as there is no later writer. After that, its methods do nothing."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def store(self, get: Get, secret: Secret, now: float, *, kept: bool = True, came_at: float = -math.inf) -> None:
        """Keep *secret*, for which the store was asked at *now* for *get*, and which it gave at *came_at*; or, where it
        is not to be *kept*, see that nothing else is served after it. So it is, too, if another answer came after the
        store was asked: nobody knows which of the two is the newer one, and neither is served."""
        if self._cache.rules.ttl > 0:
            self._write(lambda cache: cache._store(get, secret, now, kept, came_at))

    def store_missing(self, get: Get, now: float) -> None:
        """Remember that there is none for *get*, as the store said at *now*."""
        if self._cache.rules.missing_ttl > 0:
            self._write(lambda cache: cache._store_missing(get, now))

    def clear(self) -> None:
        """Forget everything."""
        self._write(Cache._clear)

    def drop(self, *lanes: str) -> None:
        """Forget all versions of the secrets in *lanes*, and that there are none."""
        self._write(lambda cache: cache._drop(lanes))

    def outdate(self, *lanes: str, now: float) -> None:
        """From *now* on, what there is of the secrets in *lanes* is past its TTL: it may be served stale, and marked
        so. That there are none is forgotten."""
        self._write(lambda cache: cache._outdate(lanes, now))

    def refuse(self, get: Get, asked_at: float, *, whole: bool, came_at: float) -> bool:
        """The store was asked at *asked_at*, and has said no at *came_at*: forget what *get* asks for, and with *whole*
        all other versions of any secret that its id may mean. Whether no other answer has come meanwhile."""
        overtaken: list[bool] = []
        self._write(lambda cache: overtaken.append(cache._refuse(get, asked_at, whole, came_at)))
        return not any(overtaken)

    def gone(self, name: str, arn: str, came_at: float) -> None:
        """The secret with this *name* and *arn* cannot be read, the store said at *came_at*."""
        self._write(lambda cache: cache._forget_unreadable(name, arn, came_at))

    def age(self, seconds: float) -> None:
        """All is older by so many *seconds* than it seemed."""
        self._write(lambda cache: cache._age(seconds))

    def sweep(self, now: float, begun: Iterator[None] | None = None, steps: int = SLICE) -> Iterator[None] | None:
        """Forget what may not be served any more: so many *steps* of it, and what to go on with; None when all is
        done."""
        left, taken = begun or self._cache._sweep(now), list[None]()
        self._write(lambda _: taken.extend(islice(left, steps)))
        return left if len(taken) == steps else None

    def _write(self, change: Callable[[Cache], None]) -> None:
        cache = self._cache
        with cache._lock:
            if cache._writer is self:
                change(cache)
