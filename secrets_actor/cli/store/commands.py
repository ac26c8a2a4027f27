"""`secrets-actor store init, verify, backup, restore, export, import and sweep`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from secrets_actor.cli import output
from secrets_actor.cli.exit_codes import EPILOG, FAILED
from secrets_actor.cli.store.options import (
    PATH,
    facts_without_none,
    json_option,
    local_store,
    made_stores_shown,
    passphrase_option,
)
from secrets_actor.cli.store.progress import attended
from secrets_actor.telemetry.redaction import printable

if TYPE_CHECKING:
    from secrets_actor.backends.local.upkeep.verify import Damage
    from secrets_actor.cli.options import Options


# Characters: a damaged or forged file may have any text in the place of a version's id, so no more of it is shown.
_SHOWN: Final = 200


def damage_lines(damage: Iterable[Damage], *, as_json: bool) -> dict[str, Any]:
    """Print a line for each damage. With *as_json*, print nothing, and return the member that tells it."""
    if as_json:
        return {"damage": [{"secret": one.secret, "row": one.row, "what": _one_line(one.what)} for one in damage]}
    for one in damage:
        click.echo(_one_line(str(one)))
    return {}


def _one_line(text: str) -> str:
    """Return *text* as one harmless line: a part of it may come from a file that was tampered with."""
    shown = printable(text[: _SHOWN + 1])
    return shown if len(text) <= _SHOWN else shown[:_SHOWN] + "..."


_REMEDY = (
    "bring it back from a backup: secrets-actor store restore FILE --replace; or take along what is whole: "
    "secrets-actor store export FILE --salvage"
)


@click.command(epilog=EPILOG)
@passphrase_option
@json_option
@click.pass_obj
def init(options: Options) -> None:
    """Make an empty local store, and its key unless local.key names one that you made; print where both are.

    The first 'set' makes a store, too. Use this command to see where the store is, to copy its key before there are
    secrets, or to make a store whose key comes from a passphrase that you type.
    """
    local = local_store(options, new=True)
    with attended("interrupted; run it again"):
        local.init()
    options.show(
        {
            "folder": str(local.folder),
            "key": str(local.source),
            "next": "keep a copy of the key in another place: without it nobody can read the store or a backup of it",
        }
    )


@click.command(epilog=EPILOG)
@passphrase_option
@json_option
@click.pass_context
def verify(context: click.Context) -> None:
    """Open every key, secret and value of the local store, and list what is damaged, by name.

    Reads the store as it is at one moment, and changes nothing. Ends with 1 if anything is damaged. Secrets that are
    not damaged can still be read and set.
    """
    options: Options = context.obj
    local = local_store(options)
    with attended("interrupted; nothing was changed"):
        found = local.verify()
    counts = {"secrets": found.secrets, "versions": found.versions}
    remedy = None if found.clean else _REMEDY
    damage = damage_lines(found.damage, as_json=options.as_json)
    if options.as_json:
        click.echo(output.as_json({**counts, "unfinished": found.unfinished, **damage}))
    else:
        facts = {**counts, "damaged": len(found.damage), "unfinished": found.unfinished, "next": remedy}
        click.echo(output.as_lines(facts_without_none(facts)))
    if not found.clean:
        context.exit(FAILED)


@click.command(epilog=EPILOG)
@click.argument("file", type=PATH)
@json_option
@click.pass_obj
def backup(options: Options, file: Path) -> None:
    """Copy the local store to the new file FILE, as it is at one moment, even while programs write to it.

    The copy is sealed as the store is, and no key is needed to make it. The key is not in it: keep a copy of the key
    elsewhere. For a file that opens with a key or passphrase of its own, see 'export'.
    """
    local = local_store(options)
    with attended(f"interrupted; {file} is there whole, or not at all"):
        size = local.backup(file)
    options.show({"file": str(file), "bytes": size, "key": f"not in it: {local.source}"})


@click.command(epilog=EPILOG)
@click.argument("file", type=PATH)
@click.option("--replace", is_flag=True, help="Replace the store even if it has secrets or is damaged.")
@passphrase_option
@json_option
@click.pass_obj
def restore(options: Options, file: Path, replace: bool) -> None:
    """Bring the local store back to the state in FILE, which 'store backup' wrote.

    The key that FILE was sealed under must be where local.key says. The whole copy is verified first, and restored in
    one step or not at all; programs that use the store see it when their cache asks again. A store that has secrets,
    or is damaged, is only replaced with --replace. A damaged file is kept under another name, which is printed.
    """
    local = local_store(options)
    with attended("interrupted; the store is as it was, or as the copy is, and nothing in between"):
        done = local.restore(file, replace=replace)
    facts = {
        "folder": str(local.folder),
        "secrets": done.verification.secrets,
        "versions": done.verification.versions,
        "unfinished": done.verification.unfinished,
        "put_aside": None if done.aside is None else str(done.aside),
    }
    options.show(facts if options.as_json else facts_without_none(facts))


def _key_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options for the key or passphrase that an export is sealed and opened with."""
    for name, what in (
        ("--key-file", "The key of the export, 32 bytes: as they are, hex or base64."),
        ("--passphrase-file", "The passphrase of the export."),
    ):
        command = click.option(name, type=PATH, help=f"{what} The file must be open to you alone.")(command)
    return command


@click.command(epilog=EPILOG)
@click.argument("file", type=PATH)
@_key_options
@click.option("--salvage", is_flag=True, help="Leave out, and list, what does not open in a damaged store.")
@passphrase_option
@json_option
@click.pass_context
def export(
    context: click.Context,
    file: Path,
    passphrase_file: Path | None,
    key_file: Path | None,
    salvage: bool,
) -> None:
    """Write all secrets of the local store to FILE, sealed.

    FILE holds all versions and values, as they are at one moment, and the secrets that are scheduled for deletion. It
    is sealed with a passphrase, which is asked for, or with a key, and opens without the store's key. FILE must not
    exist yet.

    With --salvage, the command ends with 1 if anything was left out. Import FILE into a new store then.
    """
    from secrets_actor.backends.local.files import check_is_new
    from secrets_actor.cli.store import export_keys

    options: Options = context.obj
    local = local_store(options)
    check_is_new(file)  # refused before anybody types a passphrase
    local.check_is_there()
    with attended(f"interrupted; {file} is there whole, or not at all"):
        export_key = export_keys.export_key(passphrase_file, key_file, new=True)
        if not salvage:
            options.show({"file": str(file), "secrets": local.export_to(file, export_key)})
            return
        done = local.salvage_to(file, export_key)
    damage = damage_lines(done.left, as_json=options.as_json)
    options.show({"file": str(file), "secrets": done.secrets, "left": len(done.left), **damage})
    if done.left:
        context.exit(FAILED)


@click.command("import", epilog=EPILOG)
@click.argument("file", type=PATH)
@_key_options
@click.option("--overwrite", is_flag=True, help="Replace secrets of the same names that the store has already.")
@passphrase_option
@json_option
@click.pass_obj
def import_(
    options: Options,
    file: Path,
    passphrase_file: Path | None,
    key_file: Path | None,
    overwrite: bool,
) -> None:
    """Put all secrets of FILE, which 'store export' wrote, into the local store: all of them, or none.

    The whole file is verified first. If the store has secrets of the same names, nothing is imported unless --overwrite
    is given.
    """
    from secrets_actor.cli.store import export_keys

    with made_stores_shown(options) as note, attended("interrupted; all of it was imported, or nothing"):
        local = local_store(options, observe=note)
        done = local.import_from(
            file, export_keys.export_key(passphrase_file, key_file, new=False), overwrite=overwrite
        )
    options.show({"file": str(file), "secrets": done.secrets, "replaced": done.replaced, "expired": done.expired})


@click.command(epilog=EPILOG)
@json_option
@click.pass_obj
def sweep(options: Options) -> None:
    """Remove secrets of OpenBao or Vault for good whose recovery window has ended, and print their names.

    Until then, 'restore' brings them back. Nothing else removes them: a KV mount knows no such window. Secrets that
    another program has deleted are left alone.
    """
    from secrets_actor.cli.caller import caller
    from secrets_actor.runtime.settings_loader import load
    from secrets_actor.runtime.vault_maintenance import sweep as sweep_mount

    if options.socket is not None:
        raise click.UsageError("This works on the mount itself: run it with the daemon's --config, without --socket.")
    with attended("interrupted; run it again"):
        swept = sweep_mount(load(options.config), caller())
    if options.as_json:
        click.echo(output.as_json({"removed": swept}))
    else:
        click.echo("\n".join(map(printable, swept)) if swept else "no secret's recovery window has ended")
