"""Delete softly and restore, or by force and for good."""

from datetime import UTC, datetime, timedelta

import pytest

from secrets_actor.clock import now as clock_now
from secrets_actor.domain.errors import InvalidRequest, SecretDeleted, SecretNotFound
from secrets_actor.domain.operations import AWSPREVIOUS, Delete
from secrets_actor.domain.ports import CallContext
from tests.contract.store import RECOVERY_WINDOW, SECONDS, Store, failure, new_token, outcome


def test_a_deleted_secret_is_not_read_until_it_is_restored(store: Store) -> None:
    receipt = store.set(store.name(), "hunter2")
    store.delete(store.name())
    assert type(failure(lambda: store.get(store.name()))) is SecretDeleted

    restored = store.restore(store.name())

    assert (restored.name, restored.arn) == (store.name(), receipt.arn)
    secret = store.get(store.name())
    assert (secret.reveal(), secret.version_id) == ("hunter2", receipt.version_id)


def test_a_restored_secret_has_its_versions_back(store: Store) -> None:
    store.set(store.name(), "one")
    store.set(store.name(), "two")
    store.delete(store.name())

    store.restore(store.name())

    assert store.get(store.name(), stage=AWSPREVIOUS).reveal() == "one"
    assert not store.set(store.name(), "three").created


@pytest.mark.parametrize("window", [None, 7, 30])
def test_the_deletion_date_is_the_end_of_the_recovery_window(store: Store, window: int | None) -> None:
    receipt = store.set(store.name(), "hunter2")

    deleted = store.delete(store.name(), window=window)

    due = datetime.now(UTC) + timedelta(days=RECOVERY_WINDOW if window is None else window)
    assert abs(deleted.deletion_date - due) < timedelta(minutes=1)
    assert (deleted.name, deleted.arn) == (store.name(), receipt.arn)


def test_a_delete_repeated_after_its_worker_ended_is_done_though_the_secret_is_scheduled(store: Store) -> None:
    """The first time may have taken effect, or not: a refusal would tell its caller that it had not."""
    store.set(store.name(), "hunter2")
    source, deadline = store.factory.credentials, clock_now() + SECONDS
    again = CallContext(deadline, None if source is None else source.fetch(deadline), repeated=True)

    receipts = [store.backend.perform(Delete(store.name()), again).value for _ in range(2)]

    assert receipts[0].arn == receipts[1].arn
    later = timedelta(days=RECOVERY_WINDOW if store.diverges("deleted-date-is-the-end") else 0)
    assert abs(receipts[1].deletion_date - later - receipts[0].deletion_date) < timedelta(minutes=1)
    assert isinstance(failure(lambda: store.delete(store.name())), InvalidRequest)


def test_the_name_of_a_deleted_secret_is_reserved(store: Store) -> None:
    store.set(store.name(), "one")
    store.delete(store.name())

    assert type(failure(lambda: store.set(store.name(), "two"))) is SecretDeleted

    store.restore(store.name())
    assert store.get(store.name()).reveal() == "one"


def test_no_version_of_a_deleted_secret_is_read(store: Store) -> None:
    first = store.set(store.name(), "one")
    store.set(store.name(), "two")
    store.delete(store.name())

    assert type(failure(lambda: store.get(store.name(), stage=AWSPREVIOUS))) is SecretDeleted
    assert type(failure(lambda: store.get(store.name(), version_id=first.version_id))) is SecretDeleted


def test_a_second_delete_is_refused_and_keeps_the_date(store: Store) -> None:
    store.set(store.name(), "hunter2")
    first = store.delete(store.name(), window=30)

    refusal = failure(lambda: store.delete(store.name(), window=7))

    assert isinstance(refusal, InvalidRequest)
    store.sees(lambda: [info.deleted_at is not None for info in store.list(include_deleted=True)], [True])
    (info,) = store.list(include_deleted=True)
    assert info.deleted_at is not None
    asked_for = first.deletion_date - timedelta(days=0 if store.diverges("deleted-date-is-the-end") else 30)
    assert abs(info.deleted_at - asked_for) < timedelta(minutes=1)


def test_a_forced_delete_is_final_and_frees_the_name(store: Store) -> None:
    before = store.set(store.name(), "one")
    store.set(store.name(), "two")

    deleted = store.delete(store.name(), force=True)

    assert abs(deleted.deletion_date - datetime.now(UTC)) < timedelta(minutes=1)
    store.sees(lambda: type(outcome(lambda: store.get(store.name()))), SecretNotFound)
    store.sees(lambda: type(failure(lambda: store.restore(store.name()))), SecretNotFound)
    again = store.once_free(lambda: store.set(store.name(), "anew"))
    assert again.created
    assert again.version_id != before.version_id
    assert store.get(store.name()).reveal() == "anew"
    assert type(failure(lambda: store.get(store.name(), stage=AWSPREVIOUS))) is SecretNotFound


def test_a_secret_scheduled_for_deletion_can_still_be_forced(store: Store) -> None:
    store.set(store.name(), "hunter2")
    store.delete(store.name())

    store.delete(store.name(), force=True)

    store.sees(lambda: type(failure(lambda: store.restore(store.name()))), SecretNotFound)
    assert store.once_free(lambda: store.set(store.name(), "anew")).created


def test_a_secret_is_deleted_and_restored_by_its_arn_too(store: Store) -> None:
    arn = store.set(store.name(), "hunter2").arn

    assert store.delete(arn).name == store.name()
    assert type(failure(lambda: store.get(store.name()))) is SecretDeleted
    assert store.restore(arn).name == store.name()
    assert store.get(arn).reveal() == "hunter2"


def test_what_is_not_there_is_neither_deleted_nor_restored(store: Store) -> None:
    assert type(failure(lambda: store.delete(store.name()))) is SecretNotFound
    assert type(failure(lambda: store.restore(store.name()))) is SecretNotFound


def test_a_forced_delete_of_what_is_not_there_succeeds(store: Store) -> None:
    if store.diverges("force-delete-missing"):
        assert type(failure(lambda: store.delete(store.name(), force=True))) is SecretNotFound
    else:
        assert store.delete(store.name(), force=True).name == store.name()
    assert store.names(include_deleted=True) == []


def test_a_token_used_before_a_forced_delete_may_be_used_anew(store: Store) -> None:
    token = new_token()
    store.set(store.name(), "one", token=token)
    store.delete(store.name(), force=True)

    assert store.once_free(lambda: store.set(store.name(), "two", token=token)).created
    assert store.get(store.name()).reveal() == "two"
