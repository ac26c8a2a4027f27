"""Roles that profiles name: over which sources, by which parameters, and in which region."""

import pytest

from secrets_actor import Settings
from secrets_actor.backends.aws.credentials.chain import DefaultChain
from secrets_actor.domain.errors import StoreFailure
from secrets_actor.runtime.settings_loader import load
from tests.backends.aws.credentials.conftest import failing, fetch, of_botocore, plain
from tests.backends.aws.credentials.fake_machine import ARN, PROCESS, World, ours
from tests.servers.behaviours import Answer
from tests.servers.faulty import FaultyServer


def test_a_role_with_mfa_is_refused_for_nobody_can_type_the_code(world: World) -> None:
    world.machine.config(f"[default]\nrole_arn = {ARN}r\nsource_profile = base\nmfa_serial = canary")

    assert "mfa_serial wants a code" in str(failing(DefaultChain()))


ROLES = {
    "a chain of three": (
        f"[default]\nrole_arn = {ARN}one\nsource_profile = b\n[profile b]\nrole_arn = {ARN}two\nsource_profile = c\n"
        "[profile c]\naws_access_key_id = C\naws_secret_access_key = s",
        "AssumeRole.one.by.AssumeRole.two.by.C",
    ),
    "its own keys": (
        f"[default]\nrole_arn = {ARN}one\nsource_profile = default\naws_access_key_id = OWN\n"
        "aws_secret_access_key = s",
        "AssumeRole.one.by.OWN",
    ),
    "a process": (
        f"[default]\nrole_arn = {ARN}one\nsource_profile = b\n[profile b]\ncredential_process = {PROCESS}",
        "AssumeRole.one.by.PROCESS",
    ),
    "the keys of a profile that is a role, too": (
        f"[default]\nrole_arn = {ARN}one\nsource_profile = b\n[profile b]\nrole_arn = {ARN}two\n"
        "source_profile = c\naws_access_key_id = B\naws_secret_access_key = s\n[profile c]\nregion = x",
        "AssumeRole.one.by.B",
    ),
    "the environment": (
        f"[profile dev]\nrole_arn = {ARN}one\ncredential_source = Environment", "AssumeRole.one.by.ENVIRONMENT",
    ),
    "the container": (
        f"[profile dev]\nrole_arn = {ARN}one\ncredential_source = EcsContainer",
        "AssumeRole.one.by.ASIAMETADATA00000002",
    ),
    "the instance": (
        f"[profile dev]\nrole_arn = {ARN}one\ncredential_source = Ec2InstanceMetadata",
        "AssumeRole.one.by.ASIAMETADATA00000001",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", ROLES)
def test_a_role_may_lean_on(world: World, what: str) -> None:
    config, expected = ROLES[what]
    profile = "dev" if "[profile dev]" in config else None
    world.arrange(frozenset({"environment", "container", "instance"} if profile else ()), "other")
    world.machine.config(config)

    found = ours(profile)

    assert found is not None
    assert found[0] == expected
    assert found == of_botocore(profile)


def test_a_role_lends_its_name_duration_and_external_id(world: World) -> None:
    world.machine.credentials("[base]\naws_access_key_id = BASE\naws_secret_access_key = s")
    world.machine.config(
        f"[default]\nrole_arn = {ARN}one\nsource_profile = base\nexternal_id = agreed\nrole_session_name = mine\n"
        "duration_seconds = 1800"
    )
    assert ours(None) == of_botocore()
    one, other = (sorted(request.body.decode().split("&")) for request in world.sts.requests)
    assert one == other


def test_without_a_region_sts_is_not_asked(world: World) -> None:
    world.arrange(frozenset({"role"}), "default")
    world.machine.unset("AWS_REGION", "AWS_DEFAULT_REGION")
    assert "STS is asked in a region" in str(failing(DefaultChain()))

    world.machine.config(f"[default]\nregion = eu-west-1\nrole_arn = {ARN}r\nsource_profile = base")
    assert fetch(DefaultChain())
    assert b"/eu-west-1/sts/aws4_request" in world.sts.requests[-1].head


KEYS = "aws_access_key_id = BASE\naws_secret_access_key = s"
ELSEWHERE = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    "own",
    [
        "endpoint_url = {sts}",
        f"endpoint_url = {ELSEWHERE}\nservices = s",
        "services = s\nuse_fips_endpoint = true\nuse_dualstack_endpoint = true\nsts_regional_endpoints = legacy",
    ],
)
@pytest.mark.parametrize("web", [False, True])
def test_sts_is_asked_where_the_profile_has_it_and_not_where_its_source_has(world: World, own: str, web: bool) -> None:
    machine = world.machine
    machine.unset("AWS_ENDPOINT_URL_STS")
    way = f"web_identity_token_file = {machine.write('token', 'jwt1')}" if web else "source_profile = base"
    machine.config(
        f"[profile p]\nrole_arn = {ARN}one\n{way}\n{own.format(sts=world.sts.url)}\n"
        f"[profile base]\n{KEYS}\nendpoint_url = {ELSEWHERE}\nservices = other\n"
        f"[services s]\nsts =\n  endpoint_url = {world.sts.url}\n[services other]\nsts =\n  endpoint_url = {ELSEWHERE}"
    )
    machine.set(AWS_PROFILE="p")
    wired = load(Settings(backend="aws_secrets_manager")).make_factory(None).credentials

    assert wired is not None
    assert ours(None) == of_botocore() == plain(fetch(wired))
    assert len(world.sts.requests) == 3


@pytest.mark.parametrize("attempts", [1, 2])
def test_as_many_attempts_are_made_as_the_profile_says(world: World, attempts: int) -> None:
    world.machine.config(
        f"[default]\nrole_arn = {ARN}one\nsource_profile = base\nmax_attempts = {attempts}\n[profile base]\n{KEYS}"
    )
    with FaultyServer(Answer(b"", 503)) as sts:
        world.machine.set(AWS_ENDPOINT_URL_STS=sts.url)
        wired = load(Settings(backend="aws_secrets_manager")).make_factory(None).credentials
        assert wired is not None
        with pytest.raises(StoreFailure):
            fetch(wired)

        assert len(sts.requests) == attempts
