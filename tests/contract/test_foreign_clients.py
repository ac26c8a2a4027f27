"""What our backend writes boto3 reads, and the other way round: on ministack, with signatures checked."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from secrets_actor.domain.errors import SecretDeleted, SecretNotFound
from secrets_actor.domain.operations import AWSPREVIOUS
from tests.contract.backends import MINISTACK
from tests.contract.store import Store, aws_kit, failure
from tests.servers.account import Keys, allow_everything
from tests.servers.ministack import Ministack

UNICODE = "Grüße, 世界, \N{PILE OF POO}, \x00\x1f"


@pytest.fixture
def keys(fresh_ministack: Ministack) -> Keys:
    """A user's keys, which ours and theirs share."""
    return fresh_ministack.account.user(allow_everything())


@pytest.fixture
def ours(fresh_ministack: Ministack, keys: Keys) -> Iterator[Store]:
    factory = aws_kit(fresh_ministack.url, keys)
    backend = factory.connect()
    yield Store(MINISTACK, factory, backend)
    backend.close()


@pytest.fixture
def theirs(fresh_ministack: Ministack, keys: Keys) -> Any:
    return fresh_ministack.account.client("secretsmanager", keys)


@pytest.mark.parametrize("value", ["hunter2", UNICODE], ids=["ascii", "unicode"])
def test_boto3_reads_the_text_that_we_wrote(ours: Store, theirs: Any, value: str) -> None:
    receipt = ours.set(ours.name(), value)

    read = theirs.get_secret_value(SecretId=ours.name())

    assert (read["SecretString"], read["VersionId"], read["ARN"]) == (value, receipt.version_id, receipt.arn)
    assert "SecretBinary" not in read


def test_boto3_reads_the_bytes_that_we_wrote(ours: Store, theirs: Any) -> None:
    ours.set(ours.name(), bytes(range(256)))

    read = theirs.get_secret_value(SecretId=ours.name())

    assert read["SecretBinary"] == bytes(range(256))
    assert "SecretString" not in read


@pytest.mark.parametrize("value", ["hunter2", UNICODE], ids=["ascii", "unicode"])
def test_we_read_the_text_that_boto3_wrote(ours: Store, theirs: Any, value: str) -> None:
    wrote = theirs.create_secret(Name=ours.name(), SecretString=value, ClientRequestToken=str(uuid.uuid4()))

    secret = ours.get(ours.name())

    assert (secret.reveal(), secret.version_id, secret.arn) == (value, wrote["VersionId"], wrote["ARN"])


def test_we_read_the_bytes_that_boto3_wrote(ours: Store, theirs: Any) -> None:
    theirs.create_secret(Name=ours.name(), SecretBinary=bytes(range(256)))

    assert ours.get(ours.name()).reveal() == bytes(range(256))


def test_each_sees_the_versions_of_the_other(ours: Store, theirs: Any) -> None:
    theirs.create_secret(Name=ours.name(), SecretString="theirs")
    receipt = ours.set(ours.name(), "ours")
    assert not receipt.created
    previous = theirs.get_secret_value(SecretId=ours.name(), VersionStage=AWSPREVIOUS)
    assert previous["SecretString"] == "theirs"

    theirs.put_secret_value(SecretId=ours.name(), SecretString="theirs again")

    assert ours.get(ours.name()).reveal() == "theirs again"
    assert ours.get(ours.name(), stage=AWSPREVIOUS).reveal() == "ours"


def test_we_restore_what_boto3_deleted(ours: Store, theirs: Any) -> None:
    theirs.create_secret(Name=ours.name(), SecretString="hunter2")
    theirs.delete_secret(SecretId=ours.name(), RecoveryWindowInDays=7)
    assert type(failure(lambda: ours.get(ours.name()))) is SecretDeleted

    ours.restore(ours.name())

    assert theirs.get_secret_value(SecretId=ours.name())["SecretString"] == "hunter2"


def test_boto3_restores_what_we_deleted(ours: Store, theirs: Any) -> None:
    ours.set(ours.name(), "hunter2")
    ours.delete(ours.name())
    with pytest.raises(ClientError, match="InvalidRequestException"):
        theirs.get_secret_value(SecretId=ours.name())

    theirs.restore_secret(SecretId=ours.name())

    assert ours.get(ours.name()).reveal() == "hunter2"


def test_what_one_deletes_by_force_is_gone_for_the_other(ours: Store, theirs: Any) -> None:
    ours.set(ours.name("a"), "hunter2")
    ours.set(ours.name("b"), "hunter2")

    ours.delete(ours.name("a"), force=True)
    theirs.delete_secret(SecretId=ours.name("b"), ForceDeleteWithoutRecovery=True)

    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        theirs.get_secret_value(SecretId=ours.name("a"))
    assert type(failure(lambda: ours.get(ours.name("b")))) is SecretNotFound


def test_both_list_alike(ours: Store, theirs: Any) -> None:
    for number in range(7):
        ours.set(ours.name(f"ours-{number}"), "hunter2", description=f"number {number}")
        theirs.create_secret(Name=ours.name(f"theirs-{number}"), SecretString="hunter2")
    ours.delete(ours.name("ours-3"))

    pages = theirs.get_paginator("list_secrets").paginate(MaxResults=4, IncludePlannedDeletion=True)
    listed = {entry["Name"]: entry for page in pages for entry in page["SecretList"]}

    infos = ours.list(include_deleted=True, page_size=4)
    assert {info.name for info in infos} == set(listed)
    for info in infos:
        entry = listed[info.name]
        assert (info.arn, info.description or "") == (entry["ARN"], entry["Description"])
        assert (info.created_at, info.changed_at) == (entry["CreatedDate"], entry["LastChangedDate"])
        assert info.deleted_at == entry.get("DeletedDate")
