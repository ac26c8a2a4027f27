"""The daemon over OpenBao: an AWS SDK, unchanged, reads and writes a KV mount; so do OpenBao's own clients."""

import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.architecture.house import ROOT
from tests.cli.program import Program
from tests.servers.daemon import Daemon, toml
from tests.servers.openbao import OpenBaoDev
from tests.servers.process import free_port

POLICY = (ROOT / "config" / "vault-policy.hcl").read_text()
KEY_ID, SECRET_KEY = "AKLOCALCI", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


@pytest.fixture(scope="module")
def mount(openbao: OpenBaoDev) -> str:
    return openbao.root.mount()


@pytest.fixture(scope="module")
def address() -> str:
    return f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def daemon(openbao: OpenBaoDev, mount: str, address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with a token in its environment, as its unit would hand it over."""
    folder = tmp_path_factory.mktemp("d")
    policy = openbao.root.policy(POLICY.replace('"secret/', f'"{mount}/'))
    key = folder / "ci.key"
    key.touch(mode=0o600)
    key.write_text(SECRET_KEY)
    text = toml(
        {
            "backend": "vault",
            "vault": {"mount": mount},
            "daemon": {
                "listen": [{"address": f"unix:{folder}/s"}, {"address": address, "faces": ["aws", "health"]}],
                "key": [{"name": "ci", "access_key_id": KEY_ID, "secret_key": {"file": str(key)}}],
                "allow": [{"who": ["key:ci", f"uid:{os.geteuid()}"], "secrets": ["**"], "may": ["admin"]}],
            },
        }
    )
    environment = {"BAO_ADDR": openbao.url, "BAO_TOKEN": openbao.root.make_token(policy)}
    with Daemon(folder, text, count=2, environment=environment) as one:
        yield one


@pytest.fixture
def boto(daemon: Daemon, address: str) -> Any:
    return boto3.client(
        "secretsmanager",
        endpoint_url=f"http://{address}",
        region_name="eu-central-1",
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET_KEY,
    )


def test_boto3_keeps_its_secrets_in_a_kv_mount(boto: Any, openbao: OpenBaoDev, mount: str) -> None:
    made = boto.create_secret(Name="app/db", SecretString="one", Tags=[{"Key": "team", "Value": "web"}])
    put = boto.put_secret_value(SecretId="app/db", SecretString="two")
    read = boto.get_secret_value(SecretId="app/db")
    before = boto.get_secret_value(SecretId=made["ARN"], VersionStage="AWSPREVIOUS")
    described = boto.describe_secret(SecretId="app/db")

    assert (read["SecretString"], read["VersionId"], read["ARN"]) == ("two", put["VersionId"], made["ARN"])
    assert (before["SecretString"], before["VersionId"]) == ("one", made["VersionId"])
    assert described["Tags"] == [{"Key": "team", "Value": "web"}]
    assert "app/db" in [one["Name"] for one in boto.list_secrets()["SecretList"]]
    assert openbao.root.read(f"{mount}/data/app/db")["data"] == {"value": "two"}

    openbao.root.write(f"{mount}/data/app/json", data={"user": "u", "password": "p"})
    assert boto.get_secret_value(SecretId="app/json")["SecretString"] == '{"password": "p", "user": "u"}'
    boto.delete_secret(SecretId="app/db", ForceDeleteWithoutRecovery=True)
    with pytest.raises(ClientError) as refused:
        boto.get_secret_value(SecretId="app/db")
    assert refused.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_what_kv_cannot_mean_is_refused_as_aws_refuses(boto: Any) -> None:
    boto.create_secret(Name="app/staged", SecretString="one")

    with pytest.raises(ClientError) as refused:
        boto.put_secret_value(SecretId="app/staged", SecretString="two", VersionStages=["AWSPENDING"])
    assert refused.value.response["Error"]["Code"] in ("InvalidRequestException", "InvalidParameterException")


def test_commands_and_health_go_through_it(daemon: Daemon, address: str, tmp_path: Path) -> None:
    program = Program(tmp_path / "home")
    socket = str(daemon.configuration.parent / "s")

    assert program("--socket", socket, "set", "app/cli", stdin=b"typed").status == 0
    assert program("--socket", socket, "get", "app/cli", "--raw").stdout == b"typed"
    with urllib.request.urlopen(f"http://{address}/health/ready") as answer:
        assert answer.status == 200
    assert program("--socket", socket, "status").status == 0


def test_the_doctor_looks_at_the_server_with_the_variables_of_its_tools(
    openbao: OpenBaoDev, mount: str, tmp_path: Path
) -> None:
    program = Program(tmp_path / "home").with_settings(
        SECRETS_ACTOR_BACKEND="vault",
        SECRETS_ACTOR_VAULT__MOUNT=mount,
        VAULT_ADDR=openbao.url,
        VAULT_TOKEN=openbao.token,
    )

    done = program("doctor")

    assert done.status == 0
    assert "address        ok       " + openbao.url in done.text
    assert "policies: root" in done.text
    assert openbao.token not in done.text
