"""The AWS face, asked by boto3: what AWS answers, to the letter, and what it refuses, in AWS's words."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from secrets_actor import LocalSettings, Settings, start
from secrets_actor.domain import errors
from secrets_actor.faces.aws_api import CONTENT_TYPE
from secrets_actor.faces.exchange import Request
from secrets_actor.faces.identity import Identity
from secrets_actor.faces.sigv4_check import SignatureRefused
from secrets_actor.testing import fake_system
from tests.contract.dict_backend import dict_backend_factory
from tests.faces.asking import UNIX, request
from tests.faces.aws_rig import Rig, aws_face, refusal

TOKEN: Final = "0b8e9a34-6f0d-4a8e-9d5e-1d5b6a1f0c11"
OTHER: Final = "1b8e9a34-6f0d-4a8e-9d5e-1d5b6a1f0c11"
UUID4: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
DELETED: Final = "You can't perform this operation on the secret because it was marked for deletion."
MISSING: Final = "Secrets Manager can't find the specified secret."
LAMBDA: Final = "arn:aws:lambda:us-east-1:123456789012:function:rotate"
REPLICA: Final = "arn:aws:secretsmanager:us-east-1:210987654321:secret:b-AbCdEf"


@pytest.fixture(params=["local", "fake", "dict"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """The face over each of our own stores."""
    if request.param == "fake":
        with fake_system(ttl_seconds=0) as (system, _), aws_face(system) as found:
            yield found
        return
    settings = Settings(local=LocalSettings(path=tmp_path / "store"), ttl_seconds=0)
    with start(settings, backend=dict_backend_factory() if request.param == "dict" else None) as system:
        with aws_face(system) as found:
            yield found


@pytest.fixture
def sm(rig: Rig) -> Any:
    """boto3's client."""
    return rig.client()


def facts(answer: dict[str, Any]) -> dict[str, Any]:
    """The members of an answer, without what botocore adds."""
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def pages(call: Callable[..., Any], **asked: Any) -> Iterator[dict[str, Any]]:
    """Each page of a list."""
    while True:
        page = call(**asked)
        yield page
        if "NextToken" not in page:
            return
        asked["NextToken"] = page["NextToken"]


def post(rig: Rig, operation: str, members: object, *headers: tuple[str, str], kind: str = CONTENT_TYPE) -> Any:
    """The answer to a request as curl would send it: (status, members)."""
    body = members if isinstance(members, bytes) else json.dumps(members).encode()
    target = ("X-Amz-Target", f"secretsmanager.{operation}")
    answer = rig.ask(request("/", target, ("Content-Type", kind), *headers, method="POST", body=body, peer=UNIX))
    return answer.status, json.loads(answer.body)


# --- answers ----------------------------------------------------------------------------------------------------------


def test_a_secret_is_written_and_read(sm: Any) -> None:
    made = sm.create_secret(Name="app/db", SecretString="one", ClientRequestToken=TOKEN)
    assert set(facts(made)) == {"ARN", "Name", "VersionId"}
    assert (made["Name"], made["VersionId"]) == ("app/db", TOKEN)

    got = sm.get_secret_value(SecretId="app/db")

    assert set(facts(got)) == {"ARN", "Name", "VersionId", "SecretString", "VersionStages", "CreatedDate"}
    assert (got["SecretString"], got["VersionStages"], got["VersionId"]) == ("one", ["AWSCURRENT"], TOKEN)
    assert sm.get_secret_value(SecretId=made["ARN"])["SecretString"] == "one"
    assert sm.get_secret_value(SecretId=made["ARN"][:-7])["SecretString"] == "one"
    assert sm.get_secret_value(SecretId="app/db", VersionId=TOKEN, VersionStage="AWSCURRENT")["VersionId"] == TOKEN


def test_bytes_go_in_and_out_as_they_are(sm: Any) -> None:
    sm.create_secret(Name="key", SecretBinary=b"\x00\xff\x10")

    got = sm.get_secret_value(SecretId="key")

    assert got["SecretBinary"] == b"\x00\xff\x10"
    assert "SecretString" not in got


def test_a_description_leaves_out_what_the_secret_does_not_have(rig: Rig, sm: Any) -> None:
    sm.create_secret(Name="bare", SecretString="one", ClientRequestToken=TOKEN)
    known = facts(sm.describe_secret(SecretId="bare"))
    assert set(known) == {"ARN", "Name", "CreatedDate", "LastChangedDate", "VersionIdsToStages"}
    assert known["VersionIdsToStages"] == {TOKEN: ["AWSCURRENT"]}

    sm.get_secret_value(SecretId="bare")
    sm.update_secret(SecretId="bare", Description="why")
    sm.tag_resource(SecretId="bare", Tags=[{"Key": "team", "Value": "db"}, {"Key": "empty", "Value": ""}])

    known = facts(sm.describe_secret(SecretId="bare"))
    assert set(known) == {
        *("ARN", "Name", "CreatedDate", "LastChangedDate", "LastAccessedDate", "VersionIdsToStages"),
        *("Description", "Tags"),
    }
    assert known["Tags"] == [{"Key": "team", "Value": "db"}, {"Key": "empty", "Value": ""}]
    assert known["LastAccessedDate"].timestamp() % 86_400 == 0
    [listed] = sm.list_secrets()["SecretList"]
    assert listed == {name: fact for name, fact in known.items() if name != "VersionIdsToStages"} | {
        "SecretVersionsToStages": {TOKEN: ["AWSCURRENT"]}
    }


def test_a_secret_without_a_value_has_no_version(sm: Any) -> None:
    made = sm.create_secret(Name="empty")

    assert set(facts(made)) == {"ARN", "Name"}
    assert "VersionIdsToStages" not in sm.describe_secret(SecretId="empty")
    text = "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT"
    assert refusal(lambda: sm.get_secret_value(SecretId="empty")) == ("ResourceNotFoundException", text, 400)
    put = sm.put_secret_value(SecretId="empty", SecretString="one", ClientRequestToken=TOKEN)
    assert facts(put) == {"ARN": made["ARN"], "Name": "empty", "VersionId": TOKEN, "VersionStages": ["AWSCURRENT"]}


def test_versions_are_listed_the_older_first_and_deprecated_ones_without_stages(sm: Any) -> None:
    first = sm.create_secret(Name="a", SecretString="one")["VersionId"]
    others = [sm.put_secret_value(SecretId="a", SecretString=value)["VersionId"] for value in ("two", "three")]

    listed = sm.list_secret_version_ids(SecretId="a", IncludeDeprecated=True)

    assert [one["VersionId"] for one in listed["Versions"]] == [first, *others]
    assert [one.get("VersionStages") for one in listed["Versions"]] == [None, ["AWSPREVIOUS"], ["AWSCURRENT"]]
    assert [one["KmsKeyIds"] for one in listed["Versions"]] == [["DefaultEncryptionKey"]] * 3
    assert set(facts(listed)) == {"ARN", "Name", "Versions"}
    assert [one["VersionId"] for one in sm.list_secret_version_ids(SecretId="a")["Versions"]] == others


def test_versions_come_in_pages(sm: Any) -> None:
    made = [sm.create_secret(Name="a", SecretString="0")["VersionId"]]
    made += [sm.put_secret_value(SecretId="a", SecretString=str(n))["VersionId"] for n in range(4)]
    found = pages(sm.list_secret_version_ids, SecretId="a", IncludeDeprecated=True, MaxResults=2)

    assert [[one["VersionId"] for one in page["Versions"]] for page in found] == [made[:2], made[2:4], made[4:]]


def test_an_update_answers_a_version_only_if_it_made_one(sm: Any) -> None:
    made = sm.create_secret(Name="a", SecretString="one")
    named = {"ARN": made["ARN"], "Name": "a"}

    assert facts(sm.update_secret(SecretId="a", Description="d")) == named
    assert facts(sm.update_secret(SecretId="a")) == named
    changed = sm.update_secret(SecretId="a", SecretString="two", ClientRequestToken=OTHER)
    assert facts(changed) == named | {"VersionId": OTHER}


def test_a_deletion_is_scheduled_called_off_and_forced(sm: Any) -> None:
    made = sm.create_secret(Name="a", SecretString="one")
    before = datetime.now(UTC)
    gone = sm.delete_secret(SecretId="a", RecoveryWindowInDays=7)

    assert set(facts(gone)) == {"ARN", "Name", "DeletionDate"}
    assert 6.9 < (gone["DeletionDate"] - before).total_seconds() / 86_400 < 7.1
    assert before <= sm.describe_secret(SecretId="a")["DeletedDate"] <= datetime.now(UTC)
    assert sm.list_secrets()["SecretList"] == []
    assert [one["Name"] for one in sm.list_secrets(IncludePlannedDeletion=True)["SecretList"]] == ["a"]
    assert facts(sm.restore_secret(SecretId="a")) == {"ARN": made["ARN"], "Name": "a"}
    sm.delete_secret(SecretId="a", ForceDeleteWithoutRecovery=True)
    assert set(facts(sm.delete_secret(SecretId="a", ForceDeleteWithoutRecovery=True))) == {
        "ARN",
        "Name",
        "DeletionDate",
    }


def test_a_stage_is_moved(sm: Any) -> None:
    first = sm.create_secret(Name="a", SecretString="one")
    second = sm.put_secret_value(SecretId="a", SecretString="two", VersionStages=["AWSPENDING"])["VersionId"]

    moved = sm.update_secret_version_stage(
        SecretId="a", VersionStage="AWSCURRENT", MoveToVersionId=second, RemoveFromVersionId=first["VersionId"]
    )

    assert facts(moved) == {"ARN": first["ARN"], "Name": "a"}
    assert sm.get_secret_value(SecretId="a", VersionStage="AWSPREVIOUS")["VersionId"] == first["VersionId"]


def test_tags_are_put_on_and_taken_off(rig: Rig, sm: Any) -> None:
    sm.create_secret(Name="a", SecretString="one", Tags=[{"Key": "k", "Value": "v"}])

    assert facts(sm.tag_resource(SecretId="a", Tags=[{"Key": "l", "Value": "w"}])) == {}
    assert rig.responses[-1].body == b"{}"
    assert facts(sm.untag_resource(SecretId="a", TagKeys=["k"])) == {}
    assert sm.describe_secret(SecretId="a")["Tags"] == [{"Key": "l", "Value": "w"}]


def test_a_batch_has_what_was_found_and_an_error_for_each_other(sm: Any) -> None:
    for name in ("a", "b", "gone"):
        sm.create_secret(Name=name, SecretString=f"value of {name}")
    sm.delete_secret(SecretId="gone")

    batch = sm.batch_get_secret_value(SecretIdList=["a", "none", "gone", "b"])

    assert [(one["Name"], one["SecretString"]) for one in batch["SecretValues"]] == [
        ("a", "value of a"),
        ("b", "value of b"),
    ]
    assert batch["Errors"] == [
        {"SecretId": "none", "ErrorCode": "ResourceNotFoundException", "Message": MISSING},
        {"SecretId": "gone", "ErrorCode": "InvalidRequestException", "Message": DELETED},
    ]
    assert sm.batch_get_secret_value(SecretIdList=["a"])["Errors"] == []


def test_a_batch_by_filters_goes_on_page_by_page(sm: Any) -> None:
    for name in ("app/a", "app/b", "app/c", "other"):
        sm.create_secret(Name=name, SecretString=f"value of {name}")
    found = pages(sm.batch_get_secret_value, Filters=[{"Key": "name", "Values": ["app/"]}], MaxResults=2)

    assert [[one["Name"] for one in page["SecretValues"]] for page in found] == [["app/a", "app/b"], ["app/c"]]


def test_lists_are_filtered_sorted_and_in_pages(sm: Any) -> None:
    for name in ("b", "a", "c"):
        sm.create_secret(Name=name, SecretString="one")
    found = pages(sm.list_secrets, SortBy="name", SortOrder="desc", MaxResults=2)

    assert [[one["Name"] for one in page["SecretList"]] for page in found] == [["c", "b"], ["a"]]
    others = sm.list_secrets(Filters=[{"Key": "name", "Values": ["!a"]}])["SecretList"]
    assert [one["Name"] for one in others] == ["b", "c"]


def test_a_random_password_is_as_it_was_asked_for(sm: Any) -> None:
    assert len(sm.get_random_password()["RandomPassword"]) == 32
    digits = sm.get_random_password(
        PasswordLength=20,
        ExcludeLowercase=True,
        ExcludeUppercase=True,
        ExcludePunctuation=True,
        ExcludeCharacters="0",
        RequireEachIncludedType=False,
    )["RandomPassword"]
    assert re.fullmatch("[1-9]{20}", digits)
    assert len(sm.get_random_password(PasswordLength=4, IncludeSpace=True)["RandomPassword"]) == 4
    assert " " in sm.get_random_password(PasswordLength=4096, IncludeSpace=True)["RandomPassword"]


def test_no_secret_has_a_resource_policy(sm: Any) -> None:
    made = sm.create_secret(Name="a", SecretString="one")

    assert facts(sm.get_resource_policy(SecretId="a")) == {"ARN": made["ARN"], "Name": "a"}


def test_every_answer_has_its_own_request_id_and_no_age(rig: Rig, sm: Any) -> None:
    sm.create_secret(Name="a", SecretString="one")
    refusal(lambda: sm.get_secret_value(SecretId="none"))

    ids = [dict(answer.headers)["x-amzn-requestid"] for answer in rig.responses]
    assert len(set(ids)) == 2
    assert all(map(UUID4.fullmatch, ids))
    for answer in rig.responses:
        assert dict(answer.headers)["content-type"] == "application/x-amz-json-1.1"
        assert "age" not in dict(answer.headers)


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_what_is_not_there_is_told_as_aws_tells_it(sm: Any) -> None:
    sm.create_secret(Name="a", SecretString="one", ClientRequestToken=TOKEN)
    code = "ResourceNotFoundException"
    of = "Secrets Manager can't find the specified secret value for"

    for call in (sm.describe_secret, sm.get_secret_value, sm.restore_secret, sm.delete_secret, sm.rotate_secret):
        assert refusal(lambda call=call: call(SecretId="none")) == (code, MISSING, 400)
    assert refusal(lambda: sm.get_secret_value(SecretId="a", VersionStage="AWSPREVIOUS")) == (
        *(code, f"{of} staging label: AWSPREVIOUS", 400),
    )
    assert refusal(lambda: sm.get_secret_value(SecretId="a", VersionId=OTHER)) == (
        code,
        f"{of} VersionId: {OTHER}",
        400,
    )


def test_a_version_and_a_stage_that_do_not_belong_together(sm: Any) -> None:
    sm.create_secret(Name="a", SecretString="one", ClientRequestToken=TOKEN)
    sm.put_secret_value(SecretId="a", SecretString="two", ClientRequestToken=OTHER)

    assert refusal(lambda: sm.get_secret_value(SecretId="a", VersionId=TOKEN, VersionStage="AWSCURRENT")) == (
        "InvalidRequestException",
        "You provided a VersionStage that is not associated to the provided VersionId.",
        400,
    )


def test_a_name_that_is_taken(sm: Any) -> None:
    arn = sm.create_secret(Name="a", SecretString="one", ClientRequestToken=TOKEN)["ARN"]
    code = "ResourceExistsException"
    used = (
        f"You can't use ClientRequestToken {TOKEN} because that value is already in use for a version of secret {arn}."
    )

    again = sm.create_secret(Name="a", SecretString="one", ClientRequestToken=TOKEN)
    assert again["VersionId"] == TOKEN
    taken = refusal(lambda: sm.create_secret(Name="a", SecretString="one"))
    assert taken == (code, "The operation failed because the secret a already exists.", 400)
    for call, named in ((sm.create_secret, "Name"), (sm.put_secret_value, "SecretId"), (sm.update_secret, "SecretId")):
        asked = {named: "a", "SecretString": "two", "ClientRequestToken": TOKEN}
        assert refusal(lambda call=call, asked=asked: call(**asked)) == (code, used, 400)


def test_a_secret_that_is_scheduled_for_deletion(sm: Any) -> None:
    version = sm.create_secret(Name="a", SecretString="one")["VersionId"]
    sm.delete_secret(SecretId="a")
    code = "InvalidRequestException"

    for call in (
        lambda: sm.get_secret_value(SecretId="a"),
        lambda: sm.put_secret_value(SecretId="a", SecretString="two"),
        lambda: sm.update_secret(SecretId="a", SecretString="two"),
        lambda: sm.update_secret(SecretId="a"),
        lambda: sm.tag_resource(SecretId="a", Tags=[{"Key": "k", "Value": "v"}]),
        lambda: sm.untag_resource(SecretId="a", TagKeys=["k"]),
        lambda: sm.rotate_secret(SecretId="a"),
        lambda: sm.update_secret_version_stage(SecretId="a", VersionStage="mine", MoveToVersionId=version),
    ):
        assert refusal(call) == (code, DELETED, 400)
    assert refusal(lambda: sm.create_secret(Name="a", SecretString="two")) == (
        *(code, "You can't create this secret because a secret with this name is already scheduled for deletion.", 400),
    )
    assert refusal(lambda: sm.delete_secret(SecretId="a"))[0] == code
    assert sm.describe_secret(SecretId="a")["Name"] == "a"


def test_a_stage_that_is_on_another_version(sm: Any) -> None:
    first = sm.create_secret(Name="a", SecretString="one")["VersionId"]
    second = sm.put_secret_value(SecretId="a", SecretString="two", VersionStages=["AWSPENDING"])["VersionId"]

    told = refusal(
        lambda: sm.update_secret_version_stage(SecretId="a", VersionStage="AWSCURRENT", MoveToVersionId=second)
    )

    text = (
        "The parameter RemoveFromVersionId can't be empty. Staging label AWSCURRENT is currently attached to version "
        f"{first}, so you must explicitly reference that version in RemoveFromVersionId."
    )
    assert told == ("InvalidParameterException", text, 400)
    taken_off = refusal(
        lambda: sm.update_secret_version_stage(SecretId="a", VersionStage="AWSCURRENT", RemoveFromVersionId=first)
    )
    assert taken_off[0] == "InvalidParameterException"
    assert refusal(lambda: sm.update_secret_version_stage(SecretId="a", VersionStage="x"))[0] == taken_off[0]


def test_what_one_machine_cannot_mean_is_refused_by_names_of_aws(rig: Rig, sm: Any) -> None:
    sm.create_secret(Name="a", SecretString="one")
    for call in (
        lambda: sm.replicate_secret_to_regions(SecretId="a", AddReplicaRegions=[{"Region": "eu-central-1"}]),
        lambda: sm.remove_regions_from_replication(SecretId="a", RemoveReplicaRegions=["eu-central-1"]),
        lambda: sm.stop_replication_to_replica(SecretId="a"),
        lambda: sm.put_resource_policy(SecretId="a", ResourcePolicy="{}"),
        lambda: sm.delete_resource_policy(SecretId="a"),
        lambda: sm.validate_resource_policy(SecretId="a", ResourcePolicy="{}"),
        lambda: sm.create_secret(Name="b", SecretString="one", Type="partner"),
        lambda: sm.update_secret(SecretId="a", SecretString="one", Type="partner"),
        lambda: sm.put_secret_value(SecretId="a", SecretString="one", RotationToken="r" * 36),
        lambda: sm.rotate_secret(SecretId="a", ExternalSecretRotationRoleArn="arn:aws:iam::123456789012:role/r"),
    ):
        code, text, status = refusal(call)
        assert (code, status) == ("InvalidRequestException", 400), text
        assert "not supported here" in text
    for operation, members in (
        ("AssociateCrossAccountReplica", {"CrossAccountReplicaARN": REPLICA}),
        ("DisassociateCrossAccountReplica", {"CrossAccountReplicaARN": REPLICA}),
        ("PutResourcePolicy", {"ResourcePolicy": "{}", "PolicyName": "default"}),
        ("DeleteResourcePolicy", {"PolicyName": "default"}),
    ):
        assert post(rig, operation, {"SecretId": "a", **members})[1]["__type"] == "InvalidRequestException"
    replicas = refusal(lambda: sm.create_secret(Name="b", AddReplicaRegions=[{"Region": "eu-central-1"}]))
    assert replicas[0] == "InvalidRequestException"
    assert refusal(lambda: sm.describe_secret(SecretId="b"))[1] == MISSING
    assert post(rig, "ListResourcePolicies", {"SecretId": "a"}) == (200, {"ResourcePolicies": []})


def test_a_rotation_and_a_key_that_the_local_store_does_not_have(tmp_path: Path) -> None:
    with start(Settings(local=LocalSettings(path=tmp_path / "store"))) as system, aws_face(system) as rig:
        sm = rig.client()
        sm.create_secret(Name="a", SecretString="one", KmsKeyId="alias/aws/secretsmanager")
        no_function = "No Lambda rotation function ARN is associated with this secret."

        assert refusal(lambda: sm.rotate_secret(SecretId="a")) == ("InvalidRequestException", no_function, 400)
        assert refusal(lambda: sm.cancel_rotate_secret(SecretId="a")) == ("InvalidRequestException", no_function, 400)
        code, text, status = refusal(lambda: sm.rotate_secret(SecretId="a", RotationLambdaARN=LAMBDA))
        assert (code, status) == ("AccessDeniedException", 400)
        assert text.startswith("Secrets Manager cannot invoke the specified Lambda function.")
        for call in (
            lambda: sm.create_secret(Name="b", SecretString="one", KmsKeyId="alias/mine"),
            lambda: sm.create_secret(Name="b", KmsKeyId="alias/mine"),
            lambda: sm.update_secret(SecretId="a", KmsKeyId="alias/mine"),
        ):
            assert refusal(call)[0] == "EncryptionFailure"


def test_members_that_do_not_go_together(sm: Any) -> None:
    sm.create_secret(Name="a", SecretString="one")
    parameter, asked = "InvalidParameterException", "InvalidRequestException"
    for code, text, call in (
        (parameter, "use ForceDeleteWithoutRecovery in conjunction",
         lambda: sm.delete_secret(SecretId="a", RecoveryWindowInDays=7, ForceDeleteWithoutRecovery=True)),
        (parameter, "between 7 and 30 days", lambda: sm.delete_secret(SecretId="a", RecoveryWindowInDays=6)),
        (parameter, "between 7 and 30 days", lambda: sm.delete_secret(SecretId="a", RecoveryWindowInDays=31)),
        (parameter, "both a binary", lambda: sm.create_secret(Name="b", SecretString="one", SecretBinary=b"one")),
        (asked, "either SecretString or SecretBinary", lambda: sm.put_secret_value(SecretId="a")),
        (parameter, "but not both", sm.batch_get_secret_value),
        (parameter, "but not both", lambda: sm.batch_get_secret_value(
            SecretIdList=["a"], Filters=[{"Key": "name", "Values": ["a"]}])),
        (parameter, "'Filters' not specified", lambda: sm.batch_get_secret_value(SecretIdList=["a"], MaxResults=3)),
        (parameter, "'Filters' not specified", lambda: sm.batch_get_secret_value(SecretIdList=["a"], NextToken="x")),
        (parameter, "too short", lambda: sm.get_random_password(PasswordLength=3)),
        (parameter, "characters", lambda: sm.get_random_password(
            ExcludeLowercase=True, ExcludeUppercase=True, ExcludeNumbers=True, ExcludePunctuation=True)),
        (parameter, "exclude", lambda: sm.get_random_password(ExcludeCharacters="0123456789")),
        (parameter, "key of its own", lambda: sm.tag_resource(SecretId="a", Tags=[{"Value": "v"}])),
        (parameter, "key of its own", lambda: sm.create_secret(
            Name="b", Tags=[{"Key": "k", "Value": "v"}, {"Key": "k", "Value": "w"}])),
        (parameter, "tag", lambda: sm.tag_resource(SecretId="a", Tags=[])),
        (parameter, "Invalid filter values for key: name", lambda: sm.list_secrets(Filters=[{"Key": "name"}])),
        (parameter, "Invalid filter key", lambda: sm.list_secrets(Filters=[{"Values": ["a"]}])),
        (parameter, "region", lambda: sm.create_secret(Name="b", AddReplicaRegions=[{"KmsKeyId": "k"}])),
    ):  # fmt: skip
        found = refusal(call)
        assert (found[0], found[2]) == (code, 400), found
        assert text in found[1]


def test_a_name_that_aws_does_not_take(sm: Any) -> None:
    text = (
        "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"
    )  # fmt: skip
    for call in (
        lambda: sm.create_secret(Name="a b", SecretString="one"),
        lambda: sm.create_secret(Name="rds!db", SecretString="one"),
        lambda: sm.get_secret_value(SecretId="a b"),
        lambda: sm.describe_secret(SecretId="ä"),
        lambda: sm.batch_get_secret_value(SecretIdList=["a", "a b"]),
        lambda: sm.get_secret_value(SecretId="arn:aws:secretsmanager:us-east-1:123:secret:a"),
    ):
        assert refusal(call) == ("ValidationException", text, 400)


def test_a_token_of_a_page_that_nobody_gave_out(sm: Any) -> None:
    sm.create_secret(Name="a", SecretString="one")

    assert refusal(lambda: sm.list_secrets(NextToken="x"))[0] == "InvalidNextTokenException"
    assert refusal(lambda: sm.list_secret_version_ids(SecretId="a", NextToken="x"))[0] == "InvalidNextTokenException"


# --- the front door ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["CreateSecret", "UpdateSecret", "PutSecretValue", "RotateSecret"])
def test_whoever_speaks_http_gives_a_token(rig: Rig, operation: str) -> None:
    named = "Name" if operation == "CreateSecret" else "SecretId"
    members = {} if operation == "RotateSecret" else {"SecretString": "one"}

    assert post(rig, operation, {named: "a", **members}) == (
        400,
        {
            "__type": "InvalidRequestException",
            "Message": "You must provide a ClientRequestToken value. We recommend a UUID-type value.",
        },
    )


def test_an_operation_that_there_is_not(rig: Rig) -> None:
    unknown = (400, {"__type": "UnknownOperationException"})
    assert post(rig, "MakeCoffee", {}) == unknown
    assert post(rig, "ListSecrets", {}, kind="application/json") == unknown
    bare = rig.ask(request("/", ("Content-Type", CONTENT_TYPE), method="POST", body=b"{}", peer=UNIX))
    assert (bare.status, json.loads(bare.body)) == unknown
    no_type = ("X-Amz-Target", "secretsmanager.ListSecrets")
    untyped = rig.ask(request("/", no_type, method="POST", body=b"{}", peer=UNIX))
    assert (untyped.status, json.loads(untyped.body)) == unknown


def test_a_content_type_may_have_a_charset(rig: Rig) -> None:
    assert post(rig, "ListSecrets", {}, kind="Application/X-Amz-Json-1.1; charset=utf-8") == (200, {"SecretList": []})


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b'"text"'])
def test_a_body_that_is_no_json_object(rig: Rig, body: bytes) -> None:
    status, members = post(rig, "ListSecrets", body)

    assert (status, members["__type"]) == (400, "SerializationException")
    assert "message" in members


def test_a_header_that_is_repeated(rig: Rig) -> None:
    status, members = post(rig, "ListSecrets", {}, ("X-Amz-Target", "secretsmanager.GetSecretValue"))

    assert (status, members["__type"]) == (400, "MalformedHttpRequestException")


def test_what_the_face_takes(rig: Rig) -> None:
    target, kind = ("X-Amz-Target", "secretsmanager.ListSecrets"), ("Content-Type", CONTENT_TYPE)
    assert rig.face.takes(request("/", target, method="POST"))
    assert rig.face.takes(request("/sm/", kind, method="POST"))
    assert not rig.face.takes(request("/", target, kind))
    assert not rig.face.takes(request("/", ("Content-Type", "application/json"), method="POST"))
    assert rig.face.name == "aws"


def test_who_is_not_known_is_refused_before_the_request_is_read() -> None:
    def refused(_request: Request) -> Identity:
        raise SignatureRefused("UnrecognizedClientException", "The security token included in the request is invalid.")

    with fake_system() as (system, store), aws_face(system, authenticate=refused) as rig:
        answer = {
            "__type": "UnrecognizedClientException",
            "message": "The security token included in the request is invalid.",
        }
        assert post(rig, "ListSecrets", b"{") == (400, answer)
        assert post(rig, "MakeCoffee", {}) == (400, {"__type": "UnknownOperationException"})
        assert not store.calls
    [record] = rig.audit.records
    told = record.operation, record.secret_id, record.outcome, record.source, getattr(record.caller, "label", "")
    assert told == ("list", None, "access_denied", "proof", "unit:billing.service (user deploy)")


# --- failures ---------------------------------------------------------------------------------------------------------

FAILURES: Final[list[tuple[errors.SecretsError, str, int]]] = [
    (errors.Throttled("slow down"), "ThrottlingException", 400),
    (errors.LimitExceeded("a quota"), "LimitExceededException", 400),
    (errors.AccessDenied("no", aws_code="AccessDeniedException"), "AccessDeniedException", 400),
    (errors.DecryptionFailed("damaged"), "DecryptionFailure", 400),
    (errors.StoreFailure("failed", aws_code="InternalServiceError", status=500), "InternalServiceError", 500),
    (errors.InvalidSignature("ours", aws_code="InvalidSignatureException"), "InternalServiceError", 500),
    (errors.StoreUnavailable("full", path="/secret/place"), "InternalServiceError", 500),
    (errors.ConnectionFailed("no", endpoint="host"), "ServiceUnavailable", 503),
    (errors.InvalidRequest("no", aws_code="PreconditionNotMetException"), "PreconditionNotMetException", 400),
    (errors.StoreError("no", aws_code="NewException", status=400), "NewException", 400),
    (errors.StoreError("no", aws_code="InternalFailure", status=500), "InternalServiceError", 500),
]


@pytest.mark.parametrize(("error", "code", "status"), FAILURES, ids=[type(one[0]).__name__ for one in FAILURES])
def test_a_failure_of_the_store_has_a_code_that_sdks_know(error: errors.SecretsError, code: str, status: int) -> None:
    with fake_system(breaker_failures=0) as (system, store), aws_face(system) as rig:
        store.fail_next(error, operation="describe")

        found = refusal(lambda: rig.client().describe_secret(SecretId="a"))

        assert (found[0], found[2]) == (code, status)
        assert "/secret/place" not in found[1]


def test_a_request_that_is_late_is_not_begun() -> None:
    with fake_system() as (system, store), aws_face(system) as rig:
        for operation, members in (("DescribeSecret", {"SecretId": "a"}), ("GetSecretValue", {"SecretId": "a"})):
            headers = ("X-Amz-Target", f"secretsmanager.{operation}"), ("Content-Type", CONTENT_TYPE)
            late = request("/", *headers, method="POST", body=json.dumps(members).encode(), peer=UNIX, deadline=0.0)

            answer = rig.ask(late)

            assert (answer.status, json.loads(answer.body)["__type"]) == (500, "InternalServiceError")
        assert not store.calls


def test_a_store_that_is_left_alone_says_when_to_ask_again() -> None:
    with fake_system() as (system, store), aws_face(system) as rig:
        store.fail_next(errors.CircuitOpen("it has not answered lately", endpoint="host", retry_after=1.5))

        assert refusal(lambda: rig.client().describe_secret(SecretId="a"))[0] == "ServiceUnavailable"
        assert dict(rig.responses[-1].headers)["x-amz-retry-after"] == "1500"


def test_an_answer_by_mistake_of_ours_is_a_failure(rig: Rig) -> None:
    answer = rig.face.broken(request("/", method="POST"))

    assert answer.status == 500
    assert json.loads(answer.body)["__type"] == "InternalServiceError"


def test_bytes_that_are_no_base64_are_refused(rig: Rig) -> None:
    status, members = post(rig, "CreateSecret", {"Name": "a", "SecretBinary": "?", "ClientRequestToken": TOKEN})

    assert (status, members["__type"]) == (400, "SerializationException")
    good = {"Name": "a", "SecretBinary": base64.b64encode(b"x").decode(), "ClientRequestToken": TOKEN}
    assert post(rig, "CreateSecret", good)[0] == 200
