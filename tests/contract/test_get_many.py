"""Many secrets at once: what is found, and for each other one its own error."""

from secrets_actor.domain.errors import SecretDeleted, SecretNotFound
from secrets_actor.domain.operations import GetMany, Set
from tests.contract.store import Store, failure, new_token


def test_what_is_found_is_as_a_get_would_have_it_and_each_other_has_its_error(store: Store) -> None:
    arn = store.set(store.name("one"), "1").arn
    store.set(store.name("two"), b"\x00\xff")
    store.set(store.name("gone"), "3")
    store.delete(store.name("gone"))
    ids = [store.name("one"), store.name("missing"), store.name("two"), store.name("gone"), arn]

    batch = store.ask(GetMany(ids)).value

    assert list(batch.found) == [store.name("one"), store.name("two"), arn]
    for secret_id, secret in batch.found.items():
        assert secret == store.get(secret_id)
    assert {secret_id: type(error) for secret_id, error in batch.errors.items()} == {
        store.name("missing"): SecretNotFound,
        store.name("gone"): SecretDeleted,
    }
    for error in batch.errors.values():
        assert (error.__cause__, error.__context__) == (None, None)


def test_50_secrets_are_read_in_chunks_of_20(store: Store) -> None:
    names = [store.name(f"{number:02}") for number in range(50)]
    for name in names:
        store.set(name, f"the value of {name}")

    batch = store.ask(GetMany(names)).value

    assert not batch.errors
    assert {name: secret.reveal() for name, secret in batch.found.items()} == {
        name: f"the value of {name}" for name in names
    }


def test_a_batch_of_what_is_not_there_is_all_errors(store: Store) -> None:
    batch = store.ask(GetMany([store.name("a"), store.name("b")])).value

    assert not batch.found
    assert {type(error) for error in batch.errors.values()} == {SecretNotFound}


def test_a_set_that_may_restore_takes_effect_on_a_deleted_secret(store: Store) -> None:
    before = store.set(store.name(), "one")
    store.delete(store.name())
    assert type(failure(lambda: store.set(store.name(), "two"))) is SecretDeleted

    receipt = store.ask(Set(store.name(), "three", new_token(), restore_on_set=True)).value

    assert (receipt.arn, receipt.created) == (before.arn, False)
    assert store.get(store.name()).reveal() == "three"
    store.sees(lambda: [info.deleted_at for info in store.list()], [None])


def test_a_set_that_may_restore_is_a_set_otherwise(store: Store) -> None:
    assert store.ask(Set(store.name(), "one", new_token(), restore_on_set=True)).value.created
    assert not store.ask(Set(store.name(), "two", new_token(), restore_on_set=True)).value.created
    assert store.get(store.name()).reveal() == "two"
