"""Our program and boto3 on one store, ministack with signatures checked and an IAM user's keys."""

from typing import Any

import pytest

from tests.cli.program import Program
from tests.servers.account import Keys, allow_everything
from tests.servers.ministack import Ministack


@pytest.fixture
def keys(fresh_ministack: Ministack) -> Keys:
    """A user's keys, which ours and theirs share."""
    return fresh_ministack.account.user(allow_everything())


@pytest.fixture
def ours(program: Program, fresh_ministack: Ministack, keys: Keys) -> Program:
    return program.on_aws(fresh_ministack.url, keys)


@pytest.fixture
def theirs(fresh_ministack: Ministack, keys: Keys) -> Any:
    return fresh_ministack.account.client("secretsmanager", keys)


def test_boto3_reads_what_the_program_wrote(ours: Program, theirs: Any) -> None:
    done = ours("set", "db/password", stdin="Grüße, 世界\n".encode())
    assert (done.status, done.stderr) == (0, "")

    assert theirs.get_secret_value(SecretId="db/password")["SecretString"] == "Grüße, 世界"

    ours("set", "db/password", stdin=bytes(range(256)))
    assert theirs.get_secret_value(SecretId="db/password")["SecretBinary"] == bytes(range(256))


def test_the_program_reads_what_boto3_wrote(ours: Program, theirs: Any) -> None:
    made = theirs.create_secret(Name="db/password", SecretString="hunter2")

    told = ours("--json", "get", "db/password", "--reveal").json

    assert (told["value"], told["arn"], told["version_id"]) == ("hunter2", made["ARN"], made["VersionId"])
    assert ours("get", made["ARN"], "--raw").stdout == b"hunter2"


def test_each_undoes_what_the_other_did(ours: Program, theirs: Any) -> None:
    theirs.create_secret(Name="db/password", SecretString="hunter2")
    assert ours("delete", "db/password", "--recovery-window", "9").status == 0
    theirs.restore_secret(SecretId="db/password")
    theirs.delete_secret(SecretId="db/password", RecoveryWindowInDays=7)
    assert "restore it first" in ours("get", "db/password").complaint
    assert "db/password" in ours("list", "--include-deleted").text

    assert ours("restore", "db/password").status == 0

    assert theirs.get_secret_value(SecretId="db/password")["SecretString"] == "hunter2"
    assert ours("delete", "db/password", "--force").status == 0
    assert theirs.list_secrets(IncludePlannedDeletion=True)["SecretList"] == []


def test_a_file_names_the_keys(program: Program, fresh_ministack: Ministack, keys: Keys) -> None:
    folder = program.home
    folder.mkdir(exist_ok=True)
    (folder / "key").write_text(f"{keys.secret_key}\n")
    (folder / "aws.toml").write_text(
        'backend = "aws_secrets_manager"\n[aws]\nregion = "us-east-1"\n'
        f'endpoint_url = "{fresh_ministack.url}"\naccess_key = "{keys.access_key_id}"\n'
        f'secret_key = {{ file = "{folder / "key"}" }}\n'
    )

    done = program("--config", str(folder / "aws.toml"), "list")

    assert (done.status, done.stderr) == (0, "")
