"""What AWS's error answers, and things that are none, mean to us."""

import json
import re
from typing import Any

import botocore.session
import pytest
from botocore.model import ServiceModel

from secrets_actor.backends.aws import request_builders
from secrets_actor.backends.aws.error_codes import error_for, refusal, request_id
from secrets_actor.backends.aws.protocol import Call
from secrets_actor.backends.aws.retry import THROTTLING_CODES
from secrets_actor.domain import errors
from secrets_actor.domain.operations import Delete, Get, List, Put, PutPolicy, Restore, Rotate, Set, Update
from secrets_actor.domain.secret import SecretValue

MODEL = ServiceModel(
    botocore.session.get_session().get_component("data_loader").load_service_model("secretsmanager", "service-2")
)
TOKEN = "0b8e9a34-6f0d-4a8e-9d5e-1d5b6a1f0c11"
ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:"
GET = request_builders.get_call(Get("db/password"))


def encoded(content: Any) -> bytes:
    return json.dumps(content).encode()


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
    ("NotAuthorized", errors.AccessDenied),
    ("OptInRequired", errors.AccessDenied),
    ("RequestEntityTooLarge", errors.InvalidRequest),
    ("RequestEntityTooLargeException", errors.InvalidRequest),
    ("ValidationError", errors.InvalidRequest),
    ("MalformedHttpRequestException", errors.InvalidRequest),
    ("SerializationException", errors.InvalidRequest),
    ("UnknownOperationException", errors.InvalidRequest),
    ("InvalidAction", errors.InvalidRequest),
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


@pytest.mark.parametrize(
    ("body", "header"),
    [
        (encoded({"code": "AccessDeniedException"}), None),
        (encoded({"__type": 7, "code": "aws#AccessDeniedException"}), "ThrottlingException"),
        (b"", "AccessDeniedException"),
        (b"<html>", "AccessDeniedException:http://internal.amazon.com/"),
        (encoded({"__type": "canary", "code": 403}), "AccessDeniedException"),
        (encoded([]), "AccessDeniedException"),
    ],
)
def test_a_code_is_found_where_awss_front_door_puts_it(body: bytes, header: str | None) -> None:
    headers = {} if header is None else {"x-amzn-errortype": header}

    error = error_for(GET, 403, headers, body)

    assert (type(error), error.aws_code, error.retryable) == (errors.AccessDenied, "AccessDeniedException", False)


def test_every_error_that_the_model_names_for_our_calls_has_a_class_of_its_own() -> None:
    for action in MODEL.operation_names:
        for shape in MODEL.operation_model(action).error_shapes:
            error = error_for(Call(action, b""), 400, {}, encoded({"__type": shape.name}))
            assert type(error) is not errors.StoreError, shape.name


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (GET, errors.SecretDeleted),
        (request_builders.get_call(Get("a", version_id=TOKEN)), errors.SecretDeleted),
        (request_builders.get_call(Get("a", TOKEN, "AWSPREVIOUS")), errors.InvalidRequest),
        (request_builders.create_call(Set("a", SecretValue("x")), TOKEN), errors.SecretDeleted),
        (request_builders.update_call(Set("a", SecretValue("x")), TOKEN), errors.SecretDeleted),
        (request_builders.get_call(Get("rds!db-1")), errors.InvalidRequest),
        (request_builders.get_call(Get(f"{ARN}rds!db-1-AbCdEf")), errors.InvalidRequest),
        (request_builders.put_call("rds!db-1", SecretValue("x"), TOKEN), errors.InvalidRequest),
        (request_builders.update_call(Update("rds!db-1", "x"), TOKEN), errors.InvalidRequest),
        (request_builders.delete_call(Delete("a"), 30), errors.InvalidRequest),
        (request_builders.restore_call(Restore("a")), errors.InvalidRequest),
        (request_builders.list_call(List(), None), errors.InvalidRequest),
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
    assert "of the endpoint and of the organisation" in str(error)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (GET, {"kms:Decrypt"}),
        (request_builders.put_call("a", SecretValue("v"), TOKEN), {"kms:Decrypt", "kms:GenerateDataKey"}),
        (request_builders.create_call(Set("a", "v"), TOKEN), {"kms:Decrypt", "kms:GenerateDataKey"}),
        (request_builders.delete_call(Delete("a"), 30), set()),
    ],
)
def test_a_denial_that_may_be_the_kms_keys_says_so(call: Call, told: set[str]) -> None:
    error = error_for(call, 400, {}, encoded({"__type": "AccessDeniedException"}))

    assert set(re.findall(r"kms:\w+", str(error))) == told


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
    assert error.retryable is (status >= 500 or status == 429)
    assert "canary" not in f"{error} {error.__dict__}".lower()


@pytest.mark.parametrize("found", ["", "a b", "x" * 65, "canary<script>"])
def test_what_does_not_look_like_a_request_id_is_dropped(found: str) -> None:
    assert request_id({"x-amzn-requestid": found}) is None
    assert request_id({}) is None


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("MalformedPolicyDocumentException", "have it validated"),
        ("PublicPolicyException", "lets everybody in"),
        ("PreconditionNotMetException", "PutResourcePolicy yet"),
    ],
)
def test_what_is_wrong_with_a_policy_is_told(code: str, told: str) -> None:
    error = error_for(request_builders.put_policy_call(PutPolicy("a", "{}")), 400, {}, encoded({"__type": code}))

    assert (type(error), error.aws_code) == (errors.InvalidRequest, code)
    assert told in str(error)


def test_each_action_that_a_state_may_hinder_says_what_to_look_at() -> None:
    refused = encoded({"__type": "InvalidRequestException"})

    error = error_for(request_builders.rotate_call(Rotate("a"), TOKEN), 400, {}, refused)

    assert type(error) is errors.InvalidRequest
    assert "rotation function" in str(error)
    for call in (
        request_builders.put_call("a", Put("a", "v").value, TOKEN),
        request_builders.update_call(Update("a", "v"), TOKEN),
    ):
        assert type(error_for(call, 400, {}, refused)) is errors.SecretDeleted


@pytest.mark.parametrize(
    ("code", "expected", "kept"),
    [
        ("ResourceNotFoundException", errors.SecretNotFound, "ResourceNotFoundException"),
        ("com.amazonaws#DecryptionFailure", errors.DecryptionFailed, "DecryptionFailure"),
        ("InvalidRequestException", errors.SecretDeleted, "InvalidRequestException"),
        ("NeverHeardOfException", errors.StoreError, "NeverHeardOfException"),
        ("canary", errors.StoreError, None),
        ("", errors.StoreError, None),
    ],
)
def test_one_secret_of_many_is_refused_by_awss_code(code: str, expected: type, kept: str | None) -> None:
    error = refusal("GetSecretValue", code, "r-1", deleted_if_invalid=True)

    assert (type(error), error.aws_code, error.request_id) == (expected, kept, "r-1")
    assert "canary" not in str(error)
    if code == "InvalidRequestException":
        assert type(refusal("GetSecretValue", code, None, deleted_if_invalid=False)) is errors.InvalidRequest


@pytest.mark.parametrize(
    ("status", "may_help"), [(500, True), (502, True), (503, True), (504, True), (501, False), (505, False)]
)
def test_another_try_is_promised_only_where_it_may_help(status: int, may_help: bool) -> None:
    for body in (b"", encoded({"__type": "NeverHeardOfException"})):
        error = error_for(GET, status, {}, body)

        assert error.retryable is may_help
        assert ("try again" in str(error)) is may_help
