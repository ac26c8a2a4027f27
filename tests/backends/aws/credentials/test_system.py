"""From the settings to the store: a whole system gets its keys in each way, and keeps having good ones."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from secrets_actor import AwsSettings, ConfigurationError, LogSettings, NoCredentials, SecretsError, Settings, start
from secrets_actor.clock import now as clock_now
from secrets_actor.runtime.settings import region_of
from secrets_actor.runtime.settings_loader import load
from tests.backends.aws.credentials.conftest import Machine
from tests.backends.aws.credentials.test_sts import GOOD, ROLE, role_of
from tests.servers.account import REGION, Account, Keys, allow_everything
from tests.servers.behaviours import Answer
from tests.servers.faulty import FaultyServer
from tests.servers.metadata import MetadataServer
from tests.servers.ministack import Ministack

# How many gets the long run across expiries makes.
GETS = int(os.environ.get("TESTS_GETS", "20000"))


class StsKeys:
    """Serves keys of a role, good for *seconds*, as a metadata service would: a new set when the last one is half over.
    `issued` counts the sets."""

    def __init__(self, account: Account, seconds: int) -> None:
        self._sts, self._role, self._seconds = account.client("sts"), role_of(account), seconds
        self._lock = threading.Lock()
        self._kept: dict[str, Any] = {}
        self._end = datetime.now(UTC)
        self.issued = 0

    def __call__(self) -> dict[str, Any]:
        with self._lock:
            if (self._end - datetime.now(UTC)).total_seconds() < self._seconds / 2:
                made = self._sts.assume_role(
                    RoleArn=self._role, RoleSessionName="tests", DurationSeconds=self._seconds
                )["Credentials"]
                self._end, self.issued = made["Expiration"], self.issued + 1
                self._kept = {
                    "AccessKeyId": made["AccessKeyId"],
                    "SecretAccessKey": made["SecretAccessKey"],
                    "Token": made["SessionToken"],
                    "Expiration": self._end.isoformat(),
                }
            return self._kept


@pytest.fixture
def account(fresh_ministack: Ministack, machine: Machine) -> Account:
    machine.set(AWS_ENDPOINT_URL_STS=fresh_ministack.url)
    account = fresh_ministack.account
    account.client("secretsmanager").create_secret(Name="one", SecretString="text")
    return account


def settings(account: Account, folder: Path, **aws: Any) -> Settings:
    log = LogSettings(output=str(folder / "log"))
    made = AwsSettings(region=REGION, endpoint_url=account.endpoint, **aws)
    return Settings(backend="aws_secrets_manager", ttl_seconds=0, aws=made, log=log)


def reads(account: Account, folder: Path, **aws: Any) -> None:
    """A system with these settings reads the store."""
    with start(settings(account, folder, **aws)) as system:
        assert system.secrets.get("one").reveal() == "text"


@pytest.fixture
def keys(account: Account) -> Keys:
    return account.user(allow_everything())


def test_by_default_the_environment_counts(account: Account, keys: Keys, machine: Machine) -> None:
    machine.set(AWS_ACCESS_KEY_ID=keys.access_key_id, AWS_SECRET_ACCESS_KEY=keys.secret_key)

    reads(account, machine.home)


def test_a_profile_that_is_named_stands_over_the_environment(account: Account, keys: Keys, machine: Machine) -> None:
    machine.set(AWS_ACCESS_KEY_ID="AKIAWRONG", AWS_SECRET_ACCESS_KEY="wrong")
    machine.credentials(f"[dev]\naws_access_key_id = {keys.access_key_id}\naws_secret_access_key = {keys.secret_key}")

    reads(account, machine.home, profile="dev")


def test_keys_in_the_settings_stand_over_everything(account: Account, keys: Keys, machine: Machine) -> None:
    machine.set(AWS_ACCESS_KEY_ID="AKIAWRONG", AWS_SECRET_ACCESS_KEY="wrong")

    reads(account, machine.home, access_key=keys.access_key_id, secret_key=keys.secret_key)


def test_a_container_and_an_instance_give_keys_that_the_store_takes(
    account: Account, machine: Machine, metadata: MetadataServer
) -> None:
    metadata.switches.issue = StsKeys(account, 3600)
    reads(account, machine.home)
    reads(account, machine.home, auth_method="iam_role")

    machine.set(AWS_EC2_METADATA_DISABLED="true")
    machine.set(AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{metadata.url}/v1/credentials")
    reads(account, machine.home)


def test_a_role_is_assumed_over_whatever_gives_the_keys(account: Account, machine: Machine) -> None:
    root = account.root
    machine.set(AWS_ACCESS_KEY_ID=root.access_key_id, AWS_SECRET_ACCESS_KEY=root.secret_key)
    role = role_of(account)

    reads(account, machine.home, role_arn=role, external_id="agreed", role_session_name="mine", session_duration=900)


def test_a_rotated_file_costs_no_call(account: Account, keys: Keys, machine: Machine) -> None:
    machine.credentials(
        f"[default]\naws_access_key_id = {keys.access_key_id}\naws_secret_access_key = {keys.secret_key}"
    )
    with start(settings(account, machine.home)) as system:
        assert system.secrets.get("one").reveal() == "text"
        after = account.user(allow_everything())
        machine.credentials(
            f"[default]\naws_access_key_id = {after.access_key_id}\naws_secret_access_key = {after.secret_key}"
        )
        iam = account.client("iam")
        [user] = [
            one["UserName"]
            for one in iam.list_users()["Users"]
            if iam.list_access_keys(UserName=one["UserName"])["AccessKeyMetadata"][0]["AccessKeyId"]
            == keys.access_key_id
        ]
        iam.delete_access_key(UserName=user, AccessKeyId=keys.access_key_id)
        assert system.secrets.get("one").reveal() == "text"


def test_a_machine_without_keys_is_told_where_to_put_some(account: Account, machine: Machine) -> None:
    with start(settings(account, machine.home)) as system, pytest.raises(NoCredentials) as caught:
        system.secrets.get("one")
    assert len(caught.value.tried) == 10


def across_expiries(
    account: Account, machine: Machine, metadata: MetadataServer, *, seconds: int, gets: int, expiries: int
) -> None:
    issue = metadata.switches.issue = StsKeys(account, seconds)
    machine.set(AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{metadata.url}/v1/credentials")
    callers = 4
    started = clock_now()

    def caller(_: int) -> int:
        mine = 0
        while mine < gets // callers or clock_now() - started < expiries * seconds:
            assert system.secrets.get("one", refresh=True).reveal() == "text"
            mine += 1
        return mine

    with start(settings(account, machine.home)) as system, ThreadPoolExecutor(callers) as pool:
        assert sum(pool.map(caller, range(callers))) >= gets
    assert issue.issued > expiries


@pytest.mark.slow
def test_gets_across_two_expiries_of_real_session_keys_all_succeed(
    account: Account, machine: Machine, metadata: MetadataServer
) -> None:
    across_expiries(account, machine, metadata, seconds=2, gets=400, expiries=2)


@pytest.mark.slow
def test_many_thousand_gets_across_twenty_expiries_of_real_session_keys_all_succeed(
    account: Account, machine: Machine, metadata: MetadataServer
) -> None:
    across_expiries(account, machine, metadata, seconds=2, gets=GETS, expiries=20)


@pytest.fixture
def file(machine: Machine) -> Path:
    return machine.home / "settings.toml"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('role_arn = "canary"', "aws.role_arn: such as arn:aws:iam::123456789012:role/name"),
        ('role_arn = "arn:aws:iam::123456789012:role/r"\nexternal_id = "can ary"', "aws.external_id: 2 to 1224"),
        ('role_arn = "arn:aws:iam::123456789012:role/r"\nrole_session_name = "c"', "aws.role_session_name: 2 to 64"),
        ('role_arn = "arn:aws:iam::123456789012:role/r"\nrole_tags = { "" = "canary" }', "aws.role_tags: 50 at most"),
        ("role_tags = { team = 5 }", "aws.role_tags.team: a text"),
        ('role_tags = "canary"', "aws.role_tags: a table of texts; in the environment, a JSON object"),
        ("session_duration = 899", "aws.session_duration: a whole number from 900 to 43200"),
        ('profile = "canary"\nauth_method = "iam_role"', 'aws.profile: only with auth_method "default"'),
        ('profile = ""', "aws.profile: "),
    ],
)
def test_settings_that_make_no_sense_are_told_without_being_quoted(file: Path, line: str, told: str) -> None:
    file.write_text(f'backend = "aws_secrets_manager"\n[aws]\nregion = "us-east-1"\n{line}\n')

    with pytest.raises(ConfigurationError) as caught:
        load(file, {})
    assert [one for one in caught.value.mistakes if one.startswith(told)] == list(caught.value.mistakes)
    assert "canary" not in str(caught.value)


def test_the_region_of_the_profile_is_enough(machine: Machine, file: Path) -> None:
    machine.config("[default]\nregion = eu-north-1\n[profile dev]\nregion = eu-south-1")
    file.write_text('backend = "aws_secrets_manager"\n')
    assert region_of(load(file, os.environ).settings.aws, os.environ) == "eu-north-1"

    file.write_text('backend = "aws_secrets_manager"\n[aws]\nprofile = "dev"\n')
    assert region_of(load(file, os.environ).settings.aws, os.environ) == "eu-south-1"
    with pytest.raises(ConfigurationError, match=r"aws\.region: required"):
        load(file, {})
    assert region_of(AwsSettings(auth_method="access_key"), os.environ) is None


def test_the_new_settings_come_from_the_environment_too() -> None:
    environ = {
        "SECRETS_ACTOR_AWS__PROFILE": "dev",
        "SECRETS_ACTOR_AWS__ROLE_ARN": "arn:aws:iam::123456789012:role/r",
        "SECRETS_ACTOR_AWS__SESSION_DURATION": "1800",
        "SECRETS_ACTOR_AWS__ROLE_TAGS": '{"team": "payments", "cost centre": "b/1"}',
    }

    found = load(None, environ).settings.aws

    assert (found.profile, found.session_duration, found.auth_method) == ("dev", 1800, "default")
    assert found.role_tags == {"team": "payments", "cost centre": "b/1"}
    for wrong in ("canary", '["canary"]', "[" * 100_000):
        with pytest.raises(ConfigurationError, match=r"aws\.role_tags: .* a JSON object") as caught:
            load(None, environ | {"SECRETS_ACTOR_AWS__ROLE_TAGS": wrong})
        assert "canary" not in str(caught.value)


def test_the_tags_of_the_settings_are_those_of_the_session(machine: Machine, file: Path) -> None:
    machine.set(AWS_ACCESS_KEY_ID="AKIA", AWS_SECRET_ACCESS_KEY="s")
    file.write_text(
        f'backend = "aws_secrets_manager"\n[aws]\nregion = "us-east-1"\nrole_arn = "{ROLE.arn}"\n'
        '[aws.role_tags]\nteam = "payments"\n"cost centre" = "b/1"\n'
    )
    with FaultyServer(GOOD) as sts:
        machine.set(AWS_ENDPOINT_URL_STS=sts.url)
        source = load(load(file).settings).make_factory(None).credentials
        assert source is not None
        source.fetch(clock_now() + 10)
        [request] = sts.requests

    form = dict(parse_qsl(request.body.decode()))
    assert {name: value for name, value in form.items() if name.startswith("Tags.")} == {
        "Tags.member.1.Key": "team",
        "Tags.member.1.Value": "payments",
        "Tags.member.2.Key": "cost centre",
        "Tags.member.2.Value": "b/1",
    }


def test_sts_is_asked_through_the_proxy_and_metadata_services_are_not(
    account: Account, machine: Machine, metadata: MetadataServer
) -> None:
    machine.unset("AWS_ENDPOINT_URL_STS", "NO_PROXY", "no_proxy")
    role = "arn:aws:iam::123456789012:role/r"
    with FaultyServer(Answer(b"", 403)) as proxy:
        machine.set(HTTPS_PROXY=proxy.url, HTTP_PROXY=proxy.url, ALL_PROXY=proxy.url)
        source = load(settings(account, machine.home, role_arn=role)).make_factory(None).credentials
        assert source is not None
        with pytest.raises(SecretsError):
            source.fetch(clock_now() + 10)
        asked = {request.head.split(b"\r\n")[0] for request in proxy.requests}

    assert asked == {f"CONNECT sts.{REGION}.amazonaws.com:443 HTTP/1.1".encode()}
    assert len(metadata.seen) == 3
