"""What the store says no to is not served any more, wherever the no stands; and a no is about what was asked for, and
about nothing else."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from secrets_actor import NewVersion, SecretNotFound, System
from secrets_actor.actor.stale_answers import Scope, scope_of
from secrets_actor.domain import errors
from secrets_actor.domain import operations as ops
from secrets_actor.domain.errors import SecretsError
from secrets_actor.testing import FakeStore, ManualClock, fake_system, settled
from tests.actor.rig import eventually, failure, in_background

TOKEN = "33333333-3333-4333-8333-333333333333"
REFUSALS = [
    errors.AccessDenied("x"),
    errors.DecryptionFailed("x"),
    errors.InvalidRequest("x"),
    errors.ExpiredToken("x"),
]


@pytest.fixture
def store() -> FakeStore:
    found = FakeStore(clock=ManualClock())
    found.put("a", "first")
    found.put("a", "old")
    return found


@pytest.fixture
def system(store: FakeStore) -> Iterator[System]:
    with fake_system(store, ttl_jitter=0, missing_ttl_seconds=60, max_stale_seconds=3600) as (started, _):
        yield started


@pytest.fixture
def elsewhere(store: FakeStore) -> Iterator[System]:
    """Another program with the same store."""
    with fake_system(store) as (started, _):
        yield started


def in_an_outage(system: System, store: FakeStore, secret_id: str = "a") -> BaseException:
    """What a get raises when the store cannot be reached and nothing may be served."""
    with store.failing(errors.ConnectionFailed("down", endpoint="x")):
        return failure(lambda: system.secrets.get(secret_id))


def prefetched(system: System, store: FakeStore) -> None:
    asked = store.calls["get_many"]
    system.secrets.prefetch(["a"])
    store.clock.advance(60.0)  # type: ignore[attr-defined]
    eventually(lambda: store.calls["get_many"] > asked)
    settled(system)


ALL_READS: list[Callable[[System], object]] = [
    lambda system: system.secrets.get("a", refresh=True),
    lambda system: system.secrets.get_many(["a", "b"], refresh=True),
    lambda system: system.secrets.describe("a"),
    lambda system: system.secrets.list(include_deleted=True),
    lambda system: list(system.secrets.iterate(include_deleted=True)),
]


@pytest.mark.parametrize("read", ALL_READS, ids=["get", "get_many", "describe", "list", "iterate"])
def test_what_is_told_to_be_deleted_is_not_served_any_more(
    system: System, store: FakeStore, elsewhere: System, read: Callable[[System], object]
) -> None:
    system.secrets.get("a")
    system.secrets.get("a", stage="AWSPREVIOUS")
    elsewhere.secrets.delete("a")
    with suppress(errors.SecretDeleted):
        read(system)

    assert type(in_an_outage(system, store)) is errors.ConnectionFailed
    for stage in (None, "AWSPREVIOUS"):
        assert type(failure(lambda stage=stage: system.secrets.get("a", stage=stage))) is errors.SecretDeleted


@pytest.mark.parametrize("by", ["name", "ARN"])
def test_what_one_of_many_is_refused_is_dropped_as_by_a_get(
    system: System, store: FakeStore, elsewhere: System, by: str
) -> None:
    """And that it is not there is known, and told without asking."""
    asked = "a" if by == "name" else system.secrets.get("a").arn
    system.secrets.get("a")
    elsewhere.secrets.delete("a", force=True)

    assert list(system.secrets.get_many([asked], refresh=True).errors) == [asked]

    assert type(in_an_outage(system, store, asked)) is SecretNotFound, "known to be missing"
    assert type(failure(lambda: system.secrets.get("a"))) is SecretNotFound


def test_what_a_prefetch_is_refused_is_dropped(system: System, store: FakeStore, elsewhere: System) -> None:
    system.secrets.get("a")
    elsewhere.secrets.delete("a")
    store.clock.advance(301.0)  # type: ignore[attr-defined]
    prefetched(system, store)

    assert type(in_an_outage(system, store)) is errors.ConnectionFailed


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: error.code)
def test_what_all_of_many_are_refused_is_dropped_for_each(
    system: System, store: FakeStore, error: SecretsError
) -> None:
    system.secrets.get("a")
    store.fail_next(error, operation="get_many")
    assert type(failure(lambda: system.secrets.get_many(["a"], refresh=True))) is type(error)

    assert type(in_an_outage(system, store)) is errors.ConnectionFailed


def test_an_outage_of_one_of_many_says_nothing(system: System, store: FakeStore) -> None:
    system.secrets.get("a")
    with store.failing(errors.StoreFailure("x")):
        failure(lambda: system.secrets.get_many(["a"], refresh=True))

    assert system.secrets.get("a").source == "cache"


def test_a_subscriber_hears_of_a_secret_that_many_found_to_be_missing(
    system: System, store: FakeStore, elsewhere: System
) -> None:
    heard: list[NewVersion] = []
    [_, old] = store.version_ids("a")
    with system.subscribe("a", heard.append):
        settled(system)
        elsewhere.secrets.delete("a", force=True)
        system.secrets.get_many(["a"], refresh=True)
        settled(system)
        store.put("a", "again")
        system.secrets.get("a", refresh=True)
        settled(system)

    assert [(one.old_version_id, one.new_version_id) for one in heard] == [(old, store.version_ids("a")[-1])]


# --- a no is about what was asked for ---------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [{"stage": "mine"}, {"version_id": TOKEN}, {"version_id": TOKEN, "stage": "mine"}])
@pytest.mark.parametrize("by", ["name", "ARN", "ARN without suffix"])
def test_a_version_that_is_not_there_leaves_the_others(
    system: System, store: FakeStore, asked: dict[str, Any], by: str
) -> None:
    whole = system.secrets.get("a").arn
    secret_id = {"name": "a", "ARN": whole}.get(by, whole[:-7])
    system.secrets.get("a", stage="AWSPREVIOUS")
    for _ in range(2):
        assert type(failure(lambda: system.secrets.get(secret_id, **asked))) is SecretNotFound

    assert store.calls["get"] == 3, "that it is not there is known"
    with store.failing(errors.ConnectionFailed("down", endpoint="x")):
        for stage, value in ((None, "old"), ("AWSPREVIOUS", "first")):
            assert system.secrets.get("a", stage=stage).reveal() == value
            assert system.secrets.get(whole, stage=stage).reveal() == value


def test_a_version_that_has_gone_is_not_served_any_more(system: System, store: FakeStore, elsewhere: System) -> None:
    first = system.secrets.get("a", stage="AWSPREVIOUS").version_id
    assert system.secrets.get("a").reveal() == "old"
    elsewhere.secrets.move_stage("a", "AWSPREVIOUS", remove_from=first)
    assert type(failure(lambda: system.secrets.get("a", stage="AWSPREVIOUS", refresh=True))) is SecretNotFound

    assert type(failure(lambda: system.secrets.get("a", stage="AWSPREVIOUS"))) is SecretNotFound
    assert system.secrets.get("a").source == "cache"


def test_the_arn_of_an_earlier_secret_that_is_not_found_leaves_the_one_of_that_name(
    system: System, store: FakeStore
) -> None:
    earlier = system.secrets.get("a").arn
    system.secrets.delete("a", force=True)
    system.secrets.set("a", "another")
    assert system.secrets.get("a").source == "cache"
    assert type(failure(lambda: system.secrets.get(earlier))) is SecretNotFound

    assert system.secrets.get("a").source == "cache"


def test_a_secret_of_another_account_that_is_refused_leaves_ours(system: System, store: FakeStore) -> None:
    ours = system.secrets.get("a").arn
    store.fail_next(errors.AccessDenied("x"), operation="get")
    other = ours.replace("000000000000", "999999999999")
    assert type(failure(lambda: system.secrets.get(other))) is errors.AccessDenied

    assert system.secrets.get("a").source == "cache"


def test_who_may_not_describe_may_read_still(system: System, store: FakeStore) -> None:
    system.secrets.get("a")
    store.fail_next(errors.AccessDenied("x"), operation="describe")
    assert type(failure(lambda: system.secrets.describe("a"))) is errors.AccessDenied
    store.fail_next(errors.UnknownMessage("x"), operation="get_policy")  # a store that knows no policies
    assert type(failure(lambda: system.secrets.get_policy("a"))) is errors.UnknownMessage

    assert system.secrets.get("a").source == "cache"


def test_a_no_and_a_value_of_which_nobody_knows_which_is_newer_are_both_asked_for_again(
    system: System, store: FakeStore
) -> None:
    """Many were asked for, one of them was not there; it came, and was read, before their answer did."""
    assert isinstance(store.clock, ManualClock)
    with store.hold("get_many", when="after") as gate:
        asked = in_background(lambda: system.secrets.get_many(["b"]))
        gate.wait_until_held()
        store.put("b", "new")
        store.clock.advance(1.0)
        assert system.secrets.get("b").reveal() == "new"
        gate.release()
        assert list(asked.result(10.0).errors) == ["b"]

    assert (system.secrets.get("b").reveal(), store.calls["get"]) == ("new", 2)


def test_a_get_that_another_one_has_overtaken_is_not_followed_by_what_that_one_found(
    system: System, store: FakeStore
) -> None:
    """Its answer was on its way for long, and somebody wrote meanwhile: who has seen the new value sees no old one."""
    assert isinstance(store.clock, ManualClock)
    with store.hold("get", times=1) as gate:
        slow = in_background(lambda: system.secrets.get("a", refresh=True))
        gate.wait_until_held()
        store.clock.advance(1.0)
        assert system.secrets.get("a", refresh=True).reveal() == "old"
        store.put("a", "new")
        gate.release()
        assert slow.result(10.0).reveal() == "new"

    assert system.secrets.get("a").reveal() == "new"


@pytest.mark.parametrize("deleted", [True, False])
def test_what_was_asked_for_before_another_answer_came_is_not_kept_after_it(
    system: System, store: FakeStore, elsewhere: System, deleted: bool
) -> None:
    """The answer that comes last is the older one: it was made before somebody wrote or deleted, and was on its way."""
    assert isinstance(store.clock, ManualClock)
    arn = system.secrets.get("a").arn
    with store.hold("get", times=1) as before, store.hold("get", times=1, when="after") as after:
        newer = in_background(lambda: system.secrets.get("a", refresh=True))
        before.wait_until_held()
        older = in_background(lambda: system.secrets.get(arn, refresh=True))
        after.wait_until_held()
        elsewhere.secrets.delete("a") if deleted else store.put("a", "new")
        store.clock.advance(1.0)
        before.release()
        newest = failure(lambda: newer.result(10.0)) if deleted else newer.result(10.0).reveal()
        after.release()
        assert older.result(10.0).reveal() == "old"
    assert (type(newest) is errors.SecretDeleted) if deleted else (newest == "new")

    for secret_id in (arn, "a"):
        if deleted:
            assert type(failure(lambda secret_id=secret_id: system.secrets.get(secret_id))) is errors.SecretDeleted
        else:
            assert system.secrets.get(secret_id).reveal() == "new"


CURRENT, BY_STAGE, BY_ID = ops.Get("a"), ops.Get("a", stage="mine"), ops.Get("a", TOKEN)
OTHERS = [ops.Describe("a"), ops.ListVersions("a"), ops.GetPolicy("a")]


@pytest.mark.parametrize(
    ("asked", "error", "scope"),
    [
        *[(CURRENT, error, Scope.SECRET) for error in (*REFUSALS, SecretNotFound("x"), errors.SecretDeleted("x"))],
        (ops.Get("a", stage="AWSCURRENT"), SecretNotFound("x"), Scope.SECRET),
        *[(one, SecretNotFound("x"), Scope.VERSION) for one in (BY_STAGE, BY_ID)],
        *[(one, errors.InvalidRequest("x"), Scope.VERSION) for one in (BY_STAGE, BY_ID)],
        *[(one, errors.DecryptionFailed("x"), Scope.VERSION) for one in (BY_STAGE, BY_ID)],
        *[(one, errors.SecretDeleted("x"), Scope.SECRET) for one in (BY_STAGE, BY_ID, *OTHERS)],
        *[(one, errors.AccessDenied("x"), Scope.SECRET) for one in (BY_STAGE, BY_ID)],
        *[(one, errors.ExpiredToken("x"), Scope.SECRET) for one in (BY_STAGE, BY_ID, *OTHERS)],
        *[(one, SecretNotFound("x"), Scope.SECRET) for one in OTHERS],
        *[(one, errors.AccessDenied("x"), Scope.NOTHING) for one in OTHERS],
        *[(one, errors.InvalidRequest("x"), Scope.NOTHING) for one in OTHERS],
        *[(one, errors.Throttled("x"), Scope.NOTHING) for one in (CURRENT, BY_ID, *OTHERS)],
        *[(one, errors.ConnectionFailed("x"), Scope.NOTHING) for one in (CURRENT, BY_ID, *OTHERS)],
        *[(one, errors.UnknownMessage("x"), Scope.NOTHING) for one in (CURRENT, *OTHERS)],
    ],
)
def test_what_a_no_is_about(asked: ops.Operation[Any], error: SecretsError, scope: Scope) -> None:
    assert scope_of(asked, error) is scope
