"""What a running daemon shows of itself: `status`, `tree`, `metrics`, `health`, `live`.

`tree` also draws the tree of a system that is started for it, where no daemon is found.
"""

from __future__ import annotations

import os
from typing import Any, Final

import click
import msgspec

from secrets_actor.cli import output
from secrets_actor.cli.daemon_client import DaemonClient, sockets_of
from secrets_actor.cli.exit_codes import EPILOG, FAILED
from secrets_actor.cli.options import Options
from secrets_actor.cli.store.options import json_option, passphrase_option
from secrets_actor.clock import sleep
from secrets_actor.domain.errors import AccessDenied, InvalidAnswer, SecretsError, ServerDown
from secrets_actor.otp import Tree
from secrets_actor.runtime.settings_loader import load
from secrets_actor.telemetry.redaction import printable

_HEALTH: Final = "/health"
_LIVE: Final = "/health/live"


def client_of(options: Options) -> DaemonClient:
    """Return a client of the daemon that the options lead to. Raises `ServerDown` if none is found, and `AccessDenied`
    if there is one that this user may not ask."""
    settings = load(options.config).settings
    if options.past_daemon:
        raise click.UsageError("This command asks a daemon, and --no-daemon goes past it.")
    path = options.socket or options.daemon_socket(settings)
    if path is None:
        places = list(sockets_of(settings))
        for place in places:
            if place.is_socket() and not os.access(place, os.W_OK, effective_ids=True):
                raise AccessDenied(
                    f"the daemon at {place} is not open to this user: its socket has another mode or group"
                )
        looked = ", ".join(map(str, places)) or "no place of this user's"
        raise ServerDown(
            f"no daemon was found (looked at {looked}): start one with 'secrets-actor run', or name its socket with "
            "--socket"
        )
    return DaemonClient(path)


@click.command("status", epilog=EPILOG)
@json_option
@click.pass_obj
def status(options: Options) -> None:
    """Show how the daemon is: its listeners, its store, what is degraded, and its last reload."""
    with client_of(options) as client:
        found = client.ask("/control/status")
    if options.as_json:
        click.echo(output.as_json(found))
        return
    for name in ("degraded", "listeners", "files"):
        if name in found:
            found[name] = [_in_words(one) for one in found[name]] or None
    if found.get("reload"):
        found["reload"] = f"{found['reload']['at']}: {'; '.join(found['reload']['mistakes']) or 'taken'}"
    click.echo(output.as_lines(found))


def _in_words(fact: dict[str, Any]) -> str:
    if "what" in fact:
        return f"{fact['what']} ({fact['detail']})"
    if "path" in fact:
        return f"{fact['path']} ({fact['state']}{': ' if fact['problem'] else ''}{fact['problem']})"
    return f"{fact['address']} ({', '.join(fact['faces'])}; {fact['traffic'] if fact['up'] else 'down'})"


@click.command("tree", epilog=EPILOG)
@click.option("--watch", "watching", is_flag=True, help="Draw the tree again and again, until Ctrl-C.")
@click.option(
    "--every",
    type=click.FloatRange(0.05, 3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How often --watch draws.",
)
@passphrase_option
@json_option
@click.pass_obj
def tree(options: Options, watching: bool, every: float) -> None:
    """Draw the supervision tree of the running daemon; where there is none, that of a system that is started for it.

    The tree of a program is drawn by that program: print(system.tree()).
    """
    from secrets_actor.cli.demo import settled
    from secrets_actor.cli.watch_tree import watch

    path = None
    if not options.ask_passphrase:
        path = options.daemon_socket(load(options.config).settings)
    if path is not None:
        with DaemonClient(path) as client:
            if watching:
                watch(lambda: _tree_of(client), _pause, every, options.as_json)
            else:
                _draw(options, _tree_of(client))
        return
    with options.system() as system:
        if watching:
            watch(system.tree, lambda seconds: system.wait(seconds) is not None, every, options.as_json)
        else:
            _draw(options, settled(system))


def _draw(options: Options, picture: Tree) -> None:
    click.echo(output.as_json(output.tree_facts(picture)) if options.as_json else output.drawing(picture))


def _tree_of(client: DaemonClient) -> Tree:
    try:
        return msgspec.convert(client.ask("/control/tree"), Tree)
    except msgspec.ValidationError:
        pass  # its text quotes the answer
    raise InvalidAnswer("the daemon's picture of its tree cannot be read; is it of another version?")


def _pause(seconds: float) -> bool:
    sleep(seconds)
    return False


@click.command("metrics", epilog=EPILOG)
@json_option
@click.pass_obj
def metrics(options: Options) -> None:
    """Print the metrics of the daemon, one series a line."""
    with client_of(options) as client:
        families = client.ask("/control/metrics")
    if options.as_json:
        click.echo(output.as_json(families))
        return
    for family in families:
        for sample in family["samples"]:
            parts = ",".join(f'{name}="{value}"' for name, value in sample["labels"].items())
            click.echo(printable(f"{family['name']}{'{' + parts + '}' if parts else ''} {sample['value']:g}"))


@click.command("health", epilog=EPILOG)
@click.option("--live", is_flag=True, help="Ask only whether it is alive, and not whether it is ready.")
@json_option
@click.pass_context
def health(context: click.Context, live: bool) -> None:
    """Ask the daemon whether it is ready, as a probe of a container does.

    Ends with 0 if it is (degraded or not), and with 1 if it is not, or does not answer.
    """
    options: Options = context.obj
    try:
        with client_of(options) as client:
            answer = client.get(_LIVE if live else _HEALTH)
    except SecretsError as error:
        _show_health(options, {"status": "down", "detail": str(error)})
        context.exit(FAILED)
    try:
        facts = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        facts = None
    if not isinstance(facts, dict):
        facts = {"status": f"HTTP {answer.status}", "detail": "is the face health served at this address?"}
    _show_health(options, facts)
    if answer.status != 200:
        context.exit(FAILED)


def _show_health(options: Options, facts: dict[str, Any]) -> None:
    if not options.as_json and "degraded" in facts:
        facts = {**facts, "degraded": [_in_words(one) for one in facts["degraded"]] or None}
    options.show(facts)


@click.command("live", epilog=EPILOG)
@click.option("--open", "opens", is_flag=True, help="Open the first address in the browser of this machine.")
@json_option
@click.pass_obj
def live(options: Options, opens: bool) -> None:
    """Print an address of the daemon's live page. It lets one browser in, once, within a minute.

    The page shows the tree, the secrets in memory (never a value), callers and events, and looks as the user who runs
    this. It is there where a [[daemon.listen]] has the face live.
    """
    with client_of(options) as client:
        found = client.ask("/control/live/key", method="POST")
    if not found["urls"]:
        raise ServerDown(
            'no listener on TCP serves the live page: add [[daemon.listen]] address = "127.0.0.1:2774", '
            'faces = ["live"] to the configuration of the daemon, beside the [[daemon.listen]] of its Unix socket, and '
            "reload it"
        )
    if options.as_json:
        click.echo(output.as_json(found))
    else:
        click.echo("\n".join(found["urls"]))
    if opens:
        click.launch(found["urls"][0])
