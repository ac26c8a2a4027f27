"""Profiles that only botocore can follow: with it, without it, and when it fails."""

import hashlib
import json
import os
import subprocess
import sys
import time

import pytest

from secrets_actor.backends.aws.credentials.botocore_extra import BotocoreCredentials
from secrets_actor.backends.aws.credentials.chain import DefaultChain
from secrets_actor.domain.errors import NoCredentials
from tests.backends.aws.credentials.conftest import Machine, failing
from tests.servers.behaviours import answer_json
from tests.servers.faulty import FaultyServer
from tests.servers.process import ROOT

START_URL = "https://canary.awsapps.com/start"
PROFILE = f"""[default]
sso_start_url = {START_URL}
sso_region = us-east-1
sso_account_id = 123456789012
sso_role_name = reader
region = us-east-1
"""
PROGRAM = """
import sys, time
from secrets_actor.backends.aws.credentials.chain import DefaultChain
assert "botocore" not in sys.modules
found = DefaultChain().fetch(time.clock_gettime(time.CLOCK_BOOTTIME) + 20)
print(found.reveal_id(), found.secret_key.reveal(), found.session_token.reveal(), int(found.expires_at.timestamp()))
"""


def test_an_sso_profile_is_followed_by_botocore(machine: Machine) -> None:
    """In a process of its own: botocore looks for the home when it is imported."""
    machine.config(PROFILE)
    cache = machine.home / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    token = {"startUrl": START_URL, "region": "us-east-1", "accessToken": "sso", "expiresAt": "2086-01-01T00:00:00Z"}
    (cache / f"{hashlib.sha1(START_URL.encode()).hexdigest()}.json").write_text(json.dumps(token))
    end = int(time.time()) + 3600
    keys = {"accessKeyId": "ASIASSO", "secretAccessKey": "s", "sessionToken": "t", "expiration": end * 1000}
    with FaultyServer(answer_json({"roleCredentials": keys})) as server:
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            cwd=ROOT,
            env={**os.environ, "AWS_ENDPOINT_URL_SSO": server.url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert (ended.stdout.split(), ended.returncode) == (["ASIASSO", "s", "t", str(end)], 0), ended.stderr


def test_without_botocore_it_is_told_which_extra_to_install(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.config(PROFILE)
    monkeypatch.setitem(sys.modules, "botocore.session", None)

    assert "pip install 'secrets-actor[botocore]'" in str(failing(DefaultChain()))


def test_what_botocore_says_is_told_by_its_type_alone(machine: Machine) -> None:
    machine.config(PROFILE.replace("default", "profile dev"))

    error = failing(DefaultChain("dev"))

    assert "profile dev (sso): botocore says " in str(error)
    assert "`aws sso login`" in str(error)


def test_a_provider_that_finds_nothing_and_one_that_is_unknown_are_failures(machine: Machine) -> None:
    machine.config("[default]\nregion = x")

    assert "botocore finds no credentials" in str(failing(BotocoreCredentials("sso", "default")))
    assert "botocore says UnknownCredentialError" in str(failing(BotocoreCredentials("no-such", "default")))
    assert repr(BotocoreCredentials("sso", "canary")) == "<BotocoreCredentials [sso]>"


def test_a_login_session_is_botocores_too(machine: Machine) -> None:
    machine.config("[default]\nlogin_session = arn:aws:iam::123456789012:user/canary")

    error = failing(DefaultChain())

    assert not isinstance(error, NoCredentials)
    assert "profile default (login)" in str(error)
