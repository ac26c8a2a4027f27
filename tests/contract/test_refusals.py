"""Wrong, unknown, expired and poor keys: each is refused by a verifier that is not ours, and told by our type.

ministack checks with code of its own, moto's door with botocore's; both stand in for AWS's front door.
"""

import dataclasses
import traceback
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from secrets_actor.domain.errors import (
    AccessDenied,
    ExpiredToken,
    InvalidSignature,
    SecretNotFound,
    StoreError,
    UnrecognizedClient,
)
from secrets_actor.domain.operations import Delete, Get, List, Operation, Restore, Set
from secrets_actor.domain.secret import SecretValue
from tests.contract.backends import MINISTACK, MOTO
from tests.contract.store import Store, aws_kit, failure, new_token
from tests.servers.account import Keys, allow_everything, allow_only_get, policy, statement
from tests.servers.behaviours import Forward
from tests.servers.faulty import FaultyServer
from tests.servers.ministack import Ministack
from tests.servers.moto import MotoServer

Server = Ministack | MotoServer
NAME: Final = "app/db"
UNKNOWN: Final = Keys("AKIANOBODYKNOWSTHISX", "a/secret+key/that/goes/with/no/key/id00")
# Less than two minutes away no server may mind, more than fifteen none may let pass.
LATE: Final = 20 * 60
# What the operations here call for, and nothing else.
ACTIONS: Final = [
    f"secretsmanager:{action}"
    for action in ("CreateSecret", "UpdateSecret", "GetSecretValue", "DeleteSecret", "RestoreSecret", "ListSecrets")
]


@pytest.fixture(params=[MINISTACK, MOTO])
def where(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(where: str, request: pytest.FixtureRequest) -> Server:
    """An emulator with one secret, `app/db`."""
    found: Server = request.getfixturevalue({MINISTACK: "fresh_ministack", MOTO: "fresh_moto"}[where])
    found.client("secretsmanager").create_secret(Name=NAME, SecretString="hunter2")
    return found


@pytest.fixture
def connect(server: Server, where: str) -> Iterator[Callable[..., Store]]:
    """Our backend with given keys, at the server itself or at another URL."""
    opened: list[Store] = []

    def connect(keys: Keys, url: str | None = None) -> Store:
        factory = aws_kit(url or server.url, keys)
        opened.append(Store(where, factory, factory.connect()))
        return opened[-1]

    yield connect
    for store in opened:
        store.backend.close()


def operations() -> list[Operation[object]]:
    return [
        Get(NAME),
        Set(NAME, SecretValue("canary-value"), new_token()),
        Delete(NAME),
        Restore(NAME),
        List(),
    ]


def refused(store: Store, expected: type[StoreError], code: str, keys: Keys) -> None:
    """Every operation is refused as *expected*, with AWS's *code*, and shows neither key nor token nor value."""
    for operation in operations():
        refusal = failure(lambda operation=operation: store.ask(operation))
        assert type(refusal) is expected, (operation, refusal)
        assert isinstance(refusal, StoreError)
        assert refusal.aws_code == code
        assert refusal.status == (403 if code == "AccessDeniedException" and store.diverges("denied-status") else 400)
        assert bool(refusal.request_id) != store.diverges("refusal-request-id")
        assert not refusal.retryable
        assert (refusal.__cause__, refusal.__context__) == (None, None)
        shown = str(refusal) + repr(refusal) + repr(vars(refusal)) + "".join(traceback.format_exception(refusal))
        for hidden in (keys.access_key_id, keys.secret_key, keys.session_token, "hunter2"):
            assert hidden is None or hidden not in shown


def test_a_users_keys_open_the_door(server: Server, connect: Callable[..., Store]) -> None:
    store = connect(server.account.user(allow_everything()))

    assert store.get(NAME).reveal() == "hunter2"


def test_a_roles_keys_open_the_door_with_their_token_signed(server: Server, connect: Callable[..., Store]) -> None:
    # That the token is signed, and not only sent, is what moto's door demands and ministack does not.
    store = connect(server.account.role_session(allow_everything()))

    assert store.get(NAME).reveal() == "hunter2"
    assert not store.set(NAME, "changed").created


def test_a_wrong_secret_key_is_an_invalid_signature(server: Server, connect: Callable[..., Store]) -> None:
    keys = dataclasses.replace(server.account.user(allow_everything()), secret_key=UNKNOWN.secret_key)

    refused(connect(keys), InvalidSignature, "InvalidSignatureException", keys)


def test_an_unknown_key_is_an_unrecognized_client(connect: Callable[..., Store]) -> None:
    refused(connect(UNKNOWN), UnrecognizedClient, "UnrecognizedClientException", UNKNOWN)


@pytest.mark.parametrize("token", [None, "another-token"], ids=["no-token", "wrong-token"])
def test_a_roles_keys_without_their_own_token_are_an_unrecognized_client(
    server: Server, connect: Callable[..., Store], token: str | None
) -> None:
    keys = dataclasses.replace(server.account.role_session(allow_everything()), session_token=token)

    refused(connect(keys), UnrecognizedClient, "UnrecognizedClientException", keys)


def test_an_expired_token_is_told_so(server: Server, connect: Callable[..., Store]) -> None:
    keys = server.account.role_session(allow_everything(), seconds=-60)

    refused(connect(keys), ExpiredToken, "ExpiredTokenException", keys)


def test_a_user_without_a_policy_is_denied(server: Server, connect: Callable[..., Store]) -> None:
    keys = server.account.user()

    refused(connect(keys), AccessDenied, "AccessDeniedException", keys)


def test_a_policy_for_one_get_allows_that_and_nothing_else(server: Server, connect: Callable[..., Store]) -> None:
    admin = server.client("secretsmanager")
    arn = admin.describe_secret(SecretId=NAME)["ARN"]
    admin.create_secret(Name="app/other", SecretString="other")
    store = connect(server.account.user(allow_only_get(arn)))

    assert store.get(NAME).reveal() == "hunter2"
    assert store.get(arn).reveal() == "hunter2"
    assert type(failure(lambda: store.get("app/other"))) is AccessDenied
    for operation in operations()[1:]:
        assert type(failure(lambda operation=operation: store.ask(operation))) is AccessDenied


def test_an_explicit_deny_is_denied(server: Server, connect: Callable[..., Store]) -> None:
    arn = server.client("secretsmanager").describe_secret(SecretId=NAME)["ARN"]
    forbidding = policy(statement("Allow", "secretsmanager:*", "*"), statement("Deny", "secretsmanager:*", arn))
    store = connect(server.account.user(forbidding))

    assert type(failure(lambda: store.get(NAME))) is AccessDenied
    assert type(failure(lambda: store.get("app/missing"))) is SecretNotFound


def test_six_actions_are_enough_for_all_operations(server: Server, connect: Callable[..., Store]) -> None:
    store = connect(server.account.user(policy(statement("Allow", ACTIONS, "*"))))

    assert store.set(store.name(), "one").created
    assert not store.set(store.name(), "two").created
    store.delete(store.name())
    store.restore(store.name())
    assert store.get(store.name()).reveal() == "two"
    store.delete(store.name(), force=True)
    assert [info.name for info in store.ask(List()).value] == [NAME]


def test_a_request_changed_on_its_way_is_an_invalid_signature(server: Server, connect: Callable[..., Store]) -> None:
    server.client("secretsmanager").create_secret(Name="app/bd", SecretString="other")
    keys = server.account.user(allow_everything())
    with FaultyServer(Forward(server.process.port, change=(b'"app/db"', b'"app/bd"'))) as thief:
        store = connect(keys, thief.url)

        assert type(failure(lambda: store.get(NAME))) is InvalidSignature
        assert store.get("app/bd").reveal() == "other"


def test_a_request_meant_for_another_operation_is_an_invalid_signature(
    server: Server, connect: Callable[..., Store]
) -> None:
    keys = server.account.user(allow_everything())
    with FaultyServer(Forward(server.process.port, change=(b"GetSecretValue", b"DescribeSecret"))) as thief:
        assert type(failure(lambda: connect(keys, thief.url).get(NAME))) is InvalidSignature


@pytest.mark.parametrize("seconds", [-LATE, LATE], ids=["server-behind", "server-ahead"])
def test_a_clock_that_is_wrong_is_corrected_by_the_servers(fresh_moto: MotoServer, seconds: int) -> None:
    fresh_moto.client("secretsmanager").create_secret(Name=NAME, SecretString="hunter2")
    factory = aws_kit(fresh_moto.url, fresh_moto.account.user(allow_everything()))
    store = Store(MOTO, factory, factory.connect())

    fresh_moto.move_clock(seconds)
    assert store.get(NAME).reveal() == "hunter2"

    fresh_moto.move_clock(0)
    assert store.get(NAME).reveal() == "hunter2"
    store.backend.close()


def test_keys_that_expire_between_two_gets_are_told_so(fresh_moto: MotoServer) -> None:
    fresh_moto.client("secretsmanager").create_secret(Name=NAME, SecretString="hunter2")
    keys = fresh_moto.account.role_session(allow_everything(), seconds=200)
    factory = aws_kit(fresh_moto.url, keys)
    store = Store(MOTO, factory, factory.connect())
    assert store.get(NAME).reveal() == "hunter2"

    fresh_moto.move_clock(250)

    refused(store, ExpiredToken, "ExpiredTokenException", keys)
    store.backend.close()
