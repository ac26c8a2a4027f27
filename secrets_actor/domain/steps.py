"""What happened on the way of an operation, for whoever traces it. PURE: times come in, as clock seconds."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from secrets_actor.records import dataclass

OK: Final = "ok"
WORKER: Final = "worker"


@dataclass(frozen=True, slots=True)
class Step:
    """One part of the way: an attempt of a backend (*name* is the action, in the store's words), or a `worker` on a
    job. *outcome* is `ok` or an error's code."""

    name: str
    began: float
    ended: float
    outcome: str


def retries(attempts: Iterable[Step]) -> list[str]:
    """What made each of *attempts* necessary that is of the same action as the one before, which had failed: its
    outcome. Pages of a list are no retries."""
    return [one.outcome for one, other in pairwise(attempts) if one.name == other.name and one.outcome != OK]
