"""Creating, adding versions, updating, describing, labels: over the emulators.

The local store and the fake do not know most of it yet; see test_own_stores.py.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from secrets_actor.domain import operations as ops
from secrets_actor.domain.descriptions import SecretDescription, VersionInfo
from secrets_actor.domain.errors import SecretExists, SecretNotFound
from secrets_actor.domain.operations import AWSCURRENT, AWSPENDING, AWSPREVIOUS
from tests.contract.conftest import AWS, opened_store
from tests.contract.store import Store, failure, new_token


@pytest.fixture(params=AWS)
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty emulator with an open backend."""
    yield from opened_store(request.param, request)


def describe(store: Store, name: str | None = None) -> SecretDescription:
    return store.ask(ops.Describe(name or store.name())).value


def versions(store: Store, *, deprecated: bool = False) -> dict[str, VersionInfo]:
    page = store.ask(ops.ListVersions(store.name(), deprecated)).value
    assert (page.name, page.next_token) == (store.name(), None)
    return {one.version_id: one for one in page.versions}


# --- create, put, update ---------------------------------------------------------------------------------------------


def test_a_secret_is_created_with_description_and_tags(store: Store) -> None:
    made = store.ask(ops.Create(store.name(), "one", new_token(), "why", {"team": "db", "empty": ""})).value

    assert (made.created, made.name) == (True, store.name())
    known = describe(store)
    assert (known.arn, known.description, dict(known.tags)) == (made.arn, "why", {"team": "db", "empty": ""})
    assert store.get(store.name()).version_id == made.version_id


def test_a_name_that_is_taken_is_not_created(store: Store) -> None:
    store.set(store.name(), "one")

    assert type(failure(lambda: store.ask(ops.Create(store.name(), "two", new_token())))) is SecretExists
    assert store.get(store.name()).reveal() == "one"


def test_a_create_repeated_with_its_token_changes_nothing(store: Store) -> None:
    again = ops.Create(store.name(), "one", new_token())
    first = store.ask(again).value

    if store.diverges("create-same-token"):
        assert type(failure(lambda: store.ask(again))) is SecretExists
    else:
        assert store.ask(again).value == first


@pytest.mark.parametrize("value", ["two", b"\x00\xff"])
def test_a_put_adds_a_current_version(store: Store, value: str | bytes) -> None:
    first = store.set(store.name(), "one")

    put = store.ask(ops.Put(store.name(), value, token=new_token())).value

    assert put.stages == (AWSCURRENT,)
    assert store.get(store.name()).reveal() == value
    assert store.get(store.name()).version_id == put.version_id
    assert store.get(store.name(), stage=AWSPREVIOUS).version_id == first.version_id


def test_a_put_with_stages_leaves_the_current_version_alone(store: Store) -> None:
    store.set(store.name(), "one")

    put = store.ask(ops.Put(store.name(), "two", [AWSPENDING, "mine"], new_token())).value

    assert sorted(put.stages) == [AWSPENDING, "mine"]
    assert store.get(store.name()).reveal() == "one"
    assert store.get(store.name(), stage="mine").reveal() == "two"


def test_the_token_of_a_put_is_its_version_id_and_makes_one_version(store: Store) -> None:
    store.set(store.name(), "one")
    put = ops.Put(store.name(), "two", token=new_token())
    first = store.ask(put).value

    again = store.ask(put).value

    assert (first.version_id, again.version_id) == (put.token, put.token)
    if store.diverges("put-same-token"):
        assert len(versions(store, deprecated=True)) == 1
    else:
        assert len(versions(store, deprecated=True)) == 2


def test_a_put_to_a_secret_that_is_not_there_is_refused(store: Store) -> None:
    assert type(failure(lambda: store.ask(ops.Put(store.name(), "one", token=new_token())))) is SecretNotFound


def test_an_update_of_the_description_makes_no_version(store: Store) -> None:
    first = store.set(store.name(), "one", description="before")

    updated = store.ask(ops.Update(store.name(), description="after")).value

    assert updated.arn == first.arn
    assert describe(store).description == "after"
    assert store.get(store.name()).version_id == first.version_id


def test_an_update_with_a_value_makes_a_version(store: Store) -> None:
    store.set(store.name(), "one")

    updated = store.ask(ops.Update(store.name(), "two", kms_key_id="alias/aws/secretsmanager", token=new_token())).value

    current = store.get(store.name())
    assert (current.reveal(), current.version_id) == ("two", updated.version_id)


def test_a_new_secret_is_set_with_tags(store: Store) -> None:
    store.ask(ops.Set(store.name(), "one", new_token(), tags={"a": "b"}))

    assert dict(describe(store).tags) == {"a": "b"}


# --- describe, versions ----------------------------------------------------------------------------------------------


def test_a_secret_is_described(store: Store) -> None:
    made = store.set(store.name(), "one", description="why")

    known = describe(store)

    assert (known.name, known.arn, known.description, known.deletion_date) == (store.name(), made.arn, "why", None)
    assert dict(known.versions) == {made.version_id: (AWSCURRENT,)}
    assert (known.rotation_enabled, known.rotation_lambda_arn, known.replicas) == (False, None, ())
    assert known.created_at is not None
    assert abs(datetime.now(UTC) - known.created_at) < timedelta(minutes=1)
    assert describe(store, made.arn) == known


def test_a_deleted_secret_is_described_and_a_missing_one_is_not(store: Store) -> None:
    store.set(store.name(), "one")
    store.delete(store.name())

    assert describe(store).deletion_date is not None
    assert type(failure(lambda: describe(store, store.name("missing")))) is SecretNotFound


def test_versions_are_listed_with_their_stages(store: Store) -> None:
    first = store.set(store.name(), "one")
    second = store.set(store.name(), "two")

    found = versions(store)

    assert {version_id: one.stages for version_id, one in found.items()} == {
        first.version_id: (AWSPREVIOUS,),
        second.version_id: (AWSCURRENT,),
    }
    assert all(one.created_at is not None for one in found.values())


def test_a_stage_is_moved_from_one_version_to_another(store: Store) -> None:
    first, second = store.set(store.name(), "one"), store.set(store.name(), "two")
    back = ops.MoveStage(store.name(), AWSCURRENT, to=first.version_id, remove_from=second.version_id)

    moved = store.ask(back).value

    assert (moved.name, moved.arn) == (store.name(), first.arn)
    assert store.get(store.name()).reveal() == "one"
    assert store.get(store.name(), stage=AWSPREVIOUS).reveal() == "two"


def test_a_stage_of_ones_own_is_put_on_and_taken_off(store: Store) -> None:
    made = store.set(store.name(), "one")

    store.ask(ops.MoveStage(store.name(), "mine", to=made.version_id))
    assert store.get(store.name(), stage="mine").reveal() == "one"

    store.ask(ops.MoveStage(store.name(), "mine", remove_from=made.version_id))
    assert type(failure(lambda: store.get(store.name(), stage="mine"))) is SecretNotFound
