"""Whatever stands in an answer: what is read of it is sound, or it is an `InvalidAnswer`; no worker ends over it."""

import contextlib
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor import SecretsError
from secrets_actor.backends.aws import answer_readers
from secrets_actor.backends.aws.question import Question
from secrets_actor.backends.aws.retry import RetryPolicy
from secrets_actor.domain import operations as ops
from secrets_actor.domain.errors import InvalidAnswer
from secrets_actor.domain.secret import Secret, block_of, secret_of_block
from tests.actor.rig import Watch, eventually, running, whole
from tests.actor.test_bad_server import system_at
from tests.backends.aws.one_get import failing, kit_of
from tests.servers.account import Keys
from tests.servers.behaviours import Connection
from tests.servers.faulty import FaultyServer

ARN: Final = "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf"
TOKEN: Final = "0b8e9a34-6f0d-4a8e-9d5e-1d5b6a1f0c11"
REPLICA: Final = "arn:aws:secretsmanager:us-east-1:210987654321:secret:b-AbCdEf"
NAMED: Final[dict[str, Any]] = {"Name": "a", "ARN": ARN}
WRITTEN: Final = NAMED | {"VersionId": TOKEN, "VersionStages": ["AWSCURRENT"]}
VALUE: Final = WRITTEN | {"CreatedDate": 1.5, "SecretString": "v"}
DESCRIBED: Final = NAMED | {
    "Description": "d",
    "KmsKeyId": "key",
    "RotationEnabled": True,
    "RotationLambdaARN": "arn:l",
    "RotationRules": {"AutomaticallyAfterDays": 3, "ScheduleExpression": "rate(3 days)", "Duration": "2h"},
    "LastRotatedDate": 1,
    "LastChangedDate": 2.5,
    "LastAccessedDate": 3,
    "DeletedDate": 4,
    "NextRotationDate": 5,
    "Tags": [{"Key": "k", "Value": "v"}],
    "OwningService": "rds",
    "CreatedDate": 6,
    "PrimaryRegion": "us-east-1",
    "VersionIdsToStages": {TOKEN: ["AWSCURRENT"]},
    "ReplicationStatus": [{"Region": "eu-central-1", "Status": "Failed", "StatusMessage": "w", "LastAccessedDate": 7}],
    "CrossAccountReplicas": [{"ReplicaSecretARN": REPLICA, "ReplicationStatus": "Failed", "ReplicationRoleARN": "r"}],
}
VERSION: Final = {"VersionId": TOKEN, "VersionStages": ["s"], "KmsKeyIds": ["k"]} | {
    "CreatedDate": 1,
    "LastAccessedDate": 2,
}
FINDING: Final = {"CheckName": "c", "ErrorMessage": "m"}
REFUSED: Final = {"SecretId": "b", "ErrorCode": "AccessDeniedException", "Message": "no"}

# Each operation, and an answer to it with all that may be in it.
ANSWERS: Final[list[tuple[ops.Operation[Any], dict[str, Any]]]] = [
    (ops.Get("a", refresh=True), VALUE),
    (ops.GetMany(["a", "b"]), {"SecretValues": [VALUE], "Errors": [REFUSED], "NextToken": ""}),
    (ops.Create("a", "v", TOKEN), WRITTEN),
    (ops.Put("a", "v", token=TOKEN), WRITTEN),
    (ops.Update("a", "v", token=TOKEN), WRITTEN),
    (ops.Set("a", "v", TOKEN), WRITTEN),
    (ops.Delete("a"), NAMED | {"DeletionDate": 1}),
    (ops.Restore("a"), NAMED),
    (ops.List(), {"SecretList": [DESCRIBED], "NextToken": ""}),
    (ops.ListPage(), {"SecretList": [DESCRIBED], "NextToken": "n"}),
    (ops.Describe("a"), DESCRIBED),
    (ops.ListVersions("a"), NAMED | {"Versions": [VERSION], "NextToken": "n"}),
    (ops.MoveStage("a", "s", TOKEN), NAMED),
    (ops.Tag("a", {"k": "v"}), {}),
    (ops.Rotate("a", token=TOKEN), WRITTEN),
    (ops.CancelRotation("a"), WRITTEN),
    (ops.RandomPassword(), {"RandomPassword": "p" * 32}),
    (ops.Replicate("a", ["eu-central-1"]), DESCRIBED),
    (
        ops.AssociateReplica("a", REPLICA),
        {"ARN": ARN, "CrossAccountReplicaARN": REPLICA, "ReplicationStatus": "Failed"},
    ),
    (ops.ListPolicies("a"), {"ResourcePolicies": [{"PolicyName": "default"}], "NextToken": "n"}),
    (ops.GetPolicy("a"), NAMED | {"ResourcePolicy": "{}"}),
    (ops.PutPolicy("a", "{}"), NAMED),
    (ops.ValidatePolicy("{}"), {"PolicyValidationPassed": False, "ValidationErrors": [FINDING]}),
    (ops.Request("GetNewThing", {"SecretId": "a"}), VALUE),
]
# JSON texts that no answer of AWS has where they will stand.
ODD: Final = [
    *("null", "true", "-1", "1.5", "9" * 4000, "9" * 5000, "1e999", "-1e999", "NaN", "Infinity", "1e400", "[]", "{}"),
    *('""', '"\\ud800"', '"\\u0000"', '"a\\nb"', '"\ufeff"', f'"{"x" * 256}"', f'"{"x" * 70_000}"', '"yesterday"'),
    *("253402300799.9999999", "253402300800", "-62135596800", "-62135596801", "1e18", "-1e18"),
    *("[null]", '["\\ud800"]', f"[{'7,' * 20_000}7]", json.dumps([f"s{number}" for number in range(20_000)])),
    *("[" * 5000 + "]" * 5000, '{"a":' * 900 + "1" + "}" * 900, '{"\\ud800": []}', '[{"Key": "\\ud800"}]'),
    json.dumps({"x" * 65: ["s"]}),
    json.dumps(["s" * 257]),
]
MARK: Final = "@the odd one@"


def paths(found: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in *found*, the whole of it first."""
    yield here
    for key in found if isinstance(found, dict) else range(len(found)) if isinstance(found, list) else ():
        yield from paths(found[key], (*here, key))


def with_odd(found: Any, path: tuple[Any, ...], odd: str) -> bytes:
    """*found* as JSON, with the text *odd* at *path*."""
    copy = json.loads(json.dumps(found))
    if not path:
        return odd.encode()
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = MARK
    return json.dumps(copy).replace(json.dumps(MARK), odd).encode()


CASES: Final = [(operation, found, path) for operation, found in ANSWERS for path in paths(found)]


class Next:
    """Answers whatever is asked with `body`."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.body = b""
        self.headers = b""

    def serve(self, connection: Connection) -> None:
        while connection.next_request() is not None:
            head = b"HTTP/1.1 %d X\r\n%bContent-Length: %d\r\n\r\n" % (self.status, self.headers, len(self.body))
            connection.client.sendall(head + self.body)


@pytest.mark.slow
def test_no_member_of_any_answer_ends_a_worker(tmp_path: Path) -> None:
    told, watch = Next(), Watch()
    with FaultyServer(told) as server:
        with running(
            system_at(server.url, tmp_path, Keys("AKIDEXAMPLE", "secret"), watch, max_workers=1, max_attempts=1)
        ) as system:
            for operation, found, path in CASES:
                for odd in ODD:
                    told.body = with_odd(found, path, odd)
                    with contextlib.suppress(SecretsError):
                        sound(system.secrets.ask(operation, timeout=20.0))
                    assert watch.count("ChildRestarted") == 0, (operation, path, odd[:40])
            eventually(lambda: whole(system))


READERS: Final[list[tuple[Callable[..., Any], dict[str, Any]]]] = [
    (answer_readers.secret, VALUE),
    (answer_readers.batch, {"SecretValues": [VALUE, VALUE], "Errors": [REFUSED], "NextToken": "n"}),
    (answer_readers.create_receipt, WRITTEN),
    (answer_readers.version_receipt, WRITTEN),
    (answer_readers.update_receipt, WRITTEN),
    (answer_readers.rotation_receipt, WRITTEN),
    (answer_readers.delete_receipt, NAMED | {"DeletionDate": 1}),
    (answer_readers.restore_receipt, NAMED),
    (answer_readers.named_receipt, NAMED),
    (answer_readers.replication_receipt, DESCRIBED),
    (answer_readers.page, {"SecretList": [DESCRIBED], "NextToken": "n"}),
    (answer_readers.description, DESCRIBED),
    (answer_readers.versions, NAMED | {"Versions": [VERSION], "NextToken": "n"}),
    (answer_readers.policy, NAMED | {"ResourcePolicy": "{}"}),
    (answer_readers.verdict, {"PolicyValidationPassed": False, "ValidationErrors": [FINDING]}),
    (answer_readers.password, {"RandomPassword": "p"}),
    (answer_readers.masked, VALUE),
    (answer_readers.nothing, {}),
]


def sound(found: Any) -> None:
    """All that is in an answer can be shown, sent on, and put into a cache."""
    if isinstance(found, Secret):
        assert secret_of_block(found.name, block_of(found), 0.0).version_id == found.version_id
        assert found.arn.encode()
        assert found.created_at.tzinfo is not None
    assert repr(found).encode()


@pytest.mark.parametrize(("read", "found"), READERS, ids=lambda one: getattr(one, "__name__", ""))
def test_what_is_read_of_an_odd_answer_is_sound(read: Callable[..., Any], found: dict[str, Any]) -> None:
    for path in paths(found):
        for odd in ODD:
            body = with_odd(found, path, odd)
            with contextlib.suppress(InvalidAnswer):
                sound(read(body))


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(case=st.sampled_from([(*one, path) for one in READERS for path in paths(one[1]) if path]), odd=JSON)
def test_whatever_json_a_member_is(case: tuple[Callable[..., Any], dict[str, Any], tuple[Any, ...]], odd: Any) -> None:
    read, found, path = case
    with contextlib.suppress(InvalidAnswer):
        sound(read(with_odd(found, path, json.dumps(odd))))


@given(
    asked=st.dictionaries(st.sampled_from(["SecretId", "Name", "VersionId", "SecretIdList", "PasswordLength"]), JSON)
)
def test_whatever_a_raw_request_asks_for_it_can_be_compared(asked: dict[str, Any]) -> None:
    for action in ("GetSecretValue", "PutSecretValue", "BatchGetSecretValue"):
        assert Question.of(action, asked).is_answered_by(VALUE | {"SecretValues": [VALUE], "Errors": [REFUSED]}) in (
            True,
            False,
        )


@pytest.mark.parametrize(
    ("name", "odd"),
    [
        ("VersionId", "x" * 65),
        ("VersionId", "\ud800"),
        ("VersionId", ""),
        ("VersionStages", ["AWSCURRENT", *map(str, range(20))]),
        ("VersionStages", ["AWSCURRENT", "s" * 257]),
        ("VersionStages", ["AWSCURRENT", ""]),
        ("ARN", ARN.replace("a-", "\ud800-")),
        ("ARN", "a"),
        ("Name", "x" * 513),
        ("CreatedDate", 253402300800),
        ("CreatedDate", True),
        ("SecretString", "\ud800"),
        ("SecretString", 7),
    ],
)
def test_a_value_beyond_the_models_limits_is_refused(name: str, odd: Any) -> None:
    with pytest.raises(InvalidAnswer):
        answer_readers.secret(json.dumps(VALUE | {name: odd}).encode())


def test_the_limits_themselves_are_within() -> None:
    stages = ["AWSCURRENT", *(f"{number:0256}" for number in range(19))]
    name = "x" * 512
    most = {"VersionId": "v" * 64, "VersionStages": stages, "Name": name, "ARN": ARN.replace(":a-", f":{name}-")}

    found = answer_readers.secret(json.dumps(VALUE | most | {"CreatedDate": -62135596800}).encode())

    assert (found.version_id, found.stages, found.name) == ("v" * 64, tuple(stages), name)
    assert found.created_at == datetime.fromisoformat("0001-01-01T00:00:00+00:00")


@pytest.mark.parametrize("days", [True, -1, 1.5, "3", 2**31])
def test_days_that_are_none_are_refused(days: Any) -> None:
    rules = {"AutomaticallyAfterDays": days}
    with pytest.raises(InvalidAnswer):
        answer_readers.description(json.dumps(NAMED | {"RotationRules": rules}).encode())


HEADERS: Final = [
    {},
    {"x-amzn-errortype": "\u00e9" * 300, "x-amzn-requestid": "x" * 5000},
    {"date": "Fri, 31 Dec 9999 23:59:59 GMT", "x-amz-retry-after": "9" * 5000},
    {"date": "Mon, 01 Jan 0001 00:00:00 GMT", "x-amz-retry-after": "-1"},
    {"date": "Tue, 99 Feb 2026 99:99:99 GMT", "x-amz-retry-after": "\u00b2"},
    {"x-amzn-errortype": "RequestTimeTooSkewed", "date": "Fri, 31 Dec 9999 23:59:59 GMT"},
    {"content-encoding": "gzip"},
]


@pytest.mark.parametrize("headers", HEADERS, ids=",".join)
@pytest.mark.parametrize("status", [204, 302, 400, 500])
def test_an_odd_answer_of_another_status_is_an_error_with_a_name(status: int, headers: dict[str, str]) -> None:
    typed = {"__type": "x", "message": "m"}
    bodies = [*(odd.encode() for odd in ODD), *(with_odd(typed, ("__type",), odd) for odd in ODD)]
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("latin-1")
    told = Next(status)
    with FaultyServer(told) as server:
        backend = kit_of(server.url, retries=RetryPolicy(2)).connect()
        told.headers = lines
        for told.body in bodies[:: 9 if status == 500 else 3]:
            assert isinstance(failing(backend), SecretsError)
        backend.close()
