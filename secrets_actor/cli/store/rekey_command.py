"""`secrets-actor store rekey`: its options, its run, and what it tells the user."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from secrets_actor.cli.exit_codes import EPILOG
from secrets_actor.cli.store.options import (
    PATH,
    facts_without_none,
    json_option,
    local_store,
    passphrase_option,
    typed_key,
)
from secrets_actor.cli.store.progress import attended, bar
from secrets_actor.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from secrets_actor.backends.local.master_key_source import MasterKeySource
    from secrets_actor.backends.local.upkeep.rekey import Rekeyed
    from secrets_actor.cli.options import Options
    from secrets_actor.runtime.local_maintenance import LocalMaintenance

_INTERRUPTED: Final = (
    "interrupted; nothing is lost, and the store works: run the same command again, and it goes on where it was"
)
_LEFT: Final = "some did not open and were left as they were: see 'secrets-actor store verify'"
_TAKEN: Final = "the key was there already: if it should be a new one, move it away, and change over once more"
_RESUMED: Final = (
    "went on with what an earlier run had begun: if somebody may have read the store's keys since then, run it again"
)


@click.command(epilog=EPILOG)
@click.option("--deep", is_flag=True, help="Seal everything anew, each value under a new key.")
@click.option(
    "--to", type=PATH, help="TOML file whose [local] has the same `path`, and as `key` the place of the new key."
)
@click.option("--to-passphrase", is_flag=True, help="Make the new key from a passphrase that you type.")
@passphrase_option
@json_option
@click.pass_obj
def rekey(options: Options, deep: bool, to: Path | None, to_passphrase: bool) -> None:
    """Change the local store's master key, and with --deep all other keys.

    Without --to, a key that we made (a key file, a key ring's entry) is replaced where it lies. With --to, the key
    moves to another place, such as from a file to a passphrase: write NEW.toml with a [local] that names the same
    folder as `path` and the new place as `key`, run 'rekey --to NEW.toml', and put that `key` into the configuration.
    Values are not touched unless --deep.

    Programs that use the store may go on meanwhile, and no write is lost. After --to they need the new configuration:
    until they have it, each of their new connections (with --deep, each connection) ends in an error that says that
    the key is wrong.

    Anybody who had the old key and a copy of the store can still read that copy. Backups open with the key that they
    were made under: keep that key as long as the backups, or make new ones.

    If this command is interrupted or killed, run it again: it goes on where it was. The store works in between.
    """
    if to is not None and to_passphrase:
        raise click.UsageError("Give --to or --to-passphrase, not both.")
    local = local_store(options)
    target = _target(options, local, to) if to is not None else None
    if to_passphrase:
        target = typed_key("The new passphrase", new=True)
    was_there = target is not None and target.makes and target.present()
    with attended(_INTERRUPTED), bar("rows") as advance:
        done = local.rekey(
            target,
            deep=deep,
            on_progress=lambda so_far: advance(so_far.secrets + so_far.versions + so_far.left, so_far.total),
        )
    options.show(facts_without_none(_facts(done, local.source, target, deep=deep, was_there=was_there)))


def _target(options: Options, local: LocalMaintenance, to: Path) -> MasterKeySource:
    """Return the source of the new key, which the file *to* names.

    Raises `ConfigurationError` if *to* names another store, or the place where the key is now.
    """
    from msgspec.structs import replace

    # A passphrase that is typed is for the key of today: the new one is where *to* says.
    there = local_store(replace(options, config=to, ask_passphrase=False))
    if os.path.realpath(there.folder) != os.path.realpath(local.folder):
        raise ConfigurationError((f"local.path: {to} must name the same folder, {local.folder}",))
    if there.key == local.key and local.source.kind == there.source.kind:
        mistake = (
            f"local.key: {to} names the place where the key is now; name another, or leave --to out "
            "(SECRETS_ACTOR_ variables stand over both files)"
        )
        raise ConfigurationError((mistake,))
    return there.source


def _facts(
    done: Rekeyed, source: MasterKeySource, target: MasterKeySource | None, *, deep: bool, was_there: bool
) -> dict[str, object]:
    if target is not None:
        follow = "put the new local.key into the configuration of every program that uses this store"
        backups = f"open with the former key, in {source}: keep it as long as them, and delete it then"
    else:
        follow = "keep a copy of the new key in another place"
        backups = "open with the former key: make new ones"
    return {
        "key": str(target or source),
        "changed": done.master,
        "taken": _TAKEN if was_there and done.master else None,
        **({"secrets": done.secrets, "versions": done.versions, "left": done.left} if deep else {}),
        "damaged": _LEFT if done.left else None,
        "resumed": _RESUMED if done.resumed else None,
        "former_backups": backups if done.master else None,
        "next": follow if done.master or target is not None else None,
    }
