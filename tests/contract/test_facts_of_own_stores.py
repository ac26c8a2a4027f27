"""What our own stores say beyond the contract: the facts in a refusal, by which the AWS face words it as AWS does.

OpenBao says them, too, as far as it has such a meaning.
"""

from collections.abc import Iterator

import pytest

from secrets_actor.domain import operations as ops
from secrets_actor.domain.errors import InvalidRequest, SecretExists, SecretNotFound
from secrets_actor.domain.operations import AWSCURRENT, AWSPENDING, AWSPREVIOUS
from tests.contract.backends import OWN, VAULT_ROW
from tests.contract.conftest import opened_store
from tests.contract.store import Store, failure, new_token

NO_VERSION = "1" * 32


@pytest.fixture(params=[*OWN, VAULT_ROW])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store of our own, or of OpenBao."""
    yield from opened_store(request.param, request)


@pytest.mark.parametrize(
    ("version_id", "stage", "facts"),
    [
        (None, None, (None, AWSPREVIOUS)),
        (NO_VERSION, None, (NO_VERSION, None)),
        (NO_VERSION, AWSCURRENT, (NO_VERSION, None)),
    ],
)
def test_a_version_that_is_not_there_is_named(
    store: Store, version_id: str | None, stage: str | None, facts: object
) -> None:
    store.set(store.name(), "one")
    asked = ops.Get(store.name(), version_id, stage or (AWSPREVIOUS if version_id is None else None))

    refusal = failure(lambda: store.ask(asked))

    assert isinstance(refusal, SecretNotFound)
    assert (refusal.version_id, refusal.stage) == facts


def test_a_secret_that_is_not_there_names_no_version(store: Store) -> None:
    refusal = failure(lambda: store.ask(ops.Get(store.name(), None, AWSPREVIOUS)))

    assert isinstance(refusal, SecretNotFound)
    assert (refusal.version_id, refusal.stage) == (None, None)


def test_a_secret_without_a_value_has_no_current_version(store: Store) -> None:
    store.ask(ops.CreateEmpty(store.name(), new_token()))

    refusal = failure(lambda: store.get(store.name()))

    assert isinstance(refusal, SecretNotFound)
    assert refusal.stage == (None if store.diverges("empty-reads-as-missing") else AWSCURRENT)


def test_the_first_version_is_the_current_one_whatever_stages_it_is_put_with(store: Store) -> None:
    store.ask(ops.CreateEmpty(store.name(), new_token()))
    pending = ops.Put(store.name(), "one", [AWSPENDING], new_token())

    if store.diverges("no-labels-of-ones-own"):
        assert type(failure(lambda: store.ask(pending))) is InvalidRequest
        return
    assert store.ask(pending).value.stages == (AWSCURRENT, AWSPENDING)
    assert store.ask(ops.Put(store.name(), "two", [AWSPENDING], new_token())).value.stages == (AWSPENDING,)
    assert store.get(store.name()).reveal() == "one"


def test_a_token_that_was_used_names_the_secret_that_has_its_version(store: Store) -> None:
    made = store.ask(ops.Create(store.name(), "one", new_token())).value
    for again in (
        ops.Create(store.name(), "two", made.version_id),
        ops.Put(store.name(), "two", token=made.version_id),
        ops.Update(store.name(), "two", token=made.version_id),
    ):
        refusal = failure(lambda again=again: store.ask(again))

        assert isinstance(refusal, SecretExists)
        assert refusal.token_used_in == made.arn
    taken = failure(lambda: store.ask(ops.Create(store.name(), "one", new_token())))
    assert isinstance(taken, SecretExists)
    assert taken.token_used_in is None


def test_a_stage_that_is_not_said_to_be_taken_off_names_its_version(store: Store) -> None:
    other, current = store.set(store.name(), "one").version_id, store.set(store.name(), "two").version_id

    refusal = failure(lambda: store.ask(ops.MoveStage(store.name(), AWSCURRENT, other)))

    assert isinstance(refusal, InvalidRequest)
    assert refusal.stage_holder == current
    absent = failure(lambda: store.ask(ops.MoveStage(store.name(), AWSCURRENT, NO_VERSION, current)))
    assert isinstance(absent, SecretNotFound)
    assert absent.version_id == NO_VERSION


def test_an_empty_create_repeated_after_a_crash_finds_the_secret_that_it_made(store: Store) -> None:
    again = ops.CreateEmpty(store.name(), new_token())
    made = store.ask(again).value

    assert store.ask(again, repeated=True).value == made
    store.ask(ops.Put(store.name(), "one", token=new_token()))
    assert type(failure(lambda: store.ask(again, repeated=True))) is SecretExists
