"""A sweep drops what may not be served any more, a slice at a time, whatever happens between two steps."""

import gc
import re
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from secrets_actor import System
from secrets_actor.actor.cache import SLICE, Cache
from secrets_actor.actor.cache_keys import CacheRules
from secrets_actor.actor.secrets_actor import SWEEP
from secrets_actor.domain.operations import Get
from secrets_actor.domain.secret import Secret, SecretValue
from secrets_actor.testing import FakeStore, ManualClock, fake_system
from tests.actor.rig import eventually

VERSION = "11111111-1111-4111-8111-111111111111"


def secret(name: str) -> Secret:
    return Secret(name, f"arn:{name}", SecretValue("v"), VERSION, ("AWSCURRENT",), datetime(2026, 1, 1, tzinfo=UTC))


def test_a_large_table_is_swept_in_slices() -> None:
    cache = Cache(CacheRules(ttl=10.0, max_stale=0.0, max_entries=10_000))
    writer = cache.writer()
    for number in range(2 * SLICE):
        writer.store(Get(f"old{number}"), secret(f"old{number}"), 0.0)
    for number in range(SLICE // 2):
        writer.store(Get(f"new{number}"), secret(f"new{number}"), 9.0)

    left, lengths = writer.sweep(10.0), [len(cache)]
    while left:
        writer.store(Get(f"between{len(lengths)}"), secret(f"between{len(lengths)}"), 10.0)
        left = writer.sweep(10.0, left)
        lengths.append(len(cache))

    assert lengths == [SLICE + SLICE // 2, SLICE // 2 + 1, SLICE // 2 + 2]
    assert sum(cache.read(Get(f"new{number}"), 10.0) is not None for number in range(SLICE // 2)) == SLICE // 2


def test_what_is_cleared_in_the_middle_of_a_sweep_ends_it() -> None:
    cache = Cache(CacheRules(ttl=10.0, max_entries=10_000))
    writer = cache.writer()
    for number in range(2 * SLICE):
        writer.store(Get(f"k{number}"), secret(f"k{number}"), 0.0)
    left = writer.sweep(1.0)
    writer.clear()

    assert left is not None
    assert writer.sweep(1.0, left) is None
    assert list(left) == []


def test_names_that_are_dropped_take_no_memory_until_a_sweep_comes() -> None:
    cache = Cache(CacheRules(ttl=10.0, max_entries=100))
    writer = cache.writer()

    def drop_many(beginning: str) -> int:
        """How many bytes more are in use, after as many names have come and gone as would fill them many times."""
        before = tracemalloc.get_traced_memory()[0]
        for number in range(5000):
            writer.store(Get(f"{beginning}{number}"), secret(f"{beginning}{number}"), 0.0)
            writer.drop(f"{beginning}{number}")
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before

    tracemalloc.start()
    try:
        drop_many("first")
        assert drop_many("name") < 100_000
    finally:
        tracemalloc.stop()


def test_a_name_that_was_swept_away_and_comes_again_makes_room_in_its_turn() -> None:
    cache = Cache(CacheRules(ttl=10.0, max_entries=1))
    writer = cache.writer()
    writer.store(Get("a"), secret("a"), 0.0)
    writer.drop("a")
    assert writer.sweep(1.0) is None

    writer.store(Get("a"), secret("a"), 1.0)
    writer.store(Get("b"), secret("b"), 1.0)

    assert (cache.read(Get("a"), 1.0), len(cache)) == (None, 1)
    assert cache.read(Get("b"), 1.0) is not None


def test_who_has_the_pen_no_more_sweeps_no_more() -> None:
    cache = Cache(CacheRules(ttl=10.0, max_entries=10_000))
    writer = cache.writer()
    for number in range(2 * SLICE):
        writer.store(Get(f"k{number}"), secret(f"k{number}"), 0.0)
    left = writer.sweep(100.0)
    cache.writer()

    assert left is not None
    assert writer.sweep(100.0, left) is None
    assert len(cache) == SLICE


def test_the_actor_sweeps_a_large_table_to_its_end_and_comes_again() -> None:
    clock = ManualClock()
    store = FakeStore(clock=clock)
    names = [f"k{number}" for number in range(SLICE + SLICE // 2)]
    for name in names:
        store.put(name, "v")
    with fake_system(store, cache_entries=10_000, ttl_seconds=10, max_stale_seconds=0) as (system, _):
        for _ in range(2):
            for name in names[:20]:
                system.secrets.get(name)
            for start in range(0, len(names), 20):
                system.secrets.get_many(names[start : start + 20])
            assert cached(system) == len(names)

            def swept() -> bool:
                clock.advance(SWEEP)  # each time: the next sweep is set down a moment after this one's last entry
                return cached(system) == 0

            eventually(swept, "the end of the sweep")


def cached(system: System) -> int:
    """How many secrets the actor says are cached."""
    return sum(
        int(found[1]) for node in system.tree().root.walk() if (found := re.search(r"(\d+) cached", node.status))
    )


DOINGS = st.one_of(
    st.tuples(st.just("store"), st.sampled_from("abcdef"), st.sampled_from([None, "AWSPREVIOUS"])),
    st.tuples(st.just("missing"), st.sampled_from("abcdef"), st.sampled_from([None, "AWSPREVIOUS"])),
    st.tuples(st.just("drop"), st.sampled_from("abcdef"), st.none()),
    st.tuples(st.just("clear"), st.none(), st.none()),
    st.tuples(st.just("step"), st.none(), st.none()),
)
ALL = [Get(name, stage=stage) for name in "abcdef" for stage in (None, "AWSPREVIOUS")]


@given(st.lists(DOINGS, max_size=40), st.lists(DOINGS, max_size=40), st.integers(1, 12))
def test_the_table_is_whole_after_each_step_whatever_is_done_between(
    before: list[tuple[str, str, str | None]], between: list[tuple[str, str, str | None]], max_entries: int
) -> None:
    """The model: the last that was stored of each version, and when. Room is only made for what is new."""
    cache = Cache(CacheRules(ttl=10.0, max_stale=0.0, missing_ttl=10.0, max_entries=max_entries))
    writer = cache.writer()
    known: dict[Get, float] = {}
    missing: dict[Get, float] = {}
    sweep: Iterator[None] | None = None

    def do(doing: tuple[str, str, str | None], now: float) -> None:
        nonlocal sweep
        what, name, stage = doing
        get = Get(name or "a", stage=stage)
        match what:
            case "store":
                writer.store(get, secret(name), now)
                known[get] = now
                missing.pop(get, None)
                assert cache.read(get, now) is not None, "what came last is there"
            case "missing":
                writer.store_missing(get, now)
                missing[get] = now
            case "drop":
                writer.drop(name)
                for table in (known, missing):
                    for gone in [one for one in table if one.secret_id == name]:
                        del table[gone]
            case "clear":
                writer.clear()
                known.clear()
                missing.clear()
            case _ if now > 0:
                sweep = writer.sweep(now, sweep, 1)
        there = [one for one in ALL if cache.read(one, now) is not None]
        assert all(one in known and now < known[one] + 10.0 for one in there)
        assert len(there) <= len(cache) <= max_entries
        assert (cache.size > 0) is (len(cache) > 0)

    for doing in before:
        do(doing, 0.0)
    for doing in between:
        do(doing, 10.0)
    left = writer.sweep(10.0, sweep)
    assert left is None
    assert writer.sweep(10.0) is None  # what came behind the hand of that sweep

    fresh = [one for one in ALL if cache.read(one, 10.0) is not None]
    assert len(cache) == len(fresh), "what has ended has left"
    assert all(known[one] == 10.0 for one in fresh)
    assert all(missing.get(one) == 10.0 for one in ALL if cache.missing(one, 10.0) is not None)
