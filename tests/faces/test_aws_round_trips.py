"""What our own client of AWS sends is what the AWS face reads, and what the face answers is what the client reads.

The aws backend was held against AWS's emulators and botocore's model; so each operation and each result that goes
through both and comes out the same is right on both sides.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from secrets_actor.aws_json.answers import BatchError
from secrets_actor.aws_json.codec import decode_request
from secrets_actor.backends.aws import answer_readers, request_builders
from secrets_actor.backends.aws.protocol import Call
from secrets_actor.domain import operations as ops
from secrets_actor.domain import results
from secrets_actor.domain.masked import MaskedObject
from secrets_actor.domain.secret import DeleteReceipt, Secret, SecretValue, SetReceipt
from secrets_actor.faces.aws_answers import encoded, encoded_batch, name_in
from secrets_actor.faces.aws_requests import Need, need_of, operation_of
from secrets_actor.faces.policy import ACTION_OF

ARN: Final = "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf"
REPLICA: Final = "arn:aws:secretsmanager:us-east-1:210987654321:secret:db-AbCdEf"
ROLE: Final = "arn:aws:iam::123456789012:role/replicate"
LAMBDA: Final = "arn:aws:lambda:us-east-1:123456789012:function:rotate"
TOKEN: Final = "0b8e9a34-6f0d-4a8e-9d5e-1d5b6a1f0c11"
OTHER: Final = "1b8e9a34-6f0d-4a8e-9d5e-1d5b6a1f0c11"
AT: Final = datetime(2026, 11, 30, 12, 30, 15, 123456, UTC)
DAY: Final = datetime(2026, 11, 30, tzinfo=UTC)
FACTS: Final = (TOKEN, "why", {"team": "db"}, "alias/mine", ("eu-central-1", "us-west-2"), True)

OPERATIONS: Final[list[tuple[ops.Operation[Any], Call]]] = [
    (one, build(one))
    for build, operations in (
        (
            request_builders.get_call,
            [ops.Get("db"), ops.Get("db", TOKEN), ops.Get(ARN, TOKEN, "s"), ops.Get("db", stage="s")],
        ),
        (lambda one: request_builders.batch_call(one.secret_ids), [ops.GetMany(["db", ARN])]),
        (
            lambda one: request_builders.create_call(one, TOKEN),
            [ops.Create("db", "v", TOKEN), ops.Create("db", b"\x00", *FACTS)],
        ),
        (
            lambda one: request_builders.create_empty_call(one, TOKEN),
            [ops.CreateEmpty("db", TOKEN), ops.CreateEmpty("db", *FACTS)],
        ),
        (
            lambda one: request_builders.put_call(one.secret_id, one.value, TOKEN, one.stages),
            [ops.Put("db", "v", token=TOKEN), ops.Put("db", b"v", ["s", "t"], TOKEN)],
        ),
        (
            lambda one: request_builders.update_call(one, TOKEN),
            [ops.Update("db", "v", "why", "alias/mine", TOKEN), ops.Update("db", description="", token=TOKEN)],
        ),
        (
            lambda one: request_builders.delete_call(one, 30),
            [ops.Delete("db", 7), ops.Delete("db", force=True)],
        ),
        (request_builders.restore_call, [ops.Restore("db")]),
        (
            request_builders.page_call,
            [
                ops.ListPage(),
                ops.ListPage((ops.Filter("name", ["a", "!b"]),), ops.SortBy.ACCESSED, True, True, 7, "token"),
                ops.ListPage((), ops.SortBy.NAME, False),
            ],
        ),
        (request_builders.describe_call, [ops.Describe("db")]),
        (request_builders.versions_call, [ops.ListVersions("db"), ops.ListVersions("db", True, 5, "token")]),
        (
            request_builders.move_stage_call,
            [
                ops.MoveStage("db", "s", TOKEN),
                ops.MoveStage("db", "s", TOKEN, OTHER),
                ops.MoveStage("db", "s", None, OTHER),
            ],
        ),
        (request_builders.tag_call, [ops.Tag("db", {"k": "v", "l": ""})]),
        (request_builders.untag_call, [ops.Untag("db", ["k"])]),
        (
            lambda one: request_builders.rotate_call(one, TOKEN),
            [
                ops.Rotate("db", token=TOKEN),
                ops.Rotate("db", LAMBDA, results.RotationRules(30), False, TOKEN),
                ops.Rotate("db", LAMBDA, results.RotationRules(schedule="rate(1 day)", duration="3h"), True, TOKEN),
            ],
        ),
        (request_builders.cancel_rotation_call, [ops.CancelRotation("db")]),
        (
            request_builders.password_call,
            [ops.RandomPassword(), ops.RandomPassword(50, "abc", False, True, False, True, True, False)],
        ),
        (
            request_builders.replicate_call,
            [ops.Replicate("db", [results.ReplicaRegion("eu-central-1", "alias/mine")], overwrite=True)],
        ),
        (request_builders.remove_regions_call, [ops.RemoveRegions("db", ["eu-central-1"])]),
        (request_builders.stop_replication_call, [ops.StopReplication("db")]),
        (
            request_builders.associate_call,
            [ops.AssociateReplica("db", REPLICA), ops.AssociateReplica("db", REPLICA, True, ROLE)],
        ),
        (request_builders.disassociate_call, [ops.DisassociateReplica("db", REPLICA)]),
        (request_builders.policies_call, [ops.ListPolicies("db"), ops.ListPolicies("db", 5, "token")]),
        (request_builders.get_policy_call, [ops.GetPolicy("db"), ops.GetPolicy("db", "mine")]),
        (request_builders.put_policy_call, [ops.PutPolicy("db", "{}"), ops.PutPolicy("db", "{}", block_public=True)]),
        (request_builders.delete_policy_call, [ops.DeletePolicy("db")]),
        (request_builders.validate_policy_call, [ops.ValidatePolicy("{}"), ops.ValidatePolicy("{}", "db")]),
    )
    for one in operations  # type: ignore[attr-defined]
]


@pytest.mark.parametrize(("operation", "call"), OPERATIONS)
def test_the_face_reads_what_the_client_means(operation: ops.Operation[Any], call: Call) -> None:
    read = operation_of(call.action, decode_request(call.action, call.body), call.body)

    # To name the default stage is to name none.
    assert read == operation
    assert need_of(call.action, decode_request(call.action, call.body)).secret_id == getattr(
        operation, "secret_id", None
    )


def test_every_operation_of_awss_goes_this_way() -> None:
    assert {call.action for _, call in OPERATIONS} | {"ListSecrets"} == set(ACTION_OF)


# What our operations cannot carry goes on to AWS as it came.
AS_IT_CAME: Final[list[tuple[str, dict[str, Any]]]] = [
    ("CreateSecret", {"Name": "db", "SecretString": "v", "ClientRequestToken": TOKEN, "Type": "partner"}),
    ("CreateSecret", {"Name": "db", "ClientRequestToken": TOKEN, "CrossAccountPrimaryARN": ARN}),
    ("UpdateSecret", {"SecretId": "db", "ClientRequestToken": TOKEN, "Type": "partner"}),
    ("PutSecretValue", {"SecretId": "db", "SecretString": "v", "ClientRequestToken": TOKEN, "RotationToken": "r" * 36}),
    ("RotateSecret", {"SecretId": "db", "ClientRequestToken": TOKEN, "ExternalSecretRotationRoleArn": ROLE}),
    (
        "RotateSecret",
        {"SecretId": "db", "ClientRequestToken": TOKEN, "ExternalSecretRotationMetadata": [{"Key": "k", "Value": "v"}]},
    ),
    ("PutResourcePolicy", {"SecretId": "db", "ResourcePolicy": "{}", "PolicyName": "mine"}),
    ("DeleteResourcePolicy", {"SecretId": "db", "PolicyName": "mine"}),
]


@pytest.mark.parametrize(
    ("name", "members", "action"),
    [
        ("CreateSecret", {"Name": "db"}, "create"),
        ("CreateSecret", {"Name": "db", "AddReplicaRegions": [{"Region": "eu-west-1"}]}, "admin"),
        ("CreateSecret", {"Name": "db", "CrossAccountPrimaryARN": ARN}, "admin"),
        ("RotateSecret", {"SecretId": "db"}, "rotate"),
        ("RotateSecret", {"SecretId": "db", "ExternalSecretRotationRoleArn": ROLE}, "admin"),
    ],
)
def test_what_lets_others_in_asks_for_more(name: str, members: dict[str, Any], action: str) -> None:
    assert need_of(name, decode_request(name, json.dumps(members).encode())) == Need(action, "db")


@pytest.mark.parametrize(("name", "members"), AS_IT_CAME)
def test_what_only_aws_knows_goes_on_as_it_came(name: str, members: dict[str, Any]) -> None:
    members = {**members, "OfTomorrow": [1]}
    body = json.dumps(members).encode()

    read = operation_of(name, decode_request(name, body), body)

    assert isinstance(read, ops.Request)
    assert (read.operation, read.payload.reveal(), read.secret_id) == (name, members, "db")
    answer = {"ARN": ARN, "Name": "db", "OfTomorrow": 1}
    assert json.loads(encoded(name, MaskedObject(answer))) == answer
    assert name_in(MaskedObject(answer)) == "db"
    assert name_in(MaskedObject({"Name": 5})) is None


def test_an_update_of_nothing_asks_whether_there_is_the_secret() -> None:
    body = json.dumps({"SecretId": "db", "ClientRequestToken": TOKEN}).encode()

    assert operation_of("UpdateSecret", decode_request("UpdateSecret", body), body) == ops.Describe("db")


# --- answers ----------------------------------------------------------------------------------------------------------

NAMED: Final = results.NamedReceipt("db", ARN)
CHANGED: Final = results.ChangeReceipt("db", ARN, TOKEN)
REPLICAS: Final = (
    results.Replica("eu-central-1", "Failed", "no such key", "alias/mine", DAY),
    results.Replica("us-west-2", "InSync"),
)
BARE: Final = results.SecretDescription("db", ARN, created_at=AT)
RICH: Final = results.SecretDescription(
    name="db",
    arn=ARN,
    description="why",
    kms_key_id="alias/mine",
    created_at=AT,
    changed_at=AT,
    accessed_at=DAY,
    deleted_at=AT,
    tags={"team": "db", "empty": ""},
    versions={TOKEN: ("AWSCURRENT", "mine"), OTHER: ("AWSPREVIOUS",)},
    rotation_enabled=True,
    rotation_lambda_arn=LAMBDA,
    rotation_rules=results.RotationRules(30, None, "3h"),
    rotated_at=AT,
    next_rotation_at=AT,
    owning_service="rds",
    primary_region="eu-central-1",
    type="partner",
    external_rotation_role_arn=ROLE,
    external_rotation_metadata={"k": "v"},
)
DESCRIBED: Final = results.SecretDescription(
    name="db",
    arn=ARN,
    created_at=AT,
    rotation_rules=results.RotationRules(None, "rate(1 day)"),
    replicas=REPLICAS,
    account_replicas=(results.LinkedSecret(REPLICA, "Failed", "why", ROLE), results.LinkedSecret(REPLICA)),
    account_primary=results.LinkedSecret(REPLICA, "InSync", "fine"),
)
VERSIONS: Final = (
    results.VersionInfo(TOKEN, ("AWSCURRENT",), AT, DAY, ("DefaultEncryptionKey",)),
    results.VersionInfo(OTHER, (), AT, None, ("alias/mine",)),
)
TEXT: Final = Secret("db", ARN, SecretValue("hunter2 ä"), TOKEN, ("AWSCURRENT", "mine"), AT)
BINARY: Final = Secret("db", ARN, SecretValue(b"\x00\xff"), TOKEN, ("AWSCURRENT",), AT)
ANSWERS: Final[list[tuple[str, Any, Callable[[bytes], Any]]]] = [
    ("GetSecretValue", TEXT, answer_readers.secret),
    ("GetSecretValue", BINARY, answer_readers.secret),
    ("CreateSecret", SetReceipt("db", ARN, TOKEN, created=True), answer_readers.create_receipt),
    ("CreateSecret", NAMED, answer_readers.named_receipt),
    ("UpdateSecret", CHANGED, answer_readers.update_receipt),
    ("UpdateSecret", results.ChangeReceipt("db", ARN), answer_readers.update_receipt),
    ("PutSecretValue", results.VersionReceipt("db", ARN, TOKEN, ("s", "t")), answer_readers.version_receipt),
    ("GetRandomPassword", SecretValue("p4ssw0rd"), answer_readers.password),
    ("DeleteSecret", DeleteReceipt("db", ARN, AT), answer_readers.delete_receipt),
    ("RestoreSecret", NAMED, answer_readers.restore_receipt),
    ("TagResource", None, answer_readers.nothing),
    ("UntagResource", None, answer_readers.nothing),
    ("DescribeSecret", BARE, answer_readers.description),
    ("DescribeSecret", RICH, answer_readers.description),
    ("DescribeSecret", DESCRIBED, answer_readers.description),
    ("ListSecrets", results.SecretPage((BARE, RICH), "token"), answer_readers.page),
    ("ListSecrets", results.SecretPage(()), answer_readers.page),
    ("ListSecretVersionIds", results.VersionPage("db", ARN, VERSIONS, "token"), answer_readers.versions),
    ("ListSecretVersionIds", results.VersionPage("db", ARN, ()), answer_readers.versions),
    ("UpdateSecretVersionStage", NAMED, answer_readers.named_receipt),
    ("RotateSecret", CHANGED, answer_readers.rotation_receipt),
    ("CancelRotateSecret", results.ChangeReceipt("db", ARN), answer_readers.rotation_receipt),
    ("ReplicateSecretToRegions", results.ReplicationReceipt(ARN, REPLICAS), answer_readers.replication_receipt),
    ("RemoveRegionsFromReplication", results.ReplicationReceipt(ARN, REPLICAS), answer_readers.replication_receipt),
    ("StopReplicationToReplica", results.ReplicationReceipt(ARN), answer_readers.replication_receipt),
    (
        "AssociateCrossAccountReplica",
        results.AccountReplicaReceipt(ARN, REPLICA, "Pending"),
        answer_readers.associated,
    ),
    ("DisassociateCrossAccountReplica", results.AccountReplicaReceipt(ARN, REPLICA), answer_readers.disassociated),
    ("GetResourcePolicy", results.ResourcePolicy("db", ARN, "{}"), answer_readers.policy),
    ("GetResourcePolicy", results.ResourcePolicy("db", ARN), answer_readers.policy),
    ("ListResourcePolicies", results.PolicyPage(("default", "mine"), "token"), answer_readers.policy_names),
    ("PutResourcePolicy", NAMED, answer_readers.named_receipt),
    ("DeleteResourcePolicy", NAMED, answer_readers.named_receipt),
    (
        "ValidateResourcePolicy",
        results.PolicyVerdict(False, (results.PolicyFinding("c", "r"),)),
        answer_readers.verdict,
    ),
]


@pytest.mark.parametrize(("name", "result", "read"), ANSWERS)
def test_the_client_reads_what_the_face_answers(name: str, result: Any, read: Callable[[bytes], Any]) -> None:
    body = encoded(name, result)

    assert read(body) == result
    assert name_in(result) in ("db", None)
    assert b"null" not in body


def test_every_answer_goes_this_way() -> None:
    assert {name for name, *_ in ANSWERS} | {"BatchGetSecretValue"} == set(ACTION_OF)


def test_the_answer_to_an_update_of_nothing_names_the_secret() -> None:
    assert json.loads(encoded("UpdateSecret", RICH)) == {"ARN": ARN, "Name": "db"}


def test_an_end_of_a_replication_has_no_status_of_it() -> None:
    receipt = results.ReplicationReceipt(ARN, REPLICAS)

    assert json.loads(encoded("StopReplicationToReplica", receipt)) == {"ARN": ARN}


def test_a_version_of_which_no_key_is_known_has_awss_own() -> None:
    page = results.VersionPage("db", ARN, (results.VersionInfo(TOKEN),))

    [version] = json.loads(encoded("ListSecretVersionIds", page))["Versions"]
    assert version == {"VersionId": TOKEN, "KmsKeyIds": ["DefaultEncryptionKey"]}


def test_a_batch_is_read_as_it_was_answered() -> None:
    error = BatchError(SecretId="none", ErrorCode="ResourceNotFoundException")

    batch = answer_readers.batch(encoded_batch((TEXT, BINARY), (error,), "token"))

    assert batch.found == (TEXT, BINARY)
    assert batch.refused == (("none", "ResourceNotFoundException"),)
    assert batch.next_token == "token"
    assert json.loads(encoded_batch((), ())) == {"SecretValues": [], "Errors": []}
