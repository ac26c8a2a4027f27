"""At a store that tells versions, one question follows the versions of all subscribed secrets."""

from collections.abc import Iterator

import pytest

from secrets_actor import AccessDenied, NewVersion, SecretDeleted, SecretNotFound, System
from secrets_actor.actor.subscriptions import ASKING, AT_LEAST, MOST, Question, Subscriptions
from secrets_actor.actor.version_tracking import Outcome
from secrets_actor.domain.names import SecretId
from secrets_actor.errors import ConnectionFailed
from secrets_actor.messages import CreateEmpty, CurrentVersions
from secrets_actor.results import CurrentVersion, SetReceipt
from secrets_actor.testing import FakeStore, ManualClock, fake_system, kill, settled
from tests.actor.rig import eventually
from tests.runtime.subscribers import NAME, TTL, Heard, pass_time, subscribed

MANY = 100
NAMES = tuple(f"app/{number:03d}" for number in range(MANY))


@pytest.fixture
def world() -> Iterator[tuple[System, FakeStore]]:
    """A system by a clock that stands still, and its store, which tells versions."""
    store = FakeStore(clock=ManualClock(), tells_versions=True)
    store.put(NAME, "first")
    with fake_system(store) as started:
        yield started


@pytest.fixture
def crowd(world: tuple[System, FakeStore]) -> dict[str, Heard]:
    """A subscription to each of many secrets, all asked for once."""
    system, store = world
    for name in NAMES:
        store.put(name, "first")
    everybody = {name: Heard() for name in NAMES}
    for name, heard in everybody.items():
        system.subscribe(name, heard)
    settled(system)
    return everybody


def test_a_round_for_many_secrets_costs_one_question_and_no_value(
    world: tuple[System, FakeStore], crowd: dict[str, Heard]
) -> None:
    system, store = world
    before = store.calls["current_versions"]
    for _ in range(3):
        pass_time(system, store)

    assert store.calls["current_versions"] == before + 3
    assert store.calls["get"] == 0
    assert not any(heard.changes for heard in crowd.values())


def test_a_change_costs_one_read_and_is_heard_once(world: tuple[System, FakeStore], crowd: dict[str, Heard]) -> None:
    system, store = world
    changed, other = NAMES[7], NAMES[8]
    assert system.secrets.get(changed).reveal() == system.secrets.get(other).reveal() == "first"
    store.put(changed, "second")
    for _ in range(2):
        pass_time(system, store)

    assert {name for name, heard in crowd.items() if heard.changes} == {changed}
    assert crowd[changed].changes == [NewVersion(changed, *store.version_ids(changed))]
    assert store.calls["get"] == 3


def test_the_value_in_memory_is_not_served_once_its_version_is_not_the_current_one(
    world: tuple[System, FakeStore],
) -> None:
    system, store = world
    cached_and_due_soon(system, store)
    store.put(NAME, "second")
    pass_time(system, store, TTL * 0.6)

    assert system.secrets.get(NAME).reveal() == "second"
    assert store.calls["get"] == 2  # the subscriber has read it: the caller gets it from memory


def cached_and_due_soon(system: System, store: FakeStore) -> None:
    """Have a value in memory that is served for a TTL more, while the secret is asked for sooner, together with another
    one."""
    subscribed(system, Heard(), "another")
    subscribed(system, Heard())
    pass_time(system, store, TTL * 0.4)
    assert system.secrets.get(NAME).reveal() == "first"


def test_those_that_began_at_different_times_are_asked_for_together_soon(world: tuple[System, FakeStore]) -> None:
    system, store = world
    for number, name in enumerate(NAMES[:10]):
        store.put(name, "first")
        subscribed(system, Heard(), name)
        pass_time(system, store, TTL / 20)
        assert store.calls["current_versions"] == number + 1
    for _ in range(2 * 20):
        pass_time(system, store, TTL / 20)
    before = store.calls["current_versions"]

    for _ in range(3 * 20):
        pass_time(system, store, TTL / 20)

    # The time between two rounds is shorter than a TTL, by a random tenth at most: three rounds, or four.
    assert 3 <= store.calls["current_versions"] - before <= 4


def test_many_that_come_at_once_wait_for_one_question(world: tuple[System, FakeStore]) -> None:
    system, store = world
    with store.hold("current_versions", times=1) as gate:
        system.subscribe(NAME, Heard())
        gate.wait_until_held()
        for name in NAMES:
            system.subscribe(name, Heard())
        settled_subscribers(system, MANY + 1)
        gate.release()
        settled(system)

    assert store.calls["current_versions"] == 2


def settled_subscribers(system: System, count: int) -> None:
    """Wait until so many subscribers have looked into the table."""
    eventually(lambda: sum(node.id == "subscriber" and not node.mailbox for node in system.tree().root.walk()) == count)


def test_a_secret_whose_version_is_denied_is_followed_by_its_value(world: tuple[System, FakeStore]) -> None:
    system, store = world
    heard = Heard()
    store.fail_next(AccessDenied("no"), operation="current_versions")
    subscribed(system, heard)
    assert (store.calls["current_versions"], store.calls["get"]) == (1, 1)
    store.put(NAME, "second")
    pass_time(system, store)

    assert heard.changes == [NewVersion(NAME, *store.version_ids(NAME))]
    assert (store.calls["current_versions"], store.calls["get"]) == (1, 2)

    other = FakeStore(clock=store.clock, tells_versions=True)
    other.put(NAME, "of the other store")
    system.configure(system.settings, backend=other.factory())
    pass_time(system, store, AT_LEAST)
    assert other.calls["current_versions"] > 0  # it may tell what the store before did not


def test_in_an_outage_all_wait_the_same_growing_pauses(
    world: tuple[System, FakeStore], crowd: dict[str, Heard]
) -> None:
    system, store = world
    with store.failing(ConnectionFailed("no way", endpoint="fake")):
        pass_time(system, store)
        before = store.calls.total()
        for _ in range(60):
            pass_time(system, store, 1.0)
        assert 4 <= store.calls.total() - before <= 15
    store.put(NAMES[3], "second")
    pass_time(system, store)

    assert [name for name, heard in crowd.items() if heard.changes] == [NAMES[3]]
    assert store.calls["get"] == 1


def test_writes_to_other_secrets_do_not_spoil_the_answer(world: tuple[System, FakeStore]) -> None:
    system, store = world
    heard = Heard()
    subscribed(system, heard)
    pass_time(system, store, TTL / 2)
    store.put(NAME, "second")
    with store.hold("current_versions", when="after", times=1) as gate:
        pass_time_until_held(system, store, gate)
        system.secrets.set("another", "v")
        gate.release()
        settled(system)

    assert heard.changes == [NewVersion(NAME, *store.version_ids(NAME))]
    assert store.calls["current_versions"] == 2


def pass_time_until_held(system: System, store: FakeStore, gate: object) -> None:
    """Let the time for a question come, and wait until it stands at *gate*."""
    assert isinstance(store.clock, ManualClock)
    settled(system)
    store.clock.advance(TTL)
    gate.wait_until_held()  # type: ignore[attr-defined]


def test_an_answer_that_our_own_set_has_overtaken_is_no_way_back(world: tuple[System, FakeStore]) -> None:
    system, store = world
    heard = Heard()
    subscribed(system, heard)
    assert isinstance(store.clock, ManualClock)
    with store.hold("current_versions", when="after", times=1) as gate:
        pass_time_until_held(system, store, gate)
        store.clock.advance(0.1)
        receipt = system.secrets.set(NAME, "second")
        store.clock.advance(0.1)
        gate.release()
        settled(system)
    pass_time(system, store)

    assert heard.versions == [receipt.version_id]


def test_an_answer_from_before_we_were_told_of_a_change_is_no_news(world: tuple[System, FakeStore]) -> None:
    system, store = world
    heard = Heard()
    subscribed(system, heard)
    assert isinstance(store.clock, ManualClock)
    with store.hold("current_versions", when="after", times=1) as gate:
        pass_time_until_held(system, store, gate)
        store.put(NAME, "second")
        store.clock.advance(0.1)
        system.secrets.invalidate(NAME)
        gate.release()
        settled(system)

    assert heard.changes == [NewVersion(NAME, *store.version_ids(NAME))]


def test_a_value_that_cannot_be_read_is_asked_for_again_with_pauses(world: tuple[System, FakeStore]) -> None:
    system, store = world
    heard = Heard()
    subscribed(system, heard)
    store.put(NAME, "second")
    with store.failing(AccessDenied("no"), operation="get"):
        pass_time(system, store)
        assert store.calls["get"] == 1
        for _ in range(10):
            pass_time(system, store, TTL / 20)
        assert store.calls["get"] == 1
    pass_time(system, store)

    assert heard.changes == [NewVersion(NAME, *store.version_ids(NAME))]


def test_a_secret_that_others_delete_and_make_anew_is_heard_of(world: tuple[System, FakeStore]) -> None:
    system, store = world
    heard = Heard()
    subscribed(system, heard)
    assert system.secrets.get(NAME).reveal() == "first"
    [first] = store.version_ids(NAME)
    with fake_system(store) as (others, _):
        others.secrets.delete(NAME, force=True)
        pass_time(system, store)
        with pytest.raises(SecretNotFound):
            system.secrets.get(NAME)
        others.secrets.set(NAME, "anew")
        pass_time(system, store)
        pass_time(system, store)

    assert heard.changes == [NewVersion(NAME, first, store.version_ids(NAME)[0])]
    assert system.secrets.get(NAME).reveal() == "anew"


def test_a_secret_that_others_delete_is_not_served_from_memory(world: tuple[System, FakeStore]) -> None:
    system, store = world
    cached_and_due_soon(system, store)
    with fake_system(store) as (others, _):
        others.secrets.delete(NAME)
    pass_time(system, store, TTL * 0.6)

    with pytest.raises(SecretDeleted):
        system.secrets.get(NAME)


def test_when_the_subscriber_that_asked_dies_another_one_asks(
    world: tuple[System, FakeStore], crowd: dict[str, Heard]
) -> None:
    system, store = world
    before = store.calls["current_versions"]
    with store.hold("current_versions", times=1) as gate:
        pass_time_until_held(system, store, gate)
        kill(system, "subscribers")
        eventually(lambda: store.calls["current_versions"] == before + 1)
    settled_subscribers(system, MANY)
    store.put(NAMES[0], "second")
    pass_time(system, store, ASKING)
    pass_time(system, store)

    assert [name for name, heard in crowd.items() if heard.changes] == [NAMES[0]]


def test_another_store_is_asked_in_the_way_that_it_knows(world: tuple[System, FakeStore]) -> None:
    system, store = world
    heard = Heard()
    subscribed(system, heard)
    others = [FakeStore(clock=store.clock, tells_versions=tells) for tells in (False, True)]
    for other in others:
        other.put(NAME, "of another store")
        system.configure(system.settings, backend=other.factory())
        pass_time(system, store, AT_LEAST)

    assert heard.versions == [other.version_ids(NAME)[0] for other in others]
    assert [other.calls["current_versions"] > 0 for other in others] == [False, True]


def test_an_answer_of_the_store_before_is_no_news(world: tuple[System, FakeStore]) -> None:
    system, store = world
    heard, other = Heard(), FakeStore(clock=store.clock, tells_versions=True)
    subscribed(system, heard)
    other.put(NAME, "of the other store")
    assert isinstance(store.clock, ManualClock)
    with store.hold("current_versions", when="after", times=1) as gate:
        pass_time_until_held(system, store, gate)
        store.clock.advance(0.1)
        system.configure(system.settings, backend=other.factory())
        store.clock.advance(0.1)
        gate.release()
        settled(system)

    assert heard.versions == list(other.version_ids(NAME))


def test_a_program_may_ask_for_versions_too(world: tuple[System, FakeStore]) -> None:
    system, _ = world
    system.secrets.ask(CreateEmpty("empty"))
    system.secrets.set("deleted", "v")
    system.secrets.delete("deleted")
    answer = system.secrets.ask(CurrentVersions([NAME, "none", "empty", "deleted", NAME]))

    secret = system.secrets.get(NAME)
    assert answer.found == {NAME: CurrentVersion(NAME, secret.arn, secret.version_id)}
    errors = {one: (type(error), getattr(error, "aws_code", None)) for one, error in answer.errors.items()}
    assert errors == {
        "none": (SecretNotFound, "ResourceNotFoundException"),
        "empty": (SecretNotFound, "ResourceNotFoundException"),
        "deleted": (SecretDeleted, "InvalidRequestException"),
    }


# --- the table ----------------------------------------------------------------------------------------------------


def version(name: str, version_id: str = "v1") -> CurrentVersion:
    return CurrentVersion(name, f"arn:fake:secretsmanager:fake:000000000000:secret:{name}-aaaaaa", version_id)


def test_what_was_heard_of_lately_is_not_asked_for() -> None:
    table = Subscriptions()
    old, new = (table.new(SecretId(name), print) for name in ("old", "new"))
    for entry, seen_at in ((old, 0.0), (new, 60.0)):
        table.add(entry)
        table.told(entry.secret_id, version(entry.secret_id), 0.0, seen_at)

    question = table.question(old, 100.0, 100.0, of_versions=True)

    assert isinstance(question, Question)
    assert question.ids == ("old",)
    assert table.question(new, 100.0, 100.0, of_versions=True) == 160.0


def test_an_answer_from_before_we_made_the_secret_does_not_say_that_there_is_none() -> None:
    table = Subscriptions()
    table.add(table.new(SecretId("a"), print))
    table.wrote("a", SetReceipt("a", version("a").arn, "v1", created=True), 2.0, 3.0)

    table.absent("a", now=4.0, asked_at=1.0)

    assert not table.told("a", version("a"), 5.0, 6.0), "the version that we made is no news"


def test_of_more_secrets_than_one_question_takes_the_longest_unheard_come_first() -> None:
    table = Subscriptions()
    entries = [table.new(SecretId(f"s{number}"), print) for number in range(MOST + 2)]
    for entry in entries:
        table.add(entry)
    interval, now = 100.0, 1000.0
    for number, entry in enumerate(entries[:-1]):
        assert not table.told(entry.secret_id, version(entry.secret_id), 0.0, number / 10)

    first = table.question(entries[5], interval, now, of_versions=True)

    assert isinstance(first, Question)
    assert len(first.ids) == MOST
    assert first.ids[:3] == ("s5", entries[-1].secret_id, "s0")
    assert table.question(entries[-2], interval, now, of_versions=True) == now + ASKING
    table.heard(first, lambda _: Outcome.ANSWERED, now, interval, lambda _: 1.0)
    second = table.question(entries[-2], interval, now, of_versions=True)
    assert isinstance(second, Question)
    assert set(second.ids) == {f"s{MOST}", f"s{MOST - 1}"}
