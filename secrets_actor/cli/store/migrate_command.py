"""`secrets-actor store migrate`: its options, and the run from settings to report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from secrets_actor.cli import output
from secrets_actor.cli.caller import caller
from secrets_actor.cli.exit_codes import EPILOG, FAILED, exit_code
from secrets_actor.cli.store.options import PATH, json_option, made_stores_shown, settings_with_typed_key, without_key
from secrets_actor.cli.store.progress import bar
from secrets_actor.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from secrets_actor.backends.local.master_key_source import MasterKeySource
    from secrets_actor.cli.options import Options
    from secrets_actor.runtime.settings import Settings


@click.command(epilog=EPILOG)
@click.option("--to", "target", type=PATH, required=True, help="TOML file of the store that the secrets are copied to.")
@click.option("--from", "source", type=PATH, help="TOML file of the store they are in; without it, that of --config.")
@click.option(
    "--prefix", "prefixes", multiple=True, help="Only names that begin with this; may be given several times."
)
@click.option("--dry-run", is_flag=True, help="Read both stores, and print what would be done; write nothing.")
@click.option("--overwrite", is_flag=True, help="Replace values of the target that differ from the source's.")
@click.option("--ask-passphrase", is_flag=True, help="Type the passphrase of the source, a local store.")
@click.option("--to-passphrase", is_flag=True, help="Type the passphrase of the target, a local store.")
@json_option
@click.pass_context
def migrate(
    context: click.Context,
    target: Path,
    source: Path | None,
    prefixes: tuple[str, ...],
    dry_run: bool,
    overwrite: bool,
    ask_passphrase: bool,
    to_passphrase: bool,
) -> None:
    """Copy the secrets of one store to another, and compare. Secrets that are scheduled for deletion stay behind.

    Current and previous versions, descriptions and tags are copied; KMS keys, rotation rules, policies and copies in
    other regions are not. A secret that the target has already, with equal values, is left alone, so after an
    interruption run it again. A secret that the target has with another value is a conflict: it is listed by name, and
    never overwritten without --overwrite.
    """
    from secrets_actor.cli.migration import run, stores
    from secrets_actor.runtime import local_maintenance as runtime

    options: Options = context.obj
    here, key = _store(source or options.config, "source", "--ask-passphrase", asked=ask_passphrase)
    there, new_key = _store(target, "target", "--to-passphrase", asked=to_passphrase)
    here, there = stores.settings_for_both(here, there)
    # To a client, a source that does not exist is only empty. For a migration it is most likely a mistake in a path.
    if here.backend == "local_encrypted":
        runtime.local_maintenance(here, key).check_is_there()
    with (
        made_stores_shown(options) as note,
        stores.running_system(here, note, key) as old,
        stores.running_system(there, note, new_key) as new,
    ):
        source_secrets, target_secrets = (one.secrets.for_caller(caller()) for one in (old, new))
        names = run.names_of(source_secrets, prefixes)
        seen = 0
        with bar("secrets") as advance:

            def count(_result: object) -> None:
                nonlocal seen
                seen += 1
                advance(seen, len(names))

            report = run.migrate(
                source_secrets,
                None if dry_run and not stores.is_there(there) else target_secrets,
                names,
                workers=there.max_workers,
                overwrite=overwrite,
                dry_run=dry_run,
                puts_stages=stores.puts_stages(there),
                seen=count,
            )
    click.echo(output.as_json(report.facts()) if options.as_json else "\n".join(report.lines()))
    if not report.is_good:
        context.exit(FAILED if report.stopped_by is None else exit_code(report.stopped_by))


def _store(config: Path | None, side: str, option: str, *, asked: bool) -> tuple[Settings, MasterKeySource | None]:
    """Return the settings of one *side*, and its master key if *option* *asked* for a passphrase to be typed."""
    from secrets_actor.runtime.settings_loader import load

    if not asked:
        return load(config).settings, None
    if without_key(config).backend != "local_encrypted":
        raise ConfigurationError((f"backend: {option} is for a local store, and the {side} is none",))
    return settings_with_typed_key(config, f"The passphrase of the {side}")
