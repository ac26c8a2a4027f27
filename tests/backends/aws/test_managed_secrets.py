"""Secrets that a service of AWS made, such as rds!db-...: read like any other, and never taken for deleted ones."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from secrets_actor.domain import errors
from secrets_actor.domain import operations as ops
from secrets_actor.domain.ports import Backend
from tests.backends.aws.backend_rig import connect, do, failing, sent
from tests.servers.account import ROOT_KEYS
from tests.servers.behaviours import answer_json, aws_error
from tests.servers.faulty import FaultyServer
from tests.servers.moto import MotoServer

NAME: Final = "rds!db-1234"
REFUSED: Final = aws_error("InvalidRequestException", last=True)


@pytest.fixture
def arn(fresh_moto: MotoServer) -> str:
    """That of a managed secret. boto does not mind the name, nor does moto."""
    made = fresh_moto.client("secretsmanager").create_secret(Name=NAME, SecretString="v")
    return str(made["ARN"])


@pytest.fixture
def backend(fresh_moto: MotoServer) -> Iterator[Backend]:
    made = connect(fresh_moto.url)
    yield made
    made.close()


def test_a_managed_secret_is_read_by_name_and_by_arn(backend: Backend, arn: str) -> None:
    for secret_id in (NAME, arn):
        assert do(backend, ops.Get(secret_id), ROOT_KEYS).reveal() == "v"
        assert do(backend, ops.Describe(secret_id), ROOT_KEYS).name == NAME
    assert do(backend, ops.GetMany([NAME]), ROOT_KEYS).found[NAME].reveal() == "v"


@pytest.mark.parametrize(
    "operation",
    [
        ops.Get(NAME),
        ops.Put(NAME, "v"),
        ops.Update(NAME, "v"),
        ops.Set(NAME, "v"),
        ops.Set(NAME, "v", restore_on_set=True),
        ops.Delete(NAME),
    ],
)
def test_what_aws_refuses_because_it_is_managed_is_not_told_as_deleted(operation: ops.Operation[Any]) -> None:
    with FaultyServer(REFUSED) as server:
        backend = connect(server.url)
        assert type(failing(backend, operation)) is errors.InvalidRequest
        backend.close()
        assert len(server.requests) == 1


def test_nor_is_one_of_many() -> None:
    refused = [{"SecretId": one, "ErrorCode": "InvalidRequestException"} for one in (NAME, "a")]
    with FaultyServer(answer_json({"Errors": refused})) as server:
        backend = connect(server.url)
        found = do(backend, ops.GetMany([NAME, "a"])).errors
        backend.close()
    assert {name: type(error) for name, error in found.items()} == {
        NAME: errors.InvalidRequest,
        "a": errors.SecretDeleted,
    }


def test_a_set_does_not_try_to_create_what_only_a_service_can() -> None:
    with FaultyServer(aws_error("ResourceNotFoundException", last=True)) as server:
        backend = connect(server.url)
        assert type(failing(backend, ops.Set(NAME, "v"))) is errors.SecretNotFound
        backend.close()
        assert [action for action, _ in sent(server)] == ["UpdateSecret"]
