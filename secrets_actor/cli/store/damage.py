"""How damage is told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import click

from secrets_actor.telemetry.redaction import printable

if TYPE_CHECKING:
    from secrets_actor.backends.local.upkeep.verify import Damage

# Of what a file that somebody else wrote has for a version's id, no more than this is shown.
_SHOWN: Final = 200


def told(damage: Iterable[Damage], *, as_json: bool) -> dict[str, Any]:
    """Print a line for each, or give it *as_json*: to be told with the rest."""
    if as_json:
        return {"damage": [{"secret": one.secret, "row": one.row, "what": _one_line(one.what)} for one in damage]}
    for one in damage:
        click.echo(_one_line(str(one)))
    return {}


def _one_line(text: str) -> str:
    """A part of *text* may come from a file that was tampered with."""
    shown = printable(text[: _SHOWN + 1])
    return shown if len(text) <= _SHOWN else shown[:_SHOWN] + "..."
