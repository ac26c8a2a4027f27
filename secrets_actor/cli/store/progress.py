"""Long work, and who waits for it: a progress bar, and an end by Ctrl-C that says how things stand."""

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
    """Ctrl-C ends this with `Interrupted`, which tells *if_interrupted*. Also when it comes while SQLite calls back,
    which swallows what is raised there and fails as if it were late."""
    came = False

    def note(_signal: int, _frame: object) -> None:
        nonlocal came
        came = True
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
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
    """A progress bar on a terminal, and none elsewhere: what to call with how much is done, and of how much."""
    drawn: list[Any] = []
    with ExitStack() as stack:

        def tell(done: int, total: int) -> None:
            if not drawn:
                made = click.progressbar(length=total, label=label, file=sys.stderr, show_pos=True)
                drawn.append(stack.enter_context(made))
            drawn[0].update(done - drawn[0].pos)

        yield tell if sys.stderr.isatty() else lambda _done, _total: None
