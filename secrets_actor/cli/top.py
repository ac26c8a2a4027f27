"""`top`: the state of the running daemon on a terminal, drawn again and again: what the live page shows in a browser.

Rule 1: what is drawn comes from outside: names of processes, secrets and callers. Of each text only what prints is
        drawn, cut to the width of the terminal.
Rule 2: a daemon that goes away may come back. What it said last stays on the screen, and the first line says so.
Rule 3: the terminal is as before at the end, whatever the end was.
"""

from __future__ import annotations

import os
import select
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from secrets_actor.cli import output
from secrets_actor.cli.daemon import client_of
from secrets_actor.cli.exit_codes import EPILOG
from secrets_actor.cli.options import Options
from secrets_actor.cli.store.options import json_option
from secrets_actor.clock import sleep, wall_time
from secrets_actor.domain.errors import InvalidAnswer, ServerDown, Unreachable
from secrets_actor.telemetry.redaction import printable

if TYPE_CHECKING:
    from secrets_actor.cli.daemon_client import DaemonClient
    from secrets_actor.faces.live_state import LiveGauge, LiveProcess, LiveSecret, LiveState

# A line of the screen: its text, and how it is drawn: `bold`, `dim`, `warn`, `bad`, or not otherwise.
Line = tuple[str, str]
# Of each table, so many rows are drawn even where there is little room.
_FEW: Final = 3
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


@click.command("top", epilog=EPILOG)
@click.option("--once", is_flag=True, help="Print it once, as text; so it does where the output is no terminal.")
@click.option(
    "--every",
    type=click.FloatRange(0.5, 3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How often it draws.",
)
@json_option
@click.pass_obj
def top(options: Options, once: bool, every: float) -> None:
    """Show the running daemon as it lives: the tree, secrets in memory (never a value), callers, events.

    q or Ctrl-C ends it. With --json, prints one object a line. The same in a browser: secrets-actor live.
    """
    with client_of(options) as client:
        state = _state(client)
        if options.as_json:
            _as_json(client, every, once)
        elif once or not sys.stdout.isatty():
            width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 120
            click.echo("\n".join(text for text, _ in lines(state, width, None, wall_time())))
        else:
            from secrets_actor.cli.watch_tree import redraw

            with _keys() as quits:
                redraw(_drawn(client, state), lambda: quits(every))


def _state(client: DaemonClient) -> LiveState:
    from secrets_actor.faces.live_state import LiveState

    try:
        return msgspec.convert(client.ask("/control/live"), LiveState)
    except msgspec.ValidationError:
        pass  # its text quotes the answer
    raise InvalidAnswer("the daemon's state cannot be read; is it of another version?")


def _as_json(client: DaemonClient, every: float, once: bool) -> None:
    try:
        while True:
            click.echo(output.as_json(client.ask("/control/live")))
            if once:
                return
            sleep(every)
    except KeyboardInterrupt:  # the usual way to stop watching
        return


def _drawn(client: DaemonClient, first: LiveState) -> Callable[[int, int], list[Line]]:
    """Return a function that asks for the state and returns the lines of a screen of this width and height."""
    latest, lost_at = first, None

    def draw(width: int, height: int) -> list[Line]:
        nonlocal latest, lost_at
        try:
            latest, lost_at = _state(client), None
        except (Unreachable, ServerDown):  # rule 2
            lost_at = wall_time() if lost_at is None else lost_at
        return lines(latest, width, height, wall_time(), lost_at)

    return draw


@contextmanager
def _keys() -> Iterator[Callable[[float], bool]]:
    """Hold this while q is to end the command. The function waits for so many seconds, or until a key, and returns
    whether it was q."""
    import termios
    import tty

    keyboard = sys.stdin.fileno() if sys.stdin.isatty() else None
    before: list[Any] | None = None
    if keyboard is not None:
        before = termios.tcgetattr(keyboard)
        tty.setcbreak(keyboard)

    def quits(seconds: float) -> bool:
        if keyboard is None:
            sleep(seconds)
            return False
        ready, _, _ = select.select([keyboard], [], [], seconds)
        return bool(ready) and os.read(keyboard, 64)[:1] in (b"q", b"Q", b"")

    try:
        yield quits
    finally:
        if keyboard is not None and before is not None:  # rule 3
            termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


# --- the lines --------------------------------------------------------------------------------------------------------


def lines(state: LiveState, width: int, height: int | None, now: float, lost_at: float | None = None) -> list[Line]:
    """Return *state* as lines of at most *width* characters, and at most *height* of them (None: all). *now* is in
    seconds since 1970; *lost_at*: since when the daemon has not answered."""
    found = list(_head(state, now, lost_at))
    tables = [(title, rows) for title, rows in _tables(state, now) if rows]
    room = None if height is None else height - len(found) - len(tables)
    shown = _shares([len(rows) for _, rows in tables], room)
    for (title, rows), most in zip(tables, shown, strict=True):
        left = len(rows) - most
        found.append((f"{title}{f'  (and {left} more)' if left else ''}", "bold"))
        found += rows[:most]
    cut = [(_cut(text, width), style) for text, style in found]
    return cut if height is None else cut[: max(1, height)]


def _cut(text: str, width: int) -> str:
    text = printable(text)
    return text if len(text) <= width else f"{text[: max(0, width - 1)]}…"


def _shares(wanted: list[int], room: int | None) -> list[int]:
    """Return how many rows each table gets of *room* rows: a few each, and then in their order what they want."""
    if room is None:
        return wanted
    given = [0] * len(wanted)
    for most in (_FEW, max(wanted, default=0)):
        for number, rows in enumerate(wanted):
            more = max(0, min(min(rows, most) - given[number], room))
            given[number] += more
            room -= more
    return given


def _head(state: LiveState, now: float, lost_at: float | None) -> Iterator[Line]:
    if lost_at is not None:
        yield f"reconnecting, for {span(now - lost_at)}: the daemon does not answer; this is what it said last", "bad"
    style = {"ok": "", "degraded": "warn"}.get(state.status, "bad")
    yield (
        f"secrets_actor {state.version}  {state.status}  {state.backend}  up {span(now - state.started_at)}  "
        f"pid {state.pid}",
        style,
    )
    yield "  ".join(map(_gauge, state.gauges)), ""
    for what in state.waits_for:
        yield f"waits for {what}", "warn"
    for one in state.degraded:
        yield f"{one.what}: {one.detail}", "warn"


def _gauge(gauge: LiveGauge) -> str:
    value = gauge.value if isinstance(gauge.value, str) else f"{gauge.value:g}"
    return f"{gauge.name.replace('_', ' ')} {value}{f' ({gauge.rate:g}/s)' if gauge.rate else ''}"


def _tables(state: LiveState, now: float) -> Iterator[tuple[str, list[Line]]]:
    yield "Tree", [] if state.tree is None else list(_process(state.tree, now, "", ""))
    yield (
        "Callers",
        [
            (
                f"{_wide(one.caller, 36)} {one.requests:>9}  {one.rate or 0:>7g}/s  {one.refusals:>5} refused  "
                f"{span(now - one.last)} ago",
                "warn" if one.refusals else "",
            )
            for one in state.callers
        ],
    )
    yield (
        f"Secrets in memory: {state.secrets_total}",
        [
            (
                f"{_wide(one.name, 36)} {one.version[:8]}  {span(now - one.fetched_at):>9} old  {_due(one, now)}",
                "warn" if one.stale else "",
            )
            for one in state.secrets
        ],
    )
    yield (
        "Listeners",
        [
            (
                f"{_wide(one.address, 36)} {'up' if one.up else 'down':<5} {one.connections:>5} connections "
                f"{one.requests:>9} requests  {', '.join(one.faces)}",
                "" if one.up else "bad",
            )
            for one in state.listeners
        ],
    )
    yield (
        "Credentials",
        [
            (
                f"{_wide(one.what, 36)} {'no end' if one.ends is None else 'end in ' + span(one.ends - now)}"
                f"{'' if one.renews is None else ', renewed in ' + span(one.renews - now)}",
                "",
            )
            for one in state.credentials
        ],
    )
    yield (
        "Files",
        [
            (f"{_wide(one.path, 36)} {one.state}  {one.problem or ''}", "bad" if one.problem else "")
            for one in state.files
        ],
    )
    yield (
        "Events",
        [
            (f"{span(now - one.at):>9} ago  {one.what}  {one.process}  {one.detail}", "dim")
            for one in reversed(state.events)
        ],
    )


def _due(secret: LiveSecret, now: float) -> str:
    if secret.stale:
        return "stale"
    return "due" if secret.next_refresh <= now else f"due in {span(secret.next_refresh - now)}"


def _process(node: LiveProcess, now: float, stem: str, indent: str) -> Iterator[Line]:
    up = node.state if node.started_at is None else f"up {span(now - node.started_at)}"
    facts = [f"#{node.serial}" if node.serial is not None else "", up]
    facts += [f"restarts {node.restarts}"] if node.restarts else []
    facts += [f"last crash {node.last_crash}"] if node.last_crash else []
    facts += [f"mailbox {node.mailbox}"] if node.mailbox else []
    facts += [f"disowned {node.disowned}"] if node.disowned else []
    facts += [node.status] if node.status else []
    style = "warn" if node.state != "running" or node.restarts_in_window else ""
    yield f"{_wide(stem + node.id, 36)} {'  '.join(one for one in facts if one)}", style
    for child in node.children:
        last = child is node.children[-1]
        yield from _process(child, now, indent + ("└─ " if last else "├─ "), indent + ("   " if last else "│  "))


def _wide(text: str, width: int) -> str:
    return _cut(text, width).ljust(width)


def span(seconds: float) -> str:
    """Return a length of time in at most two units, such as `3 h 20 min`; none is below 0."""
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"
