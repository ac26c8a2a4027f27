"""Whoever subscribed is told once per new version, whatever becomes of processes and of other callbacks."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from secrets_actor import AccessDenied, InvalidParameter, NewVersion, StoreFailure, System
from secrets_actor.errors import ConnectionFailed, ForkedProcess, InvalidSecretName
from secrets_actor.testing import FakeStore, ManualClock, fake_system, kill, settled
from tests.actor.rig import Watch, eventually, failure, running, settings
from tests.forking import PATIENCE, in_child
from tests.runtime.subscribers import NAME, TTL, Heard, pass_time, subscribed


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture(params=[False, True], ids=["by value", "by version"])
def world(watch: Watch, request: pytest.FixtureRequest) -> Iterator[tuple[System, FakeStore]]:
    """A system by a clock that stands still, and its store, with one secret; the store tells versions, or does not."""
    store = FakeStore(clock=ManualClock(), tells_versions=request.param)
    store.put(NAME, "first")
    with fake_system(store, observer=watch) as started:
        yield started


def test_each_set_is_told_once_and_in_order(world: tuple[System, FakeStore]) -> None:
    system, store = world
    heard = Heard()
    subscribed(system, heard)
    with ThreadPoolExecutor(4) as pool:
        receipts = [one.version_id for one in pool.map(lambda n: system.secrets.set(NAME, f"v{n}"), range(40))]
    settled(system)

    assert sorted(heard.versions) == sorted(receipts)
    assert [one.old_version_id for one in heard.changes[1:]] == heard.versions[:-1]
    assert heard.changes[0].name == NAME
    assert heard.versions[-1] == store.version_ids(NAME)[-1]


def test_a_rotation_is_heard_of_within_a_ttl_though_nobody_reads(world: tuple[System, FakeStore]) -> None:
    system, store = world
    heard = Heard()
    subscribed(system, heard)
    [first] = store.version_ids(NAME)
    for value in ("second", "third"):
        store.put(NAME, value)
        assert heard.versions == list(store.version_ids(NAME)[1:-1])
        pass_time(system, store)

    assert heard.changes == [
        NewVersion(NAME, first, store.version_ids(NAME)[1]),
        NewVersion(NAME, *store.version_ids(NAME)[1:]),
    ]
    assert system.secrets.get(NAME).reveal() == "third"
    # With the version alone, the store has told all there was to know at first.
    assert store.calls["get"] == len(heard.changes) + (store.calls["current_versions"] == 0)


@pytest.mark.parametrize(
    "read",
    [
        lambda system: system.secrets.get(NAME, refresh=True),
        lambda system: system.secrets.get_many([NAME], refresh=True),
        lambda system: system.secrets.get(NAME, max_age=0, stage="AWSCURRENT", allow_stale=False, refresh=True),
    ],
    ids=["get", "get_many", "by stage"],
)
def test_whoever_asks_the_store_hears_for_all(
    world: tuple[System, FakeStore], read: Callable[[System], object]
) -> None:
    system, store = world
    heard, other = Heard(), Heard()
    subscribed(system, heard)
    subscribed(system, other)
    store.put(NAME, "second")

    read(system)
    settled(system)
    read(system)
    settled(system)

    assert heard.versions == other.versions == [store.version_ids(NAME)[-1]]


def test_another_version_than_the_current_one_is_no_news(world: tuple[System, FakeStore]) -> None:
    system, store = world
    heard = Heard()
    subscribed(system, heard)
    system.secrets.set(NAME, "second")
    settled(system)

    assert system.secrets.get(NAME, stage="AWSPREVIOUS").reveal() == "first"
    assert system.secrets.get(NAME, version_id=store.version_ids(NAME)[0]).reveal() == "first"
    settled(system)

    assert heard.versions == [store.version_ids(NAME)[-1]]


def test_it_begins_with_what_the_cache_serves(world: tuple[System, FakeStore]) -> None:
    system, store = world
    system.secrets.get(NAME)
    store.put(NAME, "second")
    heard = Heard()
    subscribed(system, heard)
    assert (store.calls["get"], heard.changes) == (1, [])

    pass_time(system, store)

    assert heard.changes == [NewVersion(NAME, *store.version_ids(NAME))]


def test_a_secret_that_is_not_there_yet_is_told_when_it_comes(world: tuple[System, FakeStore]) -> None:
    system, store = world
    ours, theirs, late = Heard(), Heard(), Heard()
    subscribed(system, ours, "ours")
    subscribed(system, theirs, "theirs")
    subscribed(system, late, "theirs")
    receipt = system.secrets.set("ours", "v")
    store.put("theirs", "v")
    pass_time(system, store)

    assert ours.changes == [NewVersion("ours", None, receipt.version_id)]
    assert theirs.changes == late.changes == [NewVersion("theirs", None, store.version_ids("theirs")[0])]


def test_a_secret_that_is_deleted_and_restored_is_the_same(world: tuple[System, FakeStore]) -> None:
    system, store = world
    heard = Heard()
    subscribed(system, heard)
    system.secrets.delete(NAME)
    pass_time(system, store)
    system.secrets.restore(NAME)
    pass_time(system, store)
    assert heard.changes == []

    system.secrets.delete(NAME, force=True)
    pass_time(system, store)
    receipt = system.secrets.set(NAME, "another")
    settled(system)

    assert heard.versions == [receipt.version_id]


def test_an_arn_is_as_good_as_a_name(world: tuple[System, FakeStore]) -> None:
    system, store = world
    arn, heard = system.secrets.get(NAME).arn, Heard()
    subscribed(system, heard, arn)
    receipt = system.secrets.set(NAME, "second")
    settled(system)
    store.put(NAME, "third")
    pass_time(system, store)

    assert [one.name for one in heard.changes] == [arn, arn]
    assert heard.versions == [receipt.version_id, store.version_ids(NAME)[-1]]


def test_a_write_whose_outcome_is_not_known_is_asked_for(world: tuple[System, FakeStore]) -> None:
    system, store = world
    heard = Heard()
    subscribed(system, heard)
    store.fail_next(StoreFailure("the answer is lost", status=500), operation="set", when="after")
    assert isinstance(failure(lambda: system.secrets.set(NAME, "second")), StoreFailure)
    settled(system)
    assert heard.versions == [store.version_ids(NAME)[-1]]

    for _ in range(2):
        system.secrets.set(NAME, "third", token="t" * 32)
        settled(system)

    assert heard.versions == [*store.version_ids(NAME)[1:]]
    assert heard.versions[-1] == "t" * 32


def test_a_read_that_was_overtaken_is_not_told_as_a_way_back(world: tuple[System, FakeStore]) -> None:
    system, store = world
    heard = Heard()
    subscribed(system, heard)
    assert isinstance(store.clock, ManualClock)
    with ThreadPoolExecutor(1) as pool, store.hold("get", times=1, when="after") as gate:
        old = pool.submit(system.secrets.get, NAME, stage="AWSCURRENT", refresh=True)
        gate.wait_until_held()
        store.put(NAME, "second")
        store.clock.advance(1.0)
        arn = system.secrets.describe(NAME).arn
        assert system.secrets.get(arn, refresh=True).reveal() == "second"
        gate.release()
        assert old.result(PATIENCE).reveal() == "first"
    settled(system)

    assert heard.versions == [store.version_ids(NAME)[-1]]


def test_many_subscribers_to_one_secret_cost_one_question_each_ttl(world: tuple[System, FakeStore]) -> None:
    system, store = world
    everybody = [Heard() for _ in range(10)]
    for heard in everybody:
        subscribed(system, heard)
    pass_time(system, store, TTL / 2)
    assert store.calls.total() == 1
    store.put(NAME, "second")

    for _ in range(2):
        pass_time(system, store, TTL)

    by_version = store.calls["current_versions"] > 0
    assert store.calls.total() == 3 + by_version  # the second version, and then its value
    assert {tuple(heard.versions) for heard in everybody} == {(store.version_ids(NAME)[-1],)}


def test_without_a_cache_it_is_asked_for_as_with_the_default() -> None:
    store = FakeStore(clock=ManualClock())
    store.put(NAME, "first")
    heard = Heard()
    with fake_system(store, ttl_seconds=0) as (system, _):
        subscribed(system, heard)
        pass_time(system, store, 100.0)
        assert store.calls["get"] == 1
        store.put(NAME, "second")
        pass_time(system, store, 200.0)

    assert heard.versions == [store.version_ids(NAME)[-1]]


def test_in_an_outage_it_asks_again_soon_and_then_less_often(world: tuple[System, FakeStore]) -> None:
    system, store = world
    heard = Heard()
    with store.failing(ConnectionFailed("no way", endpoint="fake")):
        subscribed(system, heard)
        for seconds in range(1, 60):
            pass_time(system, store, 1.0)
            assert 2 <= store.calls.total() <= 2 + seconds
        asked = store.calls.total()
        assert 5 <= asked <= 15
    pass_time(system, store, TTL)
    store.put(NAME, "second")
    pass_time(system, store, TTL)

    assert heard.changes == [NewVersion(NAME, *store.version_ids(NAME))]


def test_a_no_of_the_store_is_asked_for_again_a_ttl_later(world: tuple[System, FakeStore]) -> None:
    system, store = world
    store.fail_next(AccessDenied("no"))
    subscribed(system, Heard())
    pass_time(system, store, TTL / 2)
    assert store.calls["get"] == 1

    pass_time(system, store, TTL / 2)

    assert store.calls["get"] == 2


@pytest.mark.parametrize("error", [ValueError("hunter2"), SystemExit(1), KeyboardInterrupt()], ids=repr)
def test_a_callback_that_raises_is_reported_and_told_of_the_next(
    world: tuple[System, FakeStore], watch: Watch, error: BaseException
) -> None:
    system, _ = world
    bad, good = Heard(error), Heard()
    subscribed(system, bad)
    subscribed(system, good)
    receipts = [system.secrets.set(NAME, f"v{number}").version_id for number in range(3)]
    settled(system)

    assert bad.versions == good.versions == receipts
    eventually(lambda: watch.count("SubscriberFailed") == 3)
    told = [one for one in watch.events if type(one).__name__ == "SubscriberFailed"]
    assert [getattr(one, "error_type", None) for one in told] == [type(error).__name__] * 3
    assert "hunter2" not in repr(watch.events)
    assert [node.restarts for node in system.tree().root.walk() if node.id.startswith("subscriber")] == [0, 0, 0]


def test_a_callback_that_hangs_delays_nobody_but_itself(world: tuple[System, FakeStore]) -> None:
    system, _ = world
    slow, good = Heard(), Heard()
    subscribed(system, slow)
    subscribed(system, good)
    slow.go.clear()
    receipts = [system.secrets.set(NAME, f"v{number}").version_id for number in range(3)]
    eventually(lambda: good.versions == receipts)
    assert slow.began.acquire(timeout=PATIENCE)
    assert slow.versions == []

    slow.go.set()
    settled(system)

    assert slow.versions == receipts


def test_a_system_with_a_callback_that_hangs_can_be_stopped(watch: Watch) -> None:
    slow = Heard()
    slow.go.clear()
    with fake_system(observer=watch) as (system, _):
        subscribed(system, slow)
        system.secrets.set(NAME, "v")
        assert slow.began.acquire(timeout=PATIENCE)
        system.stop(5.0)
        assert not system.running
        slow.go.set()
    eventually(lambda: not system.tree().disowned)


@pytest.mark.parametrize("who", ["secrets", "subscribers", "subscriber", "background", "workers", "timers", "core"])
def test_whoever_dies_each_version_is_told_once(world: tuple[System, FakeStore], who: str) -> None:
    system, store = world
    heard, other = Heard(), Heard()
    subscribed(system, heard)
    subscribed(system, other)
    receipts = []
    for number in range(2):
        kill(system, who)
        settled(system)
        receipts.append(system.secrets.set(NAME, f"v{number}").version_id)
        settled(system)
    store.put(NAME, "last")
    kill(system, who)
    pass_time(system, store)

    assert heard.versions == other.versions == [*receipts, store.version_ids(NAME)[-1]]
    names = [node.id for node in system.tree().root.walk()]
    assert names.count("subscriber") == 2


def test_a_subscriber_killed_in_its_callback_goes_on_with_the_next_change(world: tuple[System, FakeStore]) -> None:
    system, _ = world
    heard = Heard()
    subscribed(system, heard)
    heard.go.clear()
    first = system.secrets.set(NAME, "v1").version_id
    assert heard.began.acquire(timeout=PATIENCE)
    kill(system, "subscriber")
    second = system.secrets.set(NAME, "v2").version_id
    assert heard.began.acquire(timeout=PATIENCE)
    heard.go.set()
    settled(system)
    eventually(lambda: len(heard.changes) == 2)

    assert set(heard.versions) == {first, second}


def test_after_a_cancel_no_call_begins_and_the_process_ends(world: tuple[System, FakeStore]) -> None:
    system, store = world
    heard = Heard()
    with subscribed(system, heard) as subscription:
        assert (subscription.active, subscription.name) == (True, NAME)
        assert repr(subscription) == "<Subscription to db/password [active]>"
        system.secrets.set(NAME, "second")
        settled(system)
    subscription.cancel()
    system.secrets.set(NAME, "third")
    settled(system)

    assert len(heard.changes) == 1
    assert repr(subscription) == "<Subscription to db/password [cancelled]>"
    assert "subscriber" not in [node.id for node in system.tree().root.walk()]
    calls = store.calls["get"]
    pass_time(system, store)
    assert store.calls["get"] == calls
    kill(system, "subscribers")
    settled(system)
    assert "subscriber" not in [node.id for node in system.tree().root.walk()]


def test_a_callback_may_cancel_its_own_subscription(world: tuple[System, FakeStore]) -> None:
    system, _ = world
    changes: list[NewVersion] = []

    def once(change: NewVersion) -> None:
        changes.append(change)
        subscription.cancel()

    subscription = subscribed(system, once)
    for number in range(3):
        system.secrets.set(NAME, f"v{number}")
    settled(system)

    assert len(changes) == 1


def test_another_store_is_heard_of_at_once(world: tuple[System, FakeStore]) -> None:
    system, store = world
    heard, other = Heard(), FakeStore(clock=store.clock)
    subscribed(system, heard)
    other.put(NAME, "of the other store")

    system.configure(system.settings, backend=other.factory())
    settled(system)

    assert heard.changes == [NewVersion(NAME, store.version_ids(NAME)[0], other.version_ids(NAME)[0])]


def test_a_set_of_the_store_before_is_not_taken_for_one_of_the_present(world: tuple[System, FakeStore]) -> None:
    system, store = world
    heard, other = Heard(), FakeStore(clock=store.clock)
    subscribed(system, heard)
    other.put(NAME, "of the other store")
    with ThreadPoolExecutor(1) as pool, store.hold("set", when="after") as gate:
        late = pool.submit(system.secrets.set, NAME, "late")
        gate.wait_until_held()
        system.configure(system.settings, backend=other.factory())
        gate.release()
        late.result(PATIENCE)
    settled(system)

    assert heard.versions == list(other.version_ids(NAME))


def test_who_subscribes_before_the_start_is_told_after_it(tmp_path: Path) -> None:
    heard, store = Heard(), FakeStore()
    system = System(settings(tmp_path), backend=store.factory())
    system.subscribe(NAME, heard)
    for number in range(2):
        with running(system):
            settled(system)
            system.secrets.set(NAME, f"v{number}")
            settled(system)

    assert heard.versions == list(store.version_ids(NAME))


def test_another_store_before_the_start_is_the_one_that_is_asked(tmp_path: Path) -> None:
    heard, stores = Heard(), [FakeStore(), FakeStore()]
    for store in stores:
        store.put(NAME, "v")
    system = System(settings(tmp_path), backend=stores[0].factory())
    system.subscribe(NAME, heard)
    with running(system):
        settled(system)
    system.configure(system.settings, backend=stores[1].factory())
    with running(system):
        settled(system)

    assert heard.changes == [NewVersion(NAME, stores[0].version_ids(NAME)[0], stores[1].version_ids(NAME)[0])]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_in_a_forked_child_subscriptions_go_on(tmp_path: Path) -> None:
    system, heard = System(settings(tmp_path)), Heard()

    def use() -> str:
        receipt = system.secrets.set(NAME, "of the child")
        eventually(lambda: heard.versions[-1:] == [receipt.version_id])
        system.stop()
        return str(len(heard.changes))

    with running(system):
        first = system.secrets.set(NAME, "v")
        subscribed(system, heard)
        second = system.secrets.set(NAME, "w")
        settled(system)
        assert in_child(use) == "2"
        third = system.secrets.get(NAME, refresh=True)
        settled(system)

    assert [one.old_version_id for one in heard.changes] == [first.version_id, second.version_id]
    assert heard.versions == [second.version_id, third.version_id]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_in_a_child_that_shall_not_nobody_subscribes(tmp_path: Path) -> None:
    system = System(settings(tmp_path, after_fork="refuse"))
    with running(system):
        said = in_child(lambda: type(failure(lambda: system.subscribe(NAME, print))).__name__)

    assert said == ForkedProcess.__name__


@pytest.mark.parametrize(("name", "callback", "error"), [
    ("no such name!?", print, InvalidSecretName),
    (NAME, "print", InvalidParameter),
])  # fmt: skip
def test_bad_input_is_refused_at_once(
    world: tuple[System, FakeStore], name: str, callback: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        world[0].subscribe(name, callback)


def test_under_load_and_kills_nobody_is_told_twice_and_all_see_the_last(watch: Watch) -> None:
    """With a real clock: writers, a killer, three subscribers."""
    with fake_system(observer=watch) as (system, store):
        store.put(NAME, "first")
        everybody = [Heard() for _ in range(3)]
        for heard in everybody:
            subscribed(system, heard)
        over = threading.Event()

        def harm() -> None:
            for who in ("secrets", "subscriber", "subscribers", "secrets", "subscriber"):
                kill(system, who)
                settled_soon(system)
            over.set()

        with ThreadPoolExecutor(3) as pool:
            done = pool.submit(harm)
            while not over.is_set() and not done.done():
                failure_or_none(lambda: system.secrets.set(NAME, "next"))
            done.result(PATIENCE)
        last = system.secrets.set(NAME, "last").version_id
        for heard in everybody:
            eventually(lambda heard=heard: heard.versions[-1:] == [last])  # type: ignore[misc]
        settled(system)

    for heard in everybody:
        assert len(set(heard.versions)) == len(heard.versions)
        assert [one.old_version_id for one in heard.changes[1:]] == heard.versions[:-1]


def settled_soon(system: System) -> None:
    """Give what was killed the time to come back, under load."""
    eventually(lambda: all(node.state == "running" for node in system.tree().root.walk()))


def failure_or_none(call: Callable[[], object]) -> object:
    """What *call* returns, or raises."""
    try:
        return call()
    except Exception as error:
        return error
