"""Every call of administration: as the API reference has it, and as botocore's model accepts it."""

import json
from typing import Any, Final

import pytest
from botocore.validate import ParamValidator

from secrets_actor.backends.aws import request_builders
from secrets_actor.backends.aws.protocol import Call
from secrets_actor.domain import operations as ops
from secrets_actor.domain.results import ReplicaRegion, RotationRules
from secrets_actor.domain.secret import SecretValue
from tests.aws_json.model import MODEL

TOKEN: Final = "0b8e9a34-6f0d-4a8e-9d5e-1d5b6a1f0c11"
OTHER: Final = "1b8e9a34-6f0d-4a8e-9d5e-1d5b6a1f0c11"
A: Final = {"SecretId": "a"}
TAGS: Final = [{"Key": "k", "Value": "v"}, {"Key": "e", "Value": ""}]
REPLICAS: Final = [{"Region": "eu-central-1"}, {"Region": "us-west-2", "KmsKeyId": "key"}]
REGIONS: Final = ["eu-central-1", ReplicaRegion("us-west-2", "key")]
PASSWORD: Final = {
    "PasswordLength": 32,
    "ExcludeLowercase": False,
    "ExcludeUppercase": False,
    "ExcludeNumbers": False,
    "ExcludePunctuation": False,
    "IncludeSpace": False,
    "RequireEachIncludedType": True,
}

REPLICA: Final = "arn:aws:secretsmanager:us-east-1:210987654321:secret:b-AbCdEf"
CALLS: Final[list[tuple[Call, str, dict[str, Any]]]] = [
    (request_builders.batch_call(["a", "b"]), "BatchGetSecretValue", {"SecretIdList": ["a", "b"]}),
    (request_builders.batch_call(["a"], "next"), "BatchGetSecretValue", {"SecretIdList": ["a"], "NextToken": "next"}),
    (
        request_builders.create_call(ops.Set("a", "v", tags={"k": "v", "e": ""}, kms_key_id="key"), TOKEN),
        "CreateSecret",
        {"Name": "a", "ClientRequestToken": TOKEN, "SecretString": "v", "KmsKeyId": "key", "Tags": TAGS},
    ),
    (
        request_builders.create_call(
            ops.Create("a", b"\x00\xff", description="d", tags={"k": "v", "e": ""}, replicas=REGIONS,
                       overwrite_replicas=True),
            TOKEN,
        ),
        "CreateSecret",
        {
            "Name": "a", "ClientRequestToken": TOKEN, "SecretBinary": "AP8=", "Description": "d", "Tags": TAGS,
            "AddReplicaRegions": REPLICAS, "ForceOverwriteReplicaSecret": True,
        },
    ),
    (
        request_builders.update_call(ops.Set("a", "v", description="", tags={"k": "v"}, kms_key_id="key"), TOKEN),
        "UpdateSecret",
        A | {"ClientRequestToken": TOKEN, "SecretString": "v", "Description": ""},
    ),
    (
        request_builders.update_call(ops.Update("a", description="d", kms_key_id=""), TOKEN),
        "UpdateSecret",
        A | {"ClientRequestToken": TOKEN, "Description": "d", "KmsKeyId": ""},
    ),
    (
        request_builders.put_call("a", SecretValue("v"), TOKEN),
        "PutSecretValue",
        A | {"ClientRequestToken": TOKEN, "SecretString": "v"},
    ),
    (
        request_builders.put_call("a", SecretValue(b"\x00"), TOKEN, ("s", "t")),
        "PutSecretValue",
        A | {"ClientRequestToken": TOKEN, "SecretBinary": "AA==", "VersionStages": ["s", "t"]},
    ),
    (request_builders.restore_call(ops.Set("a", "v")), "RestoreSecret", A),
    (request_builders.page_call(ops.ListPage()), "ListSecrets", {"MaxResults": 100}),
    (
        request_builders.page_call(
            ops.ListPage((ops.Filter("tag-key", ["x", "!y"]),), ops.SortBy.CHANGED, True, True, 7, "next")
        ),
        "ListSecrets",
        {
            "MaxResults": 7, "IncludePlannedDeletion": True, "NextToken": "next", "SortBy": "last-changed-date",
            "SortOrder": "desc", "Filters": [{"Key": "tag-key", "Values": ["x", "!y"]}],
        },
    ),
    (
        request_builders.page_call(ops.ListPage(descending=False)),
        "ListSecrets",
        {"MaxResults": 100, "SortOrder": "asc"},
    ),
    (request_builders.describe_call(ops.Describe("a")), "DescribeSecret", A),
    (request_builders.versions_call(ops.ListVersions("a")), "ListSecretVersionIds", A | {"MaxResults": 100}),
    (
        request_builders.versions_call(ops.ListVersions("a", True, 5, "next")),
        "ListSecretVersionIds",
        A | {"MaxResults": 5, "NextToken": "next", "IncludeDeprecated": True},
    ),
    (
        request_builders.move_stage_call(ops.MoveStage("a", "s", TOKEN, OTHER)),
        "UpdateSecretVersionStage",
        A | {"VersionStage": "s", "MoveToVersionId": TOKEN, "RemoveFromVersionId": OTHER},
    ),
    (
        request_builders.move_stage_call(ops.MoveStage("a", "s", remove_from=OTHER)),
        "UpdateSecretVersionStage",
        A | {"VersionStage": "s", "RemoveFromVersionId": OTHER},
    ),
    (request_builders.tag_call(ops.Tag("a", {"k": "v", "e": ""})), "TagResource", A | {"Tags": TAGS}),
    (request_builders.untag_call(ops.Untag("a", ["k", "e"])), "UntagResource", A | {"TagKeys": ["k", "e"]}),
    (
        request_builders.rotate_call(ops.Rotate("a"), TOKEN),
        "RotateSecret",
        A | {"ClientRequestToken": TOKEN, "RotateImmediately": True},
    ),
    (
        request_builders.rotate_call(ops.Rotate("a", "arn:l", RotationRules(None, "rate(1 day)", "3h"), False), TOKEN),
        "RotateSecret",
        A | {
            "ClientRequestToken": TOKEN, "RotateImmediately": False, "RotationLambdaARN": "arn:l",
            "RotationRules": {"ScheduleExpression": "rate(1 day)", "Duration": "3h"},
        },
    ),
    (request_builders.cancel_rotation_call(ops.CancelRotation("a")), "CancelRotateSecret", A),
    (request_builders.password_call(ops.RandomPassword()), "GetRandomPassword", PASSWORD),
    (
        request_builders.password_call(ops.RandomPassword(9, "xy", False, False, False, True, True, False)),
        "GetRandomPassword",
        {
            "PasswordLength": 9, "ExcludeCharacters": "xy", "ExcludeLowercase": True, "ExcludeUppercase": True,
            "ExcludeNumbers": True, "ExcludePunctuation": False, "IncludeSpace": True,
            "RequireEachIncludedType": False,
        },
    ),
    (
        request_builders.replicate_call(ops.Replicate("a", REGIONS, True)),
        "ReplicateSecretToRegions",
        A | {"AddReplicaRegions": REPLICAS, "ForceOverwriteReplicaSecret": True},
    ),
    (
        request_builders.remove_regions_call(ops.RemoveRegions("a", ["eu-central-1"])),
        "RemoveRegionsFromReplication",
        A | {"RemoveReplicaRegions": ["eu-central-1"]},
    ),
    (request_builders.stop_replication_call(ops.StopReplication("a")), "StopReplicationToReplica", A),
    (
        request_builders.associate_call(ops.AssociateReplica("a", REPLICA)),
        "AssociateCrossAccountReplica",
        A | {"CrossAccountReplicaARN": REPLICA},
    ),
    (
        request_builders.associate_call(
            ops.AssociateReplica("a", REPLICA, True, "arn:aws:iam::123456789012:role/replicates")
        ),
        "AssociateCrossAccountReplica",
        A | {
            "CrossAccountReplicaARN": REPLICA, "ReplicaRestriction": "NoRestriction",
            "ReplicationRoleARN": "arn:aws:iam::123456789012:role/replicates",
        },
    ),
    (
        request_builders.disassociate_call(ops.DisassociateReplica("a", REPLICA)),
        "DisassociateCrossAccountReplica",
        A | {"CrossAccountReplicaARN": REPLICA},
    ),
    (request_builders.policies_call(ops.ListPolicies("a")), "ListResourcePolicies", A | {"MaxResults": 100}),
    (
        request_builders.policies_call(ops.ListPolicies("a", 5, "next")),
        "ListResourcePolicies",
        A | {"MaxResults": 5, "NextToken": "next"},
    ),
    (request_builders.get_policy_call(ops.GetPolicy("a")), "GetResourcePolicy", A),
    (request_builders.get_policy_call(ops.GetPolicy("a", "audit")), "GetResourcePolicy", A | {"PolicyName": "audit"}),
    (request_builders.put_policy_call(ops.PutPolicy("a", "{}")), "PutResourcePolicy", A | {"ResourcePolicy": "{}"}),
    (
        request_builders.put_policy_call(ops.PutPolicy("a", "{}", False)),
        "PutResourcePolicy",
        A | {"ResourcePolicy": "{}", "BlockPublicPolicy": False},
    ),
    (request_builders.delete_policy_call(ops.DeletePolicy("a")), "DeleteResourcePolicy", A),
    (
        request_builders.validate_policy_call(ops.ValidatePolicy("{}")),
        "ValidateResourcePolicy",
        {"ResourcePolicy": "{}"},
    ),
    (
        request_builders.validate_policy_call(ops.ValidatePolicy("{}", "a")),
        "ValidateResourcePolicy",
        A | {"ResourcePolicy": "{}"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("call", "action", "body"), CALLS)
def test_an_operation_becomes_the_call_of_the_api_reference(call: Call, action: str, body: Any) -> None:
    assert (call.action, json.loads(call.body)) == (action, body)


@pytest.mark.parametrize(("call", "action", "body"), CALLS)
def test_botocores_model_accepts_what_we_send(call: Call, action: str, body: Any) -> None:
    shape = MODEL.operation_model(action).input_shape
    binary = {"SecretBinary": b"decoded"} if "SecretBinary" in body else {}

    report = ParamValidator().validate({**body, **binary}, shape)

    assert not report.has_errors(), report.generate_report()
    assert set(body) <= set(shape.members)


def test_every_action_of_awss_model_is_called() -> None:
    ours = {action for _, action, _ in CALLS} | {"GetSecretValue", "DeleteSecret"}  # see test_protocol.py

    assert ours == set(MODEL.operation_names)


def test_what_is_asked_for_by_awss_name_goes_as_it_is() -> None:
    call = request_builders.raw_call(ops.Request("MakeCoffee", {"Sugar": None, "Cups": 2, "For": "Zoë"}))

    assert call.target == "secretsmanager.MakeCoffee"
    assert json.loads(call.body) == {"Sugar": None, "Cups": 2, "For": "Zoë"}


def test_only_values_that_cannot_be_read_or_written_tell_of_a_deletion() -> None:
    told = {call.action for call, _, _ in CALLS if call.deleted_if_invalid}

    assert told == {"CreateSecret", "UpdateSecret", "PutSecretValue"}


def test_no_call_shows_a_value() -> None:
    call = request_builders.put_call("a", SecretValue("hunter2"), TOKEN)

    assert "hunter2" not in repr(call)
