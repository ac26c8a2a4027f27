"""The instance's role against our metadata service: attempts, version 1, static stability."""

from datetime import UTC, datetime, timedelta

import pytest
from botocore.utils import InstanceMetadataFetcher

from secrets_actor.backends.aws.credentials.instance_metadata import (
    InstanceMetadataCredentials,
    extended,
    options_from,
)
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.clock import now as clock_now
from secrets_actor.domain.secret import SecretValue
from tests.backends.aws.credentials.conftest import Machine, failing, fetch, plain
from tests.servers.metadata import MetadataServer, keys_until

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


def test_one_attempt_is_made_unless_more_are_asked_for(machine: Machine, metadata: MetadataServer) -> None:
    metadata.switches.failures = 1
    assert failing(InstanceMetadataCredentials()).status == 500

    machine.set(AWS_METADATA_SERVICE_NUM_ATTEMPTS="3")
    metadata.switches.failures = 2
    assert fetch(InstanceMetadataCredentials())
    metadata.switches.failures = 3
    assert failing(InstanceMetadataCredentials()).status == 500


def test_a_profile_may_say_how_to_ask_and_the_environment_stands_over_it(
    machine: Machine, metadata: MetadataServer
) -> None:
    said = {"ec2_metadata_service_endpoint": metadata.url, "metadata_service_num_attempts": "2"}
    machine.unset("AWS_EC2_METADATA_SERVICE_ENDPOINT")
    metadata.switches.failures = 1
    assert fetch(InstanceMetadataCredentials(said))

    machine.set(AWS_METADATA_SERVICE_NUM_ATTEMPTS="1")
    metadata.switches.failures = 1
    assert failing(InstanceMetadataCredentials(said)).status == 500


@pytest.mark.parametrize("name", ["AWS_METADATA_SERVICE_TIMEOUT", "AWS_METADATA_SERVICE_NUM_ATTEMPTS"])
@pytest.mark.parametrize("value", ["canary", "0", "-1", "nan", "inf", "301"])
def test_a_number_that_is_none_is_told_by_its_variable(
    machine: Machine, metadata: MetadataServer, name: str, value: str
) -> None:
    machine.set(**{name: value})

    assert str(failing(InstanceMetadataCredentials())) == f"{name}: a number, more than 0 and 300 at most"


@pytest.mark.parametrize("mode", ["IPv5", "6", "true"])
def test_a_mode_that_is_none_is_told_by_who_states_it(machine: Machine, metadata: MetadataServer, mode: str) -> None:
    machine.unset("AWS_EC2_METADATA_SERVICE_ENDPOINT")
    of_the_profile = {"ec2_metadata_service_endpoint_mode": mode}
    error = failing(InstanceMetadataCredentials(of_the_profile))
    assert str(error) == "ec2_metadata_service_endpoint_mode of the profile: IPv4 or IPv6"

    machine.set(AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE=mode)
    assert str(failing(InstanceMetadataCredentials())) == "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE: IPv4 or IPv6"


def test_the_options_have_botocores_defaults_but_for_version_1() -> None:
    options = options_from({}, {})

    assert (options.endpoint.url, options.timeout, options.attempts) == ("http://169.254.169.254", 1.0, 1)
    assert not options.version_1
    assert not options_from({"AWS_EC2_METADATA_V1_DISABLED": "true"}, {}).version_1
    assert options_from({"AWS_EC2_METADATA_V1_DISABLED": "False"}, {}).version_1
    assert options_from({}, {"ec2_metadata_v1_disabled": "false"}).version_1
    ipv6 = options_from({}, {"ec2_metadata_service_endpoint_mode": "IPv6"})
    assert ipv6.endpoint.url == "http://[fd00:ec2::254]"


@pytest.mark.parametrize("status", [403, 404, 405, None])
def test_version_1_is_for_whoever_allows_it_where_there_is_no_token(
    machine: Machine, metadata: MetadataServer, status: int | None
) -> None:
    machine.set(AWS_METADATA_SERVICE_TIMEOUT="0.2")
    metadata.switches.token_status, metadata.switches.version_1 = status, True
    error = failing(InstanceMetadataCredentials())
    assert error.status == status
    assert ("hop limit" in str(error)) == (status is None)
    assert "if the service knows version 1 only, allow that: AWS_EC2_METADATA_V1_DISABLED=false" in str(error)
    assert not any(path.startswith("/latest/meta-data/") for path in metadata.paths())

    machine.set(AWS_EC2_METADATA_V1_DISABLED="false")
    assert plain(fetch(InstanceMetadataCredentials()))[0] == "ASIAMETADATA00000001"


@pytest.mark.parametrize("status", [400, 401, 500])
def test_version_1_is_not_for_any_other_answer(machine: Machine, metadata: MetadataServer, status: int) -> None:
    machine.set(AWS_EC2_METADATA_V1_DISABLED="false")
    metadata.switches.token_status, metadata.switches.version_1 = status, True

    assert failing(InstanceMetadataCredentials()).status == status
    assert metadata.paths() == ["/latest/api/token"]


def test_a_token_that_did_not_come_in_time_is_not_asked_for_again(machine: Machine, metadata: MetadataServer) -> None:
    machine.set(AWS_METADATA_SERVICE_TIMEOUT="0.2", AWS_METADATA_SERVICE_NUM_ATTEMPTS="10")
    metadata.switches.token_status = None
    started = clock_now()

    failing(InstanceMetadataCredentials())

    assert clock_now() - started < 1.5


def keys(end: datetime | None) -> AwsCredentials:
    return AwsCredentials("ASIA", SecretValue("s"), SecretValue("t"), end)


def test_overdue_keys_are_good_for_another_17_to_25_minutes() -> None:
    for left in (timedelta(minutes=5), timedelta(0), -timedelta(days=1)):
        assert extended(keys(NOW + left), NOW, 0.0).expires_at == NOW + timedelta(minutes=17)
        assert extended(keys(NOW + left), NOW, 1.0).expires_at == NOW + timedelta(minutes=25)


def test_other_keys_are_left_alone() -> None:
    for one in (keys(NOW + timedelta(minutes=5, seconds=1)), keys(None)):
        assert extended(one, NOW, 0.5) is one


def test_ended_keys_of_the_service_are_used_on_by_us_and_by_botocore(
    machine: Machine, metadata: MetadataServer
) -> None:
    metadata.switches.issue = lambda: keys_until(datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1))

    found = fetch(InstanceMetadataCredentials())

    assert found.expires_at is not None
    assert found.expires_at > datetime.now(UTC) + timedelta(minutes=15)
    # botocore wants whole seconds.
    metadata.switches.issue = lambda: {**keys_until(NOW), "Expiration": "2026-06-01T12:00:00Z"}
    fetcher = InstanceMetadataFetcher(config={"ec2_metadata_service_endpoint": metadata.url})
    theirs = datetime.fromisoformat(fetcher.retrieve_iam_role_credentials()["expiry_time"])
    assert theirs > datetime.now(UTC) + timedelta(minutes=10)


def test_an_instance_without_a_role_is_told_so(metadata: MetadataServer) -> None:
    metadata.switches.role = None

    error = failing(InstanceMetadataCredentials())

    assert error.status == 404
    assert "attach an IAM role" in str(error)


def test_a_service_that_is_switched_off_is_not_asked(machine: Machine, metadata: MetadataServer) -> None:
    machine.set(AWS_EC2_METADATA_DISABLED="true")

    assert "switched off" in str(failing(InstanceMetadataCredentials()))
    assert metadata.seen == []
