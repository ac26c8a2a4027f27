"""Requests and answers of Secrets Manager, and what its errors, and things that are none, mean to us."""

import json
import traceback
from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from secrets_actor.backends.aws import protocol
from secrets_actor.backends.aws.failures import THROTTLING_CODES, error_for, request_id
from secrets_actor.backends.aws.protocol import Call
from secrets_actor.domain import errors
from secrets_actor.domain.operations import Delete, Get, List, Restore, Set
from secrets_actor.domain.secret import SecretInfo, SecretValue

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
GET = protocol.get_call(Get("db/password"))


def body_of(call: Call) -> Any:
    return json.loads(call.body)


def encoded(content: Any) -> bytes:
    return json.dumps(content).encode()


# --- requests -----------------------------------------------------------------------------------------------------

REQUESTS = [
    (protocol.get_call(Get("db/p")), "GetSecretValue", {"SecretId": "db/p", "VersionStage": "AWSCURRENT"}),
    (protocol.get_call(Get("db/p", stage="mine")), "GetSecretValue", {"SecretId": "db/p", "VersionStage": "mine"}),
    (protocol.get_call(Get("db/p", version_id=TOKEN)), "GetSecretValue", {"SecretId": "db/p", "VersionId": TOKEN}),
    (
        protocol.get_call(Get("db/p", TOKEN, "mine")),
        "GetSecretValue",
        {"SecretId": "db/p", "VersionId": TOKEN, "VersionStage": "mine"},
    ),
    (
        protocol.create_call(Set("db/p", SecretValue("pä$$")), TOKEN),
        "CreateSecret",
        {"Name": "db/p", "ClientRequestToken": TOKEN, "SecretString": "pä$$"},
    ),
    (
        protocol.create_call(Set("db/p", SecretValue(b"\x00\xff"), description="why"), TOKEN),
        "CreateSecret",
        {"Name": "db/p", "ClientRequestToken": TOKEN, "SecretBinary": "AP8=", "Description": "why"},
    ),
    (
        protocol.update_call(Set(ARN, SecretValue("x")), TOKEN),
        "UpdateSecret",
        {"SecretId": ARN, "ClientRequestToken": TOKEN, "SecretString": "x"},
    ),
    (protocol.delete_call(Delete("db/p"), 30), "DeleteSecret", {"SecretId": "db/p", "RecoveryWindowInDays": 30}),
    (
        protocol.delete_call(Delete("db/p", recovery_window=7), 30),
        "DeleteSecret",
        {"SecretId": "db/p", "RecoveryWindowInDays": 7},
    ),
    (
        protocol.delete_call(Delete("db/p", force=True), 30),
        "DeleteSecret",
        {"SecretId": "db/p", "ForceDeleteWithoutRecovery": True},
    ),
    (protocol.restore_call(Restore("db/p")), "RestoreSecret", {"SecretId": "db/p"}),
    (protocol.list_call(List(), None), "ListSecrets", {"MaxResults": 100}),
    (
        protocol.list_call(List(include_deleted=True, page_size=7), "next"),
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
    assert "hunter2" not in repr(protocol.create_call(Set("db/p", SecretValue("hunter2")), TOKEN))


# --- answers ------------------------------------------------------------------------------------------------------


def test_a_text_secret_is_read() -> None:
    secret = protocol.secret(encoded(SECRET))

    assert secret.reveal() == "hunter2"
    assert (secret.name, secret.arn, secret.version_id) == ("db/password", ARN, TOKEN)
    assert (secret.stages, secret.created_at) == (("AWSCURRENT",), WHEN)


def test_a_binary_secret_is_read() -> None:
    answer = {**SECRET, "SecretString": None, "SecretBinary": "AP8=", "VersionStages": None}

    secret = protocol.secret(encoded(answer))

    assert (secret.reveal(), secret.stages) == (b"\x00\xff", ())


def test_receipts_are_read() -> None:
    answer = encoded({**SECRET, "DeletionDate": WHEN.timestamp()})

    made = protocol.set_receipt(answer, created=True)
    deleted, restored = protocol.delete_receipt(answer), protocol.restore_receipt(answer)

    assert (made.name, made.arn, made.version_id, made.created) == ("db/password", ARN, TOKEN, True)
    assert (deleted.name, deleted.arn, deleted.deletion_date) == ("db/password", ARN, WHEN)
    assert (restored.name, restored.arn) == ("db/password", ARN)


def test_a_page_is_read() -> None:
    full = {
        "Name": "a",
        "ARN": ARN,
        "Description": "d",
        "CreatedDate": 1,
        "LastChangedDate": 2.5,
        "DeletedDate": 3,
        "LastAccessedDate": None,
    }

    page = protocol.page(encoded({"SecretList": [full, {"Name": "b", "ARN": ARN}], "NextToken": "next"}))

    times = [datetime.fromtimestamp(seconds, UTC) for seconds in (1, 2.5, 3)]
    assert page.infos == (SecretInfo("a", ARN, "d", *times), SecretInfo("b", ARN))
    assert page.next_token == "next"


@pytest.mark.parametrize("more", [{}, {"NextToken": None}, {"NextToken": ""}])
def test_a_page_without_a_token_is_the_last(more: Any) -> None:
    assert protocol.page(encoded({"SecretList": [], **more})) == protocol.Page((), None)


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
        protocol.secret(body, "request-7")

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
        protocol.page(body)


# --- errors -------------------------------------------------------------------------------------------------------

CODES = [
    ("ResourceNotFoundException", errors.SecretNotFound),
    ("ResourceExistsException", errors.SecretExists),
    ("InvalidParameterException", errors.InvalidRequest),
    ("InvalidNextTokenException", errors.InvalidRequest),
    ("ValidationException", errors.InvalidRequest),
    ("EncryptionFailure", errors.InvalidRequest),
    ("DecryptionFailure", errors.DecryptionFailed),
    ("LimitExceededException", errors.LimitExceeded),
    ("AccessDeniedException", errors.AccessDenied),
    ("InvalidSignatureException", errors.InvalidSignature),
    ("SignatureDoesNotMatch", errors.InvalidSignature),
    ("RequestExpired", errors.InvalidSignature),
    ("UnrecognizedClientException", errors.UnrecognizedClient),
    ("InvalidClientTokenId", errors.UnrecognizedClient),
    ("MissingAuthenticationTokenException", errors.UnrecognizedClient),
    ("ExpiredTokenException", errors.ExpiredToken),
    ("InternalServiceError", errors.StoreFailure),
    ("RequestTimeoutException", errors.StoreFailure),
    *((code, errors.Throttled) for code in sorted(THROTTLING_CODES)),
    ("SomethingNewException", errors.StoreError),
]


@pytest.mark.parametrize("spelling", ["{}", "com.amazonaws.secretsmanager#{}", "{}:http://internal.amazon.com/"])
@pytest.mark.parametrize("text", ["message", "Message"])
@pytest.mark.parametrize(("code", "expected"), CODES)
def test_a_code_of_aws_becomes_its_class_and_its_text_is_dropped(
    code: str, expected: type[errors.StoreError], text: str, spelling: str
) -> None:
    body = encoded({"__type": spelling.format(code), text: "canary"})

    error = error_for(GET, 400, {"x-amzn-requestid": "abc-123"}, body)

    assert type(error) is expected
    assert (error.aws_code, error.status, error.request_id) == (code, 400, "abc-123")
    assert "canary" not in str(error)
    assert "{" not in str(error)
    assert "\n" not in str(error)


def test_every_error_that_the_model_names_for_our_calls_has_a_class_of_its_own() -> None:
    for action in ("GetSecretValue", "CreateSecret", "UpdateSecret", "DeleteSecret", "RestoreSecret", "ListSecrets"):
        for shape in MODEL.operation_model(action).error_shapes:
            error = error_for(Call(action, b""), 400, {}, encoded({"__type": shape.name}))
            known = type(error) is not errors.StoreError
            assert known or shape.name in {"MalformedPolicyDocumentException", "PreconditionNotMetException"}, (
                shape.name
            )


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (GET, errors.SecretDeleted),
        (protocol.get_call(Get("a", version_id=TOKEN)), errors.SecretDeleted),
        (protocol.get_call(Get("a", TOKEN, "AWSPREVIOUS")), errors.InvalidRequest),
        (protocol.create_call(Set("a", SecretValue("x")), TOKEN), errors.SecretDeleted),
        (protocol.update_call(Set("a", SecretValue("x")), TOKEN), errors.SecretDeleted),
        (protocol.delete_call(Delete("a"), 30), errors.InvalidRequest),
        (protocol.restore_call(Restore("a")), errors.InvalidRequest),
        (protocol.list_call(List(), None), errors.InvalidRequest),
    ],
)
def test_an_invalid_request_means_deleted_where_it_can_mean_nothing_else(
    call: Call, expected: type[errors.StoreError]
) -> None:
    error = error_for(call, 400, {}, encoded({"__type": "InvalidRequestException", "Message": "whatever"}))

    assert type(error) is expected
    assert isinstance(error, errors.InvalidRequest)


def test_a_missing_permission_is_named() -> None:
    error = error_for(GET, 400, {}, encoded({"__type": "AccessDeniedException"}))

    assert "secretsmanager:GetSecretValue" in str(error)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (500, b"<html>canary</html>", errors.StoreFailure),
        (503, b"", errors.StoreFailure),
        (500, encoded({"__type": "NeverHeardOfException"}), errors.StoreFailure),
        (429, b"<html>canary</html>", errors.Throttled),
        (403, b"<html>canary</html>", errors.InvalidAnswer),
        (302, b"", errors.InvalidAnswer),
        (400, b'{"__type": "Acce', errors.InvalidAnswer),
        (400, encoded({"__type": 7}), errors.InvalidAnswer),
        (400, encoded({"__type": "canary"}), errors.InvalidAnswer),
        (400, encoded({"__type": "Canary canary Exception"}), errors.InvalidAnswer),
        (400, encoded({}), errors.InvalidAnswer),
    ],
)
def test_what_is_no_error_of_the_api_is_told_by_its_status_alone(
    status: int, body: bytes, expected: type[errors.StoreError]
) -> None:
    error = error_for(GET, status, {}, body)

    assert type(error) is expected
    assert error.status == status
    assert "canary" not in f"{error} {error.__dict__}".lower()


@pytest.mark.parametrize("found", ["", "a b", "x" * 65, "canary<script>"])
def test_what_does_not_look_like_a_request_id_is_dropped(found: str) -> None:
    assert request_id({"x-amzn-requestid": found}) is None
    assert request_id({}) is None
