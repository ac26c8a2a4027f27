"""Which daemon a command goes through, if any."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from secrets_actor import AwsSettings, DaemonClientSettings, LocalSettings, Settings
from secrets_actor.cli.main import cli
from secrets_actor.cli.options import Options, through
from secrets_actor.domain.errors import AccessDenied, ConnectionFailed
from secrets_actor.runtime.daemon_settings import DaemonSettings, ListenSettings
from tests.needs import AS_ROOT
from tests.servers.behaviours import Answer
from tests.servers.faulty import FaultyServer

NOBODY = 65534


@contextmanager
def as_a_user() -> Iterator[None]:
    """Act as a user who is not root, whose daemon is in XDG_RUNTIME_DIR."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(was)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The socket of this user's own daemon, where somebody answers."""
    with tempfile.TemporaryDirectory() as folder:  # not pytest's, which only root may enter
        path = Path(folder, "secrets-actor", "api.sock")
        path.parent.mkdir()
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        with FaultyServer(Answer(b"{}", status=404), path=path):
            for one in (path, path.parent, path.parent.parent):
                one.chmod(0o777)
            yield path


def found(settings: Settings, **options: object) -> Path | None:
    with as_a_user():
        return Options(None, False, **options).daemon_socket(settings)  # type: ignore[arg-type]


def test_where_nothing_is_configured_it_is_that_of_the_user(own: Path) -> None:
    assert found(Settings()) == own
    assert found(Settings(ttl_seconds=1.0)) == own  # this says nothing of a store
    assert found(Settings(daemon=DaemonSettings())) == own
    assert found(Settings(), past_daemon=True) is None
    assert found(Settings(), socket=Path("/other")) == Path("/other")


def test_a_variable_keeps_a_command_from_a_daemon_that_nobody_has_named(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRETS_ACTOR_NO_DAEMON", "1")

    assert found(Settings()) is None
    assert found(Settings(daemon=DaemonSettings())) == own
    assert found(Settings(), socket=Path("/other")) == Path("/other")


@pytest.mark.parametrize(
    "settings",
    [
        Settings(backend="aws_secrets_manager"),
        Settings(local=LocalSettings(path=Path("/other"))),
        Settings(aws=AwsSettings(region="eu-west-1")),
        Settings(daemon_client=DaemonClientSettings(address="unix:/other")),
        Settings(daemon=DaemonSettings(listen=(ListenSettings(address="127.0.0.1:1"),))),
    ],
)
def test_a_configuration_that_names_a_store_or_another_daemon_is_meant(own: Path, settings: Settings) -> None:
    assert found(settings) is None


def test_a_system_through_a_daemon_caches_nothing_and_keeps_timeout_and_log() -> None:
    given = Settings(call_timeout_seconds=3.0, ttl_seconds=9.0, local=LocalSettings(path=Path("/other")))

    made = through(Path("/a/s"), given)

    assert (made.backend, made.daemon_client.address, made.ttl_seconds) == ("daemon", "unix:/a/s", 0.0)
    assert (made.max_stale_seconds, made.missing_ttl_seconds) == (0.0, 0.0)
    assert (made.call_timeout_seconds, made.local) == (3.0, LocalSettings())


@AS_ROOT
@pytest.mark.parametrize("closed", ["the socket", "its folder"])
def test_a_configured_daemon_that_is_not_open_to_this_user_is_an_error_and_not_passed_by(
    closed: str,
) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "api.sock")
        with FaultyServer(Answer(b"{}", status=404), path=path):
            path.chmod(0o600 if closed == "the socket" else 0o666)
            path.parent.chmod(0o755 if closed == "the socket" else 0o700)
            with pytest.raises(ConnectionFailed, match="this user may not open the socket"):
                found(Settings(daemon=DaemonSettings(listen=(ListenSettings(address=f"unix:{path}"),))))


@AS_ROOT
def test_a_daemon_that_is_not_open_to_this_user_is_not_said_to_be_missing(own: Path) -> None:
    own.chmod(0o600)

    with as_a_user():
        done = CliRunner().invoke(cli, ["status"])

    assert isinstance(done.exception, AccessDenied)
    assert f"the daemon at {own} is not open to this user" in str(done.exception)
