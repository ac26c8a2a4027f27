"""What was asked, and which answers can be to it."""

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.backends.aws.question import ANYTHING, Question, is_about, is_same, name_in
from tests.aws_json.model import MODEL

PLACE: Final = "arn:aws:secretsmanager:us-east-1:123456789012:secret:"
ARN: Final = PLACE + "db/password-AbCdEf"
# A name that ends like an ARN does, the ARN of its secret, and one that may be the whole ARN of `prod`.
HYPHENATED: Final = "prod-apikey"
PARTIAL: Final = PLACE + HYPHENATED
WHOLE: Final = PARTIAL + "-AbCdEf"
TOKEN: Final = "0b8e9a34-6f0d-4a8e-9d5e-1d5b6a1f0c11"
OTHER: Final = "1b8e9a34-6f0d-4a8e-9d5e-1d5b6a1f0c11"


@pytest.mark.parametrize(
    ("asked", "name", "arn"),
    [
        ("db/password", "db/password", ARN),
        ("db/password", "db/password", None),
        ("db/password", None, ARN),
        ("db/password", None, None),
        (ARN, "db/password", ARN),
        (ARN[:-7], "db/password", ARN),
        (ARN, None, ARN),
        (ARN[:-7], None, ARN),
        (ARN, "db/password", None),
        (HYPHENATED, HYPHENATED, WHOLE),
        (WHOLE, HYPHENATED, WHOLE),
        (PARTIAL, HYPHENATED, WHOLE),
        (PARTIAL, "prod", PARTIAL),
        *((arn, "db/password", arn) for arn in (ARN.replace("aws", "aws-cn", 1), ARN.replace("aws", "aws-us-gov", 1))),
        ("rds!db-1", "rds!db-1", PLACE + "rds!db-1-AbCdEf"),
        # moto: the name, or what was asked by, in the place of an ARN
        ("db/password", "db/password", "db/password"),
        (ARN, "db/password", "db/password"),
        ("db/password", None, "db/password"),
    ],
)
def test_an_answer_about_the_secret(asked: str, name: Any, arn: Any) -> None:
    assert is_about(asked, name, arn)


@pytest.mark.parametrize(
    ("asked", "name", "arn"),
    [
        ("db/password", "db/passwore", ARN.replace("password", "passwore")),
        ("db/password", "DB/password", ARN.replace("db", "DB")),
        ("db/password", "db/password", ARN.replace("password", "passwore")),  # the two contradict each other
        ("db/password", "db/passwore", ARN),
        ("db/password", "db/passwore", None),
        ("db/password", None, ARN.replace("password", "passwore")),
        ("db/password", "db/password", ARN[:-7]),
        ("db/password", "db/password", ARN + "-AbCdE"),
        ("db/password", "db/password", ARN.replace("secretsmanager", "ssm")),
        ("db/password", "db/password", ARN.replace("123456789012", "1234")),
        ("db/password", "db/password", "arn:" + "x" * 3000),
        ("db/password", "db/password", "another"),
        ("db/password", "db/password", ""),
        ("db/password", "another", "db/password"),
        ("db/password", None, "another"),
        ("db/password", "another", "another"),
        (ARN, "another", "another"),
        (ARN, "db/password", ARN.replace("us-east-1", "us-west-2")),
        (ARN, "db/password", ARN.replace("123456789012", "123456789013")),
        (ARN, "db/password", ARN.replace("aws", "aws-cn", 1)),
        (ARN, "db/password", ARN.replace("AbCdEf", "AbCdEg")),
        (ARN[:-7], "db/password", ARN.replace("us-east-1", "us-west-2")),
        (ARN, "db", PLACE + "db-AbCdEf"),
        (HYPHENATED, "prod", PARTIAL),  # asked by its name, and answered with another secret whose ARN ends like it
        (ARN, "db", None),
        ("db/password", 7, ARN),
        ("db/password", "db/password", 7),
        ("db/password", ["db/password"], None),
    ],
)
def test_an_answer_about_another_secret(asked: str, name: Any, arn: Any) -> None:
    assert not is_about(asked, name, arn)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("a", "a", True),
        ("a", "b", False),
        ("db/password", ARN, True),
        (ARN, "db/password", True),
        (ARN[:-7], "db/password", True),
        (ARN[:-7], ARN, True),
        (PARTIAL, HYPHENATED, True),
        (PARTIAL, "prod", True),
        (ARN, "password", False),
        ("password", ARN, False),
        (ARN, PLACE + "db-AbCdEf", False),
    ],
)
def test_two_ids_of_one_secret(one: str, other: str, same: bool) -> None:
    assert is_same(one, other) is same


@given(
    name=st.from_regex(r"[A-Za-z0-9/_+=.@!-]{1,40}", fullmatch=True),
    suffix=st.from_regex(r"[A-Za-z0-9]{6}", fullmatch=True),
)
def test_whatever_the_name_it_is_found_in_its_arn(name: str, suffix: str) -> None:
    arn = f"{PLACE}{name}-{suffix}"

    assert name_in(arn) == name
    assert all(is_about(asked, name, arn) for asked in (name, arn, arn[:-7]))
    assert not is_about(name + "x", name, arn)


GET: Final = Question.of("GetSecretValue", {"SecretId": "a"})
BATCH: Final = Question.of("BatchGetSecretValue", {"SecretIdList": ["a", PLACE + "b-AbCdEf", 7]})
ENTRY: Final = {"Name": "a", "ARN": PLACE + "a-AbCdEf"}


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (ANYTHING, {"any": 1, "SecretString": "s", "Name": 7}),
        (Question.of("GetNewThing", {"SecretId": "a"}), ENTRY | {"SecretString": "s", "Versions": []}),
        (Question.of("RestoreSecret", {"SecretId": "a"}), ENTRY | {"New": 1, "Tags": [], "CreatedDate": 1}),
        (Question.of("RotateSecret", {"SecretId": "a", "ClientRequestToken": TOKEN}), ENTRY | {"VersionId": TOKEN}),
        (
            Question.of("RotateSecret", {"SecretId": "a", "ClientRequestToken": TOKEN, "RotateImmediately": False}),
            ENTRY | {"VersionId": OTHER},
        ),
        (GET, ENTRY | {"VersionStages": ["AWSCURRENT", "mine"], "SecretString": "s"}),
        (Question.of("GetSecretValue", {"SecretId": "a", "VersionId": TOKEN}), ENTRY | {"VersionId": TOKEN}),
        (Question.of("GetSecretValue", {"SecretId": "a", "VersionStage": "s"}), ENTRY | {"VersionStages": ["s"]}),
        (Question.of("PutSecretValue", {"SecretId": "a", "ClientRequestToken": TOKEN}), ENTRY | {"VersionId": TOKEN}),
        (Question.of("UpdateSecret", {"SecretId": "a", "ClientRequestToken": TOKEN}), ENTRY | {"VersionId": OTHER}),
        (Question.of("CreateSecret", {"Name": "a"}), ENTRY),
        (Question.of("CreateSecret", {"Name": 7}), ENTRY),
        (Question.of("GetRandomPassword", {"PasswordLength": 3}), {"RandomPassword": "abc"}),
        (Question.of("GetRandomPassword", {"PasswordLength": "3"}), {"RandomPassword": "abcd"}),
        (Question.of("ListSecrets", {}), {"SecretList": []}),
        (BATCH, {}),
        (BATCH, {"SecretValues": None, "Errors": 7}),
        (
            BATCH,
            {"SecretValues": [ENTRY, None, {"SecretString": "s"}], "Errors": [{"SecretId": "b"}, {"SecretId": 7}]},
        ),
        (Question.of("BatchGetSecretValue", {"SecretIdList": "a"}), {"SecretValues": [ENTRY]}),
    ],
)
def test_an_answer_that_fits(asked: Question, answer: Any) -> None:
    assert asked.is_answered_by(answer)


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (GET, ENTRY),
        (GET, ENTRY | {"VersionStages": "AWSCURRENT"}),
        (GET, ENTRY | {"VersionStages": ["AWSPREVIOUS"]}),
        (GET, {"Name": "b", "VersionStages": ["AWSCURRENT"]}),
        (Question.of("GetSecretValue", {"SecretId": "a", "VersionId": TOKEN}), ENTRY | {"VersionId": OTHER}),
        (Question.of("GetSecretValue", {"SecretId": "a", "VersionId": TOKEN}), ENTRY | {"VersionId": None}),
        (Question.of("PutSecretValue", {"SecretId": "a", "ClientRequestToken": TOKEN}), ENTRY | {"VersionId": OTHER}),
        (Question.of("RotateSecret", {"SecretId": "a", "ClientRequestToken": TOKEN}), ENTRY | {"VersionId": OTHER}),
        (
            Question.of("RotateSecret", {"SecretId": "a", "ClientRequestToken": TOKEN, "RotateImmediately": True}),
            ENTRY | {"VersionId": OTHER},
        ),
        (Question.of("RestoreSecret", {"SecretId": "a"}), ENTRY | {"VersionId": TOKEN}),
        (Question.of("DescribeSecret", {"SecretId": "a"}), ENTRY | {"DeletionDate": 1}),
        (Question.of("CreateSecret", {"Name": "b"}), ENTRY),
        (Question.of("DescribeSecret", {"SecretId": "a"}), ENTRY | {"SecretString": "s"}),
        (Question.of("TagResource", {"SecretId": "a"}), {"SecretBinary": "cw=="}),
        (Question.of("GetRandomPassword", {"PasswordLength": 3}), {"RandomPassword": "abcd"}),
        (Question.of("GetRandomPassword", {"PasswordLength": 3}), {"RandomPassword": ["a", "b", "c"]}),
        (BATCH, {"SecretValues": [ENTRY, ENTRY | {"Name": "c"}]}),
        (BATCH, {"SecretValues": [{"ARN": PLACE + "c-AbCdEf"}]}),
        (BATCH, {"Errors": [{"SecretId": "c"}]}),
        (BATCH, {"SecretValues": [ENTRY] * 3}),
        (BATCH, {"Errors": [{"SecretId": "a"}] * 3}),
    ],
)
def test_an_answer_that_does_not(asked: Question, answer: Any) -> None:
    assert not asked.is_answered_by(answer)


def test_the_members_that_tell_operations_apart_are_those_of_the_service_model() -> None:
    outputs = {name: MODEL.operation_model(name).output_shape for name in MODEL.operation_names}
    members = {name: set() if shape is None else set(shape.members) for name, shape in outputs.items()}
    shared = {"ARN", "Name", "NextToken", "CreatedDate", *members["DescribeSecret"]}

    for action, own in members.items():
        for member in set().union(*members.values()):
            fits = Question.of(action, {}).is_answered_by({member: None})
            if member in own or member in shared - {"VersionIdsToStages", "ReplicationStatus"}:
                assert fits or Question.of(action, {}).stage, (action, member)
            elif (action, member) != ("StopReplicationToReplica", "ReplicationStatus"):
                assert not fits, (action, member)
