"""A machine of a test's own: environment, home and shared files; and what botocore finds on the same machine."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest

from secrets_actor.backends.aws_credentials import AwsCredentials, AwsCredentialSource
from secrets_actor.clock import now as clock_now
from secrets_actor.domain.errors import CredentialsError
from tests.backends.aws.credentials.sts_echo import StsEcho
from tests.servers.faulty import FaultyServer
from tests.servers.metadata import MetadataServer, keys_until

if TYPE_CHECKING:
    from tests.backends.aws.credentials.fake_machine import World

Keys = tuple[str, str, str | None]


@dataclass
class Machine:
    """Its files lie in *home*; variables are set through *patch* and undone after the test."""

    home: Path
    patch: pytest.MonkeyPatch

    def write(self, name: str, text: str) -> Path:
        """A file in its home."""
        path = self.home / name
        path.write_text(text)
        return path

    def config(self, text: str) -> None:
        """AWS's config file."""
        self.write("config", text)

    def credentials(self, text: str) -> None:
        """AWS's credentials file."""
        self.write("credentials", text)

    def set(self, **variables: str) -> None:
        """Environment variables."""
        for name, value in variables.items():
            self.patch.setenv(name, value)

    def unset(self, *names: str) -> None:
        """Fewer of them."""
        for name in names:
            self.patch.delenv(name, raising=False)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with nothing on it, whose metadata service is switched off."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    machine = Machine(tmp_path, monkeypatch)
    machine.set(
        HOME=str(tmp_path),
        AWS_CONFIG_FILE=str(tmp_path / "config"),
        AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "credentials"),
        AWS_EC2_METADATA_DISABLED="true",
    )
    return machine


@pytest.fixture
def metadata(machine: Machine) -> Iterator[MetadataServer]:
    """The metadata service of `machine`, switched on."""
    with MetadataServer() as server:
        machine.unset("AWS_EC2_METADATA_DISABLED")
        machine.set(AWS_EC2_METADATA_SERVICE_ENDPOINT=server.url)
        yield server


def fetch(source: AwsCredentialSource, within: float = 10.0) -> AwsCredentials:
    """The keys of *source*."""
    return source.fetch(clock_now() + within)


def plain(keys: AwsCredentials) -> Keys:
    """*keys* to compare."""
    token = None if keys.session_token is None else str(keys.session_token.reveal())
    return keys.access_key_id, str(keys.secret_key.reveal()), token


def failing(source: AwsCredentialSource, within: float = 10.0) -> CredentialsError:
    """What *source* fails with: of the tree, in one line, quoting nothing, free of what it came from."""
    with pytest.raises(CredentialsError) as caught:
        fetch(source, within)
    text = f"{caught.value} {caught.value.__dict__}"
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert "canary" not in text
    assert "\n" not in str(caught.value)
    return caught.value


def of_botocore(profile: str | None = None) -> Keys | None:
    """The keys botocore finds; None when it finds none. Its errors pass."""
    session = botocore.session.Session(profile=profile)
    found: Any = session.get_credentials()
    if found is None:
        return None
    frozen = found.get_frozen_credentials()
    return frozen.access_key, frozen.secret_key, frozen.token


@pytest.fixture
def world(machine: Machine) -> "Iterator[World]":
    """`machine` with an STS, a container's service and a metadata service around it."""
    from tests.backends.aws.credentials.fake_machine import World

    with FaultyServer(StsEcho()) as sts, MetadataServer() as container, MetadataServer() as instance:
        container.switches.issue = lambda: keys_until(datetime.now(UTC) + timedelta(hours=1), 2)
        machine.set(AWS_ENDPOINT_URL_STS=sts.url, AWS_REGION="us-east-1", AWS_DEFAULT_REGION="us-east-1")
        yield World(machine, sts, container, instance)
