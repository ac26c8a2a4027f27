"""Lists, tags, policies, passwords, rotation, replicas: over the emulators.

The local store and the fake do not know any of it yet; see test_own_stores.py.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from secrets_actor.domain import operations as ops
from secrets_actor.domain.descriptions import RotationRules, SecretDescription
from secrets_actor.domain.errors import InvalidRequest, StoreError
from secrets_actor.domain.operations import AWSPREVIOUS, Filter, SortBy
from tests.contract.conftest import AWS, opened_store
from tests.contract.store import Store, failure, new_token

LAMBDA: Final = "arn:aws:lambda:us-east-1:000000000000:function:rotator"


@pytest.fixture(params=AWS)
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty emulator with an open backend."""
    yield from opened_store(request.param, request)


def policy_for(arn: str) -> dict[str, Any]:
    """A policy that lets the secret's own account read it."""
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{arn.split(':')[4]}:root"},
        "Action": "secretsmanager:GetSecretValue",
        "Resource": "*",
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def describe(store: Store, name: str | None = None) -> SecretDescription:
    return store.ask(ops.Describe(name or store.name())).value


# --- many ------------------------------------------------------------------------------------------------------------


def test_many_are_listed_page_by_page(store: Store) -> None:
    expected = [store.name(f"{number}") for number in range(7)]
    for name in expected:
        store.set(name, "hunter2")

    store.sees(lambda: sorted(one.name for one in store.pages(ops.ListPage((store.ours(),), page_size=3))), expected)


def test_a_list_is_filtered_by_name_and_by_tag(store: Store) -> None:
    key, one, two = f"team-{new_token()}", store.name("one"), store.name("two")
    store.ask(ops.Create(one, "v", new_token(), tags={key: "db"}))
    store.ask(ops.Create(two, "v", new_token(), tags={key: "web"}))
    of_this_test = Filter("tag-key", key)

    def finds(names: list[str], *filters: Filter) -> None:
        store.sees(lambda: sorted(found.name for found in store.pages(ops.ListPage(filters))), names)

    finds([one, two], of_this_test)
    finds([one], Filter("name", store.name("o")))
    finds([two], of_this_test, Filter("tag-value", ["web"]))
    finds([one], of_this_test, Filter("name", store.name("o")))
    not_one = Filter("name", f"!{store.name('o')}")
    finds([] if store.diverges("negated-filter") else [two], of_this_test, not_one)


def test_a_list_is_sorted_by_name_when_asked_for(store: Store) -> None:
    for suffix in ("b", "c", "a"):
        store.set(store.name(suffix), "hunter2")
    asked = ops.ListPage((store.ours(),), SortBy.NAME, descending=True)
    expected = [store.name(suffix) for suffix in "cba"]

    if store.diverges("sort-by-name"):
        found = [one.name for one in store.pages(asked)]
        assert found != expected
        assert sorted(found, reverse=True) == expected
    else:
        store.sees(lambda: [one.name for one in store.pages(asked)], expected)


# --- tags, policies --------------------------------------------------------------------------------------------------


def test_tags_are_set_changed_and_taken_off(store: Store) -> None:
    store.set(store.name(), "one")
    store.ask(ops.Tag(store.name(), {"a": "1", "b": "2"}))
    store.ask(ops.Tag(store.name(), {"b": "3", "c": ""}))
    assert dict(describe(store).tags) == {"a": "1", "b": "3", "c": ""}

    store.ask(ops.Untag(store.name(), ["a", "c", "never-there"]))

    assert dict(describe(store).tags) == {"b": "3"}


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


def test_a_policy_is_validated(store: Store) -> None:
    policy = policy_for(store.set(store.name(), "one").arn)
    asked = ops.ValidatePolicy(policy, store.name())

    if store.diverges("validate-policy"):
        assert isinstance(failure(lambda: store.ask(asked)), StoreError)
    else:
        verdict = store.ask(asked).value
        assert (verdict.passed, verdict.findings) == (True, ())


# --- passwords, rotation ---------------------------------------------------------------------------------------------


def test_a_password_is_as_it_was_asked_for(store: Store) -> None:
    asked = ops.RandomPassword(length=60, exclude="abc", numbers=False, punctuation=False, uppercase=False)

    one, two = store.ask(asked).value, store.ask(asked).value

    password = str(one.reveal())
    assert len(password) == 60
    assert password.isalpha()
    assert password.islower()
    assert not set(password) & set("abc")
    assert one != two


@pytest.mark.parametrize("generate", list(ops.Generated))
def test_a_new_value_is_generated_and_is_current(store: Store, generate: ops.Generated) -> None:
    first = store.set(store.name(), "one")
    asked = ops.Regenerate(store.name(), generate, ops.RandomPassword(40), new_token())

    made = store.ask(asked).value

    current = store.get(store.name())
    assert (made.version_id, current.version_id) == (asked.token, asked.token)
    assert len(current.reveal()) == (40 if generate == "password" else 44)
    assert store.get(store.name(), stage=AWSPREVIOUS).version_id == first.version_id


def test_a_generated_value_asked_for_twice_with_one_token_is_made_once(store: Store) -> None:
    store.set(store.name(), "one")
    asked = ops.Regenerate(store.name(), "bytes", token=new_token())
    store.ask(asked)
    value = store.get(store.name()).reveal()

    again = store.ask(asked).value

    assert again.version_id == asked.token
    if store.diverges("put-same-token-other-value"):
        assert store.get(store.name()).reveal() != value
    else:
        assert store.get(store.name()).reveal() == value


def test_a_rotation_without_a_function_is_refused(store: Store) -> None:
    store.set(store.name(), "one")
    asked = ops.Rotate(store.name(), token=new_token())

    if store.diverges("rotation-without-function"):
        store.ask(asked)
    else:
        assert type(failure(lambda: store.ask(asked))) is InvalidRequest


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


# --- replicas --------------------------------------------------------------------------------------------------------


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


# --- anything --------------------------------------------------------------------------------------------------------


def test_any_operation_goes_by_awss_name_and_its_answer_is_masked(store: Store) -> None:
    made = store.set(store.name(), "hunter2")

    answer = store.ask(ops.Request("GetSecretValue", {"SecretId": store.name()})).value

    assert (answer.reveal()["SecretString"], answer.reveal()["ARN"]) == ("hunter2", made.arn)
    assert "hunter2" not in f"{answer!r}{answer}"


def test_an_operation_that_aws_does_not_have_is_refused(store: Store) -> None:
    assert isinstance(failure(lambda: store.ask(ops.Request("MakeCoffee", {}))), StoreError)
