"""Roles by STS: against both emulators, whose keys the store then takes, and against bad answers."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import botocore.loaders
import botocore.session
import pytest

from secrets_actor.backends.aws.credentials.assume_role import AssumeRoleCredentials, Role
from secrets_actor.backends.aws.credentials.chain import DefaultChain
from secrets_actor.backends.aws.credentials.environment import EnvironmentCredentials
from secrets_actor.backends.aws.credentials.sts import Sts
from secrets_actor.backends.aws.credentials.web_identity import WebIdentityCredentials
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.clock import now as clock_now
from secrets_actor.domain.operations import Get
from secrets_actor.domain.ports import CallContext
from secrets_actor.domain.secret import SecretValue
from tests.backends.aws.credentials.conftest import Machine, failing, fetch
from tests.contract.store import aws_kit
from tests.servers.account import REGION, VERSION, Account, Keys, policy, statement
from tests.servers.behaviours import Answer
from tests.servers.faulty import FaultyServer
from tests.servers.ministack import Ministack
from tests.servers.moto import MotoServer

XML = """<{0}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{0}Result><Credentials>
<AccessKeyId>ASIASTS</AccessKeyId><SecretAccessKey>canary-secret</SecretAccessKey>
<SessionToken>canary-token</SessionToken><Expiration>2086-01-02T03:04:05Z</Expiration>
</Credentials></{0}Result></{0}Response>""".format("AssumeRole")
GOOD = Answer(XML.encode(), content_type="text/xml")
ROLE = Role("arn:aws:iam::123456789012:role/reader")
SIGNER = AwsCredentials("AKIASIGNER", SecretValue("canary-signer"))


class Fixed:
    """A source of the keys it was given."""

    def __init__(self, keys: Keys | AwsCredentials = SIGNER) -> None:
        self.keys = keys

    def fetch(self, deadline: float) -> AwsCredentials:
        if isinstance(self.keys, AwsCredentials):
            return self.keys
        token = self.keys.session_token
        return AwsCredentials(
            self.keys.access_key_id,
            SecretValue(self.keys.secret_key),
            None if token is None else SecretValue(token),
        )


@pytest.fixture(params=["ministack", "moto"])
def account(request: pytest.FixtureRequest, machine: Machine) -> Account:
    """An account whose STS is asked by us and by botocore."""
    server: Ministack | MotoServer = request.getfixturevalue(
        f"fresh_{'ministack' if request.param == 'ministack' else 'moto'}"
    )
    machine.set(AWS_ENDPOINT_URL_STS=server.url)
    return server.account


@pytest.fixture
def sts_server(machine: Machine) -> Iterator[FaultyServer]:
    with FaultyServer(GOOD) as server:
        machine.set(AWS_ENDPOINT_URL_STS=server.url)
        yield server


def role_of(account: Account, name: str = "reader") -> str:
    """A role that may read all secrets and assume roles, and that anybody may assume."""
    iam = account.client("iam")
    principal = {"AWS": "*", "Federated": "*"}
    actions = ["sts:AssumeRole", "sts:AssumeRoleWithWebIdentity", "sts:TagSession"]
    trust = {"Version": VERSION, "Statement": [{"Effect": "Allow", "Principal": principal, "Action": actions}]}
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    allowed = policy(statement("Allow", ["secretsmanager:GetSecretValue", "sts:AssumeRole"], "*"))
    iam.put_role_policy(RoleName=name, PolicyName="allowed", PolicyDocument=json.dumps(allowed))
    return str(arn)


def reads_with(account: Account, keys: AwsCredentials) -> None:
    """The store takes *keys*."""
    secrets = account.client("secretsmanager")
    secrets.create_secret(Name="sts/one", SecretString="text")
    backend = aws_kit(account.endpoint, account.root).connect()
    try:
        answer = backend.perform(Get("sts/one"), CallContext(clock_now() + 10, keys))
    finally:
        backend.close()
    assert answer.value.value.reveal() == "text"


def test_the_store_takes_the_keys_of_an_assumed_role(account: Account) -> None:
    role = Role(role_of(account), "tests", "agreed-upon", 900, {"team": "a", "cost centre": "b/1"})

    found = fetch(AssumeRoleCredentials(Fixed(account.root), role, Sts(REGION)))

    assert found.session_token is not None
    assert found.expires_at is not None
    reads_with(account, found)


def test_sts_sees_the_role_behind_its_keys(fresh_ministack: Ministack, machine: Machine) -> None:
    machine.set(AWS_ENDPOINT_URL_STS=fresh_ministack.url)
    account = fresh_ministack.account
    found = fetch(AssumeRoleCredentials(Fixed(account.root), Role(role_of(account), "tests"), Sts(REGION)))

    assert ":assumed-role/reader/tests" in Sts(REGION).caller_identity(found, clock_now() + 10).arn


def test_a_role_is_assumed_by_a_role(fresh_moto: MotoServer, machine: Machine) -> None:
    """By root's keys at first. Only Secrets Manager is let through moto's door for others, so the second link is
    asked of a door that forwards: the keys that sign it are the first role's."""
    machine.set(AWS_ENDPOINT_URL_STS=fresh_moto.url)
    account = fresh_moto.account
    first = AssumeRoleCredentials(Fixed(account.root), Role(role_of(account)), Sts(REGION))
    with FaultyServer(GOOD) as server:
        machine.set(AWS_ENDPOINT_URL_STS=server.url)
        inner = first.fetch

        class First:
            def fetch(self, deadline: float) -> AwsCredentials:
                machine.set(AWS_ENDPOINT_URL_STS=fresh_moto.url)
                try:
                    return inner(deadline)
                finally:
                    machine.set(AWS_ENDPOINT_URL_STS=server.url)

        assert fetch(AssumeRoleCredentials(First(), ROLE, Sts(REGION))).access_key_id == "ASIASTS"
        [request] = server.requests
    assert b"Credential=ASIA" in request.head
    assert b"X-Amz-Security-Token: " in request.head


def test_a_web_identity_is_proof_enough(fresh_moto: MotoServer, machine: Machine) -> None:
    machine.set(AWS_ENDPOINT_URL_STS=fresh_moto.url)
    token = machine.write("token", "canary.jwt\n")

    found = fetch(WebIdentityCredentials(str(token), Role(role_of(fresh_moto.account)), Sts(REGION)))

    reads_with(fresh_moto.account, found)


def test_the_identity_behind_keys_is_told(account: Account) -> None:
    found = Sts(REGION).caller_identity(fetch(Fixed(account.root)), clock_now() + 10)

    assert found.account == account.client("sts").get_caller_identity()["Account"]


def test_the_form_is_the_one_that_botocore_sends(sts_server: FaultyServer) -> None:
    role = Role(ROLE.arn, "session", "external", 1800, {"k": "v", "ü": "&="})
    fetch(AssumeRoleCredentials(Fixed(), role, Sts(REGION)))
    client = botocore.session.Session().create_client(
        "sts", region_name=REGION, aws_access_key_id="AKIASIGNER", aws_secret_access_key="canary-signer"
    )
    client.assume_role(
        RoleArn=role.arn,
        RoleSessionName="session",
        ExternalId="external",
        DurationSeconds=1800,
        Tags=[{"Key": key, "Value": value} for key, value in role.tags.items()],
    )
    ours, theirs = sts_server.requests

    assert parse_qs(ours.body.decode(), strict_parsing=True) == parse_qs(theirs.body.decode(), strict_parsing=True)
    scope = f"/{REGION}/sts/aws4_request".encode()
    assert scope in ours.head
    assert scope in theirs.head


def test_the_token_of_a_web_identity_is_read_at_each_fetch_and_nothing_is_signed(
    machine: Machine, sts_server: FaultyServer
) -> None:
    token = machine.write("token", "one\n")
    source = WebIdentityCredentials(str(token), ROLE, Sts(REGION))
    machine.set(AWS_ACCESS_KEY_ID="AKIANOTUSED", AWS_SECRET_ACCESS_KEY="x")
    fetch(source)
    token.write_text("two")
    fetch(source)

    forms = [parse_qs(one.body.decode()) for one in sts_server.requests]
    assert [form["WebIdentityToken"] for form in forms] == [["one"], ["two"]]
    assert forms[0]["RoleSessionName"][0].startswith("secrets-actor-")
    assert not any(b"authorization" in one.head.lower() for one in sts_server.requests)


def test_a_web_identity_without_a_token_is_told(machine: Machine, sts_server: FaultyServer) -> None:
    os.mkfifo(machine.home / "fifo")
    for path, told in (
        (machine.home / "nowhere", "is not there"),
        (machine.write("empty", " \n"), "is empty"),
        (machine.home, "is a folder, not a plain file"),
        (machine.home / "fifo", "is a pipe, not a plain file"),
        (Path("/dev/zero"), "is a device, not a plain file"),
    ):
        error = failing(WebIdentityCredentials(str(path), ROLE, Sts(REGION), setting="AWS_WEB_IDENTITY_TOKEN_FILE"))
        assert f"no token in the web identity token file (AWS_WEB_IDENTITY_TOKEN_FILE), which {told}" in str(error)
    assert sts_server.requests == []


def test_a_web_identity_token_may_lie_in_the_home_and_have_a_byte_order_mark(
    machine: Machine, sts_server: FaultyServer
) -> None:
    machine.write("token", "\ufeffjwt\r\n")

    fetch(WebIdentityCredentials("~/token", ROLE, Sts(REGION)))

    [request] = sts_server.requests
    assert b"WebIdentityToken=jwt" in request.body.split(b"&")


@pytest.mark.parametrize(
    ("variable", "source"), [(True, "AWS_WEB_IDENTITY_TOKEN_FILE"), (False, "token_file of profile p")]
)
def test_who_names_a_token_file_that_will_not_do_is_told(machine: Machine, variable: bool, source: str) -> None:
    os.mkfifo(machine.home / "fifo")
    role = "role_arn = arn:aws:iam::123456789012:role/x"
    machine.config(f"[profile p]\n{role}\nweb_identity_token_file = {machine.home / 'fifo'}\nregion = {REGION}")
    machine.set(AWS_PROFILE="p")
    if variable:
        machine.set(AWS_WEB_IDENTITY_TOKEN_FILE=str(machine.home / "fifo"))

    assert source in str(failing(DefaultChain()))


@pytest.mark.parametrize(
    ("role", "told"),
    [
        (Role("canary"), "role_arn: such as"),
        (Role(ROLE.arn, "can ary"), "role_session_name: 2 to 64"),
        (Role(ROLE.arn, external_id="can ary"), "external_id: 2 to 1224"),
        (Role(ROLE.arn, duration=899), "duration: 900 to 43200"),
        (Role(ROLE.arn, tags={"": "canary"}), "role_tags: 50 at most"),
        (Role(ROLE.arn, tags={str(number): "canary" for number in range(51)}), "role_tags: 50 at most"),
    ],
)
def test_what_sts_would_not_take_is_told_before_anything_is_asked(
    sts_server: FaultyServer, role: Role, told: str
) -> None:
    assert told in str(failing(AssumeRoleCredentials(Fixed(), role, Sts(REGION), "profile p")))
    assert sts_server.connections == 0


def test_no_repr_shows_anything_of_use() -> None:
    shown = [
        repr(AssumeRoleCredentials(EnvironmentCredentials(), Role(ROLE.arn, external_id="canary"), Sts(REGION))),
        repr(Role(ROLE.arn, external_id="canary")),
        repr(WebIdentityCredentials("canary", ROLE, Sts(REGION))),
        repr(Sts(REGION)),
    ]
    assert "canary" not in "".join(shown)
