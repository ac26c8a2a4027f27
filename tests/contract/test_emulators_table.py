"""The table in tests/README.md says what each emulator knows, and OpenBao, and where it differs from AWS: as it is
tried here.

A cell has a tick if the server carries the operation out, a cross if it does not, and the names of the divergences
that are about it, out of `divergences.py`.
"""

import re
from typing import Any, Final

import pytest

from secrets_actor.domain import operations as ops
from secrets_actor.domain.errors import SecretsError
from tests.architecture.house import ROOT
from tests.contract.backends import EMULATORS, MINISTACK, MOTO, VAULT, VAULT_ROW
from tests.contract.conftest import opened_store
from tests.contract.divergences import DIVERGENCES
from tests.contract.store import Store, aws_kit, new_token, perform
from tests.servers.account import Keys, allow_everything
from tests.servers.ministack import Ministack
from tests.servers.moto import MotoServer

REPLICA: Final = "arn:aws:secretsmanager:us-east-1:210987654321:secret:b-AbCdEf"
ELSEWHERE: Final = "eu-central-1"
# What has a column, in its order.
COLUMNS: Final = (*EMULATORS, VAULT)
# What each does with a message.
CELLS: Final[dict[str, list[str]]] = {
    message: cells
    for message, *cells in re.findall(
        r"^\| `(\w+)` \| ([✓✗][^|]*) \| ([✓✗][^|]*) \| ([✓✗][^|]*) \|$",
        (ROOT / "tests" / "README.md").read_text(),
        re.M,
    )
}


def operations(a: str, b: str, version: str) -> list[ops.Operation[Any]]:
    """Each message once, in an order in which all can be carried out. *a* is a secret, and *version* its own."""
    return [
        ops.Create(b, "v", new_token()),
        ops.CreateEmpty(f"{b}-empty", new_token()),
        ops.MoveStage(a, "AWSCURRENT", to=version),  # where no other label is known
        ops.MoveStage(a, "mine", to=version),
        ops.Put(a, "v", token=new_token()),
        ops.Update(a, description="d"),
        ops.Set(a, "w", new_token()),
        ops.Get(a),
        ops.GetMany([a, b]),
        ops.List(),
        ops.ListPage(),
        ops.Describe(a),
        ops.ListVersions(a),
        ops.Tag(a, {"k": "v"}),
        ops.Untag(a, ["k"]),
        ops.RandomPassword(),
        ops.Regenerate(a, token=new_token()),
        ops.GetPolicy(a),
        ops.PutPolicy(a, '{"Version": "2012-10-17", "Statement": []}'),
        ops.DeletePolicy(a),
        ops.ValidatePolicy("{}"),
        ops.Replicate(a, [ELSEWHERE]),
        ops.RemoveRegions(a, [ELSEWHERE]),
        ops.AssociateReplica(a, REPLICA),
        ops.DisassociateReplica(a, REPLICA),
        ops.ListPolicies(a),
        ops.Request("DescribeSecret", {"SecretId": a}),
        ops.Rotate(b, token=new_token()),
        ops.CancelRotation(b),
        ops.Delete(a),
        ops.Restore(a),
    ]


def answers(store: Store, operation: ops.Operation[Any]) -> bool:
    """Whether *operation* is carried out."""
    try:
        store.ask(operation)
    except SecretsError:
        return False
    return True


def carried_out(store: Store) -> set[str]:
    """The messages that the server carries out."""
    a, b = store.name("a"), store.name("b")
    version = store.set(a, "v").version_id
    return {type(one).__name__ for one in operations(a, b, version) if answers(store, one)}


def is_made_a_secret_of_its_own(server: Ministack | MotoServer, keys: Keys) -> bool:
    """Whether a copy can be: it is asked where the copy is."""
    here, there = aws_kit(server.url, keys), aws_kit(server.url, keys, region=ELSEWHERE)
    backends = [(factory, factory.connect()) for factory in (here, there)]
    try:
        perform(backends[0][1], here, ops.Create("copied", "v", new_token()))
        perform(backends[0][1], here, ops.Replicate("copied", [ELSEWHERE]))
        perform(backends[1][1], there, ops.StopReplication("copied"))
    except SecretsError:
        return False
    finally:
        for _, backend in backends:
            backend.close()
    return True


def cell(where: str, message: str, known: bool) -> str:
    """What the table has to say."""
    topics = [topic for (place, topic), one in sorted(DIVERGENCES.items()) if place == where and message in one.of]
    return ", ".join([" ".join(["✓" if known else "✗", *topics[:1]]), *topics[1:]])


@pytest.mark.parametrize("where", [*EMULATORS, VAULT_ROW])
def test_the_columns_are_what_the_servers_do(where: str, request: pytest.FixtureRequest) -> None:
    known = set[str]()
    for store in opened_store(where, request):
        known = carried_out(store)
    if where in EMULATORS:
        fixture = {MINISTACK: "fresh_ministack", MOTO: "fresh_moto"}[where]
        server: Ministack | MotoServer = request.getfixturevalue(fixture)
        if is_made_a_secret_of_its_own(server, server.account.user(allow_everything())):
            known.add("StopReplication")

    told = {message: cells[COLUMNS.index(where)] for message, cells in CELLS.items()}

    assert told == {
        message.__name__: cell(where, message.__name__, message.__name__ in known) for message in ops.MESSAGES
    }


def test_every_message_is_tried_here() -> None:
    tried = {type(one) for one in operations("a", "b", "v" * 32)}

    assert tried | {ops.StopReplication} == set(ops.MESSAGES)


def test_a_divergence_is_about_messages_that_there_are() -> None:
    names = {message.__name__ for message in ops.MESSAGES}

    assert {name for one in DIVERGENCES.values() for name in one.of} <= names
