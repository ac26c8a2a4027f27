"""AWS's service model, as botocore has it, judges the AWS face.

Every answer is parsed by botocore's own parser, and held member by member against the shape that the model gives for
it; every request that the model forbids is refused with status 400.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
from botocore.model import Shape
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.faces.aws_api import CONTENT_TYPE
from secrets_actor.faces.exchange import Response
from secrets_actor.testing import fake_system
from tests.aws_json.model import MODEL, OPERATION_NAMES, shape_of, values
from tests.faces.asking import UNIX, request
from tests.faces.aws_rig import Rig, aws_face

PARSER: Final = create_parser("json")
SERIALIZER: Final = create_serializer("json", include_validation=False)
TOKEN: Final = "0b8e9a34-6f0d-4a8e-9d5e-1d5b6a1f0c11"
ERRORS: Final = frozenset(shape.name for shape in MODEL.error_shapes)
# What AWS's front door answers beside the errors of the model.
FRONT_DOOR: Final = frozenset({"ValidationException", "SerializationException", "AccessDeniedException"})
JSON_TYPES: Final = {
    "string": str,
    "blob": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "timestamp": float | int,
    "list": list,
    "map": dict,
    "structure": dict,
}
# Secrets that there are, of many kinds, so that an answer has as many members as may be.
PLAIN, EMPTY, GONE, OLD = "plain", "empty", "gone", "old"


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    """The face over a fake store with a secret of each kind."""
    with fake_system(ttl_seconds=0) as (system, _), aws_face(system) as found:
        yield found


def fill(rig: Rig) -> dict[str, str]:
    """Make the secrets of all kinds anew. Returns the ARN of each."""
    sm, arns = rig.client(), {}
    for name in (PLAIN, EMPTY, GONE, OLD):
        sm.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
        value = {} if name == EMPTY else {"SecretString": "one"}
        made = sm.create_secret(Name=name, Description="d", Tags=[{"Key": "k", "Value": "v"}], **value)
        arns[name] = made["ARN"]
    for number in range(3):
        sm.put_secret_value(SecretId=OLD, SecretBinary=bytes([number]))
    sm.delete_secret(SecretId=GONE)
    return arns


def ask(rig: Rig, operation: str, body: bytes) -> Response:
    headers = ("X-Amz-Target", f"secretsmanager.{operation}"), ("Content-Type", CONTENT_TYPE)
    return rig.ask(request("/", *headers, method="POST", body=body, peer=UNIX))


def faults(shape: Shape, told: Any, path: str) -> Iterator[str]:
    """What is wrong with *told*, a part of an answer's JSON, by the model's *shape*."""
    if not isinstance(told, JSON_TYPES[shape.type_name]) or (told is True and shape.type_name != "boolean"):
        yield f"{path}: {type(told).__name__} is no {shape.type_name}"
        return
    metadata = shape.metadata
    sized = isinstance(told, str | list | dict) and shape.type_name != "structure"
    if sized and not metadata.get("min", 0) <= len(told) <= metadata.get("max", 10**9):
        yield f"{path}: {len(told)} long"
    if metadata.get("pattern") and re.fullmatch(metadata["pattern"], told) is None:
        yield f"{path}: does not fit {metadata['pattern']}"
    if metadata.get("enum") and told not in metadata["enum"]:
        yield f"{path}: none of {metadata['enum']}"
    if shape.type_name == "structure":
        yield from [f"{path}: {name} is missing" for name in shape.required_members if name not in told]
        for name, member in told.items():
            if name in shape.members:
                yield from faults(shape.members[name], member, f"{path}.{name}")
            else:
                yield f"{path}.{name}: not in the model"
    for number, one in enumerate(told if shape.type_name == "list" else ()):
        yield from faults(shape.member, one, f"{path}[{number}]")
    for key, one in told.items() if shape.type_name == "map" else ():
        yield from faults(shape.key, key, f"{path} key")
        yield from faults(shape.value, one, f"{path}[{key}]")


def judged(operation: str, answer: Response) -> str | None:
    """Hold *answer* against the model. Returns its error code; None for success."""
    told, shape = json.loads(answer.body), shape_of(operation, "out")
    raw = {"status_code": answer.status, "headers": dict(answer.headers), "body": answer.body}
    parsed = PARSER.parse(raw, shape)
    assert parsed["ResponseMetadata"]["HTTPStatusCode"] == answer.status
    assert parsed["ResponseMetadata"]["RequestId"] == dict(answer.headers)["x-amzn-requestid"]
    if answer.status != 200:
        code: str = parsed["Error"]["Code"]
        assert answer.status == 400, told
        assert code in ERRORS | FRONT_DOOR
        assert set(told) <= {"__type", "Message" if code in ERRORS else "message"}
        assert parsed["Error"]["Message"]
        return code
    if shape is None:
        assert told == {}
    else:
        assert list(faults(shape, told, operation)) == []
        assert {name for name in parsed if name != "ResponseMetadata"} == set(told)
    return None


def written(operation: str, members: dict[str, Any]) -> bytes:
    """The request as botocore writes it."""
    body: str | bytes = SERIALIZER.serialize_to_request(members, MODEL.operation_model(operation))["body"]
    return body if isinstance(body, bytes) else body.encode()


# What is asked of each operation that succeeds with our own stores, with all members that these take.
GOOD: Final[list[tuple[str, dict[str, Any]]]] = [
    ("CreateSecret", {"Name": "new", "SecretBinary": b"\x00", "ClientRequestToken": TOKEN}),
    ("CreateSecret", {"Name": "new", "ClientRequestToken": TOKEN}),
    ("GetSecretValue", {"SecretId": PLAIN}),
    ("GetSecretValue", {"SecretId": OLD, "VersionStage": "AWSPREVIOUS"}),
    ("BatchGetSecretValue", {"SecretIdList": [PLAIN, EMPTY, GONE, OLD, "none"]}),
    ("BatchGetSecretValue", {"Filters": [{"Key": "all", "Values": ["d"]}], "MaxResults": 1}),
    ("DescribeSecret", {"SecretId": PLAIN}),
    ("DescribeSecret", {"SecretId": EMPTY}),
    ("DescribeSecret", {"SecretId": GONE}),
    ("DescribeSecret", {"SecretId": OLD}),
    ("ListSecrets", {"IncludePlannedDeletion": True}),
    ("ListSecrets", {"MaxResults": 1, "SortBy": "name", "SortOrder": "desc"}),
    ("ListSecretVersionIds", {"SecretId": OLD, "IncludeDeprecated": True}),
    ("ListSecretVersionIds", {"SecretId": OLD, "MaxResults": 1}),
    ("ListSecretVersionIds", {"SecretId": EMPTY}),
    ("PutSecretValue", {"SecretId": PLAIN, "SecretString": "x", "ClientRequestToken": TOKEN}),
    ("UpdateSecret", {"SecretId": PLAIN, "SecretString": "x", "ClientRequestToken": TOKEN}),
    ("UpdateSecret", {"SecretId": PLAIN, "Description": "", "ClientRequestToken": TOKEN}),
    ("DeleteSecret", {"SecretId": PLAIN, "RecoveryWindowInDays": 30}),
    ("DeleteSecret", {"SecretId": "none", "ForceDeleteWithoutRecovery": True}),
    ("RestoreSecret", {"SecretId": GONE}),
    ("TagResource", {"SecretId": PLAIN, "Tags": [{"Key": "a", "Value": "b"}]}),
    ("UntagResource", {"SecretId": PLAIN, "TagKeys": ["k"]}),
    ("GetRandomPassword", {"PasswordLength": 4096}),
    ("GetResourcePolicy", {"SecretId": PLAIN}),
    ("ListResourcePolicies", {"SecretId": PLAIN}),
]


@pytest.mark.parametrize(("operation", "members"), GOOD)
def test_an_answer_is_as_the_model_says(rig: Rig, operation: str, members: dict[str, Any]) -> None:
    rig.client().delete_secret(SecretId="new", ForceDeleteWithoutRecovery=True)
    fill(rig)

    assert judged(operation, ask(rig, operation, written(operation, members))) is None


@given(st.data())
@pytest.mark.parametrize("operation", OPERATION_NAMES)
def test_whatever_is_asked_the_answer_is_as_the_model_says(rig: Rig, operation: str, data: st.DataObject) -> None:
    shape = shape_of(operation, "in")
    assert shape is not None
    members = data.draw(values(shape, {}))
    if "SecretId" in members and data.draw(st.booleans()):
        members["SecretId"] = data.draw(st.sampled_from([PLAIN, EMPTY, GONE, OLD]))
        if members["SecretId"] not in {
            one["Name"] for one in rig.client().list_secrets(IncludePlannedDeletion=True)["SecretList"]
        }:
            fill(rig)
    if "ClientRequestToken" in shape.members and data.draw(st.booleans()):
        members["ClientRequestToken"] = str(data.draw(st.uuids()))

    judged(operation, ask(rig, operation, written(operation, members)))


# --- what the model forbids -------------------------------------------------------------------------------------------


def broken(shape: Shape) -> Iterator[tuple[str, Any]]:
    """JSON that the model forbids for *shape*, and why."""
    metadata, kind = shape.metadata, shape.type_name
    yield "a wrong type", {"string": 5, "blob": 5, "list": "x", "structure": [], "boolean": "x"}.get(kind, "x")
    if kind == "blob":
        yield "no base64", "?"
    if metadata.get("enum"):
        yield "no word of the enum", "none-of-these"
    if kind in ("string", "blob", "list"):
        one: Any = "a" if kind == "string" else "YQ==" if kind == "blob" else None
        if metadata.get("min", 0) > 0:
            yield "too short", [] if kind == "list" else ""
        # The service's text of a blob is base64, and longer than the bytes that the model counts.
        if metadata.get("max", 10**6) < 10**5:
            most = metadata["max"] + 1
            good = good_of(shape.member) if kind == "list" else None
            yield "too long", [good] * most if kind == "list" else one * most if kind == "string" else "YWFh" * most
    if kind in ("integer", "long"):
        yield from [("too small", metadata["min"] - 1)] if "min" in metadata else []
        yield from [("too large", metadata["max"] + 1)] if "max" in metadata else []
    if metadata.get("pattern"):
        yield "against the pattern", "\u00e9" * max(1, metadata.get("min", 1))
    if kind == "list":
        yield from [(f"a member with {why}", [bad]) for why, bad in broken(shape.member)]
    if kind == "structure":
        for name, member in shape.members.items():
            yield from [(f"{name} with {why}", {name: bad}) for why, bad in broken(member)]


def good_of(shape: Shape) -> Any:
    """JSON that the model allows for *shape*."""
    if shape.type_name == "structure":
        return {name: good_of(shape.members[name]) for name in shape.required_members}
    if shape.type_name == "list":
        return [good_of(shape.member)] * max(1, shape.metadata.get("min", 0))
    if shape.metadata.get("enum"):
        return shape.metadata["enum"][0]
    if shape.name == "RegionType":
        return "eu-central-1"
    least = max(1, shape.metadata.get("min", 1))
    return {"string": "a" * least, "blob": "YQ==", "boolean": True}.get(shape.type_name, least)


def forbidden() -> Iterator[tuple[str, str, Any]]:
    """Each operation with each way to break its model: (operation, what is wrong, members)."""
    for operation in OPERATION_NAMES:
        shape = shape_of(operation, "in")
        assert shape is not None
        good = good_of(shape)
        for name in shape.required_members:
            yield operation, f"no {name}", {other: value for other, value in good.items() if other != name}
            yield operation, f"{name} is null", good | {name: None}
        for name, member in shape.members.items():
            for why, bad in broken(member):
                yield operation, f"{name}: {why}", good | {name: bad}


FORBIDDEN: Final = list(forbidden())


def test_the_model_forbids_much() -> None:
    assert len(FORBIDDEN) > 250
    assert {operation for operation, *_ in FORBIDDEN} == set(OPERATION_NAMES)


@pytest.mark.parametrize("operation", OPERATION_NAMES)
def test_what_the_model_forbids_is_refused(rig: Rig, operation: str) -> None:
    for name, why, members in FORBIDDEN:
        if name == operation:
            answer = ask(rig, operation, json.dumps(members).encode())
            assert judged(operation, answer) in ("ValidationException", "SerializationException"), why
