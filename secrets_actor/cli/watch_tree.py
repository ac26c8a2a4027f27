"""`tree --watch`: draws the tree again and again, until Ctrl-C or until the tree has ended.

THE door to rich, which is an extra, and so a file of its own.
"""

from __future__ import annotations

from typing import Any

import click

from secrets_actor.cli.output import as_json, drawing, tree_facts
from secrets_actor.runtime.system import System


def watch(system: System, seconds: float, as_json_lines: bool) -> None:
    """Draw the tree of *system* every *seconds*; with *as_json_lines*, print one JSON object a line instead.

    Raises `click.UsageError` if rich is needed and not installed.
    """
    if as_json_lines:
        _each(system, seconds, lambda: click.echo(as_json(tree_facts(system.tree()))))
        return
    try:
        from rich.live import Live
        from rich.text import Text
    except ModuleNotFoundError:
        live = None
    else:
        live = Live(auto_refresh=False)
    if live is None:
        raise click.UsageError("--watch draws with rich, which is not installed: pip install 'secrets-actor[watch]'")
    with live:
        _each(system, seconds, lambda: live.update(Text(drawing(system.tree()), no_wrap=True), refresh=True))


def _each(system: System, seconds: float, show: Any) -> None:
    try:
        show()
        while system.wait(seconds) is None:
            show()
    except KeyboardInterrupt:  # the usual way to stop watching
        return
    show()
