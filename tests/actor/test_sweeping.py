"""A sweep drops what may not be served any more, a slice at a time, whatever happens between two steps."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.actor.cache import Cache
from secrets_actor.actor.cache_rules import CacheRules
from secrets_actor.actor.secrets_actor import SWEEP
from secrets_actor.actor.sweeping import SLICE, steps
from secrets_actor.domain.operations import Get
from secrets_actor.domain.packed_secret import TIMES
from secrets_actor.domain.secret import Secret, SecretValue
from secrets_actor.testing import FakeStore, ManualClock, fake_system
from tests.actor.rig import eventually

VERSION = "11111111-1111-4111-8111-111111111111"


def secret(name: str) -> Secret:
    return Secret(name, f"arn:{name}", SecretValue("v"), VERSION, ("AWSCURRENT",), datetime(2026, 1, 1, tzinfo=UTC))


def test_a_large_table_is_swept_in_slices() -> None:
    cache = Cache(CacheRules(ttl=10.0, max_stale=0.0, max_entries=10_000))
    pen = cache.pen()
    for number in range(2 * SLICE):
        pen.store(Get(f"old{number}"), secret(f"old{number}"), 0.0)
    for number in range(SLICE // 2):
        pen.store(Get(f"new{number}"), secret(f"new{number}"), 9.0)

    left, lengths = pen.sweep(10.0), [len(cache)]
    while left:
        pen.store(Get(f"between{len(lengths)}"), secret(f"between{len(lengths)}"), 10.0)
        left = pen.sweep(10.0, left)
        lengths.append(len(cache))

    assert lengths == [SLICE + SLICE // 2, SLICE // 2 + 1, SLICE // 2 + 2]
    assert sorted(cache._ring) == sorted(cache._table)
    assert not cache._gone


def test_what_is_cleared_in_the_middle_of_a_sweep_ends_it() -> None:
    cache = Cache(CacheRules(ttl=10.0, max_entries=10_000))
    pen = cache.pen()
    for number in range(2 * SLICE):
        pen.store(Get(f"k{number}"), secret(f"k{number}"), 0.0)
    left = pen.sweep(1.0)
    pen.clear()

    assert left is not None
    assert pen.sweep(1.0, left) is None
    assert list(left) == []


def test_names_that_are_dropped_leave_the_ring_before_a_sweep_comes() -> None:
    cache = Cache(CacheRules(ttl=10.0, max_entries=10_000))
    pen = cache.pen()
    for number in range(500):
        pen.store(Get(f"k{number}"), secret(f"k{number}"), 0.0)
        pen.drop(f"k{number}")

    assert len(cache._ring) == len(cache._gone) < 100


def test_who_has_the_pen_no_more_sweeps_no_more() -> None:
    cache = Cache(CacheRules(ttl=10.0, max_entries=10_000))
    pen = cache.pen()
    for number in range(2 * SLICE):
        pen.store(Get(f"k{number}"), secret(f"k{number}"), 0.0)
    left = pen.sweep(100.0)
    cache.pen()

    assert left is not None
    assert pen.sweep(100.0, left) is None
    assert len(cache) == SLICE


def test_the_actor_sweeps_a_large_table_to_its_end_and_comes_again() -> None:
    clock = ManualClock()
    with fake_system(FakeStore(clock=clock), cache_entries=10_000) as (system, _):
        cache = system._parts.cache
        for turn in range(2):
            with cache._lock:
                for number in range(3 * SLICE):
                    cache._store(Get(f"k{turn}/{number}"), secret(f"k{turn}/{number}"), clock.now() - 1e6)

            def swept() -> bool:
                clock.advance(SWEEP)  # each time: the next sweep is set down a moment after this one's last entry
                return len(cache) == 0

            eventually(swept, "the end of the sweep")


DOINGS = st.one_of(
    st.tuples(st.just("store"), st.sampled_from("abcdef"), st.sampled_from([None, "AWSPREVIOUS"])),
    st.tuples(st.just("missing"), st.sampled_from("abcdef"), st.sampled_from([None, "AWSPREVIOUS"])),
    st.tuples(st.just("drop"), st.sampled_from("abcdef"), st.none()),
    st.tuples(st.just("clear"), st.none(), st.none()),
    st.tuples(st.just("step"), st.none(), st.none()),
)


@given(st.lists(DOINGS, max_size=40), st.lists(DOINGS, max_size=40), st.integers(1, 12))
def test_the_table_is_whole_after_each_step_whatever_is_done_between(
    before: list[tuple[str, str, str | None]], between: list[tuple[str, str, str | None]], max_entries: int
) -> None:
    cache = Cache(CacheRules(ttl=10.0, max_stale=0.0, missing_ttl=10.0, max_entries=max_entries))
    pen = cache.pen()

    def do(doing: tuple[str, str, str | None], now: float) -> None:
        what, name, stage = doing
        match what:
            case "store":
                pen.store(Get(name, stage=stage), secret(name), now)
            case "missing":
                pen.store_missing(Get(name, stage=stage), now)
            case "drop":
                pen.drop(name)
            case "clear":
                pen.clear()
            case _:
                next(sweep, None)
        ring = list(cache._ring)
        assert sorted(ring, key=str) == sorted([*cache._table, *cache._gone], key=str)
        assert cache._gone.isdisjoint(cache._table)

    sweep = iter(())
    for doing in before:
        do(doing, 0.0)
    sweep = steps(cache, 10.0)
    for doing in between:
        do(doing, 10.0)
    for _ in sweep:
        pass

    assert all(ends > 10.0 for ends in cache._missing.values())
    assert all(TIMES.unpack_from(entry)[2] > 10.0 for entry in cache._table.values())
    for _ in steps(cache, 10.0):  # what was evicted meanwhile is in its lane until the next time
        pass
    assert {key for keys in cache._lanes.values() for key in keys} <= {*cache._table, *cache._missing}
