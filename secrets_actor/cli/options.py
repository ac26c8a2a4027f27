"""The options that stand before the command, and the system that a command asks because of them.

Rule 1: a command goes through a running daemon if there is one. `--socket` names it, `--no-daemon` goes past it.
        Without either it is that of the configuration, or, where no store is configured, that of this user or machine.
Rule 2: a configuration that names a store, and no daemon, is meant: no daemon is looked for.
Rule 3: a daemon that is there and does not answer is an error, and so is one of the configuration that is not open to
        this user. To go on without it would write to another store.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
from msgspec import Struct

from secrets_actor.cli import output
from secrets_actor.cli.caller import caller
from secrets_actor.cli.store.options import made_stores_shown, settings_with_typed_key
from secrets_actor.client.secrets import Secrets
from secrets_actor.clock import now
from secrets_actor.domain.errors import ConnectionFailed
from secrets_actor.domain.ports import BackendFactory
from secrets_actor.otp import Observer
from secrets_actor.runtime.backends import OF_THE_BACKEND
from secrets_actor.runtime.local_factory import local_factory_for
from secrets_actor.runtime.settings import DaemonClientSettings, Settings
from secrets_actor.runtime.settings_loader import load
from secrets_actor.runtime.system import RELEASE_SECONDS, System

# The variable that keeps commands from looking for a daemon that nobody has named: for scripts and tests that must not
# come upon one that happens to run.
NO_DAEMON: Final = "SECRETS_ACTOR_NO_DAEMON"
# Seconds within which a daemon says that it is there: it asks nobody for that.
_THERE: Final = 5.0


class Options(Struct, frozen=True):
    """The options that stand before the command, which all commands share.

    *socket*: the daemon to ask. *past_daemon*: ask none.
    """

    config: Path | None
    as_json: bool
    ask_passphrase: bool = False
    socket: Path | None = None
    past_daemon: bool = False

    @contextmanager
    def secrets(self) -> Iterator[Secrets]:
        """Start a system, and give its client, with the user of the command line as caller."""
        with self.system() as system:
            yield system.secrets.for_caller(caller())

    @contextmanager
    def system(self) -> Iterator[System]:
        """Start a system, and stop it at the end: it gives back the credentials that it had for this one command.

        After a Ctrl-C it is stopped at once, without waiting for operations under way: a user who interrupts does not
        want to wait. If a store was made on the way, the user is told.
        """
        with made_stores_shown(self) as note:
            settings, factory = self.store(note)
            with System(settings, observer=note, backend=factory) as system:
                try:
                    yield system
                except KeyboardInterrupt:
                    system.stop(0)
                    raise
                finally:
                    system.stop(drain=RELEASE_SECONDS)

    def store(self, observe: Observer | None = None) -> tuple[Settings, BackendFactory | None]:
        """Return the settings of the system that is asked, and a backend factory, or None for the one that they
        configure.

        There is a factory only for a local store whose passphrase is typed.
        """
        if self.ask_passphrase:
            if self.socket is not None:
                raise click.UsageError("--ask-passphrase opens a store here; a daemon has opened its own already.")
            settings, key = settings_with_typed_key(self.config)
            return settings, local_factory_for(settings.local, observe, key)
        settings = load(self.config).settings
        path = self.daemon_socket(settings)
        return settings if path is None else through(path, settings), None

    def daemon_socket(self, settings: Settings) -> Path | None:
        """Return the socket of the daemon that commands with these *settings* go through, or None for none.

        Raises `Unreachable` for a daemon that is there and does not answer, and `UsageError`.
        """
        if self.past_daemon:
            if self.socket is not None:
                raise click.UsageError("--socket names a daemon, and --no-daemon goes past it: give one of them.")
            return None
        unasked = _names_a_store(settings) or bool(os.environ.get(NO_DAEMON))
        if self.socket is not None or (settings.daemon is None and unasked):
            return self.socket
        from secrets_actor.cli.daemon_client import DaemonClient, find_socket

        found, started = find_socket(settings), now()
        if found is None:
            return None
        try:
            with DaemonClient(found) as client:
                client.get("/health/live", timeout=_THERE)  # any answer will do
        except ConnectionFailed:
            hung = now() - started >= _THERE
            configured = settings.daemon is not None and settings.daemon.listen
            closed = configured and not os.access(found, os.W_OK, effective_ids=True)
            if hung or closed:  # rule 3
                raise
            return None  # left behind by a daemon that has ended, or another user's
        return found

    def show(self, facts: dict[str, Any]) -> None:
        """Print *facts*, as JSON or as lines."""
        click.echo(output.as_json(facts) if self.as_json else output.as_lines(facts))


def through(path: Path, settings: Settings) -> Settings:
    """Return the settings of a system that asks the daemon at *path*, and caches nothing: a command asks once.

    Of *settings* only the log and the timeout count.
    """
    return Settings(
        backend="daemon",
        daemon_client=DaemonClientSettings(address=f"unix:{path}"),
        ttl_seconds=0.0,
        max_stale_seconds=0.0,
        missing_ttl_seconds=0.0,
        call_timeout_seconds=settings.call_timeout_seconds,
        log=settings.log,
    )


def _names_a_store(settings: Settings) -> bool:
    """Whether anything about the store differs from the defaults (rule 2)."""
    return any(getattr(settings, name) != getattr(Settings(), name) for name in OF_THE_BACKEND)
