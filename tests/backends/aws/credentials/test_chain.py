"""The default chain: on the same machine it finds what botocore finds, stops where botocore stops, and says why."""

from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from secrets_actor.backends.aws.credentials.chain import DefaultChain
from secrets_actor.domain import errors
from tests.backends.aws.credentials.conftest import Machine, failing, fetch, of_botocore, plain
from tests.backends.aws.credentials.fake_machine import ARN, World, ours

ORDER = [
    *("environment", "role of the profile", "web identity", "sso", "credentials file", "login", "credential_process"),
    *("config file", "container", "instance metadata"),
]


SOURCES = ["environment", "role", "web", "web variables", "shared", "process", "config", "container", "instance"]
ALL = frozenset(SOURCES)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(has=st.frozensets(st.sampled_from(SOURCES)), how=st.sampled_from(["default", "variable", "named"]))
@example(has=frozenset(), how="default")
@example(has=ALL, how="default")
@example(has=ALL, how="named")
@example(has=ALL - {"environment", "role", "web"}, how="named")
@example(has=frozenset({"role", "web", "shared"}), how="variable")
def test_it_finds_what_botocore_finds(world: World, has: frozenset[str], how: str) -> None:
    world.arrange(has, "default" if how == "default" else "dev")
    if how == "variable":
        world.machine.set(AWS_PROFILE="dev")
    profile = "dev" if how == "named" else None

    assert ours(profile) == of_botocore(profile)


def test_each_place_gives_way_to_those_before_it(world: World) -> None:
    """One after the other is taken away; what is found then comes from the next. The last of all is nothing."""
    left, found = list(SOURCES), []
    left.remove("web variables")
    order = ["environment", "role", "web", "shared", "process", "config", "container", "instance"]
    for place in [None, *order]:
        if place is not None:
            left.remove(place)
        world.arrange(frozenset(left) - ({"web"} if "role" in left else set()), "default")
        keys = ours(None)
        found.append(None if keys is None else keys[0])

    assert found == [
        *("ENVIRONMENT", "AssumeRole.profile.by.BASE", "AssumeRoleWithWebIdentity.web.by.jwt1", "SHARED", "PROCESS"),
        *("CONFIG", "ASIAMETADATA00000002", "ASIAMETADATA00000001", None),
    ]


def test_nothing_found_lists_what_was_tried_and_why_each_declined(world: World) -> None:
    world.arrange(frozenset(), "default")

    error = failing(DefaultChain())

    assert isinstance(error, errors.NoCredentials)
    assert [place for place, _ in error.tried] == ORDER
    assert [name for name, _ in DefaultChain().providers()] == ORDER
    assert all(f"{place}: {reason}" in str(error) for place, reason in error.tried)
    assert "AWS_ACCESS_KEY_ID is not set" in str(error)
    assert "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" in str(error)
    assert "switched off: unset AWS_EC2_METADATA_DISABLED" in str(error)


def test_a_silent_metadata_service_is_told_with_the_hop_limit(world: World) -> None:
    world.arrange(frozenset({"instance"}), "default")
    world.machine.set(AWS_METADATA_SERVICE_TIMEOUT="0.2")
    world.instance.switches.token_status = None

    error = failing(DefaultChain())

    assert isinstance(error, errors.NoCredentials)
    assert "hop limit" in dict(error.tried)["instance metadata"]


def test_a_metadata_service_that_answers_and_has_no_keys_is_a_failure_and_one_without_a_role_is_not(
    world: World,
) -> None:
    world.arrange(frozenset({"instance"}), "default")
    world.instance.switches.failures = 1
    assert type(failing(DefaultChain())) is errors.MetadataServiceError

    world.instance.switches.role = None
    error = failing(DefaultChain())
    assert isinstance(error, errors.NoCredentials)
    assert "attach an IAM role" in dict(error.tried)["instance metadata"]


BROKEN = {
    "half of the environment": ("", "", {"AWS_ACCESS_KEY_ID": "x"}),
    "a role without a source": (f"[default]\nrole_arn = {ARN}r", "", {}),
    "a role with two sources": (
        f"[default]\nrole_arn = {ARN}r\nsource_profile = x\ncredential_source = Environment", "", {},
    ),
    "an unknown source": (f"[default]\nrole_arn = {ARN}r\ncredential_source = canary", "", {}),
    "a source without keys": (f"[default]\nrole_arn = {ARN}r\ncredential_source = Environment", "", {}),
    "a missing source profile": (f"[default]\nrole_arn = {ARN}r\nsource_profile = canary", "", {}),
    "an empty source profile": (f"[default]\nrole_arn = {ARN}r\nsource_profile = b\n[profile b]\nregion = x", "", {}),
    "a circle": (
        f"[default]\nrole_arn = {ARN}r\nsource_profile = b\n[profile b]\nrole_arn = {ARN}r\nsource_profile = default",
        "", {},
    ),
    "a profile that is its own source": (f"[default]\nrole_arn = {ARN}r\nsource_profile = default", "", {}),
    "a web identity without a role": ("[default]\nweb_identity_token_file = x", "", {}),
    "a web identity without a file": (f"[default]\nweb_identity_token_file = /x\nrole_arn = {ARN}r", "", {}),
    "half of the credentials file": ("", "[default]\naws_access_key_id = canary", {}),
    "half of the config file": ("[default]\naws_access_key_id = canary", "", {}),
    "a command that fails": ("[default]\ncredential_process = false", "", {}),
    "half of sso": ("[default]\nsso_account_id = 1", "", {}),
    "a profile that is not there": ("", "", {"AWS_PROFILE": "nobody"}),
    "an unreadable file": ("canary", "", {}),
    "a container's host that is not allowed": ("", "", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://10.0.0.1/canary"}),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_configured_and_fails_ends_the_search_as_it_does_for_botocore(world: World, what: str) -> None:
    config, credentials, environment = BROKEN[what]
    world.arrange(frozenset({"instance"}), "default")
    world.machine.config(config)
    world.machine.credentials(credentials)
    world.machine.set(**environment)

    error = failing(DefaultChain())

    assert not isinstance(error, errors.NoCredentials)
    assert world.instance.seen == []
    with pytest.raises(Exception):  # noqa: B017, PT011  each has a type of its own there
        of_botocore()


def test_files_and_variables_count_as_they_are_at_each_fetch(world: World) -> None:
    world.arrange(frozenset({"shared"}), "default")
    chain = DefaultChain()
    assert plain(fetch(chain))[0] == "SHARED"

    world.machine.credentials("[default]\naws_access_key_id = ROTATED\naws_secret_access_key = s")
    assert plain(fetch(chain))[0] == "ROTATED"

    world.machine.set(AWS_ACCESS_KEY_ID="NEWEST", AWS_SECRET_ACCESS_KEY="s")
    assert plain(fetch(chain))[0] == "NEWEST"


def test_the_environments_tokens_and_their_end(machine: Machine) -> None:
    machine.set(AWS_ACCESS_KEY_ID="A", AWS_SECRET_ACCESS_KEY="s", AWS_SESSION_TOKEN="new")
    assert plain(fetch(DefaultChain())) == of_botocore() == ("A", "s", "new")

    machine.set(AWS_SECURITY_TOKEN="old", AWS_CREDENTIAL_EXPIRATION="2086-01-02T03:04:05Z")
    assert plain(fetch(DefaultChain())) == of_botocore() == ("A", "s", "old")
    assert fetch(DefaultChain()).expires_at == datetime(2086, 1, 2, 3, 4, 5, tzinfo=UTC)

    machine.set(AWS_CREDENTIAL_EXPIRATION="canary")
    assert "no moment in ISO 8601" in str(failing(DefaultChain()))


@pytest.mark.parametrize("key", ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"])
@pytest.mark.parametrize("value", ["can ary", "\n  a = canary"])
def test_a_key_that_is_none_is_told_by_its_profile(machine: Machine, key: str, value: str) -> None:
    keys = {"aws_access_key_id": "A", "aws_secret_access_key": "s", key: value}
    machine.credentials("[default]\n" + "\n".join(f"{name} = {one}" for name, one in keys.items()))

    assert isinstance(failing(DefaultChain()), errors.CredentialsError)


def test_empty_keys_are_told(machine: Machine) -> None:
    machine.credentials("[default]\naws_access_key_id =\naws_secret_access_key = s")

    assert "a key is empty" in str(failing(DefaultChain()))


def test_its_repr_tells_no_profile() -> None:
    assert repr(DefaultChain("canary")) == "<DefaultChain of a profile>"
    assert repr(DefaultChain()) == "<DefaultChain>"


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("AWS_PROFILE", "nobody", "profile nobody (AWS_PROFILE) is in neither"),
        ("AWS_DEFAULT_PROFILE", "nobody", "profile nobody (AWS_DEFAULT_PROFILE) is in neither"),
        ("AWS_ACCESS_KEY_ID", "can ary", "AWS_ACCESS_KEY_ID: it holds a character that no credential has"),
        ("AWS_SECRET_ACCESS_KEY", "can ary", "AWS_SECRET_ACCESS_KEY: it holds a character that no credential has"),
        ("AWS_SESSION_TOKEN", "can ary", "AWS_SESSION_TOKEN: it holds a character that no credential has"),
        ("AWS_SECURITY_TOKEN", "can ary", "AWS_SECURITY_TOKEN: it holds a character that no credential has"),
        ("AWS_ROLE_ARN", "canary", "web identity (AWS_ROLE_ARN): role_arn: such as"),
        (
            "AWS_ROLE_SESSION_NAME",
            "can ary",
            "(AWS_ROLE_ARN, AWS_ROLE_SESSION_NAME): role_session_name: 2 to",
        ),
        ("AWS_METADATA_SERVICE_TIMEOUT", "canary", "AWS_METADATA_SERVICE_TIMEOUT: a number"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "canary", "AWS_EC2_METADATA_SERVICE_ENDPOINT: http:// or https://"),
    ],
)
def test_a_mistake_in_a_variable_names_it(machine: Machine, variable: str, value: str, told: str) -> None:
    if "KEY" in variable or "TOKEN" in variable:
        machine.set(AWS_ACCESS_KEY_ID="A", AWS_SECRET_ACCESS_KEY="s")
    if "ROLE" in variable:
        token = str(machine.write("token", "jwt"))
        machine.set(AWS_WEB_IDENTITY_TOKEN_FILE=token, AWS_ROLE_ARN=f"{ARN}x", AWS_REGION="us-east-1")
    machine.unset("AWS_EC2_METADATA_DISABLED")
    machine.set(**{variable: value})

    assert told in str(failing(DefaultChain()))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("ec2_metadata_service_endpoint = canary", "ec2_metadata_service_endpoint of the profile: http:// or https://"),
        ("metadata_service_timeout = canary", "metadata_service_timeout of the profile: a number"),
        ("metadata_service_num_attempts = 0", "metadata_service_num_attempts of the profile: a number"),
    ],
)
def test_a_mistake_in_a_profile_names_the_profile(machine: Machine, line: str, told: str) -> None:
    machine.unset("AWS_EC2_METADATA_DISABLED")
    machine.config(f"[default]\n{line}")

    assert told in str(failing(DefaultChain()))
