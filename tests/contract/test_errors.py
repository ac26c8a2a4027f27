"""What fails is typed, carries its facts, and shows nothing of values; and a closed backend stays closed."""

import threading
import traceback
from typing import Final

import pytest

from secrets_actor.clock import now as clock_now
from secrets_actor.domain.errors import (
    SecretDeleted,
    SecretExists,
    SecretNotFound,
    SecretsError,
    StoreError,
)
from secrets_actor.domain.operations import Get
from secrets_actor.domain.ports import CallContext
from tests.contract.backends import LIVE, ROWS
from tests.contract.store import Store, failure, new_token

CANARY: Final = "canary-in-a-value-that-no-error-shows"


def has_aws_facts(store: Store) -> bool:
    return store.where == LIVE or ROWS[store.where].aws_facts


def test_a_missing_secret_is_not_found(store: Store) -> None:
    assert type(failure(lambda: store.get(store.name()))) is SecretNotFound


def test_a_missing_arn_is_not_found(store: Store) -> None:
    arn = store.set(store.name(), "hunter2").arn
    other = arn[:-6] + ("AAAAAA" if not arn.endswith("AAAAAA") else "BBBBBB")

    assert type(failure(lambda: store.get(other))) is SecretNotFound
    assert type(failure(lambda: store.set(other, "value"))) is SecretNotFound


def test_a_refusal_carries_awss_facts_where_there_are_any(store: Store) -> None:
    refusal = failure(lambda: store.get(store.name()))

    assert isinstance(refusal, StoreError)
    if not has_aws_facts(store):
        assert (refusal.aws_code, refusal.status, refusal.request_id) == (None, None, None)
    else:
        assert refusal.aws_code == "ResourceNotFoundException"
        assert refusal.status == (404 if store.diverges("not-found-status") else 400)
        assert refusal.request_id


def test_an_answer_carries_awss_request_id_where_there_is_one(store: Store) -> None:
    store.set(store.name(), "hunter2")

    expected = store.where == LIVE or ROWS[store.where].request_ids
    assert bool(store.ask(Get(store.name())).request_id) == expected


def test_no_error_shows_a_value_or_hides_another_error(store: Store) -> None:
    token = new_token()
    store.set(store.name(), f"{CANARY} one", token=token)
    refusals = [
        failure(lambda: store.get(store.name("missing"))),
        failure(lambda: store.get(store.name(), stage="no-such-stage")),
    ]
    if not store.diverges("same-token-other-value"):
        refusals.append(failure(lambda: store.set(store.name(), f"{CANARY} two", token=token)))
        assert type(refusals[-1]) is SecretExists
    store.delete(store.name())
    refusals += [
        failure(lambda: store.get(store.name())),
        failure(lambda: store.set(store.name(), f"{CANARY} three")),
    ]

    for refusal in refusals:
        assert isinstance(refusal, SecretsError)
        assert (refusal.__cause__, refusal.__context__) == (None, None)
        shown = "".join(traceback.format_exception(refusal)) + repr(refusal) + repr(vars(refusal))
        assert CANARY not in shown.replace(f'f"{CANARY}', "")
        assert "\n" not in str(refusal)
    assert type(refusals[-1]) is SecretDeleted


def test_an_operation_whose_deadline_has_passed_fails_at_once(store: Store) -> None:
    store.set(store.name(), "hunter2")
    credentials = store.factory.credentials.fetch(clock_now() + 5) if store.factory.credentials else None
    context = CallContext(clock_now() - 1, credentials)
    started = clock_now()

    with pytest.raises(SecretsError) as raised:
        store.backend.perform(Get(store.name()), context)

    assert raised.value.retryable
    assert clock_now() - started < 2
    assert store.get(store.name()).reveal() == "hunter2"


def test_a_backend_may_be_closed_twice_and_stays_closed(store: Store) -> None:
    store.set(store.name(), "hunter2")

    store.backend.close()
    store.backend.close()

    refusal = failure(lambda: store.get(store.name()))
    assert isinstance(refusal, SecretsError)
    assert refusal.retryable


def test_a_backend_may_be_closed_before_its_first_use_and_from_another_thread(store: Store) -> None:
    backend = store.factory.connect()

    closer = threading.Thread(target=backend.close)
    closer.start()
    closer.join(5)

    assert not closer.is_alive()
    assert isinstance(failure(lambda: Store(store.where, store.factory, backend).get(store.name())), SecretsError)


def test_closing_one_connection_leaves_the_others_alone(store: Store) -> None:
    other = store.factory.connect()
    other.close()

    store.set(store.name(), "hunter2")

    assert store.get(store.name()).reveal() == "hunter2"
