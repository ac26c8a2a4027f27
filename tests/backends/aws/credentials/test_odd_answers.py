"""Whatever a place of keys answers: keys that can be used, or an error with a name; no worker ends over it."""

import contextlib
import json
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor import AwsSettings, CredentialsError, LogSettings, SecretsError, Settings, System
from secrets_actor.backends.aws.credentials.assume_role import AssumeRoleCredentials
from secrets_actor.backends.aws.credentials.chain import DefaultChain
from secrets_actor.backends.aws.credentials.json_credentials import credentials_in, moment, parsed
from secrets_actor.backends.aws.credentials.profile_providers import MAX_ROLES
from secrets_actor.backends.aws.credentials.sts import Sts
from tests.actor.rig import Watch, eventually, whole
from tests.backends.aws.credentials.conftest import Machine, failing, fetch
from tests.backends.aws.credentials.fake_machine import ARN, World
from tests.backends.aws.credentials.test_sts import ROLE, XML, Fixed
from tests.backends.aws.test_odd_answers import ODD, with_odd
from tests.servers.account import REGION
from tests.servers.behaviours import Answer
from tests.servers.faulty import FaultyServer

KEYS: Final = {"AccessKeyId": "A", "SecretAccessKey": "s", "Token": "t", "SessionToken": "t"} | {
    "Expiration": "2086-01-02T03:04:05Z",
    "Version": 1,
    "Code": "Success",
}
# Moments that are before or after all time as soon as they are told in UTC.
OUT_OF_TIME: Final = ("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00")


@pytest.mark.parametrize("from_process", [False, True], ids=["service", "process"])
@pytest.mark.parametrize("member", [None, *KEYS])
def test_an_odd_member_makes_keys_or_none(member: str | None, from_process: bool) -> None:
    for odd in (*ODD, *(json.dumps(text) for text in OUT_OF_TIME)):
        found = credentials_in(
            parsed(with_odd(KEYS, () if member is None else (member,), odd)), from_process=from_process
        )
        if not isinstance(found, str):
            assert found.expires_at is None or found.expires_at.tzinfo is UTC


@given(text=st.text(st.characters(codec=None)) | st.integers() | st.datetimes(timezones=st.timezones()).map(str))
def test_whatever_text_a_moment_is(text: object) -> None:
    found = moment(text)
    assert found is None or isinstance(found, datetime)


@pytest.mark.parametrize("text", OUT_OF_TIME)
def test_a_moment_out_of_time_is_none(text: str) -> None:
    assert moment(text) is None


@pytest.mark.parametrize(
    "body",
    [
        *(XML.replace("2086-01-02T03:04:05Z", text) for text in (*OUT_OF_TIME, "", "9" * 5000)),
        "<a>" * 10_000 + "</a>" * 10_000,
        XML.replace("<AccessKeyId>", "<AccessKeyId><?odd?>"),
        XML.replace("ASIASTS", "\u00e4"),
        XML.replace("ASIASTS", "a b"),
    ],
    ids=lambda body: body[:20],
)
@pytest.mark.parametrize("date", ["Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", "9" * 5000])
def test_an_odd_answer_of_sts_is_keys_or_an_error(machine: Machine, body: str, date: str) -> None:
    with FaultyServer(Answer(body.encode(), headers=(("Date", date),))) as server:
        machine.set(AWS_ENDPOINT_URL_STS=server.url)
        with contextlib.suppress(SecretsError):
            assert fetch(AssumeRoleCredentials(Fixed(), ROLE, Sts(REGION))).expires_at is not None


# --- profiles -----------------------------------------------------------------------------------------------------


def chained(count: int) -> str:
    """A config file of *count* roles, each by way of the next, and of the keys that the last one leans on."""
    sections = [
        f"[profile p{number}]\nrole_arn = {ARN}r{number}\nsource_profile = p{number + 1}\n" for number in range(count)
    ]
    return "".join([*sections, f"[profile p{count}]\naws_access_key_id = K\naws_secret_access_key = s\n"])


@pytest.mark.parametrize("count", [MAX_ROLES + 1, 500, 5000])
def test_a_chain_of_roles_without_end_is_an_error_that_names_the_profile(machine: Machine, count: int) -> None:
    machine.set(AWS_PROFILE="p0", AWS_REGION=REGION)
    machine.config(chained(count))

    error = failing(DefaultChain())

    assert type(error) is CredentialsError
    assert f"profile p{MAX_ROLES - 1}: its source_profile is one role more than {MAX_ROLES} in a row" in str(error)


def test_a_long_chain_is_followed(world: World) -> None:
    world.machine.set(AWS_PROFILE="p0", AWS_REGION=REGION)
    world.machine.config(chained(MAX_ROLES))

    assert fetch(DefaultChain()).reveal_id().startswith("AssumeRole.r0.by.AssumeRole.r1.by.")
    assert len(world.sts.requests) == MAX_ROLES


def test_a_duration_of_many_digits_is_too_long(machine: Machine) -> None:
    machine.set(AWS_PROFILE="p0", AWS_REGION=REGION)
    machine.config(f"[profile p0]\nrole_arn = {ARN}r\nsource_profile = p0\nduration_seconds = {'9' * 5000}\n"
                   "aws_access_key_id = K\naws_secret_access_key = s\n")  # fmt: skip

    assert "duration: 900 to 43200 seconds" in str(failing(DefaultChain()))


def test_500_chained_profiles_end_no_worker(machine: Machine, tmp_path: Any) -> None:
    machine.set(AWS_PROFILE="p0")
    machine.config(chained(500))
    watch = Watch()
    aws = AwsSettings(region=REGION, endpoint_url="http://127.0.0.1:9")
    settings = Settings(backend="aws_secrets_manager", aws=aws, log=LogSettings(output=str(tmp_path / "log")))
    with System(settings, observer=watch).start() as system:
        for _ in range(3):
            with pytest.raises(CredentialsError, match="one role more"):
                system.secrets.get("a", timeout=10.0)
        eventually(lambda: whole(system))
    assert watch.count("ChildRestarted") == 0
