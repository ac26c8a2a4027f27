"""What one machine does not have: policies, rotation functions, replicas, requests by AWS's name."""

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from secrets_actor.domain import operations as ops
from secrets_actor.domain.errors import InvalidRequest, StoreError
from secrets_actor.domain.results import PolicyPage, RotationRules, SecretDescription
from tests.contract.conftest import AWS, opened_store
from tests.contract.store import Store, failure, new_token

REPLICA: Final = "arn:aws:secretsmanager:us-east-1:210987654321:secret:b-AbCdEf"
LAMBDA: Final = "arn:aws:lambda:us-east-1:000000000000:function:rotator"


@pytest.fixture(params=AWS)
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty emulator with an open backend."""
    yield from opened_store(request.param, request)


def describe(store: Store, name: str | None = None) -> SecretDescription:
    return store.ask(ops.Describe(name or store.name())).value


def policy_for(arn: str) -> dict[str, Any]:
    """A policy that lets the secret's own account read it."""
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{arn.split(':')[4]}:root"},
        "Action": "secretsmanager:GetSecretValue",
        "Resource": "*",
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def is_unknown(store: Store, refusal: BaseException) -> bool:
    """Whether an operation was refused as one that there is not."""
    no_operation = failure(lambda: store.ask(ops.Request("MakeCoffee", {})))
    assert isinstance(no_operation, StoreError)
    return type(refusal) is type(no_operation) and getattr(refusal, "aws_code") == no_operation.aws_code  # noqa: B009


def test_a_policy_is_put_read_and_deleted(store: Store) -> None:
    policy = policy_for(store.set(store.name(), "one").arn)
    assert store.ask(ops.GetPolicy(store.name())).value.policy is None

    store.ask(ops.PutPolicy(store.name(), policy))
    found = store.ask(ops.GetPolicy(store.name())).value
    assert found.name == store.name()
    assert found.policy is not None
    assert json.loads(found.policy) == policy

    store.ask(ops.DeletePolicy(store.name()))
    assert store.ask(ops.GetPolicy(store.name())).value.policy is None


def test_the_names_of_the_policies_are_listed(store: Store) -> None:
    made = store.set(store.name(), "one")
    store.ask(ops.PutPolicy(store.name(), policy_for(made.arn)))

    if store.diverges("list-policies"):
        assert is_unknown(store, failure(lambda: store.ask(ops.ListPolicies(store.name()))))
    else:
        assert store.ask(ops.ListPolicies(store.name())).value == PolicyPage(("default",))
        assert store.ask(ops.GetPolicy(store.name(), "default")).value.policy is not None


def test_a_policy_is_validated(store: Store) -> None:
    policy = policy_for(store.set(store.name(), "one").arn)
    asked = ops.ValidatePolicy(policy, store.name())

    if store.diverges("validate-policy"):
        assert isinstance(failure(lambda: store.ask(asked)), StoreError)
    else:
        verdict = store.ask(asked).value
        assert (verdict.passed, verdict.findings) == (True, ())


def test_a_rotation_is_scheduled_described_and_cancelled(store: Store) -> None:
    made = store.set(store.name(), "one")
    rules = RotationRules(after_days=30, duration="3h")
    asked = ops.Rotate(store.name(), LAMBDA, rules, immediately=False, token=new_token())
    if not store.diverges("missing-function"):
        assert isinstance(failure(lambda: store.ask(asked)), StoreError)
        return
    begun = store.ask(asked).value
    assert (begun.name, begun.arn) == (store.name(), made.arn)

    known = describe(store)
    assert known.rotation_enabled
    assert known.rotation_lambda_arn == LAMBDA
    assert known.rotation_rules is not None
    assert known.rotation_rules.after_days == 30

    if store.diverges("cancel-rotation"):
        assert type(failure(lambda: store.ask(ops.CancelRotation(store.name())))) is InvalidRequest
    else:
        store.ask(ops.CancelRotation(store.name()))
        assert not describe(store).rotation_enabled


def test_a_secret_is_replicated_and_its_copies_are_removed(store: Store) -> None:
    made = store.set(store.name(), "one")
    one, two = [region for region in ("eu-central-1", "us-west-2", "eu-west-1") if region not in made.arn][:2]

    there = store.ask(ops.Replicate(store.name(), [one, two])).value

    assert there.arn == (store.name() if store.diverges("replication-answers-id") else made.arn)
    assert {replica.region for replica in there.replicas} == {one, two}
    assert {replica.region for replica in describe(store).replicas} == {one, two}

    if store.diverges("remove-regions"):
        assert type(failure(lambda: store.ask(ops.RemoveRegions(store.name(), [two])))) is InvalidRequest
    else:
        left = store.ask(ops.RemoveRegions(store.name(), [two])).value
        assert {replica.region for replica in left.replicas} == {one}
        assert store.ask(ops.RemoveRegions(store.name(), [one])).value.replicas == ()


def test_a_secret_that_is_no_copy_is_not_made_one_of_its_own(store: Store) -> None:
    store.set(store.name(), "one")

    assert isinstance(failure(lambda: store.ask(ops.StopReplication(store.name()))), StoreError)


def test_a_replica_in_another_account_is_looked_for(store: Store) -> None:
    store.set(store.name(), "one")
    for asked in (ops.AssociateReplica(store.name(), REPLICA), ops.DisassociateReplica(store.name(), REPLICA)):
        refusal = failure(lambda asked=asked: store.ask(asked))

        assert isinstance(refusal, StoreError)
        assert is_unknown(store, refusal) == store.diverges("account-replicas")


def test_any_operation_goes_by_awss_name_and_its_answer_is_masked(store: Store) -> None:
    made = store.set(store.name(), "hunter2")

    answer = store.ask(ops.Request("GetSecretValue", {"SecretId": store.name()})).value

    assert (answer.reveal()["SecretString"], answer.reveal()["ARN"]) == ("hunter2", made.arn)
    assert "hunter2" not in f"{answer!r}{answer}"


def test_an_operation_that_aws_does_not_have_is_refused(store: Store) -> None:
    assert isinstance(failure(lambda: store.ask(ops.Request("MakeCoffee", {}))), StoreError)
