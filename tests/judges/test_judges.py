"""What one client of AWS's writes every other reads, through a real daemon; and what is refused each reads as AWS's.

boto3 has the quick tests. The others are slow: they are started from their packages, and come with the extra `judges`.
"""

import getpass
import json
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from secrets_actor.clock import now as clock_now
from tests.judges.clients import Refused
from tests.judges.conftest import ACCESSES, JUDGES, House, Make, house_in
from tests.judges.python_client import Value

VALUES: Final[dict[str, Value]] = {
    "unicode": 'Grüße, 世界, \N{PILE OF POO}, \x00\x1f, "quoted\\',
    "binary": bytes(range(256)),
    "longest text": "x" * 65_536,
    "longest binary": bytes(range(256)) * 256,
}
TWENTY_MINUTES: Final = 1200
RECORDED_WITHIN: Final = 10.0
slow = pytest.mark.slow
ALL: Final = [pytest.param(one, marks=() if one == "boto3" else slow) for one in JUDGES]
# Those that have all operations, and not values alone.
WHOLE: Final = [pytest.param("boto3"), pytest.param("node", marks=slow), pytest.param("cli", marks=slow)]


def fresh(word: str) -> str:
    """A name that no other test has."""
    return f"judges/{word}-{uuid.uuid4().hex[:12]}"


def refused(call: Callable[[], object]) -> Refused:
    with pytest.raises(Refused) as caught:
        call()
    return caught.value


@pytest.mark.parametrize("access", ACCESSES)
def test_boto3_reads_what_it_wrote(judge: Make, access: str) -> None:
    boto3 = judge("boto3", access)
    for kind, value in VALUES.items():
        name = fresh("own")
        boto3.write(name, value)
        boto3.write(name, value)  # the first made the secret, this one a version
        assert boto3.read(name) == value, kind


@slow
@pytest.mark.parametrize("access", ACCESSES)
def test_each_reads_what_every_other_wrote(judge: Make, access: str) -> None:
    judges = {kind: judge(kind, access) for kind in JUDGES}
    # How a caller came by its credentials changes nothing of a value, and the command line takes a second a call.
    values = VALUES if access == "static" else {"unicode": VALUES["unicode"]}
    read = 0
    for writer in judges:
        for kind, value in values.items():
            name = fresh("shared")
            judges[writer].write(name, "before")
            judges[writer].write(name, value)
            for reader, one in judges.items():
                assert one.read(name) == value, f"{kind}: {writer} wrote, {reader} read"
                read += 1
    assert read == len(JUDGES) ** 2 * len(values)


def records(house: House, name: str, last: str, outcome: str = "ok") -> list[dict[str, object]]:
    """The audit records about *name*, once that of the operation *last* is there: a hit's is written a moment later."""
    deadline = clock_now() + RECORDED_WITHIN
    while True:
        found = [one for one in house.daemon.audit() if one.get("secret_id") == name]
        if any((one["operation"], one["outcome"]) == (last, outcome) for one in found) or clock_now() > deadline:
            return found
        threading.Event().wait(0.02)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("access", ACCESSES)
def test_the_audit_log_says_who_asked(judge: Make, house: House, kind: str, access: str) -> None:
    name, one = fresh("audited"), judge(kind, access)
    one.write(name, "hunter2")
    assert one.read(name) == "hunter2"

    found = [one for one in records(house, name, "get") if one["outcome"] == "ok"]

    assert {"get"} < {one["operation"] for one in found}
    for record in found:
        match access:
            case "static":
                assert (record["caller"], record["caller_by"]) == ("key:ci", "key:ci")
            case "process":
                assert (record["caller_by"], record["caller_user"]) == ("minted", getpass.getuser())
            case "container":
                assert (record["caller"], record["caller_by"]) == ("token:ci", "token:ci")
    assert "hunter2" not in house.daemon.log.read_text()


@pytest.mark.parametrize("kind", WHOLE)
def test_a_secret_from_its_birth_to_its_restoration(judge: Make, kind: str) -> None:
    one, name = judge(kind, "static"), fresh("life")
    first, second = str(uuid.uuid4()), str(uuid.uuid4())

    made = one.call(
        "CreateSecret",
        Name=name,
        SecretString="one",
        ClientRequestToken=first,
        Description="of a test",
        Tags=[{"Key": "team", "Value": "judges"}],
    )
    put = one.call("PutSecretValue", SecretId=made["ARN"], SecretString="two", ClientRequestToken=second)
    assert (made["Name"], made["VersionId"], put["VersionId"]) == (name, first, second)
    assert put["VersionStages"] == ["AWSCURRENT"]
    assert one.call("GetSecretValue", SecretId=name, VersionStage="AWSPREVIOUS")["SecretString"] == "one"
    assert one.call("GetSecretValue", SecretId=name, VersionId=first)["SecretString"] == "one"

    one.call(
        "UpdateSecretVersionStage",
        SecretId=name,
        VersionStage="AWSCURRENT",
        MoveToVersionId=first,
        RemoveFromVersionId=second,
    )
    assert one.read(name) == "one"
    one.call("UpdateSecret", SecretId=name, Description="of another test")
    one.call("TagResource", SecretId=name, Tags=[{"Key": "more", "Value": "than one"}])
    one.call("UntagResource", SecretId=name, TagKeys=["team"])
    described = one.call("DescribeSecret", SecretId=name)
    assert described["Description"] == "of another test"
    assert described["Tags"] == [{"Key": "more", "Value": "than one"}]
    assert described["VersionIdsToStages"] == {first: ["AWSCURRENT"], second: ["AWSPREVIOUS"]}
    assert {one["VersionId"] for one in one.call("ListSecretVersionIds", SecretId=name)["Versions"]} == {first, second}
    together = one.call("BatchGetSecretValue", SecretIdList=[name, fresh("none")])
    assert [found["SecretString"] for found in together["SecretValues"]] == ["one"]
    assert [found["ErrorCode"] for found in together["Errors"]] == ["ResourceNotFoundException"]

    one.call("DeleteSecret", SecretId=name, RecoveryWindowInDays=7)
    assert refused(lambda: one.read(name)).code == "InvalidRequestException"
    one.call("RestoreSecret", SecretId=name)
    assert one.read(name) == "one"
    one.call("DeleteSecret", SecretId=name, ForceDeleteWithoutRecovery=True)
    assert refused(lambda: one.read(name)).code == "ResourceNotFoundException"
    assert len(one.call("GetRandomPassword", PasswordLength=40)["RandomPassword"]) == 40


@pytest.mark.parametrize("kind", WHOLE)
def test_a_list_is_read_page_by_page(judge: Make, kind: str) -> None:
    one, prefix = judge(kind, "static"), fresh("pages")
    writer = judge("boto3", "static")
    names = {f"{prefix}/{number}" for number in range(7)}
    for name in names:
        writer.write(name, "hunter2")

    pages = one.pages("ListSecrets", MaxResults=3, Filters=[{"Key": "name", "Values": [prefix]}])

    assert {entry["Name"] for page in pages for entry in page["SecretList"]} == names
    assert len(pages) == (1 if kind == "cli" else 3)  # the command line joins them


@pytest.mark.parametrize("kind", WHOLE)
def test_refusals_are_caught_by_the_classes_of_the_client(judge: Make, kind: str) -> None:
    one, name = judge(kind, "static"), fresh("there")
    one.write(name, "hunter2")
    missing = refused(lambda: one.read(fresh("missing")))
    assert missing.classes == ["ResourceNotFoundException"]
    assert missing.message == "Secrets Manager can't find the specified secret."
    exists = refused(lambda: one.call("CreateSecret", Name=name, SecretString="other"))
    assert exists.classes == ["ResourceExistsException"]
    invalid = refused(lambda: one.call("GetSecretValue", SecretId=name, VersionStage="AWSPREVIOUS"))
    assert invalid.classes == ["ResourceNotFoundException"]
    window = refused(
        lambda: one.call("DeleteSecret", SecretId=name, RecoveryWindowInDays=7, ForceDeleteWithoutRecovery=True)
    )
    assert window.classes == ["InvalidParameterException"]
    for refusal in (missing, exists, invalid, window):
        assert refusal.status in (400, 0), refusal  # 0: the command line shows no status


@pytest.mark.parametrize("kind", ALL)
def test_the_policy_is_by_the_key(judge: Make, house: House, kind: str) -> None:
    allowed, forbidden = f"shared/{uuid.uuid4().hex}", fresh("other")
    writer = judge("boto3", "static")
    for name in (allowed, forbidden):
        writer.write(name, "hunter2")
    reader = judge(kind, "reader")
    if kind == "caching":  # which describes a secret before it gets it, and this key may only get
        assert refused(lambda: reader.read(allowed)).code == "AccessDeniedException"
    else:
        assert reader.read(allowed) == "hunter2"

    for call in (lambda: reader.read(forbidden), lambda: reader.read(fresh("missing"))):
        refusal = refused(call)
        assert refusal.code == "AccessDeniedException"
        assert "key:reader" in refusal.message

    denied = [one for one in records(house, forbidden, "get", "access_denied") if one.get("caller_by") == "key:reader"]
    assert denied
    assert all(one["outcome"] != "ok" for one in denied)


@pytest.mark.parametrize("kind", ALL)
def test_a_wrong_key_is_told_as_aws_tells_it(judge: Make, kind: str) -> None:
    wrong = judge(kind, "static", AWS_SECRET_ACCESS_KEY="another")
    assert refused(lambda: wrong.read("a")).code == "InvalidSignatureException"


@pytest.mark.parametrize("kind", ALL)
def test_an_unknown_key_is_told_as_aws_tells_it(judge: Make, kind: str) -> None:
    unknown = judge(kind, "static", AWS_ACCESS_KEY_ID="AKUNKNOWN")
    assert refused(lambda: unknown.read("a")).code == "UnrecognizedClientException"
    stranger = judge(kind, "static", AWS_SESSION_TOKEN="one-that-nobody-minted")
    assert refused(lambda: stranger.read("a")).code == "UnrecognizedClientException"


@pytest.mark.parametrize("shift", [-TWENTY_MINUTES, TWENTY_MINUTES])
def test_boto3_with_a_wrong_clock_is_told_so(judge: Make, shift: int) -> None:
    refusal = refused(lambda: judge("boto3", "static", CLOCK_SHIFT=str(shift)).read("a"))

    assert refusal.code == "InvalidSignatureException"
    assert ("Signature expired" if shift < 0 else "Signature not yet current") in refusal.message


@slow
@pytest.mark.parametrize("shift", [-TWENTY_MINUTES, TWENTY_MINUTES])
def test_node_with_a_wrong_clock_puts_it_right_by_our_date(judge: Make, shift: int) -> None:
    name = fresh("clock")
    judge("boto3", "static").write(name, "hunter2")

    assert judge("node", "static", CLOCK_SHIFT=str(shift)).read(name) == "hunter2"


@slow
@pytest.mark.parametrize("kind", ["boto3", "node"])
@pytest.mark.parametrize("access", ACCESSES)
def test_a_client_outlives_the_daemon(judge: Make, tmp_path: Path, kind: str, access: str) -> None:
    """Its pooled connection has died with the daemon, and its credentials, also minted ones, have not."""
    house = house_in(tmp_path / "house")
    with house.daemon as daemon:
        one = judge(kind, access, at=house)
        one.write("a", "hunter2")
        daemon.kill()
        daemon.start()

        assert one.read("a") == "hunter2"


def test_a_presigned_request_is_refused(judge: Make, house: House) -> None:
    name, boto3 = fresh("presigned"), judge("boto3", "static")
    boto3.write(name, "hunter2")
    url = boto3.ask(do="presigned", operation="GetSecretValue", input={"SecretId": name})
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "secretsmanager.GetSecretValue"}
    for body in (b"", json.dumps({"SecretId": name}).encode()):
        request = urllib.request.Request(url, data=body, headers=headers)
        with pytest.raises(urllib.error.HTTPError) as caught, urllib.request.urlopen(request, timeout=10):
            pass
        assert caught.value.code == 400
        assert b"hunter2" not in caught.value.read()


def test_a_request_without_a_signature_is_refused_over_tcp(house: House) -> None:
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "secretsmanager.ListSecrets"}
    request = urllib.request.Request(house.url, data=b"{}", headers=headers)
    with pytest.raises(urllib.error.HTTPError) as caught, urllib.request.urlopen(request, timeout=10):
        pass

    assert caught.value.code == 400
    assert json.load(caught.value)["__type"].endswith("MissingAuthenticationTokenException")
