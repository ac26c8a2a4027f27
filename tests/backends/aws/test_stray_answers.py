"""Answers to another question: none is taken for one, whatever is asked, and the question is asked anew elsewhere."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest

from secrets_actor.domain import errors
from secrets_actor.domain import operations as ops
from secrets_actor.domain.masked import MaskedObject
from tests.backends.aws.backend_rig import connect, do, failing, sent
from tests.servers.behaviours import Behaviour, Connection, answer_json, aws_error
from tests.servers.faulty import FaultyServer

ARN: Final = "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf"
REPLICA: Final = "arn:aws:secretsmanager:us-east-1:210987654321:secret:b-AbCdEf"
TOKEN: Final = "0b8e9a34-6f0d-4a8e-9d5e-1d5b6a1f0c11"
OTHER: Final = "1b8e9a34-6f0d-4a8e-9d5e-1d5b6a1f0c11"
NAMED: Final = {"Name": "a", "ARN": ARN}
VALUE: Final = NAMED | {"VersionId": TOKEN, "VersionStages": ["AWSCURRENT", "s"], "CreatedDate": 1, "SecretString": "v"}
WRITTEN: Final = NAMED | {"VersionId": TOKEN}
REPLICATED: Final = {"ARN": ARN, "ReplicationStatus": []}
LINK: Final = {"ARN": ARN, "CrossAccountReplicaARN": REPLICA}
ASSOCIATED: Final = LINK | {"ReplicationStatus": "Pending"}
PASSWORD: Final = {"RandomPassword": "p" * 32}
BATCH: Final = {"SecretValues": [VALUE], "Errors": []}

Answer = Mapping[str, Any]


def elsewhere(answer: Answer) -> list[Answer]:
    """*answer* as one about another secret: another name, suffix, region, account, partition."""
    changed = [
        ("secret:a-", "secret:b-"),
        ("AbCdEf", "AbCdEg"),
        ("us-east-1", "us-west-2"),
        ("123456789012", "123456789013"),
        ("arn:aws:", "arn:aws-cn:"),
    ]
    return [answer | {"ARN": ARN.replace(*one)} for one in changed] + [answer | {"Name": "b"}]


def of_another_name(answer: Answer) -> Answer:
    found = dict(answer) | {"ARN": ARN.replace("secret:a-", "secret:b-")}
    return found | {"Name": "b"} if "Name" in answer else found


# What is asked for, the right answer, and answers to other questions.
CASES: Final[list[tuple[ops.Operation[Any], Answer, list[Answer]]]] = [
    (ops.Get("a"), VALUE, [of_another_name(VALUE), VALUE | {"VersionStages": ["AWSPREVIOUS"]}, WRITTEN, BATCH]),
    (ops.Get("a", stage="s"), VALUE, [VALUE | {"VersionStages": ["AWSCURRENT"]}]),
    (ops.Get("a", TOKEN), VALUE, [VALUE | {"VersionId": OTHER}]),
    (ops.Get("a", TOKEN, "s"), VALUE, [VALUE | {"VersionId": OTHER}, VALUE | {"VersionStages": ["AWSCURRENT"]}]),
    (ops.Get(ARN), VALUE, elsewhere(VALUE)),
    (ops.Get(ARN[:-7]), VALUE, [one for one in elsewhere(VALUE) if "AbCdEg" not in one["ARN"]]),
    (
        ops.GetMany(["a", "c"]),
        {"SecretValues": [VALUE], "Errors": [{"SecretId": "c", "ErrorCode": "ResourceNotFoundException"}]},
        [
            {"SecretValues": [of_another_name(VALUE)]},
            {"SecretValues": [VALUE, of_another_name(VALUE)]},
            {"SecretValues": [VALUE], "Errors": [{"SecretId": "d", "ErrorCode": "ResourceNotFoundException"}]},
            VALUE,
            {},
        ],
    ),
    (ops.GetMany([ARN]), BATCH, [{"SecretValues": [one]} for one in elsewhere(VALUE)]),
    (ops.Create("a", "v", TOKEN), WRITTEN, [of_another_name(WRITTEN), VALUE, {}]),
    (ops.CreateEmpty("a", TOKEN), NAMED, [of_another_name(NAMED), VALUE, {}]),
    (ops.Put("a", "v", token=TOKEN), WRITTEN, [of_another_name(WRITTEN), WRITTEN | {"VersionId": OTHER}, VALUE, {}]),
    (ops.Put(ARN, "v", token=TOKEN), WRITTEN, elsewhere(WRITTEN)),
    (ops.Update("a", "v", token=TOKEN), WRITTEN, [of_another_name(WRITTEN), VALUE, {}]),
    (ops.Update(ARN, description="d"), NAMED, elsewhere(NAMED)),
    (ops.Set("a", "v", TOKEN), WRITTEN, [of_another_name(WRITTEN), VALUE, {}]),
    (ops.Set(ARN, "v", TOKEN), WRITTEN, elsewhere(WRITTEN)),
    (ops.Delete(ARN), NAMED | {"DeletionDate": 1}, [*elsewhere(NAMED | {"DeletionDate": 1}), NAMED, VALUE]),
    (ops.Delete("a", force=True), NAMED | {"DeletionDate": 1}, [of_another_name(NAMED | {"DeletionDate": 1})]),
    (ops.Restore(ARN), NAMED, [*elsewhere(NAMED), VALUE]),
    (ops.List(), {"SecretList": []}, [VALUE, NAMED, {}, {"SecretList": [NAMED | {"Name": "b"}]}]),
    (ops.ListPage(), {"SecretList": []}, [VALUE, NAMED, {}, {"SecretList": [NAMED | {"Name": "b"}]}]),
    (ops.Describe(ARN), NAMED, [*elsewhere(NAMED), VALUE, {}]),
    (ops.ListVersions(ARN), NAMED | {"Versions": []}, [*elsewhere(NAMED), VALUE, {}]),
    (ops.MoveStage(ARN, "s", TOKEN), NAMED, [*elsewhere(NAMED), VALUE, {}]),
    (ops.Tag("a", {"k": "v"}), {}, [VALUE, NAMED, PASSWORD]),
    (ops.Untag("a", ["k"]), {}, [VALUE, NAMED, PASSWORD]),
    (ops.Rotate(ARN, token=TOKEN), WRITTEN, [*elsewhere(WRITTEN), WRITTEN | {"VersionId": OTHER}, VALUE, {}]),
    (ops.CancelRotation(ARN), NAMED, [*elsewhere(NAMED), VALUE, {}]),
    (ops.RandomPassword(), PASSWORD, [{"RandomPassword": "p" * 31}, VALUE, {}]),
    (ops.Replicate("a", ["eu-central-1"]), REPLICATED, [of_another_name(REPLICATED), VALUE, {}]),
    (ops.RemoveRegions(ARN, ["eu-central-1"]), REPLICATED, [of_another_name(REPLICATED), VALUE, {}]),
    (ops.StopReplication(ARN), REPLICATED, [of_another_name(REPLICATED), VALUE, {}]),
    (ops.AssociateReplica("a", REPLICA), ASSOCIATED, [of_another_name(ASSOCIATED), VALUE, {}]),
    (ops.DisassociateReplica(ARN, REPLICA), LINK, [of_another_name(LINK), VALUE, {}]),
    (ops.ListPolicies(ARN), {"ResourcePolicies": []}, [VALUE, NAMED, {}]),
    (ops.GetPolicy(ARN), NAMED, [*elsewhere(NAMED), VALUE, {}]),
    (ops.PutPolicy(ARN, "{}"), NAMED, [*elsewhere(NAMED), VALUE, {}]),
    (ops.DeletePolicy(ARN), NAMED, [*elsewhere(NAMED), VALUE, {}]),
    (ops.ValidatePolicy("{}"), {"PolicyValidationPassed": True}, [NAMED, VALUE, {}]),
    (ops.Request("GetSecretValue", {"SecretId": ARN}), VALUE, elsewhere(VALUE)),
    (ops.Request("GetSecretValue", {"SecretId": "a", "VersionId": TOKEN}), VALUE, [VALUE | {"VersionId": OTHER}]),
    (ops.Request("DescribeSecret", {"SecretId": "a"}), NAMED, [of_another_name(NAMED)]),
    (ops.Request("BatchGetSecretValue", {"SecretIdList": ["a"]}), BATCH, [{"SecretValues": [of_another_name(VALUE)]}]),
]  # fmt: skip
ALL: Final = [(operation, right, wrong) for operation, right, wrongs in CASES for wrong in wrongs]
FIRST: Final = [(operation, wrongs[0]) for operation, _, wrongs in CASES]


@dataclass(frozen=True)
class ByAction:
    """What is told of one secret: *answer* to what is asked, and *instead* to reads beside it."""

    answer: Answer
    instead: Answer

    def serve(self, connection: Connection) -> None:
        while (request := connection.next_request()) is not None:
            chosen = self.instead if b"GetSecretValue" in request.head else self.answer
            body = json.dumps(dict(chosen)).encode()
            connection.client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


def test_every_operation_is_among_them() -> None:
    asked = {type(operation) for operation, _, _ in CASES}

    assert asked >= {ops.Request, *(kind for kind in vars(ops).values() if _is_single(kind))} - {
        ops.Regenerate,
        ops.CurrentVersions,  # AWS is not asked for it
        ops.Invalidate,  # no store is asked for it
    }


def _is_single(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, ops.Operation) and kind is not ops.Operation


@pytest.mark.parametrize(("operation", "right", "wrong"), ALL, ids=lambda one: getattr(one, "kind", None))
def test_a_stray_answer_is_no_answer_and_the_question_is_asked_again_on_another_connection(
    operation: ops.Operation[Any], right: Answer, wrong: Answer
) -> None:
    with (
        FaultyServer(answer_json(dict(wrong)), answer_json(dict(right))) as server,
        FaultyServer(answer_json(dict(right))) as healthy,
    ):
        backend, other = connect(server.url), connect(healthy.url)
        found, wished = do(backend, operation), do(other, operation)
        backend.close()
        other.close()

        assert found == wished or isinstance(operation, (ops.GetMany, ops.Delete))
        if isinstance(operation, ops.GetMany):
            assert found.found == wished.found
        assert server.connections == 2
        (first, asked), (second, again) = sent(server)
        assert (first, asked.get("ClientRequestToken")) == (second, again.get("ClientRequestToken"))


@pytest.mark.parametrize(("operation", "wrong"), FIRST, ids=lambda one: getattr(one, "kind", None))
def test_nothing_but_stray_answers_is_an_error_that_says_so(operation: ops.Operation[Any], wrong: Answer) -> None:
    with FaultyServer(answer_json(dict(wrong))) as server:
        backend = connect(server.url)
        error = failing(backend, operation)
        backend.close()

        assert type(error) is errors.InvalidAnswer
        assert "aws.endpoint_url" in str(error)
        assert (error.retryable, server.connections) == (True, 3)


# --- answers of other operations ----------------------------------------------------------------------------------

# About the same secret, with what tells them from each other, and who may answer so.
TELLING: Final[list[tuple[Answer, set[type[ops.Operation[Any]]]]]] = [
    (VALUE, {ops.Get}),
    (WRITTEN, {ops.Create, ops.CreateEmpty, ops.Update, ops.Set, ops.Rotate, ops.CancelRotation, ops.Put}),
    (WRITTEN | {"VersionStages": ["AWSCURRENT"]}, {ops.Put}),
    (NAMED | {"DeletionDate": 1}, {ops.Delete}),
    (NAMED | {"VersionIdsToStages": {TOKEN: ["AWSCURRENT"]}}, {ops.Describe}),
    (NAMED | {"Versions": [{"VersionId": TOKEN}]}, {ops.ListVersions}),
    (NAMED | {"ResourcePolicy": "{}"}, {ops.GetPolicy}),
    (
        NAMED | REPLICATED,
        {ops.Replicate, ops.RemoveRegions, ops.StopReplication, ops.Describe, ops.Create, ops.CreateEmpty},
    ),
]
ABOUT_A: Final = {
    type(operation): operation
    for operation, right, _ in CASES
    if "ARN" in right and not isinstance(operation, ops.Request)
}
FOREIGN: Final = [
    (operation, answer) for answer, theirs in TELLING for kind, operation in ABOUT_A.items() if kind not in theirs
]


@pytest.mark.parametrize(("operation", "answer"), FOREIGN, ids=lambda one: getattr(one, "kind", None))
def test_an_answer_of_another_operation_about_the_secret_is_none(operation: ops.Operation[Any], answer: Answer) -> None:
    right = next(right for one, right, _ in CASES if one is operation)
    with FaultyServer(answer_json(dict(answer)), answer_json(dict(right))) as server:
        backend = connect(server.url)
        do(backend, operation)
        backend.close()

        assert server.connections == 2


# --- receipts of versions -----------------------------------------------------------------------------------------

WRITES: Final = [ops.Create("a", "v", TOKEN), ops.Update("a", "v", token=TOKEN), ops.Set("a", "v", TOKEN)]
STRAY: Final = WRITTEN | {"VersionId": OTHER}


@pytest.mark.parametrize("operation", WRITES)
def test_a_write_whose_receipt_is_anothers_is_done_if_its_version_has_the_value(
    operation: ops.Operation[Any],
) -> None:
    with FaultyServer(answer_json(STRAY), answer_json(VALUE)) as server:
        backend = connect(server.url)
        assert do(backend, operation).version_id == TOKEN
        backend.close()

        assert sent(server)[1:] == [("GetSecretValue", {"SecretId": "a", "VersionId": TOKEN})]
        assert server.connections == 2


@pytest.mark.parametrize("operation", WRITES)
def test_a_write_whose_receipt_is_anothers_is_repeated_with_its_token_if_it_took_no_effect(
    operation: ops.Operation[Any],
) -> None:
    absent = aws_error("ResourceNotFoundException", last=True)
    others = answer_json(VALUE | {"VersionId": OTHER, "SecretString": "another"}, last=True)
    with FaultyServer(answer_json(STRAY), absent, others, answer_json(WRITTEN)) as server:
        backend = connect(server.url)
        assert do(backend, operation).version_id == TOKEN
        backend.close()

        asked = sent(server)
        assert asked[0] == asked[3]
        assert [body.get("VersionId") for _, body in asked[1:3]] == [TOKEN, OTHER]


@pytest.mark.parametrize("operation", WRITES)
def test_a_store_that_makes_up_its_version_ids_is_understood(operation: ops.Operation[Any]) -> None:
    absent = aws_error("ResourceNotFoundException", last=True)
    with FaultyServer(answer_json(STRAY), absent, answer_json(VALUE | {"VersionId": OTHER})) as server:
        backend = connect(server.url)
        assert do(backend, operation).version_id == OTHER
        backend.close()


@pytest.mark.parametrize("operation", WRITES)
def test_a_write_that_gets_nothing_but_the_receipts_of_others_is_no_success(operation: ops.Operation[Any]) -> None:
    others: Behaviour = ByAction(STRAY, VALUE | {"VersionId": OTHER, "SecretString": "another"})
    with FaultyServer(others) as server:
        backend = connect(server.url)
        error = failing(backend, operation)
        backend.close()

        assert (type(error), error.retryable) == (errors.InvalidAnswer, True)
        assert len({body["ClientRequestToken"] for action, body in sent(server) if action != "GetSecretValue"}) == 1


def test_an_update_that_brings_no_value_may_tell_any_version() -> None:
    with FaultyServer(answer_json(STRAY)) as server:
        backend = connect(server.url)
        assert do(backend, ops.Update("a", description="d", token=TOKEN)).version_id == OTHER
        backend.close()


# --- many ---------------------------------------------------------------------------------------------------------


def test_an_entry_without_a_value_does_not_spoil_a_batch() -> None:
    arn = ARN.replace("secret:a-", "secret:{}-")
    whole = {name: VALUE | {"Name": name, "ARN": arn.format(name)} for name in "abcdefgh"}
    without = {key: fact for key, fact in whole["b"].items() if key != "SecretString"}
    entries = [
        whole["a"],
        without,
        whole["c"] | {"CreatedDate": "yesterday"},
        whole["d"] | {"VersionStages": ["AWSPENDING"]},
        whole["e"] | {"VersionId": "x" * 65},
        whole["f"] | {"SecretString": ""},
        None,
        {"SecretString": "whose?"},
    ]
    refused = [{"SecretId": "g"}, None, 7, {"SecretId": "h", "ErrorCode": "AccessDeniedException"}]
    with FaultyServer(answer_json({"SecretValues": entries, "Errors": refused})) as server:
        backend = connect(server.url)
        batch = do(backend, ops.GetMany("abcdefgh".__iter__()))
        backend.close()

        assert [one.reveal() for one in batch.found.values()] == ["v"]
        assert {name: type(error) for name, error in batch.errors.items()} == {
            **dict.fromkeys("bcdefg", errors.InvalidAnswer),
            "h": errors.AccessDenied,
        }
        assert len(server.requests) == 1


@pytest.mark.parametrize("said", ["a", ARN])
@pytest.mark.parametrize("asked", ["a", ARN, ARN[:-7]])
def test_a_refusal_in_a_batch_is_that_of_its_secret_whatever_it_is_called(asked: str, said: str) -> None:
    refused = {"SecretId": said, "ErrorCode": "AccessDeniedException", "Message": "no"}
    with FaultyServer(answer_json({"Errors": [refused]})) as server:
        backend = connect(server.url)
        batch = do(backend, ops.GetMany([asked]))
        backend.close()

        assert type(batch.errors[asked]) is errors.AccessDenied


def test_a_raw_answer_may_bring_what_aws_adds_tomorrow() -> None:
    new = {"Name": "a", "SecretString": "v", "New": 1, "Tags": []}
    with FaultyServer(answer_json(new)) as server:
        backend = connect(server.url)
        assert do(backend, ops.Request("GetNewThing", {"SecretId": "a"})) == MaskedObject(new)
        backend.close()
