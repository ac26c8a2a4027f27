"""`tree --watch` and `top`: draw again and again, until Ctrl-C, or until the tree has ended.

THE door to rich, which is an extra, and so a file of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import click

from secrets_actor.cli.output import as_json, drawing, tree_facts
from secrets_actor.otp import Tree


def watch(picture: Callable[[], Tree], ended: Callable[[float], bool], seconds: float, as_json_lines: bool) -> None:
    """Draw what *picture* returns every *seconds*; with *as_json_lines*, print one JSON object a line instead. *ended*
    waits for so many seconds, and returns whether the tree has ended meanwhile.

    Raises `click.UsageError` if rich is needed and not installed.
    """
    if as_json_lines:
        _each(ended, seconds, lambda: click.echo(as_json(tree_facts(picture()))))
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
        _each(ended, seconds, lambda: live.update(Text(drawing(picture()), no_wrap=True), refresh=True))


_STYLES: Final = {"bold": "bold", "dim": "dim", "warn": "yellow", "bad": "bold red"}


def redraw(draw: Callable[[int, int], list[tuple[str, str]]], ended: Callable[[], bool]) -> None:
    """Draw the lines that *draw* returns for a terminal of this width and height, each with its style, on a screen of
    their own, until *ended*, which waits between two of them, returns True. NO_COLOR is heeded.

    Raises `click.UsageError` if rich is not installed.
    """
    try:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text
    except ModuleNotFoundError:
        console = None
    else:
        console = Console()
    if console is None:
        raise click.UsageError("top draws with rich, which is not installed: pip install 'secrets-actor[watch]'")

    def picture() -> Text:
        lines = draw(console.width, console.height)
        return Text("\n", no_wrap=True).join(Text(text, _STYLES.get(style, "")) for text, style in lines)

    try:
        first = picture()
        with Live(first, console=console, screen=True, auto_refresh=False) as live:
            while not ended():
                live.update(picture(), refresh=True)
    except KeyboardInterrupt:  # the usual way to stop watching
        return


def _each(ended: Callable[[float], bool], seconds: float, show: Callable[[], object]) -> None:
    try:
        show()
        while not ended(seconds):
            show()
    except KeyboardInterrupt:  # the usual way to stop watching
        return
    show()
