"""Requests and answers, there and back: by our codec, and against botocore's serializer and parser."""

import base64
import json
from typing import Any, Final

import msgspec
import pytest
from botocore.parsers import JSONParser
from botocore.serialize import JSONSerializer
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.aws_json import answers, codec, fields, requests
from secrets_actor.aws_json.operations import OPERATIONS
from tests.aws_json.model import MODEL, OPERATION_NAMES, shape_of, values

# What AWS always says, by the model's name of the structure: see answers.py.
NAMED: Final = frozenset({"ARN", "Name"})
ALWAYS: Final = {
    **{
        f"{name}Response": frozenset(one.encode_name for one in msgspec.structs.fields(shapes.answer) if one.required)
        for name, shapes in OPERATIONS.items()
    },
    "SecretValueEntry": NAMED | {"VersionId", "CreatedDate"},
    "APIErrorType": frozenset({"SecretId", "ErrorCode"}),
    "Tag": frozenset({"Key"}),
    "ExternalSecretRotationMetadataItem": frozenset({"Key"}),
    "ReplicationStatusType": frozenset({"Region"}),
    "SecretListEntry": NAMED,
    "SecretVersionsListEntry": frozenset({"VersionId"}),
}
CANARY: Final = "canary-in-a-request"


def asked(data: st.DataObject, name: str) -> Any:
    """Parameters as a caller gives them to botocore."""
    return data.draw(values(shape_of(name, "in"), {}))


def answered(data: st.DataObject, name: str) -> Any:
    """An answer as botocore gives it to its caller."""
    shape = shape_of(name, "out")
    found = {} if shape is None else data.draw(values(shape, ALWAYS))
    if name == "BatchGetSecretValue":
        found.setdefault("SecretValues", [])
    return found


def written(name: str, given: Any, way: str) -> bytes:
    """*given* as botocore writes it. It writes requests only; an answer is written as if it were one."""
    model = MODEL.operation_model(name)
    serializer = JSONSerializer()
    if way == "in":
        return bytes(serializer.serialize_to_request(given, model)["body"])
    body: dict[str, Any] = {}
    serializer._serialize(body, given, shape_of(name, "out"))
    return json.dumps(body).encode()


def parsed(name: str, body: bytes) -> Any:
    """*body* as botocore reads it."""
    found = JSONParser().parse({"body": body, "headers": {}, "status_code": 200}, shape_of(name, "out"))
    del found["ResponseMetadata"]
    return found


@pytest.mark.parametrize("name", OPERATION_NAMES)
@given(data=st.data())
def test_a_request_of_botocores_is_read_and_written_as_it_was(name: str, data: st.DataObject) -> None:
    body = written(name, asked(data, name), "in")

    found = codec.decode_request(name, body)

    assert type(found) is OPERATIONS[name].request
    assert json.loads(codec.encode_request(found)) == json.loads(body)
    assert codec.decode_request(name, codec.encode_request(found)) == found


@pytest.mark.parametrize("name", [name for name in OPERATION_NAMES if shape_of(name, "out") is not None])
@given(data=st.data())
def test_an_answer_of_ours_is_what_botocore_reads(name: str, data: st.DataObject) -> None:
    told = answered(data, name)

    found = codec.decode_answer(name, written(name, told, "out"))

    assert type(found) is OPERATIONS[name].answer
    assert parsed(name, codec.encode_answer(found)) == told
    assert codec.decode_answer(name, codec.encode_answer(found)) == found
    alone = codec.decode_answer(name, codec.encode_answer(found), alone=True)
    assert codec.encode_answer(alone) == codec.encode_answer(found)
    assert not codec.is_foreign(name, codec.encode_answer(found))


@pytest.mark.parametrize("name", ["TagResource", "UntagResource"])
@pytest.mark.parametrize("body", [b"", b"{}"])
def test_an_answer_without_members_is_read(name: str, body: bytes) -> None:
    found = codec.decode_answer(name, body)

    assert codec.encode_answer(found) == b"{}"
    assert not codec.is_foreign(name, body)
    with pytest.raises(codec.AnswerUnreadable):
        codec.decode_answer(name, b'{"Anything": 1}')


def test_a_moment_keeps_its_fraction() -> None:
    ended = answers.DeleteSecretAnswer(ARN="a", Name="a", DeletionDate=1769534789.046)

    assert codec.decode_answer("DeleteSecret", codec.encode_answer(ended)) == ended
    assert json.loads(codec.encode_answer(ended))["DeletionDate"] == 1769534789.046


def test_an_empty_request_and_one_with_null_and_unknown_members_are_read() -> None:
    assert codec.decode_request("ListSecrets", b"") == requests.ListSecretsRequest()
    assert (
        codec.decode_request("ListSecrets", b'{"MaxResults": null, "Tomorrow": [1]}') == requests.ListSecretsRequest()
    )


# --- requests that are refused ----------------------------------------------------------------------------------------

CREATE: Final[dict[str, Any]] = {"Name": "a"}
REFUSED: Final[list[tuple[str, Any, str, str]]] = [
    ("CreateSecret", {}, "name", "Member must not be null"),
    ("CreateSecret", {"Name": None}, "name", "Member must not be null"),
    ("CreateSecret", {"Name": ""}, "name", "Member must have length greater than or equal to 1"),
    ("CreateSecret", {"Name": CANARY * 30}, "name", "Member must have length less than or equal to 512"),
    (
        "CreateSecret",
        CREATE | {"SecretString": ""},
        "secretString",
        "Member must have length greater than or equal to 1",
    ),
    (
        "CreateSecret",
        CREATE | {"SecretString": CANARY * 4000},
        "secretString",
        "Member must have length less than or equal to 65536",
    ),
    (
        "CreateSecret",
        CREATE | {"SecretString": "\u00e9" * 40_000},  # in UTF-8 it is longer
        "secretString",
        "Member must have length less than or equal to 65536",
    ),
    (
        "CreateSecret",
        CREATE | {"Tags": [{}, {"Key": ""}]},
        "tags.2.member.key",
        "Member must have length greater than or equal to 1",
    ),
    (
        "PutSecretValue",
        {"SecretId": "a", "RotationToken": f"{CANARY}_{CANARY}"},
        "rotationToken",
        r"Member must satisfy regular expression pattern: ^[a-zA-Z0-9\-]+\Z",
    ),
    ("ListSecrets", {"MaxResults": 0}, "maxResults", "Member must have value greater than or equal to 1"),
    ("ListSecrets", {"MaxResults": 101}, "maxResults", "Member must have value less than or equal to 100"),
    ("ListSecrets", {"SortOrder": CANARY}, "sortOrder", "Member must satisfy enum value set: [asc, desc]"),
    (
        "ListSecrets",
        {"Filters": [{"Key": f"{CANARY}\n' - at `$.Name`"}]},
        "filters.1.member.key",
        "Member must satisfy enum value set: "
        "[description, name, tag-key, tag-value, primary-region, owning-service, all]",
    ),
    ("UntagResource", {"SecretId": "a", "TagKeys": [None]}, "tagKeys.1.member", "Member must not be null"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "given", "member", "constraint"), REFUSED)
def test_a_limit_that_is_broken_is_told_in_awss_words_and_the_value_is_not(
    name: str, given: Any, member: str, constraint: str
) -> None:
    refused = refusal(name, json.dumps(given).encode())

    assert refused.code == "ValidationException"
    assert refused.message == (
        f"1 validation error detected: Value at '{member}' failed to satisfy constraint: {constraint}"
    )


@pytest.mark.parametrize(
    ("name", "given", "member"),
    [
        ("CreateSecret", {"Name": 7}, "name"),
        ("CreateSecret", CREATE | {"SecretString": 7}, "secretString"),
        ("CreateSecret", CREATE | {"SecretString": [CANARY]}, "secretString"),
        ("CreateSecret", CREATE | {"SecretBinary": CANARY}, "secretBinary"),
        ("CreateSecret", CREATE | {"Tags": {"Key": CANARY}}, "tags"),
        ("CreateSecret", CREATE | {"Tags": [CANARY]}, "tags.1.member"),
        ("CreateSecret", CREATE | {"ForceOverwriteReplicaSecret": 1}, "forceOverwriteReplicaSecret"),
        ("ListSecrets", {"MaxResults": 1.5}, "maxResults"),
        ("DeleteSecret", {"SecretId": "a", "RecoveryWindowInDays": "7"}, "recoveryWindowInDays"),
    ],
)
def test_a_member_of_another_type_is_no_request(name: str, given: Any, member: str) -> None:
    refused = refusal(name, json.dumps(given).encode())

    assert (refused.code, refused.message) == ("SerializationException", f"The member '{member}' is not of its type.")


@pytest.mark.parametrize(
    "body", [b"[]", b"null", b'"canary"', b"{", b'{"Name":"\xff"}', b'{"Name":"\\ud800"}', b"[" * 5000, b'{"a":' * 501]
)
def test_what_is_no_json_object_is_no_request(body: bytes) -> None:
    assert refusal("CreateSecret", body).code == "SerializationException"


def test_what_is_nested_too_deeply_is_refused_before_a_parser_goes_down_there() -> None:
    """msgspec reads as much as this, and goes down the stack for it; a thread may have a small one."""
    body = b'{"Name":"a","ARN":"a","Tomorrow":' + b"[" * 600 + b"]" * 600 + b"}"

    assert refusal("ListSecrets", body).code == "SerializationException"
    assert codec.members_in(body) is None
    with pytest.raises(codec.AnswerUnreadable):
        codec.decode_answer("RestoreSecret", body)


def test_a_request_that_is_too_large_is_refused() -> None:
    largest = b" " * (codec.MAX_REQUEST_BYTES - 2) + b"{}"

    assert codec.decode_request("ListSecrets", largest) == requests.ListSecretsRequest()
    assert refusal("ListSecrets", b" " + largest).code == "RequestEntityTooLargeException"


def refusal(name: str, body: bytes) -> codec.RequestRefused:
    with pytest.raises(codec.RequestRefused) as caught:
        codec.decode_request(name, body)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert CANARY not in str(caught.value)
    return caught.value


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(data=st.data(), name=st.sampled_from(OPERATION_NAMES), odd=JSON)
def test_whatever_a_member_is_a_request_is_read_or_refused(data: st.DataObject, name: str, odd: Any) -> None:
    members = OPERATIONS[name].request.__struct_fields__
    body = json.dumps(dict.fromkeys(data.draw(st.sets(st.sampled_from(members), min_size=1)), odd)).encode()

    try:
        codec.decode_request(name, body)
    except codec.RequestRefused as error:
        refused = error.code
    else:
        refused = "ValidationException"
    assert refused in ("ValidationException", "SerializationException")


# --- answers that cannot be read --------------------------------------------------------------------------------------

VALUE: Final = {
    "Name": "a",
    "ARN": "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf",
    "VersionId": "v",
    "CreatedDate": 1,
    "SecretString": "s",
}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"a":NaN}',
        b"[" * 5000,
        *(
            json.dumps(VALUE | wrong).encode()
            for wrong in (
                {"Name": None},
                {"Name": "x" * 513},
                {"ARN": 7},
                {"VersionId": ""},
                {"VersionId": "x" * 65},
                {"VersionStages": ["s"] * 21},
                {"VersionStages": ["s" * 257]},
                {"CreatedDate": True},
                {"CreatedDate": 253402300800},
                {"CreatedDate": float("nan")},
                {"SecretString": ""},
                {"SecretString": "\ud800"},
                {"SecretBinary": "canary!"},
            )
        ),
    ],
)
def test_an_answer_that_is_none_of_awss_is_refused_and_not_quoted(body: bytes) -> None:
    with pytest.raises(codec.AnswerUnreadable) as caught:
        codec.decode_answer("GetSecretValue", body)

    assert (caught.value.args, caught.value.__cause__, caught.value.__context__) == ((), None, None)


def test_a_binary_value_is_base64() -> None:
    told = VALUE | {"SecretString": None, "SecretBinary": "AP8="}

    found = codec.decode_answer("GetSecretValue", json.dumps(told).encode())

    assert isinstance(found, answers.GetSecretValueAnswer)
    assert found.SecretBinary is not None
    assert found.SecretBinary.reveal() == b"\x00\xff"
    assert json.loads(codec.encode_answer(found))["SecretBinary"] == base64.b64encode(b"\x00\xff").decode()


def test_an_entry_of_a_batch_that_cannot_be_read_does_not_spoil_the_others() -> None:
    refused = {"SecretId": "b", "ErrorCode": "AccessDeniedException", "Message": CANARY}
    body = {
        "SecretValues": [VALUE, None, VALUE | {"SecretString": ""}, {"Name": "a"}],
        "Errors": [7, refused],
        "NextToken": "n",
    }

    found = codec.decode_answer("BatchGetSecretValue", json.dumps(body).encode())

    assert isinstance(found, answers.BatchGetSecretValueAnswer)
    assert found.SecretValues is not None
    assert [entry.Name for entry in found.SecretValues] == ["a"]
    assert [entry.SecretId for entry in found.Errors or ()] == ["b"]
    assert found.NextToken == "n"


@pytest.mark.parametrize("body", [b"{}", b'{"SecretValues": 7}', b'{"Errors": {}}', b'{"NextToken": 7}', b"[]"])
def test_a_batch_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(codec.AnswerUnreadable):
        codec.decode_answer("BatchGetSecretValue", body)


@pytest.mark.parametrize("told", [None, 1, "s", [1], {"a": {}}])
def test_a_member_of_anothers_answer_is_found_whatever_it_is(told: Any) -> None:
    foreign = json.dumps({"Name": "a", "ARN": "a", "SecretString": told}).encode()
    new = json.dumps({"Name": "a", "ARN": "a", "Tomorrow": told}).encode()

    assert codec.is_foreign("RestoreSecret", foreign)
    assert not codec.is_foreign("RestoreSecret", new)
    assert codec.decode_answer("RestoreSecret", foreign) == codec.decode_answer("RestoreSecret", new)
    assert isinstance(codec.decode_answer("RestoreSecret", new, alone=True), answers.RestoreSecretAnswer)
    with pytest.raises(codec.AnswerUnreadable):
        codec.decode_answer("RestoreSecret", foreign, alone=True)
    assert not codec.is_foreign("MakeCoffee", json.dumps({"SecretString": told}).encode())


@pytest.mark.parametrize(
    ("body", "members"),
    [(b'{"a": [1]}', {"a": [1]}), (b"[]", None), (b"", None), (b'{"a": NaN}', None), (b"[" * 5000, None)],
)
def test_the_members_of_an_object(body: bytes, members: Any) -> None:
    assert codec.members_in(body) == members


def test_what_is_no_member_is_not_written() -> None:
    wrong: Any = object()
    for request in (
        requests.PutSecretValueRequest(SecretId=wrong),
        requests.PutSecretValueRequest(SecretId="a", SecretString=fields.SecretString(b"bytes")),
        requests.PutSecretValueRequest(SecretId="a", SecretBinary=fields.SecretBinary("text")),
    ):
        with pytest.raises(TypeError):
            codec.encode_request(request)
