"""The cache table: keeps secrets in memory, and the answer that a secret does not exist.

Rule 1: only the secrets actor writes, through the writer of its incarnation. A later writer disables the earlier ones,
        because the thread of an actor that was cut off may go on for a while. Any thread reads without a lock, as in an
        ETS `protected` table: each write is one dict operation, so a reader sees the entry before or after it, never
        half of it. Readers write two marks into an entry: that it was used, and that a refresh was asked for. It does
        not matter in which order threads write these.
Rule 2: an entry answers for the secret whose name and ARN are in the store's answer (cache_keys.py). A secret has one
        entry for each version: the answer to a later question replaces the answer to an earlier one, under whatever id
        either was asked. The entries of an earlier secret with the same name are removed. So a caller that got one
        answer does not get another one from the cache that may be older.
Rule 3: before a write to a secret is sent, every entry in the secret's lanes is dropped. Nothing older is stored after
        that.
Rule 4: the table is made outside the actor and outlives its crashes. Entries keep their deadlines.
Rule 5: an entry is a block of bytes, and is wiped when it leaves the table. A reader works on a copy. It recognizes a
        wiped entry by its times, which are 0, and treats it as absent.
Rule 6: past its TTL an entry is kept for as long as it may be served stale, and no longer: the actor sweeps now and
        then. A sweep consists of steps, each of which looks at one key, and is done a slice at a time: a hundred
        thousand entries at once would hold up the secrets actor for 50 ms. After each step the table is consistent, so
        entries can be stored, dropped or cleared between two slices.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Final, NoReturn

from msgspec import Struct

from secrets_actor.actor.cache_keys import CacheRules, Key, all_versions, id_in, is_version, key_for, key_of, places
from secrets_actor.domain.errors import SecretNotFound
from secrets_actor.domain.names import SecretId, without_suffix
from secrets_actor.domain.operations import Get, takes_stale
from secrets_actor.domain.packed_secret import (
    ASKED,
    DUE,
    TIMES,
    USED,
    arn_of,
    head_of,
    origin_of,
    stages_of,
    version_of,
)
from secrets_actor.domain.ports import TakesHit
from secrets_actor.domain.secret import BlankSecret, Secret, block_of, put_block, secret_of_block
from secrets_actor.domain.tracing import CallerName

# Bytes that an entry takes beside its block: key, place in the ring, object headers. Measured, and rounded.
_OVERHEAD: Final = 200
# Steps in one slice of a sweep. A slice takes about a millisecond.
SLICE: Final = 1000
_times, _due = TIMES.unpack_from, DUE.unpack_from
_NEVER: Final = (-math.inf, None)


class Listed(Struct, frozen=True):
    """What is shown of one secret in memory: everything but its value. *origin* is the endpoint that gave it. The times
    are clock seconds: when the store was asked, from when on a get has it fetched anew, when its TTL ends."""

    name: str
    version_id: str
    stages: tuple[str, ...]
    origin: str | None
    fetched: float
    due: float
    ends: float


class Cache:
    """The table of secrets, and of ids for which there is no secret. *rules* set its limits and times; *chance* returns
    random numbers from 0 to 1."""

    def __init__(self, rules: CacheRules, chance: Callable[[], float] = lambda: 0.0) -> None:
        self.rules, self._chance = rules, chance
        self._table: dict[Key, bytearray] = {}
        self._shown: dict[Key, bytearray] = {}  # the table while the tree runs, else empty: `hit` reads this one
        self._missing: dict[Key, float] = {}  # until when (clock seconds) "there is no such secret" is the answer
        # When (clock seconds) the last answer about a version came, and its version id; None: the store said no.
        self._heard: dict[Key, tuple[float, str | None]] = {}
        self._lanes: dict[str, set[Key]] = {}  # the keys in a lane, other than the lane's own name
        self._ring: deque[Key] = deque()  # the order of eviction: oldest first, with a second chance if used (CLOCK)
        self._gone: set[Key] = set()  # keys that are in the ring still, but have no entry: a deque removes slowly
        self._bytes = 0
        self._lock = threading.Lock()  # between writers
        self._writer: CacheWriter | None = None

    def writer(self) -> CacheWriter:
        """Return a new writer. The writer before it writes nothing from now on."""
        writer = CacheWriter(self)
        with self._lock:
            self._writer = writer
        return writer

    def forget(self) -> None:
        """Become as new: empty, without a writer, the lock free. Only while no actor runs, as in a forked child."""
        # The lock is replaced, not taken: a thread that held it at the fork does not exist in the child to free it.
        self._clear()
        self._lock, self._writer = threading.Lock(), None

    def show(self) -> None:
        """Serve hits from now on: the tree is up."""
        self._shown = self._table

    def hide(self) -> None:
        """Serve no hits from now on: the tree has ended, or is about to."""
        self._shown = {}

    # --- reading, in any thread -----------------------------------------------------------------------------------

    def hit(self, name: str, now: float, note: TakesHit, caller: CallerName) -> Secret | None:
        """Return the current version of the secret with this *name* if it is fresh and not yet due for a refresh, else
        None. *note* is told first that *caller* gets it."""
        try:
            entry = self._shown[name]
        except (KeyError, TypeError):  # TypeError: *name* is not hashable; the slow path raises an error that says so
            return None
        kept = bytes(entry)
        if now >= _due(kept)[0]:
            return None
        entry[USED] = 1
        note(name, kept, now, caller)
        # This is secret_of_block, written out: a function call would take a third of the time of a hit.
        secret: Secret = BlankSecret()
        secret._name, secret._seen_at = name, now
        put_block(secret, kept)
        return secret

    def read(self, get: Get, now: float) -> Secret | None:
        """Return the secret that answers *get* at clock time *now*; None if it must be fetched."""
        found = None if get.refresh else self._find(get)
        if found is None:
            return None
        name, _, kept = found
        fetched, _, ends = _times(kept)
        if now >= ends or (get.max_age is not None and now - fetched > get.max_age):
            return None
        return secret_of_block(name, kept, now)

    def stale(self, get: Get, now: float) -> Secret | None:
        """Return the secret for *get* that may be served when the store cannot answer; None if there is none, or if it
        is too old by the rules or by *get*'s own limit."""
        oldest = self.rules.max_stale if get.max_age is None else min(self.rules.max_stale, get.max_age)
        found = self._find(get) if takes_stale(get) and oldest > 0 else None
        if found is None:
            return None
        name, _, kept = found
        return secret_of_block(name, kept, now) if now - _times(kept)[0] <= oldest else None

    def missing(self, get: Get, now: float) -> SecretNotFound | None:
        """Return the error for *get* if the store said lately that there is no such secret, else None."""
        ends = None if get.refresh or not self._missing else self._missing.get(key_of(get))
        if ends is None or now >= ends:
            return None
        return SecretNotFound(
            f"there is no secret {get.secret_id}, said the store a moment ago; create it, or ask with refresh"
        )

    def asks_refresh(self, get: Get, now: float) -> bool:
        """Whether to ask the store for a refresh of the entry for *get* now: the entry is due, and this method has not
        said so before. It returns True once for each entry."""
        found = self._find(get)
        if found is None:
            return False
        _, entry, kept = found
        _, due, ends = _times(kept)
        if not due <= now < ends:
            return False
        # From here to the mark there is no call: no other thread and no signal handler can come between.
        if entry[ASKED]:
            return False
        entry[ASKED] = 1
        return True

    def _find(self, get: Get) -> tuple[str, bytearray, bytes] | None:
        """Return the name of the secret, its entry for *get*, and a copy of the entry; None if there is none."""
        name, keys = places(get)
        for key in keys:
            entry = self._table.get(key)
            kept = b"" if entry is None else bytes(entry)
            if entry is None or not _times(kept)[2]:  # wiped (rule 5)
                continue
            # An ARN is looked for under several keys (cache_keys.py), where an entry may be another secret's.
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
            self._wipe(old)  # after it was replaced, so that a reader finds the new entry and no wiped one
        elif key in self._gone:
            self._gone.remove(key)
        else:
            self._ring.append(key)
        self._note(name, key)

    def _is_overtaken(self, get: Get, name: str, asked_at: float, version_id: str | None) -> bool:
        """Whether, after the store was asked at *asked_at*, a different answer has come to another question: nobody
        knows which of the two answers is the newer one."""
        heard = (self._heard.get(key, _NEVER) for key in (key_for(name, get), all_versions(name)))
        return any(asked_at < came_at and known != version_id for came_at, known in heard)

    def _hear(self, key: Key, came_at: float, version_id: str | None) -> None:
        """Note that an answer with *version_id* (None: a no) came at *came_at*; it becomes the youngest note."""
        self._heard.pop(key, None)
        if len(self._heard) >= self.rules.max_entries:  # the oldest note goes, so that the notes take bounded memory
            self._heard.pop(next(iter(self._heard)))
        self._heard[key] = came_at, version_id

    def _place(self, get: Get, secret: Secret, kept: bool) -> Key | None:
        """Return the one key for *secret*, and remove the other entries of this version of it, and all entries of an
        earlier secret in its place (rule 2).

        None if it is not to be *kept*, is not what was asked for, or could not be found under any key."""
        asked, name, arn = SecretId(get.secret_id), secret.name, secret.arn
        partial = without_suffix(arn)
        if not asked.fits(name, arn):
            return None
        by_name = key_for(name, get)
        place = key_of(get) if not asked.is_arn or asked.means(arn) else None
        others: list[Key] = []
        for key in (name, *self._lanes.get(name, ())):
            same_version = is_version(key, get)
            # The secret exists: an answer that there is none for this id is out of date.
            if same_version and key in self._missing and SecretId(id_in(key)).fits(name, arn):
                del self._missing[key]
            entry = self._table.get(key)
            if entry is None:
                continue
            known = arn_of(entry, name)
            # Whether the entry is of this secret, or of an earlier one in its place: the ARNs differ in the suffix at
            # most, or the entry lies under the name by which the store was asked.
            in_its_place = without_suffix(known) == partial is not None or (not asked.is_arn and id_in(key) == name)
            if not in_its_place or (known == arn and not same_version):
                continue  # another secret's entry, or another version of this secret
            if not kept and known == arn and version_of(bytes(entry)) == secret.version_id:
                continue  # both answers agree, so the entry cannot be the older one
            # An entry that the secret has under its name already is used for a get by ARN, too: one entry is enough.
            if known == arn and asked.is_arn and (key == by_name or place is None):
                place = key
            others.append(key)
        for key in others:
            if key != place or not kept:
                self._remove(key)
        return place if kept else None

    def _make_room(self, key: Key, size: int) -> None:
        """Evict until there is room for an entry of *size* bytes under *key*."""
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
        """Note that *key* belongs to *lane*, so that a write to the lane finds it."""
        if key != lane:
            self._lanes.setdefault(lane, set()).add(key)

    def _evict(self) -> None:
        """Evict at most one entry by the second-chance method: nearly the least recently used one, and readers only
        have to set a mark. One key of the ring is looked at: it is dropped, passed over, or its entry removed."""
        key = self._ring.popleft()
        if key in self._gone:
            self._gone.remove(key)
        elif self._table[key][USED]:
            self._table[key][USED] = 0
            self._ring.append(key)
        else:
            self._wipe(self._table.pop(key))

    def _remove(self, key: Key) -> None:
        """Remove the entry under *key*, if there is one. The key stays in the ring (`_gone`)."""
        entry = self._table.pop(key, None)
        if entry is not None:
            self._gone.add(key)
            self._wipe(entry)

    def _wipe(self, entry: bytearray) -> None:
        """Overwrite *entry*, which has left the table, so that the secret does not stay in memory."""
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
        """Rebuild the ring if it has more keys without an entry than with one: keys are not removed one by one."""
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
        """Yield after each step of a sweep at clock time *now*."""
        yield from self._sweep_entries(now)
        yield from self._sweep_missing(now)
        yield from self._sweep_lanes()

    def _sweep_entries(self, now: float) -> Iterator[None]:
        """Go once around the ring: drop the entries that are too old, and the keys that have no entry."""
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

    # --- for display ----------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """About how many bytes all entries take."""
        return self._bytes

    def listing(self, most: int) -> list[Listed]:
        """Return up to *most* of the secrets in memory, without their values: first those that were used since they
        were last looked at for eviction, and of these the ones that came into memory last. One a secret: its current
        version, if that is there. For any thread; the secrets actor waits for nothing.
        """
        # One step of the interpreter, so that the actor can change the table while this looks at the copy. The entries
        # themselves are the table's: of each, only what lies before the value is read.
        entries = tuple(self._table.items())
        used = (one for one in reversed(entries) if one[1][USED])
        rest = (one for one in reversed(entries) if not one[1][USED])
        found: dict[str, Listed] = {}
        for key, entry in chain(used, rest):
            name = id_in(key)
            if name in found and not isinstance(key, str):
                continue
            if name not in found and len(found) >= most:
                break
            head = head_of(entry)
            fetched, due, ends = _times(head)
            if ends:  # else it was wiped (rule 5)
                found[name] = Listed(name, version_of(head), stages_of(head), origin_of(head), fetched, due, ends)
        return list(found.values())

    def __len__(self) -> int:
        return len(self._table)

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("the cache holds secrets, and cannot be pickled")

    def __repr__(self) -> str:
        return f"<Cache [{len(self._table)} secrets, ttl {self.rules.ttl:g} s]>"


class CacheWriter:
    """Writes to a cache as long as there is no later writer. After that, its methods do nothing."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def store(self, get: Get, secret: Secret, now: float, *, kept: bool = True, came_at: float = -math.inf) -> None:
        """Keep *secret* as the answer to *get*. The store was asked at *now*, and its answer came at *came_at*.

        If *kept* is false, the secret is not stored, and the entries that differ from it are removed, so that the cache
        serves nothing else after it. The same is done if a different answer came after the store was asked: nobody
        knows which of the two is the newer one, and neither is served."""
        if self._cache.rules.ttl > 0:
            self._write(lambda cache: cache._store(get, secret, now, kept, came_at))

    def store_missing(self, get: Get, now: float) -> None:
        """Remember that there is no secret for *get*. The store was asked at *now*."""
        if self._cache.rules.missing_ttl > 0:
            self._write(lambda cache: cache._store_missing(get, now))

    def clear(self) -> None:
        """Forget everything."""
        self._write(Cache._clear)

    def drop(self, *lanes: str) -> None:
        """Forget all versions of the secrets in *lanes*, and the answers that there is no such secret."""
        self._write(lambda cache: cache._drop(lanes))

    def outdate(self, *lanes: str, now: float) -> None:
        """End the TTL of all entries of the secrets in *lanes* at *now*: they may be served stale, and are marked so.
        The answers that there is no such secret are forgotten."""
        self._write(lambda cache: cache._outdate(lanes, now))

    def refuse(self, get: Get, asked_at: float, *, whole: bool, came_at: float) -> bool:
        """Forget the version that *get* asks for, and with *whole* all versions of any secret that its id may mean: the
        store was asked at *asked_at*, and said no at *came_at*. Whether no other answer has come meanwhile."""
        overtaken: list[bool] = []
        self._write(lambda cache: overtaken.append(cache._refuse(get, asked_at, whole, came_at)))
        return not any(overtaken)

    def gone(self, name: str, arn: str, came_at: float) -> None:
        """Forget the secret with this *name* and *arn*: the store said at *came_at* that it cannot be read."""
        self._write(lambda cache: cache._forget_unreadable(name, arn, came_at))

    def age(self, seconds: float) -> None:
        """Make all entries older by so many *seconds*: the clock has leapt."""
        self._write(lambda cache: cache._age(seconds))

    def sweep(self, now: float, begun: Iterator[None] | None = None, steps: int = SLICE) -> Iterator[None] | None:
        """Forget entries that may not be served any more, in at most *steps* steps. Return the sweep to go on with,
        as *begun* next time; None when it is done."""
        left, taken = begun or self._cache._sweep(now), list[None]()
        self._write(lambda _: taken.extend(islice(left, steps)))
        return left if len(taken) == steps else None

    def _write(self, change: Callable[[Cache], None]) -> None:
        cache = self._cache
        with cache._lock:
            if cache._writer is self:
                change(cache)
