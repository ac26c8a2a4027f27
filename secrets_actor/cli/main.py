"""`secrets-actor`: the table of the commands, and the options before them.

Most commands start the tree, send it one or two requests through the client, and stop it. Those on a whole store are in
cli/store.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

import click

from secrets_actor.cli import completion, daemon, edit, output, policy, reading, top, value_io, writing
from secrets_actor.cli.credentials import credentials
from secrets_actor.cli.env import env
from secrets_actor.cli.exec import exec_
from secrets_actor.cli.exit_codes import EPILOG, FAILED, PROGRAM, USAGE, run, written
from secrets_actor.cli.helpers.commands import helper
from secrets_actor.cli.helpers.compose import compose
from secrets_actor.cli.options import Options
from secrets_actor.cli.render import render
from secrets_actor.cli.run import run_
from secrets_actor.cli.store import store
from secrets_actor.cli.store.options import json_option, passphrase_option
from secrets_actor.paths import absolute


def _show_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    import secrets_actor

    click.echo(f"{PROGRAM} {secrets_actor.__version__}")
    context.exit()


class Sections(click.Group):
    """A group whose help lists the commands by what they are for. A command that stands in no section comes last."""

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each section, in the order of the table."""
        named = {name for names in SECTIONS.values() for name in names}
        rest = tuple(name for name in self.list_commands(context) if name not in named)
        for title, names in (*SECTIONS.items(), ("More", rest)):
            found = [(name, self.commands[name]) for name in names if name in self.commands]
            if found:
                with formatter.section(title):
                    formatter.write_dl([(name, one.get_short_help_str(90)) for name, one in found])


@click.group(
    cls=Sections, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=False
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="TOML file of the configuration; without it, the file in SECRETS_ACTOR_CONFIG, or the defaults.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts; errors too.")
@click.option(
    "--socket",
    type=value_io.PlacePath(),
    metavar="PATH",
    help="Ask the daemon at this Unix socket. Without it, a daemon that runs is found where no store is configured.",
)
@click.option("--no-daemon", is_flag=True, help="Go past a daemon that runs: open the store here.")
@click.option("--verbose", is_flag=True, help="Show the audit and life-cycle records on standard error.")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
@click.pass_context
def cli(
    context: click.Context,
    config: Path | None,
    as_json: bool,
    socket: Path | None,
    no_daemon: bool,
    verbose: bool,
) -> None:
    """Keep secrets, through a supervised secrets actor.

    Without a configuration, they are kept in an encrypted store on this machine, or where the daemon of this user keeps
    them, if one runs.
    """
    ours = logging.getLogger("secrets_actor")
    shown = logging.StreamHandler() if verbose else logging.NullHandler()
    shown.setFormatter(output.LogLines(as_json))
    ours.addHandler(shown)
    if verbose:
        ours.setLevel(logging.DEBUG)
    context.obj = Options(config, as_json, socket=None if socket is None else absolute(socket), past_daemon=no_daemon)


@cli.command(epilog=EPILOG)
@click.option(
    "--seconds",
    type=click.FloatRange(1, 600),
    default=60.0,
    show_default=True,
    help="How long all the checks may take.",
)
@click.option(
    "--prefix",
    help="Try the permissions on a name that begins with this, and that no secret has. Without it: the prefix of the "
    "names in the configured prefetch, or app/.",
)
@passphrase_option
@json_option
@click.pass_context
def doctor(context: click.Context, seconds: float, prefix: str | None) -> None:
    """Check everything that the configured store needs, and say what to mend.

    Changes nothing. Ends with 1 if there is a fault. With --json, prints one object a line.
    """
    from secrets_actor.cli.doctor import report

    options: Options = context.obj
    if not report(options, prefix, seconds):
        context.exit(FAILED)


@cli.command(epilog=EPILOG)
@json_option
@click.pass_obj
def demo(options: Options) -> None:
    """Show the whole system at work, on an encrypted store in a temporary folder.

    With --json, prints one object a line.
    """
    from secrets_actor.cli.demo import JsonTeller, TextTeller, perform

    perform(JsonTeller() if options.as_json else TextTeller())


# The commands by what they are for, as --help shows them.
SECTIONS: Final = {
    "Read": ("get", "list", "describe", "versions", "history"),
    "Write": ("set", "edit", "create", "put", "update", "generate", "rotate", "tag", "untag", "delete", "restore"),
    "Programs and shells": ("exec", "render", "env", "completion", "credentials", "helper", "compose"),
    "Daemon": ("run", "status", "top", "live", "tree", "metrics", "health", "policy"),
    "Store and system": ("doctor", "store", "demo"),
}

for command in (
    *(reading.get, reading.list_, reading.describe, reading.versions, reading.history),
    *(writing.set_, writing.create, writing.put, writing.update, writing.delete, writing.restore),
    *(writing.tag, writing.untag, writing.rotate, writing.generate),
    *(edit.edit, exec_, render, env, completion.completion),
    *(run_, daemon.status, daemon.tree, daemon.metrics, daemon.health, policy.policy, credentials),
    *(daemon.live, top.top),
    *(helper, compose, store),
):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the program with *arguments* (None: those of the process), and end the process with the exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    output.ready_streams()
    if os.environ.get(completion.VARIABLE):
        sys.exit(completion.complete(cli, os.environ[completion.VARIABLE]))
    status = run(lambda: _carry_out(given or ["--help"]), json="--json" in given)
    sys.exit(written(status if given else status or USAGE))


def git_credential() -> NoReturn:
    """Be `git-credential-secrets-actor`, the program that git looks for."""
    main(["helper", "git", *sys.argv[1:]])


def docker_credential() -> NoReturn:
    """Be `docker-credential-secrets-actor`, the program that Docker and its kin look for."""
    main(["helper", "docker", *sys.argv[1:]])


def _carry_out(arguments: list[str]) -> None:
    # Not `cli.main()`: how that ends after a broken pipe differs from one version of click to the next.
    with cli.make_context(PROGRAM, list(arguments)) as context:  # a copy: click removes what it has parsed
        cli.invoke(context)
