"""The calls of a set, a delete and a list."""

import uuid
from typing import Any

from secrets_actor.domain import errors
from secrets_actor.domain.operations import Delete, List, Set
from secrets_actor.domain.secret import SecretValue
from tests.backends.aws.backend_rig import ARN, NAMED, connect, do, failing, once, sent
from tests.servers.behaviours import (
    Answer,
    Behaviour,
    Receipt,
    Reset,
    answer_json,
    aws_error,
    half_body,
)
from tests.servers.faulty import FaultyServer


def set_against(*script: Behaviour, token: str | None) -> tuple[Any, list[tuple[str, Any]]]:
    with FaultyServer(*script) as server:
        backend = connect(server.url)
        try:
            outcome: Any = do(backend, Set("a", SecretValue("x"), token))
        except errors.SecretsError as exc:
            outcome = exc
        backend.close()
        return outcome, sent(server)


def test_one_token_goes_with_every_attempt_of_a_set() -> None:
    token = str(uuid.uuid4())
    outcome, asked = set_against(
        Reset(), once(aws_error("ResourceExistsException")), half_body(), Receipt(NAMED), token=token
    )

    assert not outcome.created
    assert [action for action, _ in asked] == ["CreateSecret", "CreateSecret", "UpdateSecret", "UpdateSecret"]
    assert {body["ClientRequestToken"] for _, body in asked} == {token}


def test_a_set_without_a_token_makes_one_for_all_its_attempts() -> None:
    outcome, asked = set_against(Reset(), Reset(), Receipt(NAMED), token=None)

    tokens = {body["ClientRequestToken"] for _, body in asked}
    assert outcome.created
    assert len(asked) == 3
    assert len(tokens) == 1
    assert uuid.UUID(tokens.pop())


def test_a_token_used_for_another_value_is_told() -> None:
    outcome, asked = set_against(aws_error("ResourceExistsException"), token=str(uuid.uuid4()))

    assert type(outcome) is errors.SecretExists
    assert [action for action, _ in asked] == ["CreateSecret", "UpdateSecret"]


def test_a_set_by_arn_updates_at_once() -> None:
    with FaultyServer(Receipt(NAMED)) as server:
        backend = connect(server.url)
        assert not do(backend, Set(ARN, SecretValue("x"))).created
        backend.close()
        assert [(action, body["SecretId"]) for action, body in sent(server)] == [("UpdateSecret", ARN)]


def test_a_delete_that_names_no_window_gets_the_configured_one() -> None:
    with FaultyServer(answer_json({"Name": "a", "ARN": ARN, "DeletionDate": 1})) as server:
        backend = connect(server.url, window=12)
        do(backend, Delete("a"))
        backend.close()
        assert sent(server)[0][1]["RecoveryWindowInDays"] == 12


def page(token: str | None, *names: str) -> Answer:
    return once(
        answer_json(
            {
                "SecretList": [{"Name": name, "ARN": ARN.replace(":a-", f":{name}-")} for name in names],
                "NextToken": token,
            }
        )
    )


def test_an_empty_page_in_the_middle_does_not_end_a_list() -> None:
    with FaultyServer(page("1", "a"), page("2"), page(None, "b")) as server:
        backend = connect(server.url)
        assert [info.name for info in do(backend, List())] == ["a", "b"]
        backend.close()
        assert [body.get("NextToken") for _, body in sent(server)] == [None, "1", "2"]


def test_a_list_that_goes_round_in_circles_is_ended() -> None:
    with FaultyServer(page("1", "a"), page("2", "b"), page("1", "c")) as server:
        backend = connect(server.url)
        assert type(failing(backend, List())) is errors.InvalidAnswer
        backend.close()
        assert len(server.requests) == 3
