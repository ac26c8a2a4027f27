"""For long commands: a progress bar, and a Ctrl-C that ends with a word on how far the command has come."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import click

from secrets_actor.cli.exit_codes import Interrupted


@contextmanager
def attended(if_interrupted: str) -> Iterator[None]:
    """Make a Ctrl-C raise `Interrupted` with the text *if_interrupted*.

    A Ctrl-C may come while SQLite runs a callback of ours. SQLite swallows the exception there, and its call fails as
    if it had taken too long. So a handler notes that the signal came, and any error after it counts as the
    interruption.
    """
    came = False

    def note(_signal: int, _frame: object) -> None:
        nonlocal came
        came = True
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # else the program runs inside another one, which has its own handler
        signal.signal(signal.SIGINT, note)
    try:
        yield
    except (KeyboardInterrupt, EOFError, click.Abort):
        came = True
    except Exception:
        if not came:
            raise
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise Interrupted(if_interrupted)


@contextmanager
def bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function (done, total) that draws a progress bar on a terminal, and does nothing elsewhere."""
    drawn: list[Any] = []
    with ExitStack() as stack:

        def tell(done: int, total: int) -> None:
            if not drawn:
                made = click.progressbar(length=total, label=label, file=sys.stderr, show_pos=True)
                drawn.append(stack.enter_context(made))
            drawn[0].update(done - drawn[0].pos)

        yield tell if sys.stderr.isatty() else lambda _done, _total: None
