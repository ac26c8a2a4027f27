"""No token, secret id, JWT, password or signed request reaches a log, a repr, an error or a frame, however it goes."""

import json
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.backends.key_source import KeySource
from secrets_actor.backends.vault.auth.approle import AppRoleLogin
from secrets_actor.backends.vault.auth.aws_iam import AwsIamLogin
from secrets_actor.backends.vault.auth.cert import CertLogin
from secrets_actor.backends.vault.auth.jwt import JwtLogin
from secrets_actor.backends.vault.auth.login import LoginMethod
from secrets_actor.backends.vault.auth.token import TokenLogin
from secrets_actor.backends.vault.auth.userpass import PasswordLogin
from secrets_actor.domain.errors import LoginIncomplete, SecretsError
from secrets_actor.domain.secret import SecretValue
from tests.backends.vault.auth.rig import HOUR, Rig
from tests.servers.behaviours import Answer, Behaviour, Reset
from tests.servers.faulty import FaultyServer
from tests.servers.vault_node import VaultNode, refused, said

CANARY = "CANARY0123456789"
GRANTED = {"client_token": f"hvs.{CANARY}", "accessor": "a", "lease_duration": 3600, "renewable": True}
LOGGED_IN = said({"auth": GRANTED, "data": {"ttl": 3600, "creation_path": f"path/{CANARY}", "secret_id": CANARY}})


class Source:
    def fetch(self, deadline: float) -> AwsCredentials:
        return AwsCredentials(CANARY, SecretValue(CANARY), SecretValue(CANARY))


def methods(place: Path) -> Iterator[LoginMethod]:
    """Each method, with a canary wherever it takes something."""
    place.write_text(CANARY)
    part = KeySource("file", str(place))
    yield TokenLogin([part])
    yield AppRoleLogin(part, part)
    yield AppRoleLogin(part, part, wrapped_path="auth/approle/role/web/secret-id")
    yield AppRoleLogin(part, part, wrapped_path=f"path/{CANARY}")
    yield JwtLogin("web", part)
    yield CertLogin("web", part)
    yield PasswordLogin("web", part)
    yield AwsIamLogin(Source(), "web", server_id="vault")


METHODS = ("token", "approle", "foreign", "wrapped", "jwt", "cert", "userpass", "aws")
SERVERS: dict[str, Callable[[], Behaviour]] = {
    "well": lambda: VaultNode({"*": LOGGED_IN}),
    "refuses": lambda: VaultNode({"*": refused(400, f"invalid {CANARY}")}),
    "forbids": lambda: VaultNode({"*": refused(403, f"permission denied {CANARY}")}),
    "sealed": lambda: VaultNode({"*": refused(503, f"Vault is sealed {CANARY}")}),
    "not found": lambda: VaultNode({"*": refused(404, f"no {CANARY}")}),
    "empty": lambda: VaultNode({"*": said({"auth": {"client_token": f"{CANARY} {CANARY}"}, "data": CANARY})}),
    "half": lambda: Answer(json.dumps({"auth": GRANTED}).encode()[:-9]),
    "text": lambda: Answer(CANARY.encode(), 500, "text/plain"),
    "reset": Reset,
}


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Everything that is logged, by anybody, at any level."""
    with caplog.at_level(logging.DEBUG):
        yield caplog


def shown_of(error: SecretsError) -> list[str]:
    """All that a reporter could show of *error*: its frames with their locals, too, but for those of tests."""
    whole = traceback.TracebackException.from_exception(error, capture_locals=True)
    assert (whole.__cause__, whole.__context__) == (None, None)
    frames = [str(one.locals) for one in whole.stack if "/tests/" not in one.filename]
    return [str(error), repr(error), str(error.__dict__), str(pickle.dumps(error)), *frames]


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("which", range(len(METHODS)), ids=METHODS.__getitem__)
def test_a_login_shows_nothing_of_what_it_is_made_with(
    which: int, server: str, tmp_path: Path, told: pytest.LogCaptureFixture
) -> None:
    method = list(methods(tmp_path / "part"))[which]
    with FaultyServer(SERVERS[server]()) as node:
        rig = Rig(method, node.url)
        shown = [repr(rig.source), repr(method)]
        for step in range(2):
            try:
                shown.append(repr(rig.fetch(0.2)))
            except SecretsError as error:
                shown += shown_of(error)
            rig.clock.now += HOUR * step
        try:
            rig.release()
        except SecretsError as error:
            shown += shown_of(error)

    heard = "\n".join([*shown, told.text])
    assert len(heard) > 100
    assert CANARY not in heard


@pytest.mark.parametrize("content", [b"\xff" + CANARY.encode(), CANARY.encode() * 5000, b" \n"])
@pytest.mark.parametrize("which", range(len(METHODS) - 1), ids=METHODS.__getitem__)
def test_what_cannot_be_a_part_of_a_login_is_not_quoted(which: int, content: bytes, tmp_path: Path) -> None:
    place = tmp_path / "part"
    method = list(methods(place))[which]
    place.write_bytes(content)
    with pytest.raises(LoginIncomplete) as caught:
        Rig(method, "http://127.0.0.1:1").fetch()

    assert CANARY not in "\n".join(shown_of(caught.value))
