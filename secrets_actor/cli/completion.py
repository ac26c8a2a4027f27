"""Shell completion: the script for a shell, and the names of secrets behind TAB."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Final

import click
from click.shell_completion import CompletionItem, get_completion_class, shell_complete

from secrets_actor.cli.exit_codes import EPILOG, PROGRAM

# The variable by which a shell asks for completions. The scripts of click set it.
VARIABLE: Final = "_SECRETS_ACTOR_COMPLETE"
SHELLS: Final = ("bash", "zsh", "fish")
# Names that are offered at most: a shell shows no more, and a store may have very many.
_OFFERED: Final = 200
# Seconds that a list may take: somebody has pressed TAB and waits.
_TIMEOUT: Final = 2.0


def secret_names(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names of secrets that begin with *incomplete*; none when the store cannot tell."""
    with suppress(Exception):  # there is nowhere to tell an error: it would stand in the line that is typed
        return [CompletionItem(name) for name in _names(context, incomplete)]
    return []


def _names(context: click.Context, prefix: str) -> list[str]:
    # Loaded here: the options lead to all of the system, and most commands are not completions.
    from secrets_actor.actor.prefetch_plan import Search
    from secrets_actor.cli.options import Options

    # The commands before this one have not run, as nothing is to happen behind TAB: so the options are read here.
    given = context.find_root().params
    logging.getLogger("secrets_actor").addHandler(logging.NullHandler())
    options = Options(given.get("config"), False, socket=given.get("socket"), past_daemon=given.get("no_daemon", False))
    filters = Search.of_prefix(prefix).page().filters if prefix else ()
    found = []
    with options.secrets() as secrets:
        for info in secrets.iterate(filters, timeout=_TIMEOUT):
            if info.name.startswith(prefix):
                found.append(info.name)
            if len(found) == _OFFERED:
                break
    return sorted(found)


@click.command(epilog=EPILOG)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script by which a shell completes commands, options and names of secrets.

    \b
    bash:  source <(secrets-actor completion bash)    in ~/.bashrc
    zsh:   source <(secrets-actor completion zsh)     in ~/.zshrc
    fish:  secrets-actor completion fish | source     in ~/.config/fish/config.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(click.get_current_context().find_root().command, {}, PROGRAM, VARIABLE).source())


def complete(group: click.Group, instruction: str) -> int:
    """Answer a shell that asks for completions by *instruction*, the value of `VARIABLE`. Returns the exit code."""
    return shell_complete(group, {}, PROGRAM, VARIABLE, instruction)
