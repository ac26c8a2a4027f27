"""Which node an operation asks, and under which condition it changes metadata: at nodes that are played, because a real
standby is behind for some milliseconds only, and another writer seldom comes between."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from secrets_actor.domain import operations as ops
from secrets_actor.domain.operations import Operation
from tests.backends.vault.test_current_versions import ask, factory_at
from tests.contract.store import new_token
from tests.servers.behaviours import Answer, Reset
from tests.servers.faulty import FaultyServer
from tests.servers.vault_node import VaultNode, asked, leader, refused, said

AT = "2026-06-01T12:00:00.5Z"
VERSION = {"created_time": AT, "deletion_time": "", "destroyed": False}
CAS_WRONG = refused(400, "check-and-set parameter did not match the current version")


def version_id(number: int) -> str:
    return f"vault-{number:04}-20260601120000500000000"


def metadata(current: int) -> dict[str, Any]:
    versions = {str(number): VERSION for number in range(1, current + 1)}
    return {"created_time": AT, "updated_time": AT, "current_version": current, "versions": versions}


def read(value: str, number: int) -> dict[str, Any]:
    return {"data": {"value": value}, "metadata": {**VERSION, "version": number, "custom_metadata": None}}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def pair(
    stack: ExitStack, active_says: dict[str, Any], standby_says: dict[str, Any] | None = None
) -> tuple[FaultyServer, FaultyServer]:
    """A standby, which knows of no secret unless it says so, and the active node."""
    active = stack.enter_context(FaultyServer(VaultNode({"GET sys/leader": leader(is_self=True), **active_says})))
    standby = stack.enter_context(
        FaultyServer(VaultNode({"GET sys/leader": leader(address=active.url), **(standby_says or {})}))
    )
    return standby, active


@pytest.mark.parametrize(
    "operation",
    [
        ops.Get("a", refresh=True),
        ops.Get("a", max_age=0),
        ops.Set("a", "v", new_token()),
        ops.Delete("a", force=True),
        ops.Tag("a", {"team": "x"}),
        ops.MoveStage("a", ops.AWSCURRENT, to=version_id(1), remove_from=version_id(2)),
    ],
    ids=lambda one: one.kind,
)
def test_what_must_see_the_writes_of_others_asks_the_active_node(stack: ExitStack, operation: Operation[Any]) -> None:
    standby, active = pair(
        stack,
        {
            "GET kv/metadata/a": said({"data": metadata(2)}),
            "GET kv/data/a": said({"data": read("v", 2)}),
            "GET kv/data/a?version=1": said({"data": read("old", 1)}),
            "PATCH kv/metadata/a": said({}),
            "POST kv/data/a": said({"data": {**VERSION, "version": 3}}),
            "DELETE kv/metadata/a": said({}),
        },
    )

    ask(factory_at("kv", "token", standby.url, active.url), operation)

    assert {asked(one) for one in standby.requests} == {"GET sys/leader"}


def test_what_has_become_of_a_lost_write_is_asked_of_the_active_node(stack: ExitStack) -> None:
    """A standby that is behind says that the version is not there, or that an older write has made it."""
    active_says = {
        "GET sys/leader": leader(is_self=True),
        "GET kv/metadata/a": said({"data": metadata(1)}),
        "PATCH kv/metadata/a": said({}),
        "POST kv/data/a": [Reset(read_first=False), CAS_WRONG],
        "GET kv/data/a?version=2": said({"data": read("v", 2)}),
    }
    standby_says = {"POST kv/data/a": CAS_WRONG, "GET kv/data/a?version=2": said({"data": read("another", 2)})}
    standby, active = pair(stack, active_says, standby_says)
    token = new_token()

    receipt = ask(factory_at("kv", "token", standby.url, active.url), ops.Set("a", "v", token))

    assert receipt.version_id == token
    assert [asked(one) for one in active.requests].count("GET kv/data/a?version=2") == 1
    assert "GET kv/data/a?version=2" not in [asked(one) for one in standby.requests]


def test_a_change_of_metadata_is_made_only_to_what_was_seen(stack: ExitStack) -> None:
    counted = {**metadata(1), "current_metadata_version": 5}
    _, active = pair(
        stack,
        {
            "GET kv/metadata/a": said({"data": counted}),
            "GET kv/metadata/empty": said(
                {"data": {**counted, "current_version": 0, "custom_metadata": {"sa.v": "1="}}}
            ),
            "GET kv/data/a": said({"data": read("v", 1)}),
            "POST kv/data/a": said({"data": {**VERSION, "version": 2}}),
            "POST kv/data/empty": said({"data": {**VERSION, "version": 1}}),
            "*": said({}),
        },
    )
    factory = factory_at("kv", "token", active.url)
    for operation in (ops.Set("a", "v", new_token()), ops.Tag("a", {"team": "x"}), ops.Set("empty", "v", new_token())):
        ask(factory, operation)

    changes = [one for one in active.requests if one.body and "kv/metadata/" in asked(one)]
    assert [asked(one) for one in changes] == ["PATCH kv/metadata/a"] * 2 + ["POST kv/metadata/empty"]
    assert {json.loads(one.body)["metadata_cas"] for one in changes} == {5}


def test_a_secret_that_is_removed_before_its_token_was_noted_is_made_anew(stack: ExitStack) -> None:
    _, active = pair(
        stack,
        {
            "GET kv/metadata/a": [said({"data": metadata(3)}), said({"errors": []}, 404)],
            "PATCH kv/metadata/a": Answer(b"", 404),
            "POST kv/metadata/a": said({}),
            "POST kv/data/a": said({"data": {**VERSION, "version": 1}}),
            "GET sys/internal/ui/mounts/kv": said({"data": {"options": {"version": "2"}}}),
        },
    )

    assert ask(factory_at("kv", "token", active.url), ops.Set("a", "v", new_token())).created
    (written,) = [json.loads(one.body) for one in active.requests if asked(one) == "POST kv/data/a"]
    assert written["options"] == {"cas": 0}
