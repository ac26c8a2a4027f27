"""What one machine does not have, our own stores and OpenBao say, and drop nothing unseen."""

from collections.abc import Iterator

import pytest

from secrets_actor.domain import operations as ops
from secrets_actor.domain.errors import InvalidRequest, SecretNotFound, UnknownMessage
from secrets_actor.domain.results import PolicyPage, ResourcePolicy
from tests.contract.backends import DAEMON, OWN, VAULT_ROW
from tests.contract.conftest import opened_store
from tests.contract.store import Store, failure, new_token

REPLICA = "arn:aws:secretsmanager:us-east-1:210987654321:secret:b-AbCdEf"
KEY = "alias/mine"


@pytest.fixture(params=[*OWN, VAULT_ROW])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store of our own, or of OpenBao."""
    yield from opened_store(request.param, request)


def test_a_store_of_our_own_says_which_operation_it_does_not_know(store: Store) -> None:
    store.set(store.name(), "one")
    for operation in (
        ops.Replicate(store.name(), ["eu-central-1"]),
        ops.RemoveRegions(store.name(), ["eu-central-1"]),
        ops.StopReplication(store.name()),
        ops.AssociateReplica(store.name(), REPLICA),
        ops.DisassociateReplica(store.name(), REPLICA),
        ops.PutPolicy(store.name(), "{}"),
        ops.DeletePolicy(store.name()),
        ops.ValidatePolicy("{}"),
        # A daemon speaks AWS's language, so a request in it is carried out there.
        *([] if store.where == DAEMON else [ops.Request("GetSecretValue", {"SecretId": store.name()})]),
    ):
        refusal = failure(lambda operation=operation: store.ask(operation))

        assert type(refusal) is UnknownMessage
        assert type(operation).__name__ in str(refusal)


def test_no_secret_of_a_store_of_our_own_has_a_resource_policy(store: Store) -> None:
    made = store.set(store.name(), "one")

    assert store.ask(ops.GetPolicy(store.name())).value == ResourcePolicy(store.name(), made.arn)
    assert store.ask(ops.ListPolicies(store.name())).value == PolicyPage(())
    for operation in (ops.GetPolicy(store.name("none")), ops.ListPolicies(store.name("none"))):
        assert type(failure(lambda operation=operation: store.ask(operation))) is SecretNotFound


def test_keys_and_regions_that_there_are_not_are_not_dropped_unseen(store: Store) -> None:
    other = store.name("other")
    store.set(other, "one")
    for operation in (
        ops.Set(store.name(), "one", new_token(), kms_key_id=KEY),
        ops.Create(store.name(), "one", new_token(), kms_key_id=KEY),
        ops.Create(store.name(), "one", new_token(), replicas=["eu-central-1"]),
        ops.CreateEmpty(store.name(), new_token(), kms_key_id=KEY),
        ops.CreateEmpty(store.name(), new_token(), replicas=["eu-central-1"]),
        ops.Update(other, description="d", kms_key_id=KEY),
        ops.Rotate(other, "arn:aws:lambda:us-east-1:000000000000:function:rotator", token=new_token()),
    ):
        assert type(failure(lambda operation=operation: store.ask(operation))) is InvalidRequest
    assert type(failure(lambda: store.get(store.name()))) is SecretNotFound
    assert store.ask(ops.Describe(other)).value.description is None


def test_the_key_that_aws_takes_unasked_may_be_named(store: Store) -> None:
    store.ask(ops.Create(store.name(), "one", new_token(), kms_key_id="alias/aws/secretsmanager"))
    store.ask(ops.Update(store.name(), kms_key_id=""))

    assert store.ask(ops.Describe(store.name())).value.kms_key_id is None


def test_a_rotation_without_function_says_what_to_do_instead(store: Store) -> None:
    store.set(store.name(), "one")

    assert "regenerate" in str(failure(lambda: store.ask(ops.Rotate(store.name(), token=new_token()))))


def test_nothing_but_a_restore_changes_a_secret_that_is_scheduled_for_deletion(store: Store) -> None:
    first = store.set(store.name(), "one")
    store.delete(store.name())
    known = store.ask(ops.Describe(store.name())).value
    assert known.deleted_at == known.changed_at
    for operation in (
        ops.Put(store.name(), "two", token=new_token()),
        ops.Update(store.name(), description="d", token=new_token()),
        ops.Update(store.name(), "two", token=new_token()),
        ops.Set(store.name(), "two", new_token()),
        ops.MoveStage(store.name(), "mine", first.version_id),
        ops.Tag(store.name(), {"k": "v"}),
        ops.Untag(store.name(), ["k"]),
        ops.Regenerate(store.name(), token=new_token()),
        ops.Delete(store.name()),
    ):
        assert isinstance(failure(lambda operation=operation: store.ask(operation)), InvalidRequest)

    assert store.ask(ops.Describe(store.name())).value == known
    store.restore(store.name())
    assert store.ask(ops.Describe(store.name())).value.deleted_at is None
