"""The cache answers for what it was given, for as long as it may; one writes, many read."""

import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.actor.cache import Cache, Pen
from secrets_actor.actor.cache_rules import CacheRules
from secrets_actor.domain.operations import Get
from secrets_actor.domain.secret import Secret, SecretValue, Source

ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:{}-aBcDeF"
VERSION = "11111111-1111-4111-8111-111111111111"


def secret(name: str, value: str = "v") -> Secret:
    return Secret(
        name, ARN.format(name), SecretValue(value), VERSION, ("AWSCURRENT",), datetime(2026, 1, 1, tzinfo=UTC)
    )


def filled(ttl: float = 10.0, max_entries: int = 8) -> tuple[Cache, Pen]:
    cache = Cache(CacheRules(ttl=ttl, max_entries=max_entries))
    return cache, cache.pen()


def revealed(cache: Cache, secret_id: str, now: float = 0.0) -> str | bytes | None:
    found = cache.read(Get(secret_id), now)
    return None if found is None else found.reveal()


def test_an_entry_answers_with_its_age_and_says_that_it_is_from_the_cache() -> None:
    cache, pen = filled()
    pen.store(Get("a"), secret("a"), 100.0)

    found = cache.read(Get("a"), 104.5)

    assert found is not None
    assert (found.reveal(), found.age, found.source, found.stale) == ("v", 4.5, Source.CACHE, False)


def test_an_entry_ends_with_its_ttl_to_the_moment() -> None:
    cache, pen = filled(ttl=10.0)
    pen.store(Get("a"), secret("a"), 100.0)

    assert cache.read(Get("a"), 109.999) is not None
    assert cache.read(Get("a"), 110.0) is None


def test_a_refresh_never_reads_the_cache() -> None:
    cache, pen = filled()
    pen.store(Get("a"), secret("a"), 0.0)

    assert cache.read(Get("a", refresh=True), 0.0) is None


def test_a_ttl_of_zero_is_no_cache() -> None:
    cache, pen = filled(ttl=0.0)
    pen.store(Get("a"), secret("a"), 0.0)

    assert len(cache) == 0


def test_an_entry_answers_for_its_arn_too_and_for_no_other_version() -> None:
    cache, pen = filled()
    pen.store(Get("a"), secret("a"), 0.0)

    assert cache.read(Get(ARN.format("a")), 0.0) is not None
    assert cache.read(Get("a", stage="AWSPREVIOUS"), 0.0) is None
    assert cache.read(Get("a", version_id=VERSION), 0.0) is None
    assert cache.read(Get("b"), 0.0) is None


def test_storing_again_replaces_whatever_answered_before_under_any_of_its_keys() -> None:
    cache, pen = filled()
    pen.store(Get("a"), secret("a", "old"), 0.0)
    pen.store(Get(ARN.format("a")), secret("a", "new"), 1.0)

    assert [revealed(cache, secret_id, 1.0) for secret_id in ("a", ARN.format("a"))] == ["new", "new"]
    assert len(cache) == 1


def test_a_drop_takes_all_versions_of_a_secret_however_they_were_asked_for() -> None:
    cache, pen = filled()
    pen.store(Get("a"), secret("a"), 0.0)
    pen.store(Get("a", stage="AWSPREVIOUS"), secret("a"), 0.0)
    pen.store(Get("b"), secret("b"), 0.0)

    pen.drop("a")
    pen.drop("never-heard-of")

    assert cache.read(Get("a"), 0.0) is None
    assert cache.read(Get(ARN.format("a")), 0.0) is None
    assert cache.read(Get("a", stage="AWSPREVIOUS"), 0.0) is None
    assert cache.read(Get("b"), 0.0) is not None
    assert len(cache) == 1


def test_the_least_recently_used_goes_first_and_reading_counts_as_use() -> None:
    cache, pen = filled(max_entries=2)
    pen.store(Get("a"), secret("a"), 1.0)
    pen.store(Get("b"), secret("b"), 2.0)
    cache.read(Get("a"), 3.0)

    pen.store(Get("c"), secret("c"), 4.0)

    assert [cache.read(Get(name), 5.0) is not None for name in "abc"] == [True, False, True]


def test_a_later_pen_voids_the_earlier_one() -> None:
    cache, old = filled()
    old.store(Get("a"), secret("a"), 0.0)
    new = cache.pen()

    old.store(Get("b"), secret("b"), 0.0)
    old.drop("a")

    assert cache.read(Get("b"), 0.0) is None
    assert cache.read(Get("a"), 0.0) is not None
    new.drop("a")
    assert cache.read(Get("a"), 0.0) is None


def test_its_repr_counts_and_shows_no_secret() -> None:
    cache, pen = filled()
    pen.store(Get("a"), secret("a", "hunter2"), 0.0)

    assert repr(cache) == "<Cache [1 secrets, ttl 10 s]>"


STEPS = st.one_of(
    st.tuples(st.just("store"), st.sampled_from("abcd"), st.sampled_from([None, "AWSPREVIOUS"])),
    st.tuples(st.just("drop"), st.sampled_from("abcd"), st.none()),
    st.tuples(st.just("read"), st.sampled_from("abcd"), st.sampled_from([None, "AWSPREVIOUS"])),
)


@given(st.lists(STEPS, max_size=60), st.integers(1, 4))
def test_it_holds_what_a_plain_model_holds(steps: list[tuple[str, str, str | None]], max_entries: int) -> None:
    """The model is CLOCK in its plainest form: one list; a dropped key keeps its place in it."""
    cache, pen = filled(ttl=25.0, max_entries=max_entries)
    stored: dict[tuple[str, str | None], float] = {}
    ring: list[tuple[str, str | None]] = []
    used: set[tuple[str, str | None]] = set()
    for now, (what, name, stage) in enumerate(steps):
        key = (name, stage)
        if what == "store":
            pen.store(Get(name, stage=stage), secret(name), float(now))
            while key not in stored and len(stored) >= max_entries:
                first = ring.pop(0)
                if first in used:
                    used.remove(first)
                    ring.append(first)
                else:
                    stored.pop(first, None)
            stored[key] = now
            used.discard(key)
            ring += [key] * (key not in ring)
        elif what == "drop":
            pen.drop(name)
            for gone in [one for one in stored if one[0] == name]:
                del stored[gone]
                used.discard(gone)
        else:
            found = cache.read(Get(name, stage=stage), float(now))
            assert (found is not None) == (key in stored and now - stored[key] < 25)
            used |= {key} & stored.keys()
        assert len(cache) == len(stored)


@pytest.fixture
def quick_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("quick_switches")
def test_many_readers_beside_one_writer_see_whole_entries_and_never_an_old_one_after_a_new() -> None:
    """Each value is its own number; a reader must see them grow, and the ARN's entry be as new as the name's was."""
    cache, pen = filled(ttl=1e9, max_entries=3)
    over, seen, problems = threading.Event(), [0] * 6, []

    def read(position: int) -> None:
        last = {"a": -1, "b": -1}
        try:
            while not over.is_set():
                for name in last:
                    for secret_id in (name, ARN.format(name)):
                        found = cache.read(Get(secret_id), 0.0)
                        if found is None:
                            continue
                        number = int(found.reveal())
                        if found.name != name or number < last[name]:
                            problems.append(f"{secret_id}: {found.name} {number} after {last[name]}")
                        last[name] = number
                        seen[position] += 1
        except BaseException as error:
            problems.append(repr(error))

    readers = [threading.Thread(target=read, args=(position,)) for position in range(len(seen))]
    for reader in readers:
        reader.start()
    try:
        for number in range(1500):
            for name in ("a", "b", "c", "d"):
                pen.store(Get(name), secret(name, str(number)), 0.0)
            if number % 7 == 0:
                pen.drop("b")
    finally:
        over.set()
        for reader in readers:
            reader.join(10.0)

    assert problems == []
    assert sum(seen) > 100
    assert len(cache) == 3
