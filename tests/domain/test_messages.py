"""All messages: their names checked, their values masked, their tokens filled in once, frozen for good."""

import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from secrets_actor.domain import operations as ops
from secrets_actor.domain.errors import InvalidInput, InvalidParameter, InvalidSecretName, InvalidSecretValue
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.results import ReplicaRegion, RotationRules
from secrets_actor.domain.secret import SecretValue

TOKEN: Final = "0123456789abcdef0123456789ABCDEF"
ARN: Final = "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf"
REPLICA: Final = "arn:aws:secretsmanager:us-east-1:210987654321:secret:b-AbCdEf"
ON_A_SECRET: Final[list[Callable[[str], ops.Operation[Any]]]] = [
    ops.Get,
    lambda name: ops.Create(name, "v"),
    lambda name: ops.Put(name, "v"),
    lambda name: ops.Update(name, "v"),
    lambda name: ops.Set(name, "v"),
    ops.Delete,
    ops.Restore,
    ops.Describe,
    ops.ListVersions,
    lambda name: ops.MoveStage(name, "s", TOKEN),
    lambda name: ops.Tag(name, {"a": "b"}),
    lambda name: ops.Untag(name, ["a"]),
    ops.Rotate,
    ops.CancelRotation,
    ops.Regenerate,
    lambda name: ops.Replicate(name, ["eu-central-1"]),
    lambda name: ops.RemoveRegions(name, ["eu-central-1"]),
    ops.StopReplication,
    lambda name: ops.AssociateReplica(name, REPLICA),
    lambda name: ops.DisassociateReplica(name, REPLICA),
    ops.ListPolicies,
    ops.GetPolicy,
    lambda name: ops.PutPolicy(name, "{}"),
    ops.DeletePolicy,
    lambda name: ops.ValidatePolicy("{}", name),
]


@pytest.mark.parametrize("make", ON_A_SECRET)
def test_every_message_about_a_secret_checks_its_name(make: Any) -> None:
    assert type(make("db/password").secret_id) is SecretId
    for bad in ("no spaces", "", "x" * 513):
        with pytest.raises(InvalidSecretName):
            make(bad)


def test_a_new_secret_has_a_name_and_no_arn() -> None:
    with pytest.raises(InvalidSecretName, match="given a name"):
        ops.Create(ARN, "v")
    with pytest.raises(InvalidSecretName, match="no ! in its name"):
        ops.Create("rds!db", "v")


@pytest.mark.parametrize("make", [ops.Create, ops.Put, ops.Update, ops.Set])
def test_a_value_is_masked_and_measured_in_bytes(make: Any) -> None:
    assert "hunter2" not in repr(make("a", "hunter2"))
    assert make("a", SecretValue("v")).value == SecretValue("v")
    assert make("a", "\N{EURO SIGN}" * 21_845).value
    for bad in ("", b"", "\N{EURO SIGN}" * 21_846, b"x" * 65_537, 7):
        with pytest.raises(InvalidSecretValue):
            make("a", bad)


def test_each_message_has_a_kind_of_its_own_and_those_with_a_token_write() -> None:
    kinds = [message.kind for message in ops.MESSAGES]

    assert len(set(kinds)) == len(kinds) == 31
    with_tokens = [message for message in ops.MESSAGES if "token" in message.__struct_fields__]
    assert {message.kind for message in with_tokens} == {
        *("create", "create_empty", "put", "update", "set", "rotate", "regenerate")
    }
    assert all(message.writes for message in with_tokens)


@pytest.mark.parametrize(
    "operation", [ops.Set("a", "v"), ops.Create("a", "v"), ops.CreateEmpty("a"), ops.Put("a", "v"),
                  ops.Update("a", "v"), ops.Rotate("a"), ops.Regenerate("a")]
)  # fmt: skip
def test_a_token_is_filled_in_once(operation: ops.Operation[Any]) -> None:
    filled = ops.with_token(operation, lambda: TOKEN)

    assert (ops.token_of(operation), ops.token_of(filled)) == (None, TOKEN)
    assert ops.with_token(filled, lambda: "another") is filled
    assert type(filled) is type(operation)


def test_a_message_without_a_token_stays_as_it_is() -> None:
    operation = ops.Delete("a")

    assert ops.with_token(operation, lambda: TOKEN) is operation
    assert ops.token_of(operation) is None


def test_what_is_given_as_a_list_is_kept_as_a_tuple_without_repeats() -> None:
    assert ops.GetMany(["a", "b", "a"]).secret_ids == ("a", "b")
    assert ops.Put("a", "v", ["s", "s", "t"]).stages == ("s", "t")
    assert ops.Put("a", "v").stages == ()
    assert ops.Untag("a", iter(["x", "y", "x"])).keys == ("x", "y")
    assert ops.RemoveRegions("a", ["eu-central-1", "eu-central-1"]).regions == ("eu-central-1",)
    assert ops.Replicate("a", ["eu-central-1", ReplicaRegion("us-west-2", "k")], overwrite=True).regions == (
        ReplicaRegion("eu-central-1"),
        ReplicaRegion("us-west-2", "k"),
    )


def test_a_list_of_what_cannot_even_be_compared_is_refused_as_any_other() -> None:
    for make in (
        lambda: ops.Put("a", "v", [["s"]]),  # type: ignore[list-item]
        lambda: ops.Untag("a", [{}]),  # type: ignore[list-item]
        lambda: ops.RemoveRegions("a", [[]]),  # type: ignore[list-item]
    ):
        with pytest.raises(InvalidParameter):
            make()


def test_what_the_caller_changes_later_does_not_change_the_message() -> None:
    tags = {"a": "b"}
    messages = [ops.Tag("a", tags), ops.Set("a", "v", tags=tags), ops.Create("a", "v", tags=tags)]

    tags["c"] = "d"

    assert [dict(message.tags) for message in messages] == [{"a": "b"}] * 3


def test_the_edges_of_the_limits_are_inside() -> None:
    ops.Create("a", "v", TOKEN, "d" * 2048, {"k" * 128: "v" * 256, "é 日 + - = . _ : / @": ""}, "k" * 2048)
    ops.Update("a", kms_key_id="")
    ops.Put("a", "v", [f"{n:0256}" for n in range(20)])
    ops.ListPage((ops.Filter("all", ["!x" + "v" * 510] * 10),) * 10, ops.SortBy.NAME, True, True, 100, "t" * 4096)
    ops.ListPage()
    ops.ListPage(sort_by="name")  # type: ignore[arg-type]
    ops.Rotate("a", "l" * 2048, RotationRules(1000, duration="24h"))
    ops.Rotate("a", rules=RotationRules())
    ops.Rotate("a", rules=RotationRules(schedule="cron(0 8 1 * ? *)"))
    ops.RandomPassword(4096, space=True)
    ops.RandomPassword(1, require_each=False)
    ops.MoveStage("a", "s", remove_from=TOKEN)
    ops.MoveStage("a", "s", TOKEN, TOKEN)
    assert json.loads(ops.PutPolicy("a", {"Version": "1"}).policy) == {"Version": "1"}
    assert ops.ValidatePolicy("p" * 20_480).secret_id is None


def test_a_policy_and_what_a_request_holds_show_in_no_repr() -> None:
    for message in (ops.PutPolicy("a", "canary"), ops.ValidatePolicy("canary"), ops.Request("X1", {"a": "canary"})):
        assert "canary" not in repr(message)


@pytest.mark.parametrize(
    ("payload", "secret_id"),
    [
        ({"SecretId": "a"}, "a"),
        ({"Name": "b"}, "b"),
        ({}, None),
        ({"SecretId": 7}, None),
        ({"SecretId": "no spaces"}, None),
    ],
)
def test_a_request_takes_its_turn_among_the_operations_of_its_secret(payload: Any, secret_id: str | None) -> None:
    request = ops.Request("GetSecretValue", payload)

    assert request.secret_id == secret_id
    assert request.payload.reveal() == payload
    assert ops.Request("GetRandomPassword").payload.reveal() == {}


@pytest.mark.parametrize(
    "make",
    [
        lambda: ops.Create("a", ""),
        lambda: ops.Put("a", "v", "x"),
        lambda: ops.Set("", "v"),
        lambda: ops.Update("a"),
        lambda: ops.Filter("x", "y"),
        lambda: ops.Request("", {}),
        lambda: ops.Untag("", []),
        lambda: ops.PutPolicy("", ""),
        lambda: ops.ValidatePolicy(""),
        lambda: ops.Replicate("", []),
        lambda: ops.RemoveRegions("", []),
        lambda: ops.GetMany([]),
    ],
)
def test_a_message_half_made_can_be_shown_by_a_traceback(make: Callable[[], object]) -> None:
    with pytest.raises(InvalidInput) as caught:
        make()

    tracing, shown = caught.value.__traceback__, []
    while tracing is not None:
        shown += [repr(held) for held in tracing.tb_frame.f_locals.values()]
        tracing = tracing.tb_next
    assert shown
