"""The emulators start, forget when told to, and refuse what AWS refuses: judged with boto3, before our own client."""

import dataclasses
import http.client
import json
import urllib.error
from pathlib import Path
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError

from tests.servers.account import Account, Keys, allow_everything, allow_only_get, policy, statement
from tests.servers.ministack import Ministack
from tests.servers.moto import MotoServer
from tests.servers.tls import issue

UNKNOWN_KEYS: Final = Keys("AKIANOBODYKNOWSTHISX", "whatever")


@pytest.fixture(params=["fresh_ministack", "fresh_moto"])
def server(request: pytest.FixtureRequest) -> Ministack | MotoServer:
    return request.getfixturevalue(request.param)


@pytest.fixture
def account(server: Ministack | MotoServer) -> Account:
    return server.account


def refusal(account: Account, keys: Keys, secret_id: str = "app/a") -> str | None:
    """The code with which a get is refused, None when it is not."""
    try:
        account.client("secretsmanager", keys).get_secret_value(SecretId=secret_id)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return None


def create(account: Account, name: str = "app/a") -> str:
    return str(account.client("secretsmanager").create_secret(Name=name, SecretString="x")["ARN"])


def test_a_user_may_do_what_the_policy_says_and_no_more(account: Account) -> None:
    arn = create(account)
    create(account, "app/other")
    everything, one, nothing = account.user(allow_everything()), account.user(allow_only_get(arn)), account.user()

    assert refusal(account, everything) is None
    assert refusal(account, one) is None
    assert refusal(account, one, "app/other") == "AccessDeniedException"
    assert refusal(account, nothing) == "AccessDeniedException"


def test_a_deny_wins_and_patterns_cover_what_they_should(account: Account) -> None:
    arn = create(account)
    denied = account.user(policy(statement("Allow", "secretsmanager:*", "*"), statement("Deny", "*", arn)))
    by_pattern = account.user(allow_only_get(arn[:-6] + "??????"))

    assert refusal(account, denied) == "AccessDeniedException"
    assert refusal(account, by_pattern) is None


def test_keys_that_are_wrong_unknown_or_half_are_told_apart(account: Account) -> None:
    create(account)
    user, session = account.user(allow_everything()), account.role_session(allow_everything())

    assert refusal(account, dataclasses.replace(user, secret_key="wrong")) == "InvalidSignatureException"
    assert refusal(account, UNKNOWN_KEYS) == "UnrecognizedClientException"
    assert refusal(account, session) is None
    assert refusal(account, dataclasses.replace(session, session_token=None)) == "UnrecognizedClientException"
    assert refusal(account, dataclasses.replace(session, session_token="wrong")) == "UnrecognizedClientException"


def test_an_expired_session_is_told_so(account: Account) -> None:
    create(account)

    assert refusal(account, account.role_session(allow_everything(), seconds=-60)) == "ExpiredTokenException"


def test_a_reset_forgets_secrets_and_users(server: Ministack | MotoServer) -> None:
    create(server.account)
    user = server.account.user(allow_everything())

    server.reset()

    assert server.client("secretsmanager").list_secrets()["SecretList"] == []
    assert refusal(server.account, user) == "UnrecognizedClientException"


def test_motos_door_has_a_clock_that_can_be_moved(fresh_moto: MotoServer) -> None:
    create(fresh_moto.account)
    session = fresh_moto.account.role_session(allow_everything(), seconds=900)
    assert refusal(fresh_moto.account, session) is None

    fresh_moto.move_clock(600)
    assert refusal(fresh_moto.account, session) == "InvalidSignatureException"
    fresh_moto.move_clock(-600)
    assert refusal(fresh_moto.account, session) == "InvalidSignatureException"
    fresh_moto.move_clock(1000)
    assert refusal(fresh_moto.account, session) == "ExpiredTokenException"
    fresh_moto.reset()
    assert refusal(fresh_moto.account, session) == "UnrecognizedClientException"


def test_motos_door_refuses_what_is_unsigned_or_malformed(fresh_moto: MotoServer) -> None:
    def code(**headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", fresh_moto.process.port, timeout=5)
        connection.request("POST", "/", b"{}", {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        body = json.loads(answer.read())
        connection.close()
        return answer.status, body["__type"]

    assert code(X_Amz_Target="secretsmanager.ListSecrets") == (400, "MissingAuthenticationTokenException")
    assert code(Authorization="garbage") == (400, "IncompleteSignatureException")


@pytest.mark.parametrize("kind", [Ministack, MotoServer])
def test_an_emulator_speaks_tls_with_a_certificate_of_ours(kind: Any, tmp_path: Path) -> None:
    with kind(tmp_path / "server", certificates=issue(tmp_path / "tls")) as server:
        create(server.account)

        assert server.url.startswith("https://")
        assert refusal(server.account, server.account.user(allow_everything())) is None


def test_ministacks_metadata_service_can_be_told_to_demand_a_token(tmp_path: Path) -> None:
    with Ministack(tmp_path / "server", imds_v2_only=True) as server:
        with pytest.raises(urllib.error.HTTPError, match="401"):
            server.process.fetch("/latest/meta-data/iam/security-credentials/")
