"""What the commands on a whole store are given: which store it is, and its key."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click

from secrets_actor.cli.caller import caller
from secrets_actor.cli.failures import PROGRAM
from secrets_actor.cli.values import PlacePath
from secrets_actor.records import replace
from secrets_actor.telemetry.redaction import printable

if TYPE_CHECKING:
    from pathlib import Path

    from secrets_actor.backends.local.master_key import MasterKeySource
    from secrets_actor.cli.main import Options
    from secrets_actor.runtime.local_store import LocalStore
    from secrets_actor.runtime.settings import Settings

PATH: Final = PlacePath()
Command = Callable[..., None]
_STORES: Final = "The store's passphrase"


def _print_json(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        context.obj = replace(context.obj, as_json=True)


json_option = click.option(
    "--json",
    is_flag=True,
    expose_value=False,
    callback=_print_json,
    help="Print JSON, as with --json before the command.",
)
passphrase_option = click.option(
    "--ask-passphrase",
    is_flag=True,
    help="Type the passphrase that the store's key is made of, whatever local.key says.",
)


def _ask_passphrase(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        context.obj = replace(context.obj, ask_passphrase=True)


ask_option = click.option(
    "--ask-passphrase",
    is_flag=True,
    expose_value=False,
    callback=_ask_passphrase,
    help="Type the passphrase that the local store's key is made of, whatever local.key says.",
)


def asked_for(config: Path | None) -> tuple[Settings, MasterKeySource]:
    """The settings, and the key of the local store made of what is typed: now, for a call does not wait for a person;
    and twice where there is no store yet. Raises `UsageError`, and `ConfigurationError` if the store is not local."""
    from secrets_actor.backends.local.opening import DATABASE_NAME, has_data

    local = _local_store(config, True, False)
    source = local.source
    if not has_data(local.folder / DATABASE_NAME):
        source = typed(_STORES, new=True)
    if not source.present():
        raise source.missing()
    return _without_key(config), source


def local_store(options: Options, ask_passphrase: bool = False, *, new: bool = False) -> LocalStore:
    """The configured store. *ask_passphrase*: its key is made of what is typed, twice for a *new* one. When the command
    ends and the audit log has not taken its records, the user is told."""
    store = _local_store(options.config, ask_passphrase, new)
    click.get_current_context().call_on_close(lambda: _tell_unaudited(store))
    return store


def _tell_unaudited(store: LocalStore) -> None:
    if store.audit.problem is not None:
        click.echo(
            f"{PROGRAM}: warning: the audit record could not be written: {printable(str(store.audit.problem))}",
            err=True,
        )


def _local_store(config: Path | None, ask_passphrase: bool, new: bool) -> LocalStore:
    from secrets_actor.runtime import local_store as runtime
    from secrets_actor.runtime.settings_source import load

    if not ask_passphrase:
        return runtime.local_store(load(config), caller=caller())
    return runtime.local_store(_without_key(config), typed(_STORES, new=new), caller=caller())


def _without_key(config: Path | None) -> Settings:
    """The settings, whatever they say of the key: its place need not even be there."""
    from secrets_actor.runtime.settings_source import load

    return load(config, {**os.environ, "SECRETS_ACTOR_LOCAL__KEY": "file"})


def typed(what: str, *, new: bool) -> MasterKeySource:
    """The key made of a passphrase that is asked for when it is needed: twice if it is *new*. Raises `UsageError` where
    nobody can be asked."""
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
    """What there is to tell."""
    return {name: fact for name, fact in facts.items() if fact is not None}
