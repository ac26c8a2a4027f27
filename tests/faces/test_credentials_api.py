"""Credentials that tell who signs with them: what is given out, to whom, and to real clients."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import botocore.session
import pytest
from botocore.credentials import ContainerProvider
from msgspec.structs import replace

from secrets_actor.backends.aws.credentials.container import ContainerCredentials
from secrets_actor.backends.aws.credentials.credential_process import ProcessCredentials
from secrets_actor.clock import now as clock_now
from secrets_actor.clock import utc_now
from secrets_actor.domain.errors import CredentialsError
from secrets_actor.domain.secret import SecretValue
from secrets_actor.faces.credentials_api import CredentialsApi
from secrets_actor.faces.exchange import Response
from secrets_actor.faces.identity import Identity, Peer
from secrets_actor.faces.minted_keys import Mint
from secrets_actor.faces.sigv4_check import KeyOwner
from tests.faces.asking import TCP, UNIX, request
from tests.faces.served import served
from tests.faces.served_system import Served, served_system

NOW: Final = datetime(2026, 11, 30, 4, 20, 22, tzinfo=UTC)
PROCESS: Final = "/control/credentials"
CONTAINER: Final = "/aws/credentials"


class Rig:
    def __init__(self, system: Served) -> None:
        self.mint, self.audit = Mint(SecretValue(b"k" * 32)), system.audit
        self.face = CredentialsApi(system.service, self.mint, self.token_name, lambda: NOW, os.urandom)
        self.of_today = CredentialsApi(system.service, self.mint, self.token_name, utc_now, os.urandom)

    @staticmethod
    def token_name(given: str) -> str | None:
        return "ci" if given == "for-ci" else None

    def ask(self, path: str, *headers: tuple[str, str], **more: Any) -> Response:
        asked = request(path, *headers, **more)
        assert self.face.takes(asked)
        return asyncio.run(self.face.answer(asked))

    def owner(self, access_key_id: str, token: str, now: datetime = NOW) -> KeyOwner | None:
        found = self.mint.find(access_key_id, token, now)
        return None if found is None else found.owner


@pytest.fixture
def rig() -> Iterator[Rig]:
    with served_system() as system:
        yield Rig(system)


def test_a_process_gets_credentials_that_carry_its_user_and_its_unit(rig: Rig) -> None:
    response = rig.ask(PROCESS, peer=UNIX)

    found = json.loads(response.body)
    assert response.status == 200
    assert list(found) == ["Version", "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"]
    assert (found["Version"], found["Expiration"]) == (1, "2026-11-30T05:20:22Z")
    assert rig.owner(found["AccessKeyId"], found["SessionToken"]) == KeyOwner("minted", replace(UNIX, pid=None))


@pytest.mark.parametrize(
    ("headers", "peer", "owner"),
    [
        ([("Authorization", "for-ci")], TCP, KeyOwner("minted", None, "ci")),
        ([], UNIX, KeyOwner("minted", replace(UNIX, pid=None))),
        ([("Authorization", "for-ci")], UNIX, KeyOwner("minted", replace(UNIX, pid=None), "ci")),
        ([], Peer(address="10.0.0.1:1", certificate="x"), KeyOwner("minted", Peer(certificate="x"))),
    ],
)
def test_a_container_gets_credentials_for_what_it_has_proved(
    rig: Rig, headers: list[tuple[str, str]], peer: Peer, owner: KeyOwner
) -> None:
    found = json.loads(rig.ask(CONTAINER, *headers, peer=peer).body)

    assert list(found) == ["AccessKeyId", "SecretAccessKey", "Token", "Expiration"]
    assert rig.owner(found["AccessKeyId"], found["Token"]) == owner


@pytest.mark.parametrize(
    ("path", "headers", "peer"),
    [
        (PROCESS, [], TCP),
        (PROCESS, [("Authorization", "for-ci")], TCP),
        (CONTAINER, [], TCP),
        (CONTAINER, [("Authorization", "wrong")], TCP),
        (CONTAINER, [("Authorization", "wrong")], UNIX),
        (CONTAINER, [("Authorization", "for-ci"), ("Authorization", "for-ci")], TCP),
    ],
)
def test_who_has_proved_nothing_gets_nothing(rig: Rig, path: str, headers: list[tuple[str, str]], peer: Peer) -> None:
    response = rig.ask(path, *headers, peer=peer)

    assert response.status == 403
    assert json.loads(response.body)["code"] == "AccessDenied"
    assert [(one.operation, one.outcome) for one in rig.audit.kept] == [("credentials", "access_denied")]


def test_only_a_get_is_answered(rig: Rig) -> None:
    response = rig.ask(PROCESS, peer=UNIX, method="POST")

    assert response.status == 405
    assert ("allow", "GET") in response.headers


def test_what_is_given_out_is_audited_without_the_keys(rig: Rig) -> None:
    found = json.loads(rig.ask(PROCESS, peer=UNIX).body)

    [record] = rig.audit.kept
    assert (record.operation, record.outcome, record.source) == ("credentials", "ok", "mint")
    assert "unit:billing.service" in str(record.caller)
    assert [one for one in found.values() if str(one) in repr(record) and one != 1] == []


def test_no_cache_keeps_them(rig: Rig) -> None:
    assert ("cache-control", "no-store") in rig.ask(PROCESS, peer=UNIX).headers


# --- real clients over a real listener ----------------------------------------------------------------------------

# What the command does, without the time that the program takes to start.
ASKS: Final = """
import socket, sys
asking = socket.socket(socket.AF_UNIX)
asking.connect(sys.argv[1])
asking.sendall(b"GET /control/credentials HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n")
print(asking.makefile().read().partition("\\n\\n")[2])
"""


def test_our_own_backend_takes_them_from_a_credential_process(rig: Rig, tmp_path: Path) -> None:
    with served(rig.of_today.answer, tmp_path) as listener:
        command = f"{sys.executable} -c '{ASKS}' {listener.place.removeprefix('unix:')}"
        found = ProcessCredentials(command).fetch(clock_now() + 20)

    assert found.session_token is not None
    owner = rig.owner(found.reveal_id(), found.session_token.text(), utc_now())
    assert owner is not None
    assert owner.peer is not None
    assert owner.peer.uid == os.getuid()


def test_our_own_backend_takes_them_as_a_container_does(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(rig.of_today.answer) as listener:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://{listener.place}{CONTAINER}")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "for-ci")
        found = ContainerCredentials().fetch(clock_now() + 20)
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "wrong")
        with pytest.raises(CredentialsError):
            ContainerCredentials().fetch(clock_now() + 20)

    assert found.session_token is not None
    assert rig.owner(found.reveal_id(), found.session_token.text(), utc_now()) == KeyOwner("minted", None, "ci")


def test_botocore_takes_them_as_a_container_does(rig: Rig, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("for-ci")
    with served(rig.of_today.answer) as listener:
        environ = {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://{listener.place}{CONTAINER}",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
        }
        found = ContainerProvider(environ=environ).load().get_frozen_credentials()

    assert rig.owner(found.access_key, found.token, utc_now()) == KeyOwner("minted", None, "ci")


def test_botocore_takes_them_from_a_credential_process(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "asks.py"
    script.write_text(ASKS)
    with served(rig.of_today.answer, tmp_path) as listener:
        config = tmp_path / "config"
        place = listener.place.removeprefix("unix:")
        config.write_text(f"[profile here]\ncredential_process = {sys.executable} {script} {place}\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
        found = botocore.session.Session(profile="here").get_credentials().get_frozen_credentials()

    owner = rig.owner(found.access_key, found.token, utc_now())
    assert owner is not None
    assert Identity(owner.peer or TCP).peer.uid == os.getuid()
