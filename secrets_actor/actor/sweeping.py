"""Sweeping a cache: what may not be served any more is dropped. Part of the cache, as its pen is.

Rule 1: a sweep is made of steps, each of which looks at one thing, and is done a slice at a time: a hundred thousand
        entries at once would hold up the secrets actor for 50 ms.
Rule 2: after each step the cache is whole. What is stored, dropped or cleared between two of them is no trouble.
Rule 3: one sweep goes once around the ring, and so leaves no key there that has no entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from secrets_actor.domain.packed_secret import TIMES

if TYPE_CHECKING:
    from secrets_actor.actor.cache import Cache

# Steps in a slice: about a millisecond.
SLICE: Final = 1000
_times: Final = TIMES.unpack_from


def steps(cache: Cache, now: float) -> Iterator[None]:
    """The steps of a sweep at clock time *now*; each to be taken under the lock."""
    yield from _entries(cache, now)
    yield from _missing(cache, now)
    yield from _lanes(cache)


def _entries(cache: Cache, now: float) -> Iterator[None]:
    for _ in range(len(cache._ring)):
        if not cache._ring:
            return
        key = cache._ring.popleft()
        entry = cache._table.get(key)
        if entry is None:
            cache._gone.discard(key)
        else:
            fetched, _, ends = _times(entry)
            if now >= ends and now - fetched > cache.rules.max_stale:
                cache._wipe(cache._table.pop(key))
            else:
                cache._ring.append(key)
        yield


def _missing(cache: Cache, now: float) -> Iterator[None]:
    for key in tuple(cache._missing):
        if now >= cache._missing.get(key, now):
            cache._missing.pop(key, None)
        yield


def _lanes(cache: Cache) -> Iterator[None]:
    for lane in tuple(cache._lanes):
        keys = cache._lanes.get(lane, set())
        keys.difference_update([key for key in keys if key not in cache._table and key not in cache._missing])
        if not keys:
            cache._lanes.pop(lane, None)
        yield
