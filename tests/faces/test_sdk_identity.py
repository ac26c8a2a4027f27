"""boto3, unchanged, signs with minted credentials; the policy and the audit log go by the process that it runs in."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from secrets_actor.backends.key_source import KeySource
from secrets_actor.backends.sigv4 import SigningKeys
from secrets_actor.clock import now as clock_now
from secrets_actor.clock import utc_now
from secrets_actor.domain.secret import SecretValue
from secrets_actor.domain.tracing import CallerFacts
from secrets_actor.faces.aws_api import AwsApi
from secrets_actor.faces.credentials_api import CredentialsApi
from secrets_actor.faces.guard import refusal
from secrets_actor.faces.identity import Identity, Peer
from secrets_actor.faces.minted_keys import Mint
from secrets_actor.faces.policy import Policy, Rule
from secrets_actor.faces.router import Router
from secrets_actor.faces.sigv4_check import MOST_SIGNING_KEYS, identity_of
from secrets_actor.faces.tokens import AllKeys, StaticKeys, Tokens
from tests.faces.served import served
from tests.faces.served_system import Served, served_system
from tests.faces.test_credentials_api import ASKS

NAME: Final = "billing/db"
KEY_ID, SECRET_KEY = "AKLOCALCI", "a/secret/key"


class Machine:
    """A Unix socket that gives out credentials, and a TCP port with the AWS face."""

    def __init__(self, system: Served, tcp: str, unix: str, folder: Path) -> None:
        self.system, self.tcp, self.unix, self.folder = system, tcp, unix, folder

    def allow(self, *who: str) -> None:
        self.system.policy = Policy([Rule(who, ("billing/*",), ("get",))])

    def client(self, **credentials: Any) -> Any:
        session = boto3.session.Session(region_name="eu-west-1", **credentials)
        return session.client(
            "secretsmanager",
            endpoint_url=f"http://{self.tcp}",
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20),
        )

    def callers(self) -> list[Any]:
        """Who was refused."""
        return [record.caller for record in self.system.audit.kept if record.outcome == "access_denied"]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    with served_system() as system:
        system.store.put(NAME, "hunter2")
        named = [("ci", KEY_ID, KeySource("text", SECRET_KEY))]
        tokens = Tokens([("web", KeySource("text", "for-web"))], clock_now, print)
        mint = Mint(SecretValue(b"k" * 32))
        keys = AllKeys(StaticKeys(named, clock_now, print), mint, tokens)
        kept = SigningKeys(MOST_SIGNING_KEYS)
        aws = AwsApi(system.service, lambda request: identity_of(request, keys, utc_now(), kept))
        credentials = CredentialsApi(system.service, mint, tokens.name_of, utc_now, os.urandom)
        router = Router([credentials, aws], refusal, print)
        with served(router) as tcp, served(router, tmp_path) as unix:
            place = unix.place.removeprefix("unix:")
            script = tmp_path / "asks.py"
            script.write_text(ASKS)
            config = tmp_path / "config"
            config.write_text(f"[profile here]\ncredential_process = {sys.executable} {script} {place}\n")
            monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
            yield Machine(system, tcp.place, place, tmp_path)


def value(client: Any) -> str:
    found: str = client.get_secret_value(SecretId=NAME)["SecretString"]
    return found


def refused(client: Any) -> str:
    with pytest.raises(ClientError) as caught:
        client.get_secret_value(SecretId=NAME)
    code: str = caught.value.response["Error"]["Code"]
    return code


def test_with_a_credential_process_the_user_decides(machine: Machine) -> None:
    client = machine.client(profile_name="here")
    machine.allow(f"uid:{os.getuid()}")
    assert value(client) == "hunter2"

    machine.allow("user:somebody-else")
    assert refused(client) == "AccessDeniedException"
    [caller] = machine.callers()
    assert isinstance(caller, CallerFacts)
    assert dict(caller.facts)["uid"] == os.getuid()
    assert dict(caller.facts)["by"] == "minted"


def test_as_a_container_the_token_decides(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    token = machine.folder / "token"
    token.write_text("for-web")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://{machine.tcp}/aws/credentials")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(token))
    client = machine.client()
    machine.allow("token:web")
    assert value(client) == "hunter2"

    machine.allow("token:ci")
    assert refused(client) == "AccessDeniedException"
    [caller] = machine.callers()
    assert dict(caller.facts)["by"] == "token:web"


def test_with_a_static_pair_its_name_decides(machine: Machine) -> None:
    client = machine.client(aws_access_key_id=KEY_ID, aws_secret_access_key=SECRET_KEY)
    machine.allow("key:ci")
    assert value(client) == "hunter2"

    machine.allow("key:web")
    assert refused(client) == "AccessDeniedException"


@pytest.mark.parametrize(
    ("credentials", "code"),
    [
        ({"aws_access_key_id": KEY_ID, "aws_secret_access_key": "another"}, "InvalidSignatureException"),
        ({"aws_access_key_id": "AKUNKNOWN", "aws_secret_access_key": SECRET_KEY}, "UnrecognizedClientException"),
        (
            {"aws_access_key_id": KEY_ID, "aws_secret_access_key": SECRET_KEY, "aws_session_token": "made-up"},
            "UnrecognizedClientException",
        ),
    ],
)
def test_who_has_no_key_of_ours_is_refused_in_awss_words(
    machine: Machine, credentials: dict[str, str], code: str
) -> None:
    assert refused(machine.client(**credentials)) == code


def test_a_minted_key_cannot_be_made_to_carry_another_caller(machine: Machine) -> None:
    mine = boto3.session.Session(profile_name="here").get_credentials().get_frozen_credentials()
    forged = Mint(SecretValue(b"x" * 32))
    theirs = forged.mint(Identity(Peer(uid=0, user="root")), utc_now(), b"nonce")

    for token in (theirs.session_token, mine.token[:-4] + "AAAA"):
        client = machine.client(
            aws_access_key_id=mine.access_key, aws_secret_access_key=mine.secret_key, aws_session_token=token
        )
        assert refused(client) == "UnrecognizedClientException"
