"""The AWS face asks the policy before the store, and shows of lists and batches what the caller may see."""

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError

from secrets_actor.aws_json.operations import OPERATIONS
from secrets_actor.domain.errors import AccessDenied, InvalidRequest
from secrets_actor.faces.aws_api import GATHERED_AT_A_TIME, MOST_GATHERED, MOST_TOKENS, PageTokens
from secrets_actor.faces.identity import Identity
from secrets_actor.faces.policy import Rule
from secrets_actor.testing import FakeStore, fake_system
from tests.faces.aws_rig import Rig, aws_face, refusal

NAMES: Final = ("app/a", "app/b", "billing/a", "billing/b")
VERSION: Final = "0b8e9a34-6f0d-4a8e-9d5e-1d5b6a1f0c11"
DENIED: Final = "AccessDeniedException"


def rule(*may: str, secrets: tuple[str, ...] = ("app/*",)) -> Rule:
    """A rule for the caller of these tests."""
    return Rule(("unit:billing.service",), secrets, may)


@contextmanager
def policed(*rules: Rule) -> Iterator[tuple[Rig, FakeStore]]:
    """The face under these rules, over a store with four secrets."""
    with fake_system() as (system, store), aws_face(system, *rules) as rig:
        for name in NAMES:
            store.put(name, f"value of {name}")
        yield rig, store


def arn_of(store: FakeStore, name: str) -> str:
    return f"arn:fake:secretsmanager:fake:000000000000:secret:{name}-{NAMES.index(name) + 1:06}"


# What is asked for of a secret that the caller may do nothing with.
FORBIDDEN: Final[dict[str, Callable[[Any, str], object]]] = {
    "GetSecretValue": lambda sm, name: sm.get_secret_value(SecretId=name),
    "DescribeSecret": lambda sm, name: sm.describe_secret(SecretId=name),
    "ListSecretVersionIds": lambda sm, name: sm.list_secret_version_ids(SecretId=name),
    "PutSecretValue": lambda sm, name: sm.put_secret_value(SecretId=name, SecretString="x"),
    "UpdateSecret": lambda sm, name: sm.update_secret(SecretId=name),
    "UpdateSecretVersionStage": lambda sm, name: sm.update_secret_version_stage(
        SecretId=name, VersionStage="s", MoveToVersionId=VERSION
    ),
    "DeleteSecret": lambda sm, name: sm.delete_secret(SecretId=name),
    "RestoreSecret": lambda sm, name: sm.restore_secret(SecretId=name),
    "TagResource": lambda sm, name: sm.tag_resource(SecretId=name, Tags=[{"Key": "k", "Value": "v"}]),
    "UntagResource": lambda sm, name: sm.untag_resource(SecretId=name, TagKeys=["k"]),
    "RotateSecret": lambda sm, name: sm.rotate_secret(SecretId=name),
    "CancelRotateSecret": lambda sm, name: sm.cancel_rotate_secret(SecretId=name),
    "GetResourcePolicy": lambda sm, name: sm.get_resource_policy(SecretId=name),
    "PutResourcePolicy": lambda sm, name: sm.put_resource_policy(SecretId=name, ResourcePolicy="{}"),
    "DeleteResourcePolicy": lambda sm, name: sm.delete_resource_policy(SecretId=name),
    "ValidateResourcePolicy": lambda sm, name: sm.validate_resource_policy(SecretId=name, ResourcePolicy="{}"),
    "StopReplicationToReplica": lambda sm, name: sm.stop_replication_to_replica(SecretId=name),
    "ReplicateSecretToRegions": lambda sm, name: sm.replicate_secret_to_regions(
        SecretId=name, AddReplicaRegions=[{"Region": "eu-central-1"}]
    ),
    "RemoveRegionsFromReplication": lambda sm, name: sm.remove_regions_from_replication(
        SecretId=name, RemoveReplicaRegions=["eu-central-1"]
    ),
}


@pytest.mark.parametrize("operation", FORBIDDEN)
@pytest.mark.parametrize("by", ["name", "arn", "partial arn", "absent"])
def test_what_no_rule_allows_is_refused_before_the_store_is_asked(operation: str, by: str) -> None:
    with policed(rule("admin")) as (rig, store):
        arn = arn_of(store, "billing/a")
        secret_id = {"name": "billing/a", "arn": arn, "partial arn": arn[:-7], "absent": "billing/none"}[by]

        code, text, status = refusal(lambda: FORBIDDEN[operation](rig.client(), secret_id))

        assert (code, status) == (DENIED, 400)
        assert "billing.service" in text
        assert set(store.calls) <= {"describe"}
        assert rig.audit.records[-1].outcome == "access_denied"


def test_the_same_rule_holds_for_a_name_and_its_arns() -> None:
    with policed(rule("get")) as (rig, store):
        sm, arn = rig.client(), arn_of(store, "app/a")
        for secret_id in ("app/a", arn, arn[:-7]):
            assert sm.get_secret_value(SecretId=secret_id)["SecretString"] == "value of app/a"
        assert refusal(lambda: sm.describe_secret(SecretId="app/a"))[0] == DENIED
    with policed(rule("describe", "put")) as (rig, store):
        sm, arn = rig.client(), arn_of(store, "app/a")
        for secret_id in ("app/a", arn, arn[:-7]):
            assert sm.describe_secret(SecretId=secret_id)["ARN"] == arn
            assert sm.put_secret_value(SecretId=secret_id, SecretString=secret_id)["ARN"] == arn
            assert refusal(lambda secret_id=secret_id: sm.get_secret_value(SecretId=secret_id))[0] == DENIED


class ByNameOnly:
    """A gate that does not know what an ARN means, and lets it pass. It refuses the one name."""

    async def check(self, identity: Identity, action: str, secret_id: str) -> None:
        if secret_id == "billing/a":
            raise AccessDenied(f"{action} {secret_id}: no rule allows it")

    def may(self, identity: Identity, action: str, name: str) -> bool:
        return name != "billing/a"

    def in_force(self) -> object:
        return self

    def check_any(self, identity: Identity, action: str) -> None: ...


class Replaced(ByNameOnly):
    """A gate whose rules are replaced while the store is asked: then they allow nothing."""

    def __init__(self, store: FakeStore) -> None:
        self._store = store

    async def check(self, identity: Identity, action: str, secret_id: str) -> None:
        if self._store.calls:
            raise AccessDenied(f"{action} {secret_id}: no rule allows it")

    def in_force(self) -> object:
        return bool(self._store.calls)


def test_an_answer_that_came_after_the_rules_were_replaced_is_judged_again() -> None:
    for ask in (
        lambda sm: sm.get_secret_value(SecretId="app/a"),
        lambda sm: sm.describe_secret(SecretId="app/a"),
        lambda sm: sm.list_secret_version_ids(SecretId="app/a"),
        lambda sm: sm.batch_get_secret_value(SecretIdList=["app/a"])["Errors"][0],
    ):
        with fake_system() as (system, store), aws_face(system, judge=Replaced(store)) as rig:
            store.put("app/a", "hunter2")
            try:
                told = ask(rig.client())["ErrorCode"]
            except ClientError as error:
                told = error.response["Error"]["Code"]
            assert told == DENIED
            assert store.calls.total() == 1
            assert all(b"hunter2" not in answer.body for answer in rig.responses)


def test_nothing_of_an_answer_leaves_before_the_name_in_it_was_judged() -> None:
    with fake_system() as (system, store), aws_face(system, judge=ByNameOnly()) as rig:
        for name in NAMES:
            store.put(name, f"value of {name}")
        sm, arn = rig.client(), arn_of(store, "billing/a")

        for call in (sm.get_secret_value, sm.describe_secret, sm.list_secret_version_ids):
            assert refusal(lambda call=call: call(SecretId=arn))[0] == DENIED
        batch = sm.batch_get_secret_value(SecretIdList=[arn, arn_of(store, "app/a")])
        assert [one["Name"] for one in batch["SecretValues"]] == ["app/a"]
        assert [(one["SecretId"], one["ErrorCode"]) for one in batch["Errors"]] == [(arn, DENIED)]
        assert all(b"value of billing" not in answer.body for answer in rig.responses)


def test_a_new_secret_is_created_where_a_rule_allows_it() -> None:
    with policed(rule("create")) as (rig, _):
        sm = rig.client()
        assert sm.create_secret(Name="app/new", SecretString="x")["Name"] == "app/new"
        assert refusal(lambda: sm.create_secret(Name="billing/new", SecretString="x"))[0] == DENIED


def lists(sm: Any, **asked: Any) -> list[list[str]]:
    """The names on each page of a list."""
    pages: list[list[str]] = []
    while True:
        page = sm.list_secrets(**asked)
        pages.append([one["Name"] for one in page["SecretList"]])
        if "NextToken" not in page:
            return pages
        asked["NextToken"] = page["NextToken"]
        # The store's own token tells the name of the last secret on the page.
        assert b"app" not in base64.urlsafe_b64decode(page["NextToken"] + "===")


@pytest.mark.parametrize("name", NAMES)
def test_a_list_shows_what_may_be_listed_and_nothing_of_the_rest(name: str) -> None:
    with policed(rule("list", secrets=(name,))) as (rig, _):
        assert lists(rig.client(), MaxResults=1, SortBy="name") == [[name]]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("prefix", ["", "app/", "app/hidden-", "nothing/", "billing/"])
def test_secrets_that_may_not_be_seen_change_no_list(size: int, prefix: str) -> None:
    answers = []
    for hidden in (False, True):
        with policed(rule("list", secrets=("app/seen-*", "billing/*"))) as (rig, store):
            for number in range(7):
                store.put(f"app/seen-{number}", "value")
                for one in range(3 if hidden else 0):
                    store.put(f"app/hidden-{number}-{one}", "value")
                    store.put(f"app/seen-{number}/{one}", "value")
            sm, filters = rig.client(), [{"Key": "name", "Values": [prefix]}] if prefix else []
            batch = sm.batch_get_secret_value(Filters=filters or [{"Key": "all", "Values": ["seen"]}], MaxResults=20)
            answers.append((lists(sm, MaxResults=size, SortBy="name", Filters=filters), "NextToken" in batch))
    assert answers[0] == answers[1]


def test_a_list_over_very_many_hidden_secrets_ends_its_work_and_goes_on_with_the_next_page() -> None:
    with policed(rule("list", secrets=("z",))) as (rig, store):
        for number in range(GATHERED_AT_A_TIME * MOST_GATHERED):
            store.put(f"hidden/{number:05}", "value")
        store.put("z", "value")
        assert lists(rig.client(), SortBy="name") == [[], ["z"]]


def test_whoever_may_list_nothing_is_told_so() -> None:
    with policed(rule("get")) as (rig, store):
        sm = rig.client()
        assert refusal(sm.list_secrets)[0] == DENIED
        assert refusal(lambda: sm.batch_get_secret_value(Filters=[{"Key": "name", "Values": ["a"]}]))[0] == DENIED
        assert refusal(sm.get_random_password)[0] == DENIED
        assert not store.calls
    with policed(rule("put")) as (rig, _):
        assert len(rig.client().get_random_password()["RandomPassword"]) == 32


def test_a_batch_has_an_error_for_what_may_not_be_got() -> None:
    with policed(rule("get")) as (rig, store):
        arns = arn_of(store, "app/b"), arn_of(store, "billing/b")
        batch = rig.client().batch_get_secret_value(SecretIdList=["app/a", "billing/a", *arns, "billing/none"])

        assert [one["Name"] for one in batch["SecretValues"]] == ["app/a", "app/b"]
        assert [(one["SecretId"], one["ErrorCode"]) for one in batch["Errors"]] == [
            ("billing/a", DENIED),
            (arns[1], DENIED),
            ("billing/none", DENIED),
        ]
        assert "value of billing" not in repr(batch)


def test_a_batch_of_which_nothing_may_be_got_asks_for_nothing() -> None:
    with policed(rule("get")) as (rig, store):
        batch = rig.client().batch_get_secret_value(SecretIdList=["billing/a"])

        assert batch["SecretValues"] == []
        assert len(batch["Errors"]) == 1
        assert not store.calls


def test_a_batch_by_filters_has_what_may_be_listed_and_errors_for_what_may_not_be_got() -> None:
    with policed(rule("list", "get"), rule("list", secrets=("billing/a",))) as (rig, _):
        batch = rig.client().batch_get_secret_value(Filters=[{"Key": "name", "Values": ["app/", "billing/"]}])

        assert [one["Name"] for one in batch["SecretValues"]] == ["app/a", "app/b"]
        assert [(one["SecretId"], one["ErrorCode"]) for one in batch["Errors"]] == [("billing/a", DENIED)]


def test_tokens_of_pages_are_forgotten_the_oldest_first() -> None:
    pages = PageTokens()
    given = [pages.given_for(f"token {number}") for number in range(MOST_TOKENS + 1)]

    assert pages.given_for(None) is None
    assert pages.meant_by(str(given[1])) == "token 1"
    assert pages.meant_by(str(given[-1])) == f"token {MOST_TOKENS}"
    with pytest.raises(InvalidRequest):
        pages.meant_by(str(given[0]))


def test_every_operation_that_is_about_a_secret_is_tried_here() -> None:
    about_one = {name for name, shapes in OPERATIONS.items() if "SecretId" in shapes.request.__struct_fields__}
    # No boto3 of ours knows these three yet; test_aws_requests.py has them.
    newer = {"AssociateCrossAccountReplica", "DisassociateCrossAccountReplica", "ListResourcePolicies"}
    assert about_one == {*FORBIDDEN, *newer}
