"""What a supervisor is told of a child, and the check of it all before anything starts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from secrets_actor.otp.errors import InvalidTree

if TYPE_CHECKING:
    from secrets_actor.otp.process import Behaviour


class Restart(StrEnum):
    """When a child that ended is started again."""

    PERMANENT = "permanent"
    """Always."""
    TRANSIENT = "transient"
    """Only after an abnormal end."""
    TEMPORARY = "temporary"
    """Never."""


class Kind(StrEnum):
    """What a child is."""

    WORKER = "worker"
    SUPERVISOR = "supervisor"


class Strategy(StrEnum):
    """Who is restarted with a child."""

    ONE_FOR_ONE = "one_for_one"
    """Nobody."""
    ONE_FOR_ALL = "one_for_all"
    """All."""
    REST_FOR_ONE = "rest_for_one"
    """Those started after it."""


class BrutalKill:
    """Shutdown without a moment to clean up."""

    def __repr__(self) -> str:
        return "BRUTAL_KILL"


INFINITY: Final = math.inf
BRUTAL_KILL: Final = BrutalKill()
# Seconds a worker has to terminate. Precedent: supervisor(3), shutdown defaults to 5000 ms, infinity for supervisors.
DEFAULT_SHUTDOWN: Final = 5.0


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How to run one child. *start* makes the behaviour (a GenServer or a supervisor), in the child's own thread.

    *shutdown*: seconds to terminate before it is killed, `INFINITY`, or `BRUTAL_KILL`; None is 5 s for a worker and
    `INFINITY` for a supervisor. *name* registers the process in the tree's registry.
    """

    id: str
    start: Callable[[], Behaviour]
    restart: Restart = Restart.PERMANENT
    shutdown: float | BrutalKill | None = None
    kind: Kind = Kind.WORKER
    name: str | None = None

    def completed(self) -> ChildSpec:
        """With its shutdown time filled in."""
        if self.shutdown is not None:
            return self
        return replace(self, shutdown=INFINITY if self.kind is Kind.SUPERVISOR else DEFAULT_SHUTDOWN)


@dataclass(frozen=True, slots=True)
class Flags:
    """How a supervisor treats its children: at most *intensity* restarts within *period* seconds.

    Defaults as in supervisor(3).
    """

    strategy: Strategy = Strategy.ONE_FOR_ONE
    intensity: int = 1
    period: float = 5.0


def check_flags(flags: Flags) -> Flags:
    """*flags*, or `InvalidTree`."""
    if flags.strategy not in Strategy:
        raise InvalidTree(f"strategy: one of {', '.join(Strategy)}")
    if not isinstance(flags.intensity, int) or flags.intensity < 0:
        raise InvalidTree("intensity: a whole number, 0 or more")
    if not flags.period > 0:
        raise InvalidTree("period: seconds, more than 0")
    return flags


def check_child(spec: ChildSpec) -> ChildSpec:
    """*spec* completed, or `InvalidTree`."""
    if not spec.id:
        raise InvalidTree("a child's id: some text")
    if not callable(spec.start):
        raise InvalidTree(f"{spec.id}: start: a callable that makes a behaviour")
    if spec.restart not in Restart or spec.kind not in Kind:
        raise InvalidTree(f"{spec.id}: restart: one of {', '.join(Restart)}; kind: one of {', '.join(Kind)}")
    shutdown = spec.shutdown
    if shutdown is not None and not isinstance(shutdown, BrutalKill) and not shutdown >= 0:
        raise InvalidTree(f"{spec.id}: shutdown: seconds, INFINITY or BRUTAL_KILL")
    return spec.completed()


def check_children(specs: Iterable[ChildSpec]) -> Sequence[ChildSpec]:
    """All specs completed, or `InvalidTree`."""
    checked = tuple(check_child(spec) for spec in specs)
    twins = sorted(child for child, count in Counter(spec.id for spec in checked).items() if count > 1)
    if twins:
        raise InvalidTree(f"child ids used twice: {', '.join(twins)}")
    return checked
