"""The options that commands share, and how they lead to a store and its key."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click
from msgspec.structs import replace

from secrets_actor.cli import output
from secrets_actor.cli.caller import caller
from secrets_actor.cli.exit_codes import PROGRAM
from secrets_actor.cli.value_io import PlacePath
from secrets_actor.telemetry.redaction import printable

if TYPE_CHECKING:
    from pathlib import Path

    from secrets_actor.backends.local.master_key_source import MasterKeySource
    from secrets_actor.cli.options import Options
    from secrets_actor.otp import LifecycleEvent, Observer
    from secrets_actor.runtime.local_factory import StoreMade
    from secrets_actor.runtime.local_maintenance import LocalMaintenance
    from secrets_actor.runtime.settings import Settings

PATH: Final = PlacePath()
Command = Callable[..., None]
_STORES: Final = "The store's passphrase"


def _flag(option: str, field: str, what: str) -> Callable[[Command], Command]:
    """Return a flag that sets *field* of the `Options`, so that no command has an argument for it."""

    def note(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
        if wanted:  # a flag that is left out changes nothing: --json may stand before the command
            context.obj = replace(context.obj, **{field: True})

    return click.option(option, is_flag=True, expose_value=False, callback=note, help=what)


json_option = _flag("--json", "as_json", "Print JSON, as with --json before the command.")
passphrase_option = _flag(
    "--ask-passphrase",
    "ask_passphrase",
    "Type the passphrase that the local store's key is made from. Whatever local.key says is ignored.",
)


@contextmanager
def made_stores_shown(options: Options) -> Iterator[Observer]:
    """Give an observer, and at the end tell the user of any store that was made meanwhile: its folder and its key's
    place.

    On standard error: standard output is for the command's own answer.
    """
    from secrets_actor.runtime.local_factory import StoreMade

    made: list[StoreMade] = []

    def note(event: LifecycleEvent) -> None:
        if isinstance(event, StoreMade):
            made.append(event)

    try:
        yield note
    finally:
        for event in made:
            click.echo(_store_made_text(event, as_json=options.as_json), err=True)


def _store_made_text(event: StoreMade, *, as_json: bool) -> str:
    if as_json:
        facts = {"folder": event.folder, "key": event.sealed_by, "next": event.advice}
        return output.as_json({"event": "store_made", **facts})
    return printable(f"{PROGRAM}: made a store in {event.folder}; its key is in {event.sealed_by}: {event.advice}")


def settings_with_typed_key(config: Path | None, what: str = _STORES) -> tuple[Settings, MasterKeySource]:
    """Ask for the passphrase of the local store, and return the settings and the key made of it.

    It is asked for now, for no call should wait for a person; and twice where there is no store yet. *what* is the text
    of the prompt. Raises `UsageError` without a terminal, and `ConfigurationError` if the store is not local.
    """
    from secrets_actor.backends.local.open_store import DATABASE_NAME, has_data
    from secrets_actor.runtime import local_maintenance as runtime

    settings = without_key(config)
    folder = runtime.local_maintenance(settings).folder
    source = typed_key(what, new=not has_data(folder / DATABASE_NAME))
    if not source.present():
        raise source.missing()
    return settings, source


def local_store(options: Options, *, new: bool = False, observe: Observer | None = None) -> LocalMaintenance:
    """Return the configured local store.

    With --ask-passphrase, its key is made from a passphrase that is typed, twice for a *new* store. *observe* is called
    when an import makes a store. If an audit record could not be written, the user is warned when the command ends.
    """
    if options.socket is not None:
        raise click.UsageError(
            "This works on the files of a store, and a daemon takes no part in it: run it as the daemon's user, with "
            "the daemon's --config, and without --socket. A daemon that runs may go on using the store."
        )
    store = _local_store(options.config, options.ask_passphrase, new, observe)
    click.get_current_context().call_on_close(lambda: _warn_of_lost_audit(store))
    return store


def _warn_of_lost_audit(store: LocalMaintenance) -> None:
    if store.audit.problem is not None:
        click.echo(
            f"{PROGRAM}: warning: the audit record could not be written: {printable(str(store.audit.problem))}",
            err=True,
        )


def _local_store(config: Path | None, ask_passphrase: bool, new: bool, observe: Observer | None) -> LocalMaintenance:
    from secrets_actor.runtime import local_maintenance as runtime
    from secrets_actor.runtime.settings_loader import load

    if not ask_passphrase:
        return runtime.local_maintenance(load(config).settings, caller=caller(), observe=observe)
    source = typed_key(_STORES, new=new)
    return runtime.local_maintenance(without_key(config), source, caller=caller(), observe=observe)


def without_key(config: Path | None) -> Settings:
    """Return the settings with any `local.key` replaced: a passphrase is typed, so the configured place does not matter
    and need not exist."""
    from secrets_actor.runtime.settings_loader import load

    return load(config, {**os.environ, "SECRETS_ACTOR_LOCAL__KEY": "file"}).settings


def typed_key(what: str, *, new: bool) -> MasterKeySource:
    """Return a source that makes the key of a passphrase, and asks for it when it is needed, twice if it is *new*.

    Raises `UsageError` without a terminal.
    """
    from secrets_actor.backends.local.keys.sources import typed_passphrase

    if not (sys.stdin and sys.stdin.isatty()):
        raise click.UsageError(
            "There is no terminal to ask for a passphrase: have the configuration name its place in local.key."
        )

    def ask() -> str:
        answer: str = click.prompt(what, hide_input=True, confirmation_prompt=new, err=True)
        return answer

    return typed_passphrase(ask)


def facts_without_none(facts: dict[str, Any]) -> dict[str, Any]:
    """Return *facts* without those that are None."""
    return {name: fact for name, fact in facts.items() if fact is not None}
