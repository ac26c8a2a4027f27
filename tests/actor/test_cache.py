"""The cache answers for what it was given, for as long as it may; one writes, many read."""

import pickle
import sys
import threading
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.actor.cache import Cache, CacheWriter
from secrets_actor.actor.cache_keys import CacheRules
from secrets_actor.domain.errors import SecretNotFound
from secrets_actor.domain.operations import Get
from secrets_actor.domain.secret import Secret, SecretValue, Source, block_of

ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:{}-aBcDeF"
VERSION = "11111111-1111-4111-8111-111111111111"


def secret(name: str, value: str = "v", arn: str | None = None) -> Secret:
    arn = ARN.format(name) if arn is None else arn
    return Secret(name, arn, SecretValue(value), VERSION, ("AWSCURRENT",), datetime(2026, 1, 1, tzinfo=UTC))


def filled(ttl: float = 10.0, max_entries: int = 8) -> tuple[Cache, CacheWriter]:
    cache = Cache(CacheRules(ttl=ttl, max_entries=max_entries))
    return cache, cache.writer()


def revealed(cache: Cache, secret_id: str, now: float = 0.0) -> str | bytes | None:
    found = cache.read(Get(secret_id), now)
    return None if found is None else found.reveal()


def test_an_entry_answers_with_its_age_and_says_that_it_is_from_the_cache() -> None:
    cache, writer = filled()
    writer.store(Get("a"), secret("a"), 100.0)

    found = cache.read(Get("a"), 104.5)

    assert found is not None
    assert (found.reveal(), found.age, found.source, found.stale) == ("v", 4.5, Source.CACHE, False)


def test_an_entry_ends_with_its_ttl_to_the_moment() -> None:
    cache, writer = filled(ttl=10.0)
    writer.store(Get("a"), secret("a"), 100.0)

    assert cache.read(Get("a"), 109.999) is not None
    assert cache.read(Get("a"), 110.0) is None


def test_a_refresh_never_reads_the_cache() -> None:
    cache, writer = filled()
    writer.store(Get("a"), secret("a"), 0.0)

    assert cache.read(Get("a", refresh=True), 0.0) is None


def test_a_ttl_of_zero_is_no_cache() -> None:
    cache, writer = filled(ttl=0.0)
    writer.store(Get("a"), secret("a"), 0.0)

    assert len(cache) == 0


def test_an_entry_answers_for_its_arn_too_and_for_no_other_version() -> None:
    cache, writer = filled()
    writer.store(Get("a"), secret("a"), 0.0)

    assert cache.read(Get(ARN.format("a")), 0.0) is not None
    assert cache.read(Get("a", stage="AWSPREVIOUS"), 0.0) is None
    assert cache.read(Get("a", version_id=VERSION), 0.0) is None
    assert cache.read(Get("b"), 0.0) is None


def test_storing_again_replaces_whatever_answered_before_under_any_of_its_keys() -> None:
    cache, writer = filled()
    writer.store(Get("a"), secret("a", "old"), 0.0)
    writer.store(Get(ARN.format("a")), secret("a", "new"), 1.0)

    assert [revealed(cache, secret_id, 1.0) for secret_id in ("a", ARN.format("a"))] == ["new", "new"]
    assert len(cache) == 1


def test_a_drop_takes_all_versions_of_a_secret_however_they_were_asked_for() -> None:
    cache, writer = filled()
    writer.store(Get("a"), secret("a"), 0.0)
    writer.store(Get("a", stage="AWSPREVIOUS"), secret("a"), 0.0)
    writer.store(Get("b"), secret("b"), 0.0)

    writer.drop("a")
    writer.drop("never-heard-of")

    assert cache.read(Get("a"), 0.0) is None
    assert cache.read(Get(ARN.format("a")), 0.0) is None
    assert cache.read(Get("a", stage="AWSPREVIOUS"), 0.0) is None
    assert cache.read(Get("b"), 0.0) is not None
    assert len(cache) == 1


def test_the_least_recently_used_goes_first_and_reading_counts_as_use() -> None:
    cache, writer = filled(max_entries=2)
    writer.store(Get("a"), secret("a"), 1.0)
    writer.store(Get("b"), secret("b"), 2.0)
    cache.read(Get("a"), 3.0)

    writer.store(Get("c"), secret("c"), 4.0)

    assert [cache.read(Get(name), 5.0) is not None for name in "abc"] == [True, False, True]


def test_a_later_pen_voids_the_earlier_one() -> None:
    cache, old = filled()
    old.store(Get("a"), secret("a"), 0.0)
    new = cache.writer()

    old.store(Get("b"), secret("b"), 0.0)
    old.drop("a")

    assert cache.read(Get("b"), 0.0) is None
    assert cache.read(Get("a"), 0.0) is not None
    new.drop("a")
    assert cache.read(Get("a"), 0.0) is None


def test_its_repr_counts_and_shows_no_secret() -> None:
    cache, writer = filled()
    writer.store(Get("a"), secret("a", "hunter2"), 0.0)

    assert repr(cache) == "<Cache [1 secrets, ttl 10 s]>"


def kept_by(rules: CacheRules, chance: float = 0.0) -> tuple[Cache, CacheWriter]:
    cache = Cache(rules, lambda: chance)
    return cache, cache.writer()


def hit(cache: Cache, name: Any, now: float) -> Secret | None:
    """What the quick way gives; it is noted if, and only if, there is something."""
    noted: list[tuple[str, bytes, float, str | None]] = []
    found = cache.hit(name, now, lambda *told: noted.append(told), "caller")
    assert noted == ([] if found is None else [(name, block_of(found), now, "caller")])
    return found


def test_a_hit_is_served_only_while_there_is_a_tree_behind_it() -> None:
    cache, writer = filled()
    writer.store(Get("a"), secret("a"), 100.0)
    assert hit(cache, "a", 101.0) is None

    cache.show()
    found = hit(cache, "a", 101.0)
    assert found is not None
    assert (found.reveal(), found.age, found.source) == ("v", 1.0, Source.CACHE)
    assert hit(cache, "a", 110.0) is None
    assert hit(cache, "b", 101.0) is None

    cache.hide()
    assert hit(cache, "a", 101.0) is None


@pytest.mark.parametrize("odd", [["a"], ("a", None, "AWSPREVIOUS"), {"a"}, None, 7, b"a"])
def test_what_is_no_name_is_no_hit(odd: object) -> None:
    cache, writer = filled()
    writer.store(Get("a"), secret("a"), 0.0)
    writer.store(Get("a", stage="AWSPREVIOUS"), secret("a"), 0.0)
    cache.show()

    assert hit(cache, odd, 0.0) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(("chance", "ends"), [(0.0, 10.0), (0.5, 9.0), (1.0, 8.0)])
def test_the_ttl_is_shorter_by_a_share_of_the_jitter(chance: float, ends: float) -> None:
    cache, writer = kept_by(CacheRules(ttl=10.0, jitter=0.2), chance)
    writer.store(Get("a"), secret("a"), 100.0)

    assert cache.read(Get("a"), 100.0 + ends - 0.001) is not None
    assert cache.read(Get("a"), 100.0 + ends) is None


def test_the_bound_in_bytes_holds_and_is_told() -> None:
    cache, writer = kept_by(CacheRules(ttl=10.0, max_bytes=10_000))
    for number in range(30):
        writer.store(Get(f"k{number}"), secret(f"k{number}", "x" * (200 + 37 * number)), 0.0)
        assert cache.size <= 10_000

    assert 3 <= len(cache) < 30
    assert cache.read(Get("k29"), 0.0) is not None
    assert cache.read(Get("k0"), 0.0) is None
    writer.store(Get("k29"), secret("k29", "x" * 9_000), 0.0)
    assert len(cache) == 1
    writer.store(Get("k30"), secret("k30", "x" * 60_000), 0.0)
    assert len(cache) == 1, "one alone is kept, whatever its size"
    writer.clear()
    assert (len(cache), cache.size) == (0, 0)


def test_what_comes_into_a_full_table_of_used_ones_stays() -> None:
    cache, writer = filled(max_entries=2)
    for name in "ab":
        writer.store(Get(name), secret(name), 0.0)
        cache.read(Get(name), 0.0)

    writer.store(Get("c"), secret("c"), 0.0)

    assert [revealed(cache, name) for name in "abc"] == [None, "v", "v"]


def test_what_was_dropped_is_no_entry_to_evict() -> None:
    cache, writer = filled(max_entries=2)
    for name in "ab":
        writer.store(Get(name), secret(name), 0.0)
    writer.drop("a")
    for name in "cd":
        writer.store(Get(name), secret(name), 0.0)

    assert [revealed(cache, name) for name in "abcd"] == [None, None, "v", "v"]


def test_names_that_come_and_go_leave_nothing_behind() -> None:
    """Dropped, ended by themselves, or not there at all: what the table keeps beside the entries is bounded, too."""
    cache, writer = kept_by(CacheRules(ttl=1.0, max_entries=8, missing_ttl=1.0))
    for number in range(2000):
        now, name = float(number), f"k{number}"
        writer.store(Get(name), secret(name), now)
        writer.store(Get(ARN.format(f"b{number}")), secret(f"b{number}"), now)
        writer.store_missing(Get(f"c{number}", stage="AWSPREVIOUS"), now)
        if number % 3:
            writer.drop(name)
        if number % 10 == 9:
            writer.sweep(now)

    assert all(len(one) < 200 for one in collections_of(cache)), [len(one) for one in collections_of(cache)]
    writer.sweep(9999.0)
    assert sum(len(one) for one in collections_of(cache)) <= 8, "when which version was heard of last"
    assert cache.size == 0


def collections_of(cache: Cache) -> list[Any]:
    """All that a cache keeps its things in, whatever it calls it."""
    return [one for one in vars(cache).values() if isinstance(one, Collection)]


def blocks(cache: Cache) -> list[bytearray]:
    """The entries themselves."""
    tables = [one.values() for one in collections_of(cache) if isinstance(one, dict)]
    found = {id(block): block for table in tables for block in table if isinstance(block, bytearray)}
    return list(found.values())


@pytest.mark.parametrize("how", ["drop", "replace", "evict", "sweep", "clear", "forget", "by its ARN"])
def test_what_leaves_the_table_is_wiped(how: str) -> None:
    cache, writer = kept_by(CacheRules(ttl=10.0, max_entries=1))
    writer.store(Get("a"), secret("a", "hunter2"), 0.0)
    (held,) = blocks(cache)
    assert b"hunter2" in held

    match how:
        case "drop":
            writer.drop("a")
        case "replace":
            writer.store(Get("a"), secret("a", "other"), 1.0)
        case "evict":
            writer.store(Get("b"), secret("b", "other"), 1.0)
        case "sweep":
            writer.sweep(10.1)
        case "clear":
            writer.clear()
        case "forget":
            cache.forget()
        case _:
            writer.store(Get(ARN.format("a")), secret("a", "other"), 1.0)

    assert bytes(held) == bytes(len(held))


def test_what_a_reader_has_is_his_own_and_outlives_the_entry() -> None:
    cache, writer = filled()
    writer.store(Get("a"), secret("a", "hunter2"), 0.0)
    found = cache.read(Get("a"), 0.0)

    writer.drop("a")

    assert found is not None
    assert found.reveal() == "hunter2"


def test_a_reader_who_comes_upon_a_wiped_entry_takes_it_for_none() -> None:
    """As it is for one who has looked it up a moment before it was wiped."""
    cache, writer = kept_by(CacheRules(ttl=10.0, max_stale=100.0))
    writer.store(Get("a"), secret("a"), 5.0)
    cache.show()
    (held,) = blocks(cache)
    held[:] = bytes(len(held))

    assert hit(cache, "a", 5.0) is None
    for get in (Get("a"), Get(ARN.format("a"))):
        assert cache.read(get, 5.0) is None
        assert cache.stale(get, 5.0) is None
        assert not cache.asks_refresh(get, 5.0)


# --- names and ARNs ---------------------------------------------------------------------------------------------------

FOREIGN = "arn:aws:secretsmanager:us-east-1:999999999999:secret:a-ZzZzZz"
PARTIAL = ARN.format("a")[:-7]


def other_accounts(value: str) -> Secret:
    return Secret("a", FOREIGN, SecretValue(value), VERSION, ("AWSCURRENT",), datetime(2026, 1, 1, tzinfo=UTC))


def test_an_arn_without_its_suffix_finds_the_entry_of_the_name() -> None:
    cache, writer = filled()
    writer.store(Get("a"), secret("a"), 0.0)

    assert revealed(cache, PARTIAL) == "v"
    assert revealed(cache, PARTIAL.replace("us-east-1", "eu-west-1")) is None
    assert revealed(cache, PARTIAL + "-XxXxXx") is None


def test_the_same_name_in_another_account_is_another_secret() -> None:
    cache, writer = filled()
    writer.store(Get("a"), secret("a", "mine"), 0.0)
    assert revealed(cache, FOREIGN) is None

    writer.store(Get(FOREIGN), other_accounts("theirs"), 0.0)

    assert revealed(cache, "a") == "mine"
    assert revealed(cache, ARN.format("a")) == "mine"
    assert revealed(cache, FOREIGN) == "theirs"
    assert len(cache) == 2
    writer.drop("a")  # they share a lane: a write to either drops both
    assert len(cache) == 0


def test_a_name_does_not_answer_for_what_was_fetched_by_an_arn_alone() -> None:
    """Nobody knows yet whether the name means the same account."""
    cache, writer = filled()
    writer.store(Get(FOREIGN), other_accounts("theirs"), 0.0)

    assert revealed(cache, "a") is None
    assert revealed(cache, FOREIGN) == "theirs"
    assert revealed(cache, FOREIGN[:-7]) is None


@pytest.mark.parametrize("first", [ARN.format("a"), PARTIAL])
@pytest.mark.parametrize("then", ["a", ARN.format("a"), PARTIAL])
def test_whoever_is_newer_takes_the_place_of_all_that_meant_the_same(first: str, then: str) -> None:
    cache, writer = filled()
    writer.store(Get(first), secret("a", "old"), 0.0)
    writer.store(Get(then), secret("a", "new"), 1.0)

    assert {revealed(cache, one, 1.0) for one in ("a", ARN.format("a"), PARTIAL)} <= {"new", None}
    assert revealed(cache, then, 1.0) == "new"
    assert len(cache) == 1


def test_a_partial_arn_that_reads_like_another_name_is_not_kept() -> None:
    """The secret `a-abcdef` by its ARN without suffix: that reads like the whole ARN of `a`."""
    cache, writer = filled()
    ambiguous = "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-abcdef"

    writer.store(Get(ambiguous), secret("a-abcdef"), 0.0)

    assert len(cache) == 0


# --- what is known not to exist ---------------------------------------------------------------------------------------


def test_that_there_is_none_is_remembered_for_its_time_and_not_on_a_refresh() -> None:
    cache, writer = kept_by(CacheRules(ttl=10.0, missing_ttl=2.0))
    writer.store_missing(Get("a"), 100.0)

    error = cache.missing(Get("a"), 101.999)
    assert isinstance(error, SecretNotFound)
    assert "a" in str(error)
    assert cache.missing(Get("a"), 102.0) is None
    assert cache.missing(Get("a", refresh=True), 101.0) is None
    assert cache.missing(Get("a", stage="AWSPENDING"), 101.0) is None
    assert cache.missing(Get("b"), 101.0) is None


def test_that_there_is_none_ends_with_a_drop_and_with_a_value() -> None:
    cache, writer = kept_by(CacheRules(ttl=10.0, missing_ttl=2.0))
    for name in "ab":
        writer.store_missing(Get(name), 0.0)
    writer.drop("a")
    writer.store(Get("b"), secret("b"), 0.0)

    assert cache.missing(Get("a"), 0.0) is None
    assert cache.missing(Get("b"), 0.0) is None


def test_a_time_of_zero_remembers_none_and_their_number_is_bounded() -> None:
    cache, writer = kept_by(CacheRules(ttl=10.0))
    writer.store_missing(Get("a"), 0.0)
    assert cache.missing(Get("a"), 0.0) is None

    cache, writer = kept_by(CacheRules(ttl=10.0, missing_ttl=9.0, max_entries=3))
    for name in "abcd":
        writer.store_missing(Get(name), 0.0)
    assert [cache.missing(Get(name), 0.0) is not None for name in "abcd"] == [False, True, True, True]


# --- refresh ahead, age, stale ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret_id", ["a", ARN.format("a")])
def test_in_the_last_share_of_its_time_one_reader_is_told_to_refresh(secret_id: str) -> None:
    cache, writer = kept_by(CacheRules(ttl=10.0, ahead=0.2))
    writer.store(Get("a"), secret("a"), 100.0)
    cache.show()

    assert hit(cache, "a", 107.9) is not None
    assert not cache.asks_refresh(Get(secret_id), 107.9)
    assert hit(cache, "a", 108.0) is None, "the quick way leaves it to who looks closer"
    assert cache.read(Get(secret_id), 108.0) is not None
    assert [cache.asks_refresh(Get(secret_id), 108.0 + number) for number in range(2)] == [True, False]
    assert not cache.asks_refresh(Get("b"), 108.0)

    writer.store(Get("a"), secret("a"), 108.5)
    assert hit(cache, "a", 116.0) is not None
    assert cache.asks_refresh(Get(secret_id), 117.0)
    writer.store(Get("a"), secret("a"), 117.0)
    assert not cache.asks_refresh(Get(secret_id), 127.0), "it has ended: who asks fetches it"


@pytest.mark.usefixtures("quick_switches")
def test_of_many_readers_at_once_exactly_one_is_told_to_refresh() -> None:
    cache, writer = kept_by(CacheRules(ttl=10.0, ahead=0.5))
    for _ in range(50):
        writer.store(Get("a"), secret("a"), 100.0)
        start, told = threading.Barrier(6), []

        def ask(start: threading.Barrier = start, told: list[bool] = told) -> None:
            start.wait(10.0)
            told.append(cache.asks_refresh(Get("a"), 106.0))

        readers = [threading.Thread(target=ask) for _ in range(6)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(10.0)
        assert sorted(told) == [False] * 5 + [True]


def test_a_reader_may_ask_for_a_younger_value_than_the_ttl_demands() -> None:
    cache, writer = filled()
    writer.store(Get("a"), secret("a"), 100.0)

    assert cache.read(Get("a", max_age=3.0), 103.0) is not None
    assert cache.read(Get("a", max_age=3.0), 103.1) is None
    assert cache.read(Get("a", max_age=0.0), 100.0) is not None


def test_past_its_ttl_a_value_may_be_served_stale_for_so_long_and_says_so() -> None:
    cache, writer = kept_by(CacheRules(ttl=10.0, max_stale=60.0))
    writer.store(Get("a"), secret("a"), 100.0)

    found = cache.stale(Get("a"), 130.0)
    assert found is not None
    assert (found.reveal(), found.stale, found.age) == ("v", True, 30.0)
    assert cache.stale(Get("a"), 160.0) is not None
    assert cache.stale(Get("a"), 160.1) is None
    young = cache.stale(Get("a", max_age=5.0), 105.0)
    assert young is not None
    assert not young.stale
    assert cache.stale(Get("a", max_age=5.0), 105.1) is None
    assert cache.stale(Get("a", allow_stale=False), 130.0) is None
    assert cache.stale(Get("a", refresh=True), 130.0) is None
    assert cache.stale(Get("a", refresh=True, allow_stale=True), 130.0) is not None
    assert cache.stale(Get("b"), 130.0) is None


def test_with_no_time_for_it_nothing_is_served_stale() -> None:
    cache, writer = filled()
    writer.store(Get("a"), secret("a"), 100.0)

    assert cache.stale(Get("a"), 110.0) is None


def test_a_sweep_drops_what_may_not_be_served_any_more_and_nothing_else() -> None:
    cache, writer = kept_by(CacheRules(ttl=10.0, max_stale=60.0))
    for number, name in enumerate("abc"):
        writer.store(Get(name), secret(name), 100.0 * number)

    writer.sweep(160.0)
    assert [cache.stale(Get(name), 160.0) is not None for name in "abc"] == [False, True, True]
    assert len(cache) == 2
    writer.sweep(160.1)
    assert len(cache) == 1


STEPS = st.one_of(
    st.tuples(st.just("store"), st.sampled_from("abcd"), st.sampled_from([None, "AWSPREVIOUS"])),
    st.tuples(st.just("drop"), st.sampled_from("abcd"), st.none()),
    st.tuples(st.just("read"), st.sampled_from("abcd"), st.sampled_from([None, "AWSPREVIOUS"])),
)


@given(st.lists(STEPS, max_size=60), st.integers(1, 4))
def test_it_holds_what_a_plain_model_holds(steps: list[tuple[str, str, str | None]], max_entries: int) -> None:
    """The model is CLOCK in its plainest form: one list; a dropped key keeps its place in it."""
    cache, writer = filled(ttl=25.0, max_entries=max_entries)
    stored: dict[tuple[str, str | None], float] = {}
    ring: list[tuple[str, str | None]] = []
    used: set[tuple[str, str | None]] = set()
    for now, (what, name, stage) in enumerate(steps):
        key = (name, stage)
        if what == "store":
            writer.store(Get(name, stage=stage), secret(name), float(now))
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
            writer.drop(name)
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
    cache, writer = filled(ttl=1e9, max_entries=3)
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
        for number in range(300):
            for name in ("a", "b", "c", "d"):
                writer.store(Get(name), secret(name, str(number)), 0.0)
            if number % 7 == 0:
                writer.drop("b")
    finally:
        over.set()
        for reader in readers:
            reader.join(10.0)

    assert problems == []
    assert sum(seen) > 100
    assert len(cache) == 3


def test_a_table_goes_nowhere() -> None:
    cache, writer = filled()
    writer.store(Get("a"), secret("hunter2"), 0.0)

    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(cache)
    assert "hunter2" not in repr(cache)


def test_a_listing_has_each_secret_once_without_its_value_and_those_first_that_were_used() -> None:
    cache, writer = filled(ttl=10.0)
    for number, name in enumerate(("a", "b", "c")):
        writer.store(Get(name), secret(name, "hunter2"), 100.0 + number)
    writer.store(Get("a", stage="AWSPREVIOUS"), secret("a", "hunter1"), 105.0)
    cache.read(Get("a"), 105.0)

    found = cache.listing(10)

    assert [(one.name, one.version_id, one.stages, one.fetched, one.ends) for one in found] == [
        ("a", VERSION, ("AWSCURRENT",), 100.0, 110.0),
        ("c", VERSION, ("AWSCURRENT",), 102.0, 112.0),
        ("b", VERSION, ("AWSCURRENT",), 101.0, 111.0),
    ]
    assert "hunter" not in repr(found)
    assert [one.name for one in cache.listing(1)] == ["a"]


def test_a_listing_can_be_made_while_the_actor_writes() -> None:
    cache, writer = filled(max_entries=100)
    ended = threading.Event()

    def write() -> None:
        for turn in range(300):
            for number in range(20):
                writer.store(Get(f"s{number}"), secret(f"s{number}", "v" * (turn % 7 + 1)), 1.0 + turn)
            writer.drop(*[f"s{number}" for number in range(0, 20, 3)])
        ended.set()

    thread = threading.Thread(target=write)
    thread.start()
    while not ended.is_set():
        for one in cache.listing(50):
            assert (one.version_id, one.stages) == (VERSION, ("AWSCURRENT",))
            assert one.fetched >= 1.0
    thread.join()
