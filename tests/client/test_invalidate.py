"""A secret that another program has changed: nothing older is served unmarked once somebody has said so."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from secrets_actor import NewVersion, SecretNotFound
from secrets_actor.errors import ConnectionFailed, InvalidSecretName
from secrets_actor.messages import Get, Invalidate
from secrets_actor.testing import FakeStore, ManualClock, fake_system, settled
from tests.actor.rig import eventually, failure, in_background

NAME = "db/password"
SECONDS = 10.0


@pytest.fixture
def store() -> FakeStore:
    """A store by a clock that stands still, with one secret."""
    store = FakeStore(clock=ManualClock(start=1000.0))
    store.put(NAME, "old")
    return store


@pytest.fixture
def system(store: FakeStore, face: Callable[[Any], Any]) -> Iterator[Any]:
    with fake_system(store, missing_ttl_seconds=60.0) as (started, _):
        yield face(started)


def test_what_is_outdated_is_asked_for_anew_when_it_is_wanted(system: Any, store: FakeStore) -> None:
    arn, version_id = system.secrets.get(NAME).arn, store.version_ids(NAME)[0]
    system.secrets.get(arn)
    system.secrets.get(NAME, version_id=version_id)
    store.put(NAME, "new")
    before = store.calls["get"]

    system.secrets.invalidate(NAME)
    settled(system)

    assert store.calls["get"] == before, "nobody wants it yet"
    assert system.secrets.get(arn).reveal() == "new"
    assert system.secrets.get(NAME).reveal() == "new"
    assert system.secrets.get(NAME).source == "cache"
    assert system.secrets.get(NAME, version_id=version_id).source == "backend"


def test_an_arn_outdates_what_lies_under_the_name(system: Any, store: FakeStore) -> None:
    arn = system.secrets.get(NAME).arn
    store.put(NAME, "new")

    system.secrets.invalidate(arn)

    assert system.secrets.get(NAME).reveal() == "new"


def test_others_stay_as_they_are(system: Any, store: FakeStore) -> None:
    store.put("other", "value")
    system.secrets.get("other")

    system.secrets.invalidate(NAME)

    assert system.secrets.get("other").source == "cache"


def test_that_there_was_none_is_outdated_too(system: Any, store: FakeStore) -> None:
    assert isinstance(failure(lambda: system.secrets.get("late")), SecretNotFound)
    store.put("late", "here")
    assert isinstance(failure(lambda: system.secrets.get("late")), SecretNotFound)

    system.secrets.invalidate("late")

    assert system.secrets.get("late").reveal() == "here"


def test_in_an_outage_it_is_served_marked(system: Any, store: FakeStore) -> None:
    assert not system.secrets.get(NAME).stale
    system.secrets.invalidate(NAME)

    with store.failing(ConnectionFailed("no way", endpoint="fake")):
        assert system.secrets.get(NAME).stale
        assert isinstance(failure(lambda: system.secrets.get(NAME, allow_stale=False)), ConnectionFailed)


@pytest.mark.parametrize("read", ["get", "get_many"])
def test_a_read_that_was_sent_before_fills_no_cache(system: Any, store: FakeStore, read: str) -> None:
    asked = {"get": lambda: system.secrets.get(NAME), "get_many": lambda: system.secrets.get_many([NAME]).found[NAME]}
    with store.hold(read, when="after") as gate:
        early = in_background(asked[read])
        gate.wait_until_held()
        store.put(NAME, "new")
        system.secrets.invalidate(NAME)
        late = in_background(lambda: system.secrets.get(NAME)) if read == "get_many" else None
    assert early.result(SECONDS).reveal() == "old", "its caller asked before"
    assert late is None or late.result(SECONDS).reveal() == "new"
    assert system.secrets.get(NAME).reveal() == "new"


def test_a_get_after_it_joins_no_read_from_before(system: Any, store: FakeStore) -> None:
    with store.hold("get", times=1, when="after") as gate:
        early = in_background(lambda: system.secrets.get(NAME))
        gate.wait_until_held()
        store.put(NAME, "new")
        system.secrets.invalidate(NAME)

        assert system.secrets.get(NAME).reveal() == "new"
    assert early.result(SECONDS).reveal() == "old"
    assert system.secrets.get(NAME).reveal() == "new"


def test_subscribers_hear_of_the_new_version(system: Any, store: FakeStore) -> None:
    heard: list[NewVersion] = []
    system.subscribe(NAME, heard.append)
    settled(system)
    store.put(NAME, "new")

    system.secrets.invalidate(NAME)

    eventually(lambda: heard == [NewVersion(NAME, *store.version_ids(NAME))], "the news")


def test_subscribers_are_not_satisfied_with_an_answer_from_before(system: Any, store: FakeStore) -> None:
    heard: list[NewVersion] = []
    system.subscribe(NAME, heard.append)
    settled(system)
    store.fail_next(ConnectionFailed("no way", endpoint="fake"), operation="get")  # so that they have to go on asking
    with store.hold("set", when="after") as gate:
        ours = in_background(lambda: system.secrets.set(NAME, "ours"))
        gate.wait_until_held()
        store.put(NAME, "theirs")
        system.secrets.invalidate(NAME)
    receipt = ours.result(SECONDS)
    settled(system)
    assert isinstance(store.clock, ManualClock)
    store.clock.advance(10.0)  # far less than a TTL

    _, ours_id, theirs_id = store.version_ids(NAME)
    assert receipt.version_id == ours_id
    eventually(lambda: [one.new_version_id for one in heard] == [ours_id, theirs_id], "both")
    assert system.secrets.get(NAME).reveal() == "theirs"


def test_as_a_message_it_may_be_told_or_asked(store: FakeStore) -> None:
    with fake_system(store) as (system, _):
        for say in (system.ref.tell, system.ref.ask):
            system.secrets.get(NAME)
            store.put(NAME, "new")
            before = store.calls["get"]

            say(Invalidate(NAME))

            assert system.secrets.ask(Get(NAME)).reveal() == "new"
            assert store.calls["get"] == before + 1


def test_a_bad_name_is_refused_where_it_is_said(system: Any) -> None:
    assert isinstance(failure(lambda: system.secrets.invalidate("no such name?")), InvalidSecretName)
