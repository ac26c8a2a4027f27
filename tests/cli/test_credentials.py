"""`secrets-actor credentials`, the credential_process of SDKs, against a listener with the face of credentials."""

import json
import os
from pathlib import Path

from secrets_actor.clock import utc_now
from secrets_actor.domain.secret import SecretValue
from secrets_actor.faces.credentials_api import CredentialsApi
from secrets_actor.faces.minted_keys import Mint
from tests.cli.program import Program
from tests.faces.served import served
from tests.faces.served_system import served_system


def test_the_answer_is_the_sdks_and_tells_who_started_the_program(program: Program, tmp_path: Path) -> None:
    mint = Mint(SecretValue(b"k" * 32))
    with served_system() as system:
        face = CredentialsApi(system.service, mint, lambda _: None, utc_now, os.urandom)
        with served(face.answer, tmp_path) as listener:
            path = listener.place.removeprefix("unix:")
            found = program("--socket", path, "credentials").json

    assert found["Version"] == 1
    minted = mint.find(found["AccessKeyId"], found["SessionToken"], utc_now())
    assert minted is not None
    assert minted.secret_keys == (SecretValue(found["SecretAccessKey"]),)
    assert minted.owner.peer is not None
    assert minted.owner.peer.uid == os.getuid()


def test_without_a_daemon_it_says_how_to_start_one(program: Program, tmp_path: Path) -> None:
    lost = program("--socket", str(tmp_path / "none"), "credentials")
    listen = json.dumps([{"address": f"unix:{tmp_path}/none"}])
    none = program.with_settings(SECRETS_ACTOR_DAEMON__LISTEN=listen)("credentials")

    for done in (lost, none):
        assert (done.status, done.stdout) == (5, b"")
        assert "secrets-actor run" in done.complaint


def test_to_go_past_the_daemon_makes_no_sense(program: Program) -> None:
    assert program("--no-daemon", "credentials").status == 2
