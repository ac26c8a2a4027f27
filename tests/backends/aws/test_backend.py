"""The AWS backend on ministack: signatures and policies that are really checked."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from secrets_actor.domain import errors
from secrets_actor.domain.operations import Delete, Get, List, Restore, Set
from secrets_actor.domain.ports import Backend
from secrets_actor.domain.secret import SecretValue
from tests.backends.aws.backend_rig import connect, context, do, failing
from tests.servers.account import Keys, allow_everything, allow_only_get
from tests.servers.ministack import Ministack


@pytest.fixture
def account(fresh_ministack: Ministack) -> Any:
    return fresh_ministack.account


@pytest.fixture
def backend(fresh_ministack: Ministack) -> Iterator[Backend]:
    made = connect(fresh_ministack.url)
    yield made
    made.close()


@pytest.mark.parametrize("value", ["hunter2", 'pä$$ "wörd"\n', "x" * 65_536, b"\x00\xff binary", b"x" * 65_536])
def test_a_value_comes_back_as_it_was_set(backend: Backend, account: Any, value: str | bytes) -> None:
    keys = account.user(allow_everything())

    made = do(backend, Set("db/password", SecretValue(value)), keys)
    found = backend.perform(Get("db/password"), context(keys))

    assert made.created
    assert (found.value.reveal(), found.value.version_id) == (value, made.version_id)
    assert found.value.stages == ("AWSCURRENT",)
    assert found.request_id is not None
    assert do(backend, Get(made.arn), keys).reveal() == value


def test_a_second_set_makes_a_version_and_keeps_the_one_before(backend: Backend, account: Any) -> None:
    keys = account.user(allow_everything())
    arn = do(backend, Set("a", SecretValue("one")), keys).arn

    assert not do(backend, Set("a", SecretValue("two")), keys).created
    assert not do(backend, Set(arn, SecretValue("three")), keys).created

    assert do(backend, Get("a"), keys).reveal() == "three"
    assert do(backend, Get("a", stage="AWSPREVIOUS"), keys).reveal() == "two"


def test_a_secret_is_deleted_restored_and_deleted_for_good(backend: Backend, account: Any) -> None:
    keys = account.user(allow_everything())
    do(backend, Set("a", SecretValue("x")), keys)

    receipt = do(backend, Delete("a", recovery_window=7), keys)

    assert timedelta(days=6.9) < receipt.deletion_date - datetime.now(UTC) < timedelta(days=7.1)
    assert type(failing(backend, Get("a"), keys)) is errors.SecretDeleted
    assert type(failing(backend, Set("a", SecretValue("y")), keys)) is errors.SecretDeleted
    assert do(backend, List(), keys) == ()
    assert do(backend, List(include_deleted=True), keys)[0].deleted_at is not None
    assert do(backend, Restore("a"), keys).name == "a"
    assert do(backend, Get("a"), keys).reveal() == "x"
    do(backend, Delete("a", force=True), keys)
    assert type(failing(backend, Get("a"), keys)) is errors.SecretNotFound


def test_a_list_goes_through_all_pages(backend: Backend, account: Any) -> None:
    keys = account.user(allow_everything())
    for at in range(7):
        do(backend, Set(f"s{at}", SecretValue("x"), description=f"number {at}"), keys)

    found = do(backend, List(page_size=3), keys)

    assert [info.name for info in found] == [f"s{at}" for at in range(7)]
    assert found[3].description == "number 3"


def test_keys_that_are_wrong_each_get_their_error(backend: Backend, account: Any) -> None:
    good = account.user(allow_everything())
    arn = do(backend, Set("a", SecretValue("x")), good).arn
    do(backend, Set("b", SecretValue("x")), good)
    session = account.role_session(allow_everything())
    cases = [
        (Keys(good.access_key_id, "wrong"), errors.InvalidSignature),
        (Keys("AKIAUNKNOWNUNKNOWN00", "x"), errors.UnrecognizedClient),
        (account.user(), errors.AccessDenied),
        (account.role_session(allow_everything(), seconds=-5), errors.ExpiredToken),
        (Keys(session.access_key_id, session.secret_key), errors.UnrecognizedClient),
    ]

    assert [type(failing(backend, Get("a"), keys)) for keys, _ in cases] == [expected for _, expected in cases]
    assert do(backend, Get("a"), session).reveal() == "x"
    assert do(backend, Get("a"), account.user(allow_only_get(arn))).reveal() == "x"
    assert type(failing(backend, Get("b"), account.user(allow_only_get(arn)))) is errors.AccessDenied
