"""`secrets-actor render`: the files of the configuration, made once; or one template, to standard output or a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from secrets_actor.cli import output, value_io
from secrets_actor.cli.exit_codes import EPILOG, PROGRAM, complaint_about
from secrets_actor.cli.store.options import json_option, passphrase_option
from secrets_actor.client.secrets import Secrets
from secrets_actor.domain.errors import ConfigurationError, SecretsError
from secrets_actor.paths import absolute
from secrets_actor.runtime.file_settings import FileSettings, file_mistakes, specs_of
from secrets_actor.runtime.settings_loader import load
from secrets_actor.telemetry.redaction import printable

if TYPE_CHECKING:
    from secrets_actor.cli.options import Options
    from secrets_actor.delivery.rendered_file import FileSpec

_STDOUT: Final = Path("-")


@click.command("render", epilog=EPILOG)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--template", type=value_io.PlacePath(exists=True, dir_okay=False), help="Render this template alone.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    default=_STDOUT,
    help="Where the file of --template is put, with mode 0400; - is standard output.",
)
@click.option(
    "--engine", type=click.Choice(["plain", "jinja2"]), default="plain", help="What --template is written for."
)
@click.option("--dry-run", is_flag=True, help="Change and run nothing; say which files would change.")
@passphrase_option
@json_option
@click.pass_context
def render(
    context: click.Context,
    paths: tuple[Path, ...],
    template: Path | None,
    out: Path,
    engine: Literal["plain", "jinja2"],
    dry_run: bool,
) -> None:
    """Make the files of the configuration's [[file]], or those at PATHS, once.

    Each is rendered, checked, put into its place, and programs are told of it, as the daemon does it. What checks and
    on_change print goes to standard error: it may quote a secret. No value is printed, but by --template without --out.
    """
    options: Options = context.obj
    if template is not None:
        if paths:
            raise click.UsageError("--template is rendered alone: name its file with --out.")
        path = Path("/-") if out == _STDOUT else absolute(out)  # standard output needs no path
        row = FileSettings(path=path, template=absolute(template), engine=engine)
        specs = _checked((row,))
        if out == _STDOUT:
            _print(options, *specs.values())
            return
    else:
        specs = _wanted(specs_of(load(options.config).settings.file), paths)
    with options.secrets() as secrets:
        status = [_render(options, secrets, spec, dry_run) for spec in specs.values()]
    if any(status):
        context.exit(next(filter(None, status)))


def _checked(rows: tuple[FileSettings, ...]) -> dict[str, FileSpec]:
    mistakes = tuple(file_mistakes(rows))
    if mistakes:
        raise ConfigurationError(mistakes)
    return specs_of(rows)


def _wanted(specs: dict[str, FileSpec], paths: tuple[Path, ...]) -> dict[str, FileSpec]:
    """Return those of *specs* that are asked for. Raises `UsageError`."""
    if not specs:
        raise click.UsageError("The configuration has no [[file]]; or render a template with --template.")
    wanted = [str(absolute(path)) for path in paths] or [*specs]
    unknown = [path for path in wanted if path not in specs]
    if unknown:
        raise click.UsageError(f"The configuration has no [[file]] for {', '.join(unknown)}.")
    return {path: specs[path] for path in wanted}


def _print(options: Options, spec: FileSpec) -> None:
    from secrets_actor.delivery.fetching import fetch  # here: few commands need it
    from secrets_actor.delivery.rendered_file import content_of

    with options.secrets() as secrets:
        content = content_of(spec, fetch(secrets, spec.wanted))
    click.echo(content.reveal(), nl=False)


def _render(options: Options, secrets: Secrets, spec: FileSpec, dry_run: bool) -> int:
    """Make one file, and print what was done. Return the exit code."""
    from secrets_actor.delivery.fetching import fetch  # here: few commands need it
    from secrets_actor.delivery.rendered_file import content_of, deliver, writer_of

    facts: dict[str, Any] = {"path": str(spec.path)}
    status = 0
    try:
        fetched = fetch(secrets, spec.wanted)
        if dry_run:
            facts["state"] = "would change" if writer_of(spec).differs(content_of(spec, fetched)) else "unchanged"
        else:
            done = deliver(spec, fetched, show=lambda text: click.echo(text, err=True, nl=False))
            facts["state"] = "changed" if done.content else "repaired" if done.repaired else "unchanged"
            if done.problem:
                facts["problem"], status = done.problem, 1
    except SecretsError as error:
        complaint = complaint_about(error)
        facts["state"], facts["problem"], status = "failed", complaint.message, complaint.status
    if options.as_json:
        click.echo(output.as_json(facts))
    elif facts["state"] != "failed":
        click.echo(printable(f"{facts['path']}: {facts['state']}"))
    if "problem" in facts and not options.as_json:
        click.echo(f"{PROGRAM}: {printable(facts['problem'])}", err=True)
    return status
