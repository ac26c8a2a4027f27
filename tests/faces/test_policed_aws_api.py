"""The AWS face under the policy, asked by boto3: each operation is let through by its action and by no other, in each
form of a secret's id; and what is refused has no effect."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError

from secrets_actor.domain.names import without_suffix
from secrets_actor.domain.ports import AuditRecord
from secrets_actor.faces.identity import Identity, Peer
from secrets_actor.faces.permission import PolicyGate
from secrets_actor.faces.policy import ACTION_OF, ACTIONS, Policy, Rule
from secrets_actor.testing import FakeStore, fake_system
from tests.faces.aws_rig import Rig, aws_face, refusal

MINE: Final = Identity(Peer(uid=990, user="deploy", unit="billing.service"))
LAMBDA: Final = "arn:aws:lambda:us-east-1:123456789012:function:rotate"
POLICY: Final = "{}"
# For each operation on a secret, what is asked beside `SecretId`.
ON_ONE: Final[dict[str, dict[str, Any]]] = {
    "cancel_rotate_secret": {},
    "delete_resource_policy": {},
    "delete_secret": {},
    "describe_secret": {},
    "get_resource_policy": {},
    "get_secret_value": {},
    "list_secret_version_ids": {},
    "put_resource_policy": {"ResourcePolicy": POLICY},
    "put_secret_value": {"SecretString": "changed"},
    "remove_regions_from_replication": {"RemoveReplicaRegions": ["eu-central-1"]},
    "replicate_secret_to_regions": {"AddReplicaRegions": [{"Region": "eu-central-1"}]},
    "restore_secret": {},
    "rotate_secret": {"RotationLambdaARN": LAMBDA},
    "stop_replication_to_replica": {},
    "tag_resource": {"Tags": [{"Key": "a", "Value": "b"}]},
    "untag_resource": {"TagKeys": ["a"]},
    "update_secret": {"SecretString": "changed"},
    "update_secret_version_stage": {"VersionStage": "X", "MoveToVersionId": "0b8e9a34-6f0d-4a8e-9d5e-1d5b6a1f0c11"},
}
ON_NONE: Final[dict[str, dict[str, Any]]] = {
    "get_random_password": {},
    "list_secrets": {},
}


def named(method: str) -> str:
    return "".join(map(str.capitalize, method.split("_")))


class Sink:
    """An audit log in a list."""

    def __init__(self) -> None:
        self.records: list[AuditRecord] = []

    def record(self, record: AuditRecord) -> None:
        self.records.append(record)


@contextmanager
def policed(*rules: Rule, sink: Sink | None = None) -> Iterator[tuple[Rig, FakeStore]]:
    """The face for MINE, under *rules*, over a store with `billing/db` and `shared/smtp`."""
    with fake_system(ttl_seconds=0) as (system, store):
        for name in ("billing/db", "shared/smtp"):
            store.put(name, "hunter2")
        policy = Policy(rules)
        described = system.async_secrets.for_caller("the daemon").describe
        gate = PolicyGate(lambda: policy, described, sink or Sink(), store.clock)
        with aws_face(system, authenticate=lambda _request: MINE, judge=gate) as rig:
            yield rig, store


def outcome(call: Callable[[], object]) -> str:
    """`ok`, or the code of the error."""
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "ok"


def forms(system: Any, name: str) -> tuple[str, str, str]:
    """A secret's name, its ARN, and its ARN without the suffix."""
    arn = system.secrets.describe(name).arn
    return name, arn, str(without_suffix(arn))


def test_the_tables_have_each_operation() -> None:
    others = {"create_secret", "batch_get_secret_value", "list_resource_policies", "validate_resource_policy"}
    others |= {"associate_cross_account_replica", "disassociate_cross_account_replica"}  # unknown to older boto3
    assert {named(method) for method in (*ON_ONE, *ON_NONE, *others)} == set(ACTION_OF)


@pytest.mark.parametrize("method", ON_ONE)
def test_an_operation_is_let_through_by_its_action_alone_in_each_form_of_the_id(method: str) -> None:
    needed = ACTION_OF[named(method)]
    rest = tuple(action for action in ACTIONS[:-1] if action != needed)
    with policed(Rule(("user:deploy",), ("billing/*",), rest)) as (rig, _):
        sm, before = rig.client(), rig.system.secrets.describe("billing/db")
        for form in forms(rig.system, "billing/db"):
            code, text, _status = refusal(lambda form=form: getattr(sm, method)(SecretId=form, **ON_ONE[method]))  # type: ignore[misc]
            assert code == "AccessDeniedException"
            assert text == f"unit:billing.service (user deploy) may not {needed} {form}: no rule allows it"
        assert rig.system.secrets.describe("billing/db") == before
        assert rig.system.secrets.get("billing/db").reveal() == "hunter2"

    with policed(Rule(("user:deploy",), ("billing/*",), (needed,))) as (rig, _):
        sm = rig.client()
        for form in forms(rig.system, "billing/db"):
            allowed = outcome(lambda form=form: getattr(sm, method)(SecretId=form, **ON_ONE[method]))  # type: ignore[misc]
            text = ""
            if allowed == "AccessDeniedException":  # the store's own refusal, of a Lambda function that it cannot reach
                text = refusal(lambda form=form: getattr(sm, method)(SecretId=form, **ON_ONE[method]))[1]  # type: ignore[misc]
            assert "no rule allows it" not in text
        for form in forms(rig.system, "shared/smtp"):
            code, text, _ = refusal(lambda form=form: getattr(sm, method)(SecretId=form, **ON_ONE[method]))  # type: ignore[misc]
            assert (code, text.endswith("no rule allows it")) == ("AccessDeniedException", True)


@pytest.mark.parametrize("method", ON_NONE)
def test_what_is_about_no_secret_needs_its_action_with_any(method: str) -> None:
    needed = ACTION_OF[named(method)]
    rest = tuple(action for action in ACTIONS[:-1] if action != needed)
    with policed(Rule(("user:deploy",), ("**",), rest)) as (rig, _):
        assert outcome(lambda: getattr(rig.client(), method)(**ON_NONE[method])) == "AccessDeniedException"
    with policed(Rule(("user:deploy",), ("**",), (needed,))) as (rig, _):
        assert outcome(lambda: getattr(rig.client(), method)(**ON_NONE[method])) in ("ok", "InvalidRequestException")


def test_to_create_with_replicas_needs_more_than_to_create() -> None:
    regions = [{"Region": "eu-central-1"}]
    with policed(Rule(("user:deploy",), ("billing/*",), ("write",))) as (rig, _):
        sm = rig.client()
        assert outcome(lambda: sm.create_secret(Name="billing/new", SecretString="v")) == "ok"
        assert outcome(lambda: sm.create_secret(Name="shared/new", SecretString="v")) == "AccessDeniedException"
        for name in ("billing/other", "billing/new"):
            asked = outcome(lambda name=name: sm.create_secret(Name=name, SecretString="v", AddReplicaRegions=regions))  # type: ignore[misc]
            assert asked == "AccessDeniedException"
        assert {one.name for one in rig.system.secrets.list()} == {"billing/db", "billing/new", "shared/smtp"}


def test_lists_and_batches_show_what_may_be_seen() -> None:
    sink = Sink()
    with policed(Rule(("user:deploy",), ("billing/*",), ("read",)), sink=sink) as (rig, _):
        sm = rig.client()
        assert [one["Name"] for one in sm.list_secrets()["SecretList"]] == ["billing/db"]
        found = sm.batch_get_secret_value(Filters=[{"Key": "name", "Values": ["billing", "shared"]}])
        assert [one["Name"] for one in found["SecretValues"]] == ["billing/db"]
        assert found["Errors"] == []
        assert sink.records == []

        ids = [form for name in ("billing/db", "shared/smtp") for form in forms(rig.system, name)]
        batch = sm.batch_get_secret_value(SecretIdList=[*ids, "shared/none"])
        assert {one["Name"] for one in batch["SecretValues"]} == {"billing/db"}
        refused = {one["SecretId"]: (one["ErrorCode"], one["Message"]) for one in batch["Errors"]}
        assert refused == {
            form: (
                "AccessDeniedException",
                f"unit:billing.service (user deploy) may not get {form}: no rule allows it",
            )
            for form in (*ids[3:], "shared/none")
        }
        assert [(one.operation, one.secret_id) for one in sink.records] == [("get", form) for form in refused]


def test_a_caller_without_a_rule_learns_nothing() -> None:
    with policed(Rule(("user:root",), ("**",), ("admin",))) as (rig, _):
        sm = rig.client()
        there, missing = (
            refusal(lambda name=name: sm.get_secret_value(SecretId=name))[1].replace(name, "NAME")  # type: ignore[misc]
            for name in ("billing/db", "billing/none")
        )
        assert there == missing
        assert outcome(sm.list_secrets) == "AccessDeniedException"
        assert outcome(sm.get_random_password) == "AccessDeniedException"
