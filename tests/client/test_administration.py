"""Every method of administration through a whole tree, against an emulator that checks signatures."""

import json
import logging
from collections.abc import Callable, Iterator

import pytest

from secrets_actor import (
    AwsSettings,
    InvalidParameter,
    SecretExists,
    SecretNotFound,
    Secrets,
    SecretValue,
    Settings,
    StoreError,
    System,
    start,
)
from secrets_actor.errors import InvalidSecretValue, UnknownMessage
from secrets_actor.messages import Filter, RandomPassword, SortBy
from secrets_actor.results import NamedReceipt, RotationRules
from secrets_actor.testing import fake_system
from tests.actor.rig import failure
from tests.servers.account import allow_everything
from tests.servers.moto import MotoServer

POLICY = {"Version": "2012-10-17", "Statement": []}
REPLICA = "arn:aws:secretsmanager:us-east-1:210987654321:secret:b-AbCdEf"
VALUE = "hunter2-must-not-show"


@pytest.fixture
def secrets(fresh_moto: MotoServer, face: Callable[[System], System]) -> Iterator[Secrets]:
    keys = fresh_moto.account.user(allow_everything())
    settings = Settings(
        backend="aws_secrets_manager",
        breaker_failures=0,  # what the emulator does not know it answers with 500
        aws=AwsSettings(
            region="us-east-1",
            endpoint_url=fresh_moto.url,
            auth_method="access_key",
            access_key=keys.access_key_id,
            secret_key=keys.secret_key,
        ),
    )
    with start(settings) as system:
        yield face(system).secrets


def test_a_secret_is_created_without_a_value(secrets: Secrets) -> None:
    made = secrets.create("a", description="d")

    assert made == NamedReceipt("a", secrets.describe("a").arn)
    assert type(failure(lambda: secrets.get("a"))) is SecretNotFound
    assert secrets.put("a", "one").stages == ("AWSCURRENT",)
    assert secrets.get("a").reveal() == "one"


def test_a_secret_is_created_put_updated_and_described(secrets: Secrets) -> None:
    made = secrets.create("a", "one", description="d", tags={"k": "v"})
    assert type(failure(lambda: secrets.create("a", "two"))) is SecretExists
    put = secrets.put("a", SecretValue("two"), stages=["mine"])
    assert put.stages == ("mine",)
    assert secrets.get("a").reveal() == "one"
    assert secrets.update("a", b"three", description="e").version_id

    assert secrets.get("a").reveal() == b"three"
    known = secrets.describe("a")
    assert (known.arn, known.description, dict(known.tags)) == (made.arn, "e", {"k": "v"})
    assert secrets.update("a", description="f").arn == made.arn


def test_a_write_is_seen_by_the_next_get_whatever_it_is(secrets: Secrets) -> None:
    first = secrets.create("a", "one").version_id
    assert secrets.get("a").reveal() == "one"
    secrets.put("a", "two")
    assert secrets.get("a").reveal() == "two"
    made = secrets.rotate("a", generate="bytes")
    assert secrets.get("a").version_id == made.version_id
    secrets.request("PutSecretValue", {"SecretId": "a", "SecretString": "raw", "ClientRequestToken": "t" * 32})
    assert secrets.get("a").reveal() == "raw"
    assert {version.version_id for version in secrets.versions("a", include_deprecated=True)} >= {"t" * 32}
    secrets.move_stage("a", "AWSCURRENT", to=first, remove_from="t" * 32)
    assert secrets.get("a").reveal() == "one"


def test_tags_and_policies_come_and_go(secrets: Secrets) -> None:
    secrets.create("a", "one")
    secrets.tag("a", {"k": "v", "l": "w"})
    secrets.untag("a", ["k"])
    assert dict(secrets.describe("a").tags) == {"l": "w"}
    secrets.put_policy("a", POLICY, block_public=True)
    assert json.loads(secrets.get_policy("a").policy or "") == POLICY
    secrets.delete_policy("a")
    assert secrets.get_policy("a").policy is None


def test_values_are_made_up(secrets: Secrets) -> None:
    secrets.create("a", "one")
    assert len(secrets.random_password().reveal()) == 32
    assert len(secrets.random_password(RandomPassword(50)).reveal()) == 50

    made = secrets.rotate("a", generate="password", password=RandomPassword(40))

    current = secrets.get("a")
    assert (current.version_id, len(current.reveal())) == (made.version_id, 40)


def test_replicas_come_and_go(secrets: Secrets) -> None:
    secrets.create("a", "one")
    assert [one.region for one in secrets.replicate("a", ["eu-central-1"]).replicas] == ["eu-central-1"]
    assert secrets.remove_regions("a", ["eu-central-1"]).replicas == ()


def test_what_the_emulator_refuses_is_a_typed_error(secrets: Secrets) -> None:
    secrets.create("a", "one")
    for ask in (
        lambda: secrets.cancel_rotation("a"),
        lambda: secrets.rotate("a", lambda_arn="arn:aws:lambda:us-east-1:1:function:f", rules=RotationRules(3)),
        lambda: secrets.stop_replication("a"),
        lambda: secrets.validate_policy(POLICY, "a"),
        lambda: secrets.associate_replica("a", REPLICA, any_organization=True),
        lambda: secrets.disassociate_replica("a", REPLICA),
        lambda: secrets.policies("a"),
    ):
        assert isinstance(failure(ask), StoreError)


def test_an_iteration_asks_for_one_page_at_a_time(secrets: Secrets) -> None:
    for number in range(7):
        secrets.create(f"it/{number}", "v")
    secrets.create("other", "v")

    found = secrets.iterate([Filter("name", "it/")], sort_by=SortBy.NAME, page_size=3)

    assert sorted(one.name for one in found) == [f"it/{number}" for number in range(7)]
    assert list(secrets.iterate([Filter("name", "nothing")])) == []
    assert len(list(secrets.iterate(page_size=8))) == 8


def test_bad_input_is_refused_before_anything_is_asked(secrets: Secrets) -> None:
    for ask in (
        lambda: secrets.iterate(page_size=0),
        lambda: secrets.rotate("a", generate="dice"),  # type: ignore[call-overload]
        lambda: secrets.rotate("a", generate="bytes", lambda_arn="l"),  # type: ignore[call-overload]
        lambda: secrets.rotate("a", password=RandomPassword()),  # type: ignore[call-overload]
        lambda: secrets.update("a"),
        lambda: secrets.request("no name"),
    ):
        assert type(failure(ask)) is InvalidParameter


def test_no_value_or_policy_reaches_a_log(secrets: Secrets, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        secrets.create("a", VALUE)
        secrets.put("a", VALUE + "2")
        secrets.update("a", VALUE + "3")
        secrets.put_policy("a", json.dumps({**POLICY, "Id": VALUE}))
        answer = secrets.request("GetSecretValue", {"SecretId": "a"})
    assert answer.reveal()["SecretString"] == VALUE + "3"

    assert "put_policy" in caplog.text
    assert "request" in caplog.text
    assert VALUE not in caplog.text


def test_a_raw_value_is_in_no_frame_of_ours(secrets: Secrets) -> None:
    for ask in (
        lambda: secrets.create("no spaces", VALUE),
        lambda: secrets.put("a", VALUE, stages=[""]),
        lambda: secrets.update("a", VALUE, token="short"),
        lambda: secrets.request("no name", {"SecretString": VALUE}),
        lambda: secrets.set("a", VALUE, tags={"": ""}),
        lambda: secrets.create("a", VALUE * 10_000),
    ):
        error = failure(ask)
        assert isinstance(error, (InvalidParameter, InvalidSecretValue, ValueError))
        tracing = error.__traceback__
        while tracing is not None:
            frame = tracing.tb_frame
            if "secrets_actor/" in frame.f_code.co_filename:
                assert VALUE not in repr(frame.f_locals), frame
            tracing = tracing.tb_next


def test_a_store_that_does_not_know_an_operation_says_so_and_lives_on() -> None:
    with fake_system() as (system, store):
        store.put("a", "v")
        assert type(failure(lambda: system.secrets.delete_policy("a"))) is UnknownMessage
        assert type(failure(lambda: system.secrets.request("DescribeSecret"))) is UnknownMessage
        assert system.secrets.get("a").reveal() == "v"
