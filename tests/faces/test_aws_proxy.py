"""The AWS face with AWS behind it: what AWS answers goes through, what it refuses keeps AWS's code, and what the cache
has is not asked for again. An emulator stands in for AWS; its other answers are in tests/contract/divergences.py."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from secrets_actor import AwsSettings, Settings, start
from tests.faces.aws_rig import Rig, aws_face, refusal
from tests.servers.account import allow_everything, allow_only_get
from tests.servers.behaviours import Forward
from tests.servers.faulty import FaultyServer
from tests.servers.moto import MotoServer

KEY: Final = "alias/mine"


def settings(url: str, keys: Any) -> Settings:
    return Settings(
        backend="aws_secrets_manager",
        aws=AwsSettings(
            region="us-east-1",
            endpoint_url=url,
            auth_method="access_key",
            access_key=keys.access_key_id,
            secret_key=keys.secret_key,
        ),
    )


@pytest.fixture
def rig(fresh_moto: MotoServer) -> Iterator[Rig]:
    """The face over the aws backend."""
    with start(settings(fresh_moto.url, fresh_moto.account.user(allow_everything()))) as system:
        with aws_face(system) as found:
            yield found


def test_what_one_machine_does_not_have_aws_has(rig: Rig) -> None:
    sm = rig.client()
    made = sm.create_secret(Name="a", SecretString="one", KmsKeyId=KEY, AddReplicaRegions=[{"Region": "eu-central-1"}])
    assert sm.describe_secret(SecretId="a")["KmsKeyId"] == KEY
    assert [one["Region"] for one in sm.describe_secret(SecretId="a")["ReplicationStatus"]] == ["eu-central-1"]
    replicated = sm.replicate_secret_to_regions(SecretId="a", AddReplicaRegions=[{"Region": "us-west-2"}])
    assert {one["Region"] for one in replicated["ReplicationStatus"]} >= {"us-west-2"}
    document = '{"Version": "2012-10-17", "Statement": []}'
    assert sm.put_resource_policy(SecretId="a", ResourcePolicy=document)["Name"] == "a"
    assert sm.get_resource_policy(SecretId="a")["ResourcePolicy"] == document
    assert sm.delete_resource_policy(SecretId="a")["ARN"] == made["ARN"]


def test_an_empty_secret_gets_its_first_value(rig: Rig) -> None:
    sm = rig.client()
    made = sm.create_secret(Name="a", Tags=[{"Key": "k", "Value": "v"}])
    assert "VersionId" not in made

    assert refusal(lambda: sm.get_secret_value(SecretId="a"))[0] == "ResourceNotFoundException"
    put = sm.put_secret_value(SecretId="a", SecretString="one")
    assert sm.get_secret_value(SecretId="a")["VersionId"] == put["VersionId"]


def test_a_refusal_keeps_the_code_of_aws(rig: Rig, fresh_moto: MotoServer) -> None:
    sm = rig.client()
    sm.create_secret(Name="a", SecretString="one")

    assert refusal(lambda: sm.describe_secret(SecretId="none"))[0] == "ResourceNotFoundException"
    assert refusal(lambda: sm.create_secret(Name="a", SecretString="two"))[0] == "ResourceExistsException"
    sm.delete_secret(SecretId="a")
    assert refusal(lambda: sm.get_secret_value(SecretId="a"))[0] == "InvalidRequestException"


def test_a_role_of_the_daemon_that_may_less_is_told_as_denied(fresh_moto: MotoServer) -> None:
    with (
        start(settings(fresh_moto.url, fresh_moto.account.user(allow_only_get("*")))) as system,
        aws_face(system) as rig,
    ):
        code, text, status = refusal(lambda: rig.client().create_secret(Name="a", SecretString="one"))

        assert (code, status) == ("AccessDeniedException", 400)
        assert "secretsmanager:CreateSecret" in text


def test_keys_of_the_daemon_that_aws_does_not_know_are_no_mistake_of_the_caller(fresh_moto: MotoServer) -> None:
    keys = fresh_moto.account.user(allow_everything())
    wrong = type(keys)(keys.access_key_id, "another/secret+key")
    with start(settings(fresh_moto.url, wrong)) as system, aws_face(system) as rig:
        code, text, status = refusal(lambda: rig.client().describe_secret(SecretId="a"))

        assert (code, status) == ("InternalServiceError", 500)
        assert "invalid_signature" in text


def test_what_the_cache_has_is_not_asked_for_again(fresh_moto: MotoServer) -> None:
    with FaultyServer(Forward(fresh_moto.process.port)) as between:
        keys = fresh_moto.account.user(allow_everything())
        with start(settings(between.url, keys)) as system, aws_face(system) as rig:
            sm = rig.client()
            sm.create_secret(Name="a", SecretString="one")
            sm.get_secret_value(SecretId="a")
            asked = len(between.requests)
            assert asked >= 2

            for again in ({}, {"VersionStage": "AWSCURRENT"}):
                assert sm.get_secret_value(SecretId="a", **again)["SecretString"] == "one"
            assert sm.batch_get_secret_value(SecretIdList=["a"])["SecretValues"][0]["SecretString"] == "one"
            assert len(between.requests) == asked
            sm.put_secret_value(SecretId="a", SecretString="two")
            assert sm.get_secret_value(SecretId="a")["SecretString"] == "two"
