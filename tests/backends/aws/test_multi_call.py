"""Operations of several calls: what a lost answer leaves in doubt is looked up, and what is not in doubt is not."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from secrets_actor.backends.aws.backend import aws_backend_factory
from secrets_actor.backends.aws.credentials.static import StaticCredentials
from secrets_actor.backends.aws.endpoint import endpoint_for
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.clock import now as clock_now
from secrets_actor.domain import errors
from secrets_actor.domain import operations as ops
from secrets_actor.domain.ports import Answer, Backend, CallContext
from secrets_actor.domain.results import NamedReceipt
from secrets_actor.domain.secret import SecretValue
from tests.servers.behaviours import Behaviour, HangUp, Receipt, answer_json, aws_error
from tests.servers.faulty import FaultyServer

ARN: Final = "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf"
TOKEN: Final = "0b8e9a34-6f0d-4a8e-9d5e-1d5b6a1f0c11"
OTHER: Final = "1b8e9a34-6f0d-4a8e-9d5e-1d5b6a1f0c11"
NAMED: Final = {"Name": "a", "ARN": ARN}
VERSIONED: Final = NAMED | {"VersionId": TOKEN}
KEYS: Final = AwsCredentials("AKIDEXAMPLE", SecretValue("secret"))
REFUSED: Final = aws_error("InvalidRequestException", last=True)
REPLICA: Final = "arn:aws:secretsmanager:us-east-1:210987654321:secret:b-AbCdEf"
DAY: Final = 86_400
GONE: Final = aws_error("ResourceNotFoundException", last=True)
SCHEDULED: Final = NAMED | {"DeletedDate": 5}
ELSEWHERE: Final = {"PrimaryRegion": "eu-central-1"}
IN_EUROPE: Final = {"ReplicationStatus": [{"Region": "eu-central-1", "Status": "InSync"}]}


def last(content: Any) -> Behaviour:
    """One answer, and the end of the connection, so that the script goes on."""
    return answer_json(content, last=True)


@contextmanager
def served(*script: Behaviour) -> Iterator[tuple[Backend, FaultyServer]]:
    with FaultyServer(*script) as server:
        backend = aws_backend_factory(
            endpoint=endpoint_for("us-east-1", server.url),
            ca_bundle=None,
            timeout=5.0,
            recovery_window=30,
            credentials=StaticCredentials(),
        ).connect()
        try:
            yield backend, server
        finally:
            backend.close()


def do(backend: Backend, operation: ops.Operation[Any], within: float = 15.0) -> Answer[Any]:
    return backend.perform(operation, CallContext(clock_now() + within, KEYS))


def sent(server: FaultyServer) -> list[tuple[str, Any]]:
    """(action, body) of each request."""
    found = []
    for request in server.requests:
        target = next(line for line in request.head.decode().splitlines() if line.lower().startswith("x-amz-target"))
        found.append((target.rpartition(".")[2], json.loads(request.body)))
    return found


def actions(server: FaultyServer) -> list[str]:
    return [action for action, _ in sent(server)]


def linked(status: str) -> dict[str, Any]:
    """What a description tells of a replica in another account."""
    return {"CrossAccountReplicas": [{"ReplicaSecretARN": REPLICA, "ReplicationStatus": status}]}


# What is asked for, how things stand when AWS is asked about it, and what is answered then.
REPEATED: Final[list[tuple[ops.Operation[Any], dict[str, Any], Any]]] = [
    (ops.Delete("a"), NAMED | {"DeletedDate": 5}, lambda found: found.deletion_date.timestamp() == 5 + 30 * DAY),
    (
        ops.Delete("a", recovery_window=7),
        NAMED | {"DeletedDate": 5},
        lambda found: found.deletion_date.timestamp() == 5 + 7 * DAY,
    ),
    (
        ops.Delete("a"),
        NAMED | {"DeletedDate": 253402300799},  # an end after all time
        lambda found: found.deletion_date.timestamp() == 253402300799,
    ),
    (ops.Restore("a"), NAMED, lambda found: (found.name, found.arn) == ("a", ARN)),
    (ops.MoveStage("a", "s", TOKEN, OTHER), NAMED | {"VersionIdsToStages": {TOKEN: ["s"]}}, lambda found: found.arn),
    (ops.MoveStage("a", "s", remove_from=OTHER), NAMED | {"VersionIdsToStages": {}}, lambda found: found.arn == ARN),
    (ops.Replicate("a", ["eu-central-1"]), NAMED | IN_EUROPE, lambda found: found.replicas[0].region == "eu-central-1"),
    (ops.RemoveRegions("a", ["us-west-2"]), NAMED | IN_EUROPE, lambda found: len(found.replicas) == 1),
    (ops.CancelRotation("a"), NAMED | {"RotationEnabled": False}, lambda found: (found.name, found.arn) == ("a", ARN)),
    (ops.StopReplication("a"), NAMED, lambda found: found.arn == ARN),
    (ops.StopReplication("a"), NAMED | {"PrimaryRegion": "us-east-1"}, lambda found: found.replicas == ()),
    (ops.DisassociateReplica("a", REPLICA), NAMED, lambda found: (found.arn, found.replica_arn) == (ARN, REPLICA)),
    (ops.DisassociateReplica("a", REPLICA), NAMED | linked("Detached"), lambda found: found.status is None),
]  # fmt: skip
UNDONE: Final[list[dict[str, Any]]] = [
    NAMED,
    NAMED,
    NAMED,
    NAMED | {"DeletedDate": 5},
    NAMED | {"VersionIdsToStages": {OTHER: ["s"]}},
    NAMED | {"VersionIdsToStages": {OTHER: ["s"]}},
    NAMED,
    NAMED | {"ReplicationStatus": [{"Region": "us-west-2"}]},
    NAMED | {"RotationEnabled": True},
    NAMED | ELSEWHERE,
    NAMED | ELSEWHERE,
    NAMED | linked("InSync"),
    NAMED | linked("Failed"),
]


@pytest.mark.parametrize(("operation", "known", "holds"), REPEATED)
@pytest.mark.parametrize("lost", [HangUp(), aws_error("InternalServiceError", 500, last=True)], ids=["lost", "500"])
def test_a_write_repeated_by_us_is_done_if_things_stand_as_wished(
    operation: ops.Operation[Any], known: Any, holds: Any, lost: Behaviour
) -> None:
    with served(lost, REFUSED, last(known)) as (backend, server):
        assert holds(do(backend, operation).value)

        assert actions(server)[0] == actions(server)[1]
        assert sent(server)[2] == ("DescribeSecret", {"SecretId": "a"})


@pytest.mark.parametrize(("operation", "known"), [(one[0], other) for one, other in zip(REPEATED, UNDONE, strict=True)])
def test_a_write_repeated_by_us_is_refused_if_they_do_not(operation: ops.Operation[Any], known: Any) -> None:
    with served(HangUp(), REFUSED, last(known)) as (backend, server):
        with pytest.raises(errors.InvalidRequest) as caught:
            do(backend, operation)

        assert (caught.value.__cause__, caught.value.__context__) == (None, None)
        assert caught.value.aws_code == "InvalidRequestException"
        assert len(server.requests) == 3


@pytest.mark.parametrize("operation", [one[0] for one in REPEATED])
def test_a_refusal_of_the_first_attempt_is_a_refusal(operation: ops.Operation[Any]) -> None:
    with served(REFUSED) as (backend, server):
        with pytest.raises(errors.InvalidRequest):
            do(backend, operation)

        assert len(server.requests) == 1


EXISTS: Final = aws_error("ResourceExistsException", last=True)


def test_an_empty_create_repeated_by_us_finds_the_secret_that_it_made() -> None:
    with served(HangUp(), EXISTS, last(NAMED)) as (backend, server):
        assert do(backend, ops.CreateEmpty("a")).value == NamedReceipt("a", ARN)

        created = [body for action, body in sent(server) if action == "CreateSecret"]
        assert len(created) == 2
        assert created[0] == created[1]
        assert {"SecretString", "SecretBinary"}.isdisjoint(created[0])


@pytest.mark.parametrize(
    "known", [last(NAMED | {"VersionIdsToStages": {TOKEN: ["AWSCURRENT"]}}), last(SCHEDULED), GONE]
)
def test_an_empty_create_repeated_by_us_is_refused_if_another_made_the_secret(known: Behaviour) -> None:
    with served(HangUp(), EXISTS, known) as (backend, _):
        with pytest.raises(errors.SecretExists) as caught:
            do(backend, ops.CreateEmpty("a"))

        assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_an_empty_create_that_is_refused_at_once_looks_nothing_up() -> None:
    with served(EXISTS) as (backend, server):
        with pytest.raises(errors.SecretExists):
            do(backend, ops.CreateEmpty("a"))

        assert actions(server) == ["CreateSecret"]


def test_a_throttled_attempt_leaves_nothing_in_doubt() -> None:
    with served(aws_error("ThrottlingException", last=True), REFUSED) as (backend, server):
        with pytest.raises(errors.InvalidRequest):
            do(backend, ops.Delete("a"))

        assert actions(server) == ["DeleteSecret", "DeleteSecret"]


def test_who_may_not_look_it_up_gets_the_refusal() -> None:
    with served(HangUp(), REFUSED, aws_error("AccessDeniedException")) as (backend, _):
        with pytest.raises(errors.InvalidRequest) as caught:
            do(backend, ops.Delete("a"))

        assert caught.value.aws_code == "InvalidRequestException"


def test_a_forced_delete_that_finds_nothing_the_second_time_has_taken_effect() -> None:
    with served(HangUp(), aws_error("ResourceNotFoundException", last=True)) as (backend, server):
        assert do(backend, ops.Delete("a", force=True)).value.name == "a"

        assert actions(server) == ["DeleteSecret"] * 2


def test_a_forced_delete_that_finds_nothing_at_once_is_told() -> None:
    with served(aws_error("ResourceNotFoundException", last=True)) as (backend, server):
        with pytest.raises(errors.SecretNotFound):
            do(backend, ops.Delete("a", force=True))

        assert actions(server) == ["DeleteSecret"]


# --- set ----------------------------------------------------------------------------------------------------------


def test_a_set_restores_a_deleted_secret_only_where_it_may_and_with_one_token() -> None:
    script = (REFUSED, last(SCHEDULED), last(NAMED), last(VERSIONED), REFUSED, last(SCHEDULED))
    with served(*script) as (backend, server):
        made = do(backend, ops.Set("a", "v", TOKEN, tags={"k": "v"}, restore_on_set=True)).value
        assert (made.version_id, made.created) == (TOKEN, False)
        with pytest.raises(errors.SecretDeleted):
            do(backend, ops.Set("a", "v", TOKEN))

        restored, refused = ["RestoreSecret", "UpdateSecret"], ["CreateSecret", "DescribeSecret"]
        assert actions(server) == [*refused, *restored, *refused]
        assert {body.get("ClientRequestToken", TOKEN) for _, body in sent(server)} == {TOKEN}


def test_a_set_by_arn_of_a_deleted_secret_is_restored_too() -> None:
    with served(REFUSED, last(SCHEDULED), last(NAMED), last(VERSIONED)) as (backend, server):
        do(backend, ops.Set(ARN, "v", TOKEN, restore_on_set=True))

        assert actions(server) == ["UpdateSecret", "DescribeSecret", "RestoreSecret", "UpdateSecret"]


def test_a_set_whose_restore_was_not_heard_of_goes_on() -> None:
    script = (REFUSED, last(SCHEDULED), HangUp(), REFUSED, last(NAMED), last(VERSIONED))
    with served(*script) as (backend, server):
        assert do(backend, ops.Set("a", "v", TOKEN, restore_on_set=True)).value.version_id == TOKEN

        assert actions(server)[2:] == ["RestoreSecret", "RestoreSecret", "DescribeSecret", "UpdateSecret"]


def test_a_set_of_what_somebody_else_restored_meanwhile_goes_on() -> None:
    with served(REFUSED, last(NAMED), last(VERSIONED)) as (backend, server):
        assert do(backend, ops.Set("a", "v", TOKEN, restore_on_set=True)).value.version_id == TOKEN

        assert actions(server) == ["CreateSecret", "DescribeSecret", "UpdateSecret"]


WRITES: Final = [
    ops.Put("a", "v"),
    ops.Update("a", "v"),
    ops.Set(ARN, "v"),
    ops.Set(ARN, "v", restore_on_set=True),
]


@pytest.mark.parametrize("operation", WRITES)
@pytest.mark.parametrize(
    ("known", "where"),
    [
        (ELSEWHERE, "in its primary region, eu-central-1"),
        ({"CrossAccountPrimary": {"PrimarySecretARN": REPLICA}}, f"through {REPLICA}"),
    ],
    ids=["region", "account"],
)
def test_a_replica_is_told_as_one_and_not_restored(
    operation: ops.Operation[Any], known: dict[str, Any], where: str
) -> None:
    with served(REFUSED, last(NAMED | known)) as (backend, server):
        with pytest.raises(errors.InvalidRequest, match=where) as caught:
            do(backend, operation)

        assert type(caught.value) is errors.InvalidRequest
        assert (caught.value.aws_code, caught.value.__context__) == ("InvalidRequestException", None)
        assert actions(server)[1:] == ["DescribeSecret"]


@pytest.mark.parametrize("operation", WRITES[:3])
@pytest.mark.parametrize("known", [last(SCHEDULED), aws_error("AccessDeniedException"), GONE])
def test_a_write_to_what_may_be_deleted_is_told_so_whoever_may_look(
    operation: ops.Operation[Any], known: Behaviour
) -> None:
    with served(REFUSED, known) as (backend, _):
        with pytest.raises(errors.SecretDeleted) as caught:
            do(backend, operation)

        assert (caught.value.retryable, caught.value.__context__) == (False, None)


def test_a_set_that_may_not_look_restores_nothing_and_says_what_it_lacks() -> None:
    with served(REFUSED, aws_error("AccessDeniedException")) as (backend, server):
        with pytest.raises(errors.AccessDenied, match="secretsmanager:DescribeSecret"):
            do(backend, ops.Set("a", "v", restore_on_set=True))

        assert len(server.requests) == 2


# --- a name whose secret was deleted by force a moment ago --------------------------------------------------------


@pytest.mark.parametrize("operation", [ops.Create("a", "v"), ops.Set("a", "v"), ops.Set("a", "v", restore_on_set=True)])
def test_a_create_waits_until_the_secret_before_is_gone(operation: ops.Operation[Any]) -> None:
    with served(REFUSED, GONE, Receipt(NAMED, last=True)) as (backend, server):
        assert do(backend, operation).value.created

        assert actions(server) == ["CreateSecret", "DescribeSecret", "CreateSecret"]
        assert len({body["ClientRequestToken"] for _, body in sent(server) if "Name" in body}) == 1


def test_a_secret_that_goes_while_it_is_restored_is_created_anew() -> None:
    with served(REFUSED, last(SCHEDULED), GONE, Receipt(NAMED, last=True)) as (backend, server):
        assert do(backend, ops.Set("a", "v", restore_on_set=True)).value.created

        assert actions(server) == ["CreateSecret", "DescribeSecret", "RestoreSecret", "CreateSecret"]


@pytest.mark.parametrize("operation", [ops.Create("a", "v"), ops.Set("a", "v", restore_on_set=True)])
def test_a_secret_that_does_not_go_in_time_is_told_as_going(operation: ops.Operation[Any]) -> None:
    with served(*[REFUSED, GONE] * 100) as (backend, server):
        with pytest.raises(errors.SecretDeleted, match="deleted by force") as caught:
            do(backend, operation, within=0.5)

        assert (caught.value.retryable, caught.value.__context__) == (True, None)
        assert len(server.requests) >= 2


def test_a_secret_that_is_gone_is_not_set_by_its_arn() -> None:
    with served(REFUSED, last(SCHEDULED), GONE) as (backend, server):
        with pytest.raises(errors.SecretNotFound):
            do(backend, ops.Set(ARN, "v", restore_on_set=True))

        assert actions(server) == ["UpdateSecret", "DescribeSecret", "RestoreSecret"]


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        (ops.Create("a", "v"), Receipt(NAMED, last=True)),
        (ops.Put("a", "v"), Receipt(NAMED, last=True)),
        (ops.Update("a", "v"), Receipt(NAMED, last=True)),
        (ops.Update("a", description="d"), last(NAMED)),
        (ops.Set("a", "v"), Receipt(NAMED, last=True)),
        (ops.Rotate("a"), Receipt(NAMED, last=True)),
        (ops.Regenerate("a", "bytes"), Receipt(NAMED, last=True)),
    ],
)
def test_all_attempts_of_one_write_have_one_token_even_if_none_was_given(
    operation: ops.Operation[Any], answer: Behaviour
) -> None:
    with served(HangUp(), answer) as (backend, server):
        do(backend, operation)

        tokens = {body["ClientRequestToken"] for _, body in sent(server)}
        assert len(server.requests) == 2
        assert len(tokens) == 1


# --- generated values ---------------------------------------------------------------------------------------------


def test_a_generated_password_is_awss_and_is_put_under_the_token() -> None:
    script = (last({"RandomPassword": "p4ss"}), last(VERSIONED | {"VersionStages": ["AWSCURRENT"]}))
    with served(*script) as (backend, server):
        made = do(backend, ops.Regenerate("a", password=ops.RandomPassword(4, punctuation=False), token=TOKEN)).value

        assert (made.version_id, made.stages) == (TOKEN, ("AWSCURRENT",))
        (_, asked), (_, put) = sent(server)
        assert (asked["PasswordLength"], asked["ExcludePunctuation"]) == (4, True)
        assert put == {"SecretId": "a", "SecretString": "p4ss", "ClientRequestToken": TOKEN}


def test_generated_bytes_are_32_in_base64_and_others_each_time() -> None:
    with served(answer_json(VERSIONED)) as (backend, server):
        for _ in range(3):
            do(backend, ops.Regenerate("a", "bytes", token=TOKEN))

        values = [body["SecretString"] for _, body in sent(server)]
        assert [len(base64.b64decode(value, validate=True)) for value in values] == [32, 32, 32]
        assert len(set(values)) == 3


def test_a_generated_value_that_was_put_before_is_not_put_again() -> None:
    taken, stages = aws_error("ResourceExistsException", last=True), {TOKEN: ["AWSCURRENT"]}
    with served(taken, last(NAMED | {"VersionIdsToStages": stages}), taken, last(NAMED)) as (backend, _):
        made = do(backend, ops.Regenerate("a", "bytes", token=TOKEN)).value
        assert (made.version_id, made.stages) == (TOKEN, ("AWSCURRENT",))

        with pytest.raises(errors.SecretExists):
            do(backend, ops.Regenerate("a", "bytes", token=TOKEN))


# --- many ---------------------------------------------------------------------------------------------------------


def value_of(name: str) -> dict[str, Any]:
    arn = f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}-AbCdEf"
    return {"Name": name, "ARN": arn, "VersionId": TOKEN, "SecretString": name} | {
        "CreatedDate": 1,
        "VersionStages": ["AWSCURRENT"],
    }


def test_many_are_asked_for_20_at_a_time() -> None:
    names = [f"s{number:02}" for number in range(45)]
    chunks = [names[:20], names[20:40], names[40:]]
    with served(*(last({"SecretValues": [value_of(name) for name in chunk]}) for chunk in chunks)) as (backend, server):
        batch = do(backend, ops.GetMany(names)).value

        assert [body["SecretIdList"] for _, body in sent(server)] == chunks
        assert (list(batch.found), batch.errors) == (names, {})


def test_secrets_are_found_by_arn_and_partial_arn_and_what_is_left_out_is_told() -> None:
    partial = ARN[: -len("-AbCdEf")]
    refused = [
        {"SecretId": "gone", "ErrorCode": "InvalidRequestException", "Message": "canary"},
        {"SecretId": "denied", "ErrorCode": "AccessDeniedException", "Message": "canary"},
        {"SecretId": "odd", "ErrorCode": "canary", "Message": "canary"},
    ]
    pages = (last({"NextToken": "n", "Errors": refused}), last({"SecretValues": [value_of("a")]}))
    with served(*pages) as (backend, server):
        batch = do(backend, ops.GetMany([ARN, partial, "gone", "denied", "odd", "lost"])).value

        assert sent(server)[1][1]["NextToken"] == "n"
        assert list(batch.found) == [ARN, partial]
        assert {name: type(error) for name, error in batch.errors.items()} == {
            "gone": errors.SecretDeleted,
            "denied": errors.AccessDenied,
            "odd": errors.StoreError,
            "lost": errors.InvalidAnswer,
        }
        assert not any("canary" in f"{error} {vars(error)}" for error in batch.errors.values())
        assert "secretsmanager:GetSecretValue" in str(batch.errors["denied"])


@pytest.mark.parametrize("last_of_all", [True, False])
def test_of_two_that_an_arn_may_mean_it_finds_the_one_whose_whole_arn_it_is(last_of_all: bool) -> None:
    whole = ARN.replace(":a-AbCdEf", ":prod-apikey")
    both = [value_of("prod") | {"ARN": whole}, value_of("prod-apikey") | {"ARN": f"{whole}-AbCdEf"}]
    values = both[::-1] if last_of_all else both
    with served(last({"SecretValues": values})) as (backend, _):
        found = do(backend, ops.GetMany([whole, f"{whole}-AbCdEf"])).value.found

    assert [one.name for one in found.values()] == ["prod", "prod-apikey"]


def test_an_arn_that_is_refused_is_not_found_by_what_it_may_mean_besides() -> None:
    whole = ARN.replace(":a-AbCdEf", ":prod-apikey")
    values = [value_of("prod-apikey") | {"ARN": f"{whole}-AbCdEf"}]
    refused = [{"SecretId": whole, "ErrorCode": "ResourceNotFoundException"}]
    with served(last({"SecretValues": values, "Errors": refused})) as (backend, _):
        batch = do(backend, ops.GetMany([whole, f"{whole}-AbCdEf"])).value

    assert list(batch.found) == [f"{whole}-AbCdEf"]
    assert type(batch.errors[whole]) is errors.SecretNotFound


@pytest.mark.parametrize("by", ["whole", "partial"])
def test_a_name_is_not_found_by_another_accounts_secret_of_that_name(by: str) -> None:
    theirs = ARN.replace("123456789012", "999999999999")
    asked = theirs if by == "whole" else theirs[:-7]
    answers = last({"SecretValues": [value_of("a") | {"ARN": theirs}]}), last({"SecretValues": [value_of("a")]})
    with served(*answers) as (backend, server):
        found = do(backend, ops.GetMany(["a", asked, "b"])).value.found

        assert [body["SecretIdList"] for _, body in sent(server)] == [[asked, "b"], ["a"]]
        assert [(one, secret.arn) for one, secret in found.items()] == [("a", ARN), (asked, theirs)]


def test_of_two_that_an_arn_may_mean_each_has_its_own_refusal() -> None:
    whole = ARN.replace(":a-AbCdEf", ":prod-apikey")
    refused = [
        {"SecretId": f"{whole}-AbCdEf", "ErrorCode": "AccessDeniedException"},
        {"SecretId": whole, "ErrorCode": "ResourceNotFoundException"},
    ]
    with served(last({"Errors": refused})) as (backend, _):
        told = do(backend, ops.GetMany([f"{whole}-AbCdEf", whole])).value.errors

    assert {secret_id: type(error) for secret_id, error in told.items()} == {
        f"{whole}-AbCdEf": errors.AccessDenied,
        whole: errors.SecretNotFound,
    }


def test_pages_of_many_that_do_not_end_are_not_followed_for_ever() -> None:
    with served(answer_json({"NextToken": "n"})) as (backend, server):
        assert set(do(backend, ops.GetMany(["a", "b"])).value.errors) == {"a", "b"}
        assert len(server.requests) == 2
