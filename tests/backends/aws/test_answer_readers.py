"""AWS's answers to administration: read as botocore reads them, or refused as none of AWS's."""

import json
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from secrets_actor.backends.aws import answer_readers
from secrets_actor.domain.errors import InvalidAnswer
from secrets_actor.domain.masked import MaskedObject
from secrets_actor.domain.results import (
    AccountReplicaReceipt,
    ChangeReceipt,
    LinkedSecret,
    NamedReceipt,
    PolicyFinding,
    PolicyPage,
    PolicyVerdict,
    Replica,
    ReplicationReceipt,
    ResourcePolicy,
    RotationRules,
    SecretDescription,
    SecretPage,
    VersionInfo,
    VersionPage,
    VersionReceipt,
)
from secrets_actor.domain.secret import SecretValue

ARN: Final = "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf"
TOKEN: Final = "0b8e9a34-6f0d-4a8e-9d5e-1d5b6a1f0c11"
NAMED: Final = {"Name": "a", "ARN": ARN}
VERSIONED: Final = NAMED | {"VersionId": TOKEN}
CANARY: Final = "canary-in-an-answer"


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


REPLICA: Final = "arn:aws:secretsmanager:us-east-1:210987654321:secret:b-AbCdEf"
DESCRIBED: Final = NAMED | {
    "Description": "d",
    "KmsKeyId": "key",
    "RotationEnabled": True,
    "RotationLambdaARN": "arn:l",
    "RotationRules": {"AutomaticallyAfterDays": 3, "ScheduleExpression": "rate(3 days)", "Duration": "2h"},
    "LastRotatedDate": 1,
    "LastChangedDate": 2.5,
    "LastAccessedDate": 3,
    "DeletedDate": 4,
    "NextRotationDate": 5,
    "Tags": [{"Key": "k", "Value": "v"}, {"Key": "e"}],
    "OwningService": "rds",
    "CreatedDate": 6,
    "PrimaryRegion": "us-east-1",
    "Type": "partner",
    "ExternalSecretRotationRoleArn": "arn:r",
    "ExternalSecretRotationMetadata": [{"Key": "k", "Value": "v"}],
    "ReplicationStatus": [
        {
            "Region": "eu-central-1",
            "KmsKeyId": "key",
            "Status": "Failed",
            "StatusMessage": "why",
            "LastAccessedDate": 7,
        },
        {"Region": "us-west-2"},
    ],
}
REPLICAS: Final = (Replica("eu-central-1", "Failed", "why", "key", at(7)), Replica("us-west-2"))
DESCRIPTION: Final = SecretDescription(
    name="a",
    arn=ARN,
    description="d",
    kms_key_id="key",
    created_at=at(6),
    changed_at=at(2.5),
    accessed_at=at(3),
    deleted_at=at(4),
    tags={"k": "v", "e": ""},
    versions={TOKEN: ("AWSCURRENT", "mine")},
    rotation_enabled=True,
    rotation_lambda_arn="arn:l",
    rotation_rules=RotationRules(3, "rate(3 days)", "2h"),
    rotated_at=at(1),
    next_rotation_at=at(5),
    owning_service="rds",
    primary_region="us-east-1",
    replicas=REPLICAS,
    type="partner",
    external_rotation_role_arn="arn:r",
    external_rotation_metadata={"k": "v"},
)
STAGES: Final = {TOKEN: ["AWSCURRENT", "mine"]}

READ: Final[list[tuple[Callable[..., object], dict[str, Any], object]]] = [
    (answer_readers.version_receipt, VERSIONED | {"VersionStages": ["s"]}, VersionReceipt("a", ARN, TOKEN, ("s",))),
    (answer_readers.update_receipt, VERSIONED, ChangeReceipt("a", ARN, TOKEN)),
    (answer_readers.update_receipt, NAMED, ChangeReceipt("a", ARN, None)),
    (answer_readers.rotation_receipt, VERSIONED, ChangeReceipt("a", ARN, TOKEN)),
    (answer_readers.rotation_receipt, NAMED | {"VersionId": ""}, ChangeReceipt("a", ARN, None)),
    (answer_readers.named_receipt, NAMED, NamedReceipt("a", ARN)),
    (answer_readers.replication_receipt, {"ARN": ARN}, ReplicationReceipt(ARN, ())),
    (answer_readers.replication_receipt, DESCRIBED, ReplicationReceipt(ARN, REPLICAS)),
    (answer_readers.description, DESCRIBED | {"VersionIdsToStages": STAGES}, DESCRIPTION),
    (answer_readers.description, NAMED | {"Tags": None, "RotationRules": {}}, SecretDescription("a", ARN)),
    (
        answer_readers.description,
        NAMED | {
            "CrossAccountPrimary": {"PrimarySecretARN": REPLICA, "ReplicationStatus": "InSync", "StatusMessage": "m"},
            "CrossAccountReplicas": [
                {"ReplicaSecretARN": REPLICA, "ReplicationStatus": "Failed", "ReplicationRoleARN": "arn:r"},
                {"ReplicationStatus": "Failed"},
            ],
        },
        SecretDescription(
            "a", ARN, account_primary=LinkedSecret(REPLICA, "InSync", "m"),
            account_replicas=(LinkedSecret(REPLICA, "Failed", None, "arn:r"),),
        ),
    ),
    (answer_readers.description, NAMED | {"CrossAccountPrimary": {}}, SecretDescription("a", ARN)),
    (
        answer_readers.associated,
        {"ARN": ARN, "CrossAccountReplicaARN": REPLICA, "ReplicationStatus": "Pending"},
        AccountReplicaReceipt(ARN, REPLICA, "Pending"),
    ),
    (
        answer_readers.disassociated,
        {"ARN": ARN, "CrossAccountReplicaARN": REPLICA},
        AccountReplicaReceipt(ARN, REPLICA),
    ),
    (
        answer_readers.policy_names,
        {"ResourcePolicies": [{"PolicyName": "default"}, {}, {"PolicyName": "audit"}], "NextToken": "next"},
        PolicyPage(("default", "audit"), "next"),
    ),
    (answer_readers.policy_names, {"ResourcePolicies": [], "NextToken": ""}, PolicyPage(())),
    (
        answer_readers.page,
        {"SecretList": [DESCRIBED | {"SecretVersionsToStages": STAGES}], "NextToken": "next"},
        SecretPage((DESCRIPTION,), "next"),
    ),
    (answer_readers.page, {"SecretList": []}, SecretPage((), None)),
    (
        answer_readers.versions,
        NAMED
        | {
            "Versions": [
                {"VersionId": TOKEN, "VersionStages": ["s"], "KmsKeyIds": ["k"]}
                | {"CreatedDate": 1, "LastAccessedDate": 2},
                {"VersionId": TOKEN[::-1]},
            ]
        },
        VersionPage("a", ARN, (VersionInfo(TOKEN, ("s",), at(1), at(2), ("k",)), VersionInfo(TOKEN[::-1])), None),
    ),
    (answer_readers.versions, NAMED | {"NextToken": "next"}, VersionPage("a", ARN, (), "next")),
    (answer_readers.policy, NAMED | {"ResourcePolicy": "{}"}, ResourcePolicy("a", ARN, "{}")),
    (answer_readers.policy, NAMED, ResourcePolicy("a", ARN, None)),
    (answer_readers.verdict, {"PolicyValidationPassed": True, "ValidationErrors": []}, PolicyVerdict(True, ())),
    (
        answer_readers.verdict,
        {"PolicyValidationPassed": False, "ValidationErrors": [{"CheckName": "c", "ErrorMessage": "m"}, {}]},
        PolicyVerdict(False, (PolicyFinding("c", "m"), PolicyFinding("", ""))),
    ),
    (answer_readers.password, {"RandomPassword": "p"}, SecretValue("p")),
    (answer_readers.masked, {"any": [1]}, MaskedObject({"any": [1]})),
    (answer_readers.nothing, {}, None),
]  # fmt: skip


@pytest.mark.parametrize(("read", "answer", "expected"), READ)
def test_an_answer_is_read(read: Callable[..., object], answer: Any, expected: object) -> None:
    assert read(json.dumps(answer).encode(), "r-1") == expected


def test_an_empty_body_is_an_answer_where_nothing_is_told() -> None:
    assert answer_readers.nothing(b"") is None  # type: ignore[func-returns-value]
    assert answer_readers.masked(b"") == MaskedObject({})


def test_a_batch_is_read() -> None:
    found = VERSIONED | {"SecretString": "v", "CreatedDate": 1, "VersionStages": ["AWSCURRENT"]}
    refused = {"SecretId": "b", "ErrorCode": "ResourceNotFoundException", "Message": CANARY}

    batch = answer_readers.batch(json.dumps({"SecretValues": [found], "Errors": [refused], "NextToken": "n"}).encode())

    assert [(one.name, one.reveal(), one.version_id) for one in batch.found] == [("a", "v", TOKEN)]
    assert (batch.refused, batch.next_token) == ((("b", "ResourceNotFoundException"),), "n")
    assert answer_readers.batch(b'{"NextToken": "n"}') == answer_readers.Batch((), (), "n")


MISSHAPEN: Final[list[tuple[Callable[..., object], Any]]] = [
    (answer_readers.version_receipt, NAMED),
    (answer_readers.version_receipt, VERSIONED | {"VersionStages": [CANARY, 7]}),
    (answer_readers.update_receipt, {"Name": CANARY}),
    (answer_readers.description, DESCRIBED | {"Tags": {"Key": CANARY}}),
    (answer_readers.description, DESCRIBED | {"Tags": [CANARY]}),
    (answer_readers.description, DESCRIBED | {"VersionIdsToStages": {TOKEN: CANARY}}),
    (answer_readers.description, DESCRIBED | {"RotationRules": {"AutomaticallyAfterDays": CANARY}}),
    (answer_readers.description, DESCRIBED | {"LastRotatedDate": CANARY}),
    (answer_readers.page, {"Secrets": [CANARY]}),
    (answer_readers.page, {"SecretList": CANARY}),
    (answer_readers.versions, NAMED | {"Versions": [{"VersionStages": [CANARY]}]}),
    (answer_readers.batch, {}),
    (answer_readers.batch, {"SecretValues": CANARY}),
    (answer_readers.batch, {"Errors": {"SecretId": CANARY}}),
    (answer_readers.password, {"RandomPassword": ""}),
    (answer_readers.password, {"Password": CANARY}),
    (answer_readers.masked, [CANARY]),
    (answer_readers.nothing, [CANARY]),
]


@pytest.mark.parametrize(("read", "answer"), MISSHAPEN)
def test_an_answer_of_another_shape_is_refused_and_not_quoted(read: Callable[..., object], answer: Any) -> None:
    with pytest.raises(InvalidAnswer) as caught:
        read(json.dumps(answer).encode(), "r-1")

    assert (caught.value.request_id, caught.value.__cause__, caught.value.__context__) == ("r-1", None, None)
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_an_answer_with_a_number_that_json_does_not_have_is_refused() -> None:
    with pytest.raises(InvalidAnswer):
        answer_readers.masked(b'{"a": NaN}')


def test_policies_and_what_is_minded_about_them_show_in_no_repr() -> None:
    minded = {"PolicyValidationPassed": False, "ValidationErrors": [{"CheckName": "c", "ErrorMessage": CANARY}]}

    assert CANARY not in repr(answer_readers.policy(json.dumps(NAMED | {"ResourcePolicy": CANARY}).encode()))
    assert CANARY not in repr(answer_readers.verdict(json.dumps(minded).encode()))
    assert CANARY not in repr(answer_readers.password(json.dumps({"RandomPassword": CANARY}).encode()))
