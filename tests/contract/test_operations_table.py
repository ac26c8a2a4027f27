"""The table in config/README.md is what the program does: every message a row, and its actions what is sent."""

import inspect
import re
from typing import Any, Final

import pytest

from secrets_actor import messages
from secrets_actor.backends.aws.backend import aws_backend_factory
from secrets_actor.backends.aws.credentials.static import StaticCredentials
from secrets_actor.backends.aws.endpoint import endpoint_for
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.client.secrets import Secrets
from secrets_actor.clock import now as clock_now
from secrets_actor.domain import operations as ops
from secrets_actor.domain.errors import SecretsError
from secrets_actor.domain.ports import CallContext
from secrets_actor.domain.secret import SecretValue
from tests.architecture.house import ROOT
from tests.servers.behaviours import Behaviour, Receipt, answer_json, aws_error
from tests.servers.faulty import FaultyServer

ROW: Final = re.compile(r"^\| [^|]+ \| `(\w+)(?:\(.*\))?` \| `(\w+)` \| ([^|]+) \|$", re.M)
ROWS: Final = ROW.findall((ROOT / "config" / "README.md").read_text())
TABLE: Final = {message: (method, actions) for method, message, actions in ROWS}
ARN: Final = "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf"
REPLICA: Final = "arn:aws:secretsmanager:us-east-1:210987654321:secret:b-AbCdEf"
# Enough of an answer for most operations that are about one secret and bring no value.
SUITS_MANY: Final = {"Name": "a", "ARN": ARN}
VALUE: Final = {"Name": "a", "ARN": ARN, "VersionId": "v" * 32, "VersionStages": ["AWSCURRENT"], "CreatedDate": 1} | {
    "SecretString": "v"
}
OK: Final = answer_json(SUITS_MANY, last=True)
WRITTEN: Final = Receipt(SUITS_MANY, last=True)
DONE: Final = answer_json({}, last=True)
LINKED: Final = answer_json({"ARN": ARN, "CrossAccountReplicaARN": REPLICA}, last=True)
LISTED: Final = answer_json({"SecretList": []}, last=True)
PASSWORD: Final = answer_json({"RandomPassword": "p" * 32}, last=True)
DELETED: Final = answer_json(SUITS_MANY | {"DeletedDate": 1}, last=True)
# Each message, with what the server says to it.
ASKED: Final[list[tuple[ops.Operation[Any], tuple[Behaviour, ...]]]] = [
    (ops.Get("a"), (answer_json(VALUE, last=True),)),
    (ops.GetMany(["a"]), (answer_json({"SecretValues": [VALUE]}, last=True),)),
    (ops.Create("a", "v"), (WRITTEN,)),
    (ops.CreateEmpty("a"), (OK,)),
    (ops.Put("a", "v"), (WRITTEN,)),
    (ops.Update("a", "v"), (WRITTEN,)),
    (ops.Set("a", "v"), (aws_error("ResourceExistsException", last=True), WRITTEN)),
    (ops.Set("a", "v", restore_on_set=True), (aws_error("InvalidRequestException", last=True), DELETED, OK, WRITTEN)),
    (ops.Delete("a"), (answer_json(SUITS_MANY | {"DeletionDate": 1}, last=True),)),
    (ops.Restore("a"), (OK,)),
    (ops.List(), (LISTED,)),
    (ops.ListPage(), (LISTED,)),
    (ops.Describe("a"), (OK,)),
    (ops.ListVersions("a"), (OK,)),
    (ops.MoveStage("a", "s", "v" * 32), (OK,)),
    (ops.Tag("a", {"k": "v"}), (DONE,)),
    (ops.Untag("a", ["k"]), (DONE,)),
    (ops.Rotate("a"), (OK,)),
    (ops.CancelRotation("a"), (OK,)),
    (ops.Regenerate("a"), (PASSWORD, WRITTEN)),
    (ops.RandomPassword(), (PASSWORD,)),
    (ops.Replicate("a", ["eu-central-1"]), (OK,)),
    (ops.RemoveRegions("a", ["eu-central-1"]), (OK,)),
    (ops.StopReplication("a"), (OK,)),
    (ops.AssociateReplica("a", REPLICA), (LINKED,)),
    (ops.DisassociateReplica("a", REPLICA), (LINKED,)),
    (ops.ListPolicies("a"), (answer_json({"ResourcePolicies": []}, last=True),)),
    (ops.GetPolicy("a"), (OK,)),
    (ops.PutPolicy("a", "{}"), (OK,)),
    (ops.DeletePolicy("a"), (OK,)),
    (ops.ValidatePolicy("{}"), (answer_json({"PolicyValidationPassed": True}, last=True),)),
]


def sent(operation: ops.Operation[Any], script: tuple[Behaviour, ...]) -> set[str]:
    """The actions that *operation* calls for."""
    with FaultyServer(*script) as server:
        backend = aws_backend_factory(
            endpoint=endpoint_for("us-east-1", server.url),
            ca_bundle=None,
            timeout=5.0,
            recovery_window=30,
            credentials=StaticCredentials(),
        ).connect()
        try:
            keys = AwsCredentials("AKIDEXAMPLE", SecretValue("secret"))
            backend.perform(operation, CallContext(clock_now() + 15, keys))
        finally:
            backend.close()
        heads = [request.head.decode() for request in server.requests]
    return {found[1] for head in heads if (found := re.search(r"(?im)^x-amz-target: secretsmanager\.(\w+)\r?$", head))}


def test_every_message_has_a_row_and_every_row_a_message() -> None:
    assert set(TABLE) == {message.__name__ for message in ops.MESSAGES}
    assert {message.__name__ for message in ops.MESSAGES} <= set(messages.__all__)


def test_every_method_that_asks_has_a_row_and_every_row_a_method() -> None:
    methods = {name for name, _ in inspect.getmembers(Secrets, inspect.isfunction) if not name.startswith("_")}

    of_ours = {"ask", "for_caller", "invalidate", "prefetch", "retry_on_rotation", "subscribe"}
    assert {method for method, _ in TABLE.values()} == methods - of_ours


def test_every_message_is_asked_here() -> None:
    assert {type(operation) for operation, _ in ASKED} == set(ops.MESSAGES) - {ops.Request}


@pytest.mark.parametrize(("operation", "script"), ASKED)
def test_the_actions_of_a_row_are_those_that_are_sent(operation: Any, script: tuple[Behaviour, ...]) -> None:
    _, told = TABLE[type(operation).__name__]
    actions = set(re.findall(r"`([A-Z]\w+)`", told))
    called = sent(operation, script)

    assert called <= actions
    # What the row tells beyond that is for another way to ask, or is checked by AWS for what a batch holds.
    others = {
        "CreateEmpty": {"DescribeSecret"},
        "Set": {"DescribeSecret", "RestoreSecret", "UpdateSecret"},
        "GetMany": {"GetSecretValue"},
    }
    assert actions - called <= others.get(type(operation).__name__, set())


def test_a_request_is_sent_under_the_name_that_was_given() -> None:
    assert sent(ops.Request("MakeCoffee", {"cups": 1}), (OK,)) == {"MakeCoffee"}
    with pytest.raises(SecretsError):
        sent(ops.Request("MakeCoffee"), (aws_error("UnknownOperationException"),))
