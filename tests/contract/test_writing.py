"""Creating, adding versions, updating, describing."""

from datetime import UTC, datetime, timedelta

import pytest

from secrets_actor.domain import operations as ops
from secrets_actor.domain.errors import InvalidAnswer, InvalidRequest, SecretDeleted, SecretExists, SecretNotFound
from secrets_actor.domain.operations import AWSCURRENT, AWSPENDING, AWSPREVIOUS
from secrets_actor.domain.results import SecretDescription, VersionInfo
from tests.contract.store import Store, failure, new_token, outcome


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


def test_a_secret_is_created_without_a_value_and_put_one_later(store: Store) -> None:
    made = store.ask(ops.CreateEmpty(store.name(), new_token(), "why", {"team": "db"})).value

    known = describe(store)
    assert (known.name, known.arn, known.description, dict(known.tags)) == (
        store.name(),
        made.arn,
        "why",
        {"team": "db"},
    )
    valueless = store.diverges("empty-has-a-version")
    assert bool(known.versions) is valueless
    assert type(failure(lambda: store.get(store.name()))) is (InvalidAnswer if valueless else SecretNotFound)
    assert type(failure(lambda: store.ask(ops.CreateEmpty(store.name(), new_token())))) is SecretExists
    first = store.ask(ops.Put(store.name(), "one", token=new_token())).value
    assert (first.arn, first.stages) == (made.arn, (AWSCURRENT,))
    assert store.get(store.name()).reveal() == "one"


def test_a_secret_without_a_value_is_deleted_and_restored(store: Store) -> None:
    store.ask(ops.CreateEmpty(store.name(), new_token()))
    store.delete(store.name())
    store.restore(store.name())
    assert bool(describe(store).versions) is store.diverges("empty-has-a-version")
    store.delete(store.name(), force=True)

    assert type(failure(lambda: describe(store))) is SecretNotFound


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
    assert type(failure(lambda: store.ask(ops.Create(store.name(), "two", again.token)))) is SecretExists
    assert store.get(store.name()).version_id == first.version_id


def test_the_name_of_a_deleted_secret_is_not_created(store: Store) -> None:
    store.set(store.name(), "one")
    store.delete(store.name())

    refusal = failure(lambda: store.ask(ops.Create(store.name(), "two", new_token())))

    assert type(refusal) is (SecretExists if store.diverges("create-over-deleted") else SecretDeleted)


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

    asked = ops.Put(store.name(), "two", [AWSPENDING, "mine"], new_token())
    if store.diverges("no-labels-of-ones-own"):
        assert type(failure(lambda: store.ask(asked))) is InvalidRequest
        assert store.get(store.name()).reveal() == "one"
        return
    put = store.ask(asked).value

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


def test_a_put_with_a_label_that_is_in_use_moves_it(store: Store) -> None:
    store.ask(ops.Create(store.name(), "one", new_token()))
    labelled = ops.Put(store.name(), "two", ["mine"], new_token())
    if store.diverges("no-labels-of-ones-own"):
        assert type(failure(lambda: store.ask(labelled))) is InvalidRequest
        return
    first = store.ask(labelled).value
    second = store.ask(ops.Put(store.name(), "three", ["mine"], new_token())).value

    labelled = {version_id for version_id, stages in describe(store).versions.items() if "mine" in stages}

    assert labelled == ({first.version_id} if store.diverges("put-leaves-label") else set()) | {second.version_id}


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


def test_an_update_repeated_with_its_token_changes_nothing(store: Store) -> None:
    store.set(store.name(), "one")
    again = ops.Update(store.name(), "two", token=new_token())
    first = store.ask(again).value

    second = store.ask(again).value

    if store.diverges("token-is-version-id"):
        assert second.version_id != first.version_id
    else:
        assert store.get(store.name()).version_id == first.version_id
        assert store.get(store.name(), stage=AWSPREVIOUS).reveal() == "one"
        assert type(failure(lambda: store.ask(ops.Update(store.name(), "three", token=again.token)))) is SecretExists


def test_a_deleted_secret_is_not_written(store: Store) -> None:
    made = store.set(store.name(), "one")
    store.delete(store.name())

    always = [ops.Update(store.name(), "two", token=new_token()), ops.Rotate(store.name(), token=new_token())]
    others: list[ops.Operation[object]] = [
        ops.Regenerate(store.name(), "bytes", token=new_token()),
        ops.Put(store.name(), "two", token=new_token()),
        ops.Tag(store.name(), {"a": "b"}),
        ops.Untag(store.name(), ["a"]),
        ops.MoveStage(store.name(), "mine", to=made.version_id),
    ]
    for operation in always:
        assert isinstance(failure(lambda operation=operation: store.ask(operation)), InvalidRequest)
    written = store.diverges("deleted-is-written")
    for operation in others:
        refusal = outcome(lambda operation=operation: store.ask(operation))
        assert isinstance(refusal, InvalidRequest) is not written


def test_a_new_secret_is_set_with_tags(store: Store) -> None:
    store.ask(ops.Set(store.name(), "one", new_token(), tags={"a": "b"}))

    assert dict(describe(store).tags) == {"a": "b"}


# --- describe, versions ----------------------------------------------------------------------------------------------


def test_a_secret_is_described(store: Store) -> None:
    made = store.set(store.name(), "one", description="why")

    known = describe(store)

    assert (known.name, known.arn, known.description, known.deleted_at) == (store.name(), made.arn, "why", None)
    assert dict(known.versions) == {made.version_id: (AWSCURRENT,)}
    assert (known.rotation_enabled, known.rotation_lambda_arn, known.replicas) == (False, None, ())
    assert known.created_at is not None
    assert abs(datetime.now(UTC) - known.created_at) < timedelta(minutes=1)
    assert describe(store, made.arn) == known


def test_a_deleted_secret_is_described_and_a_missing_one_is_not(store: Store) -> None:
    store.set(store.name(), "one")
    store.delete(store.name())

    assert describe(store).deleted_at is not None
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


def test_versions_without_a_label_are_listed_only_when_asked_for(store: Store) -> None:
    made = [store.set(store.name(), value).version_id for value in ("one", "two", "three")]

    labelled, all_there_are = set(versions(store)), set(versions(store, deprecated=True))

    assert set(describe(store).versions) == labelled
    assert labelled == set(made if store.diverges("deprecated-versions") else made[1:])
    assert all_there_are == set(made[1:] if store.diverges("old-version-by-id") else made)


def test_versions_are_listed_page_by_page(store: Store) -> None:
    made = [store.set(store.name(), "one").version_id]
    unlabelled = store.diverges("no-labels-of-ones-own")
    for number in range(4):
        put = ops.Put(store.name(), "v", None if unlabelled else [f"label {number}"], new_token())
        made.append(store.ask(put).value.version_id)
    found, sizes, token = list[str](), list[int](), None
    while not sizes or token is not None:
        page = store.ask(ops.ListVersions(store.name(), unlabelled, page_size=2, next_token=token)).value
        found += [one.version_id for one in page.versions]
        sizes.append(len(page.versions))
        token = page.next_token

    assert sorted(found) == sorted(made)
    assert max(sizes) == (5 if store.diverges("versions-in-pages") else 2)
