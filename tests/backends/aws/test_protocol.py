"""Requests and answers for values: get, set, delete, restore, list. For others see `test_request_builders.py` and
`test_answer_readers.py`."""

import json
import traceback
from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from secrets_actor.backends.aws import answer_readers, request_builders
from secrets_actor.backends.aws.protocol import Call
from secrets_actor.domain import errors
from secrets_actor.domain.operations import Delete, Get, List, Restore, Set
from secrets_actor.domain.results import SecretDescription, SecretPage
from secrets_actor.domain.secret import SecretValue

MODEL = ServiceModel(
    botocore.session.get_session().get_component("data_loader").load_service_model("secretsmanager", "service-2")
)
TOKEN = "0b8e9a34-6f0d-4a8e-9d5e-1d5b6a1f0c11"
ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:db/password-AbCdEf"
WHEN = datetime(2026, 11, 23, 12, 0, 0, 250000, tzinfo=UTC)
SECRET = {
    "Name": "db/password",
    "ARN": ARN,
    "VersionId": TOKEN,
    "VersionStages": ["AWSCURRENT"],
    "CreatedDate": WHEN.timestamp(),
    "SecretString": "hunter2",
}
GET = request_builders.get_call(Get("db/password"))


def body_of(call: Call) -> Any:
    return json.loads(call.body)


def encoded(content: Any) -> bytes:
    return json.dumps(content).encode()


# --- requests -----------------------------------------------------------------------------------------------------

REQUESTS = [
    (request_builders.get_call(Get("db/p")), "GetSecretValue", {"SecretId": "db/p", "VersionStage": "AWSCURRENT"}),
    (
        request_builders.get_call(Get("db/p", stage="mine")),
        "GetSecretValue",
        {"SecretId": "db/p", "VersionStage": "mine"},
    ),
    (
        request_builders.get_call(Get("db/p", version_id=TOKEN)),
        "GetSecretValue",
        {"SecretId": "db/p", "VersionId": TOKEN},
    ),
    (
        request_builders.get_call(Get("db/p", TOKEN, "mine")),
        "GetSecretValue",
        {"SecretId": "db/p", "VersionId": TOKEN, "VersionStage": "mine"},
    ),
    (
        request_builders.create_call(Set("db/p", SecretValue("pä$$")), TOKEN),
        "CreateSecret",
        {"Name": "db/p", "ClientRequestToken": TOKEN, "SecretString": "pä$$"},
    ),
    (
        request_builders.create_call(Set("db/p", SecretValue(b"\x00\xff"), description="why"), TOKEN),
        "CreateSecret",
        {"Name": "db/p", "ClientRequestToken": TOKEN, "SecretBinary": "AP8=", "Description": "why"},
    ),
    (
        request_builders.update_call(Set(ARN, SecretValue("x")), TOKEN),
        "UpdateSecret",
        {"SecretId": ARN, "ClientRequestToken": TOKEN, "SecretString": "x"},
    ),
    (
        request_builders.delete_call(Delete("db/p"), 30),
        "DeleteSecret",
        {"SecretId": "db/p", "RecoveryWindowInDays": 30},
    ),
    (
        request_builders.delete_call(Delete("db/p", recovery_window=7), 30),
        "DeleteSecret",
        {"SecretId": "db/p", "RecoveryWindowInDays": 7},
    ),
    (
        request_builders.delete_call(Delete("db/p", force=True), 30),
        "DeleteSecret",
        {"SecretId": "db/p", "ForceDeleteWithoutRecovery": True},
    ),
    (request_builders.restore_call(Restore("db/p")), "RestoreSecret", {"SecretId": "db/p"}),
    (request_builders.list_call(List(), None), "ListSecrets", {"MaxResults": 100}),
    (
        request_builders.list_call(List(include_deleted=True, page_size=7), "next"),
        "ListSecrets",
        {"MaxResults": 7, "IncludePlannedDeletion": True, "NextToken": "next"},
    ),
]


@pytest.mark.parametrize(("call", "action", "body"), REQUESTS)
def test_an_operation_becomes_the_call_of_the_api_reference(call: Call, action: str, body: Any) -> None:
    assert (call.action, call.target, body_of(call)) == (action, f"secretsmanager.{action}", body)


@pytest.mark.parametrize(("call", "action", "body"), REQUESTS)
def test_botocores_model_accepts_what_we_send(call: Call, action: str, body: Any) -> None:
    shape = MODEL.operation_model(action).input_shape
    binary = {"SecretBinary": b"decoded"} if "SecretBinary" in body else {}

    report = ParamValidator().validate({**body, **binary}, shape)

    assert not report.has_errors(), report.generate_report()
    assert set(body) <= set(shape.members)


def test_a_calls_repr_shows_no_value() -> None:
    assert "hunter2" not in repr(request_builders.create_call(Set("db/p", SecretValue("hunter2")), TOKEN))


# --- answers ------------------------------------------------------------------------------------------------------


def test_a_text_secret_is_read() -> None:
    secret = answer_readers.secret(encoded(SECRET))

    assert secret.reveal() == "hunter2"
    assert (secret.name, secret.arn, secret.version_id) == ("db/password", ARN, TOKEN)
    assert (secret.stages, secret.created_at) == (("AWSCURRENT",), WHEN)


def test_a_binary_secret_is_read() -> None:
    answer = {**SECRET, "SecretString": None, "SecretBinary": "AP8=", "VersionStages": None}

    secret = answer_readers.secret(encoded(answer))

    assert (secret.reveal(), secret.stages) == (b"\x00\xff", ())


def test_receipts_are_read() -> None:
    answer = encoded({**SECRET, "DeletionDate": WHEN.timestamp()})

    made = answer_readers.create_receipt(answer)
    deleted, restored = answer_readers.delete_receipt(answer), answer_readers.restore_receipt(answer)

    assert (made.name, made.arn, made.version_id, made.created) == ("db/password", ARN, TOKEN, True)
    assert (deleted.name, deleted.arn, deleted.deletion_date) == ("db/password", ARN, WHEN)
    assert (restored.name, restored.arn) == ("db/password", ARN)


def test_a_page_is_read() -> None:
    full = {
        "Name": "db/password",
        "ARN": ARN,
        "Description": "d",
        "CreatedDate": 1,
        "LastChangedDate": 2.5,
        "DeletedDate": 3,
        "LastAccessedDate": None,
    }

    page = answer_readers.page(
        encoded({"SecretList": [full, {"Name": "b", "ARN": ARN.replace("db/password", "b")}], "NextToken": "next"})
    )

    created, changed, deleted = (datetime.fromtimestamp(seconds, UTC) for seconds in (1, 2.5, 3))
    assert page.secrets == (
        SecretDescription("db/password", ARN, "d", created_at=created, changed_at=changed, deleted_at=deleted),
        SecretDescription("b", ARN.replace("db/password", "b")),
    )
    assert page.next_token == "next"


@pytest.mark.parametrize("more", [{}, {"NextToken": None}, {"NextToken": ""}])
def test_a_page_without_a_token_is_the_last(more: Any) -> None:
    assert answer_readers.page(encoded({"SecretList": [], **more})) == SecretPage((), None)


NOT_OBJECTS = [
    b"",
    b"<html>canary</html>",
    b'{"SecretString":"cana',
    b"[]",
    b'"canary"',
    b"null",
    b"[" * 100_000,
    b"\xff",
]


@pytest.mark.parametrize(
    "body",
    [
        *NOT_OBJECTS,
        *(encoded({**SECRET, member: wrong}) for member in ("Name", "ARN", "VersionId") for wrong in (None, 7)),
        *(encoded({**SECRET, "CreatedDate": wrong}) for wrong in (None, "canary", True, 1e300, float("nan"), [1])),
        *(encoded({**SECRET, "VersionStages": wrong}) for wrong in ("canary", [7], {"a": 1})),
        *(encoded({**SECRET, "SecretString": wrong}) for wrong in (None, "", 7, ["canary"], "x" * 65_537, "\ud800")),
        *(
            encoded({**SECRET, "SecretString": None, "SecretBinary": wrong})
            for wrong in (None, "", "canary!", "can", 7, "cänary")
        ),
    ],
    ids=lambda body: repr(body[:40]),
)
def test_a_misshapen_secret_is_a_typed_error_that_quotes_nothing(body: bytes) -> None:
    with pytest.raises(errors.InvalidAnswer) as caught:
        answer_readers.secret(body, "request-7")

    assert (caught.value.status, caught.value.request_id) == (200, "request-7")
    assert caught.value.__context__ is None
    assert "canary" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "body",
    [
        *NOT_OBJECTS,
        b"{}",
        encoded({"SecretList": None}),
        encoded({"SecretList": {}}),
        encoded({"SecretList": ["canary"]}),
        encoded({"SecretList": [{"Name": "a"}]}),
        encoded({"SecretList": [{"Name": "a", "ARN": "b", "CreatedDate": "yesterday"}]}),
        encoded({"SecretList": [{"Name": "a", "ARN": "b", "Description": 7}]}),
        encoded({"SecretList": [], "NextToken": 7}),
    ],
    ids=lambda body: repr(body[:40]),
)
def test_a_misshapen_page_is_a_typed_error(body: bytes) -> None:
    with pytest.raises(errors.InvalidAnswer):
        answer_readers.page(body)
