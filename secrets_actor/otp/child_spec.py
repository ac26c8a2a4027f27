"""The specs of children and the flags of a supervisor, and their check before anything is started. PURE."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from secrets_actor.otp.backoff import Backoff
from secrets_actor.otp.behaviour import Behaviour
from secrets_actor.otp.errors import InvalidTree


class Restart(StrEnum):
    """When a child that ended is started again."""

    PERMANENT = "permanent"
    """Always."""
    TRANSIENT = "transient"
    """Only after an abnormal end."""
    TEMPORARY = "temporary"
    """Never."""


class Kind(StrEnum):
    """Whether a child is a supervisor itself."""

    WORKER = "worker"
    SUPERVISOR = "supervisor"


class Strategy(StrEnum):
    """Which other children are restarted together with a child that ended."""

    ONE_FOR_ONE = "one_for_one"
    """Nobody."""
    ONE_FOR_ALL = "one_for_all"
    """All."""
    REST_FOR_ONE = "rest_for_one"
    """Those started after it."""


class AutoShutdown(StrEnum):
    """Whether a supervisor ends when its significant children have ended and are not restarted."""

    NEVER = "never"
    ANY_SIGNIFICANT = "any_significant"
    """With the first of them."""
    ALL_SIGNIFICANT = "all_significant"
    """With the last of them."""


class BrutalKill:
    """The shutdown of a child that gets no time to clean up."""

    def __repr__(self) -> str:
        return "BRUTAL_KILL"


INFINITY: Final = math.inf
BRUTAL_KILL: Final = BrutalKill()
# Seconds that a worker has to terminate. Precedent: supervisor(3): 5000 ms for workers, infinity for supervisors.
DEFAULT_SHUTDOWN: Final = 5.0


class MailboxLimit(Struct, frozen=True):
    """The limit of a mailbox: while *size* messages or more wait, a call fails with `Overloaded`. Without *wait* it
    fails at once; with *wait* the caller first waits for room, up to the timeout of its call. A pykka `ask` never waits
    for room. Casts and other messages are not refused, because their senders could not be told.
    """

    size: int
    wait: bool = False


class ChildSpec(Struct, frozen=True):
    """How to run one child. *start* makes the behaviour (a GenServer or a supervisor); it is called in the child's own
    thread.

    *shutdown*: the seconds that the child has to terminate before it is killed, or `INFINITY`, or `BRUTAL_KILL`; None
    is 5 seconds for a worker and `INFINITY` for a supervisor. *name*: the name under which the process is registered in
    the registry of its node. *significant*: the child's end counts for the supervisor's `auto_shutdown`; such a child
    must be transient or temporary. *backoff*: the rule that delays restarts; it needs a `TimerServer` on the node.
    *mailbox*: the limit of calls that wait.

    *callback_timeout*: the seconds that init may take, and each other callback together with the terminate in which it
    may end. A child that takes longer is killed, its calls are failed, and its thread is disowned until it ends. This
    needs a `TimerServer`, too. A supervisor that is busy looks later. While it stops the child, *shutdown* holds
    instead.
    """

    id: str
    start: Callable[[], Behaviour]
    restart: Restart = Restart.PERMANENT
    shutdown: float | BrutalKill | None = None
    kind: Kind = Kind.WORKER
    name: str | None = None
    significant: bool = False
    backoff: Backoff | None = None
    mailbox: MailboxLimit | None = None
    callback_timeout: float | None = None


class Flags(Struct, frozen=True):
    """How a supervisor treats its children: it makes at most *intensity* restarts within *period* seconds.

    The defaults are those of supervisor(3).
    """

    strategy: Strategy = Strategy.ONE_FOR_ONE
    intensity: int = 1
    period: float = 5.0
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER


def check_flags(flags: Flags) -> Flags:
    """Return *flags*. Raises `InvalidTree` if they are wrong."""
    _one_of(Strategy, flags.strategy, "flags", "strategy", "invalid_strategy")
    if not _whole(flags.intensity) or flags.intensity < 0:
        raise _invalid("flags", "intensity: a whole number, 0 or more", "invalid_intensity", flags.intensity)
    if not _number(flags.period) or not flags.period > 0:
        raise _invalid("flags", "period: seconds, more than 0", "invalid_period", flags.period)
    _one_of(AutoShutdown, flags.auto_shutdown, "flags", "auto_shutdown", "invalid_auto_shutdown")
    return flags


def check_child(spec: ChildSpec, auto_shutdown: AutoShutdown = AutoShutdown.NEVER) -> ChildSpec:
    """Return *spec* with its defaults filled in. Raises `InvalidTree` if it is wrong."""
    if not spec.id:
        raise _invalid("child", "a child's id: some text", "missing_id")
    if not callable(spec.start):
        raise _invalid("child", f"{spec.id}: start: a callable that makes a behaviour", "invalid_mfa", spec.start)
    _one_of(Restart, spec.restart, "child", f"{spec.id}: restart", "invalid_restart_type")
    _check_significant(spec, auto_shutdown)
    _one_of(Kind, spec.kind, "child", f"{spec.id}: kind", "invalid_child_type")
    shutdown = spec.shutdown
    if shutdown is not None and not isinstance(shutdown, BrutalKill) and not (_number(shutdown) and shutdown >= 0):
        raise _invalid("child", f"{spec.id}: shutdown: seconds, INFINITY or BRUTAL_KILL", "invalid_shutdown", shutdown)
    if spec.backoff is not None and (found := spec.backoff.problem) is not None:
        raise _invalid("child", f"{spec.id}: backoff: {found}", "invalid_backoff", spec.backoff)
    if spec.mailbox is not None and (not _whole(spec.mailbox.size) or spec.mailbox.size < 1):
        raise _invalid("child", f"{spec.id}: mailbox: a size of 1 or more", "invalid_mailbox", spec.mailbox)
    deadline = spec.callback_timeout
    if deadline is not None and not (_number(deadline) and deadline > 0):
        text = f"{spec.id}: callback_timeout: seconds, more than 0, or None"
        raise _invalid("child", text, "invalid_callback_timeout", deadline)
    if shutdown is not None:
        return spec
    return replace(spec, shutdown=INFINITY if spec.kind is Kind.SUPERVISOR else DEFAULT_SHUTDOWN)


def _check_significant(spec: ChildSpec, auto_shutdown: AutoShutdown) -> None:
    if not isinstance(spec.significant, bool):
        raise _invalid("child", f"{spec.id}: significant: true or false", "invalid_significant", spec.significant)
    if not spec.significant:
        return
    if auto_shutdown == AutoShutdown.NEVER:
        text = f"{spec.id}: significant children need a supervisor with auto_shutdown"
        raise _invalid("child", text, "bad_combination", ("auto_shutdown", "never"), ("significant", True))
    if spec.restart == Restart.PERMANENT:
        text = f"{spec.id}: a significant child is transient or temporary"
        raise _invalid("child", text, "bad_combination", ("restart", "permanent"), ("significant", True))


def check_children(specs: Iterable[ChildSpec], auto_shutdown: AutoShutdown = AutoShutdown.NEVER) -> Sequence[ChildSpec]:
    """Return all specs with their defaults filled in. Raises `InvalidTree` if one is wrong or an id is used twice."""
    checked: dict[str, ChildSpec] = {}
    for spec in (check_child(given, auto_shutdown) for given in specs):
        if spec.id in checked:
            raise _invalid("child", f"a child id used twice: {spec.id}", "duplicate_child_name", spec.id)
        checked[spec.id] = spec
    return tuple(checked.values())


def _one_of(allowed: type[StrEnum], value: Any, part: str, field: str, problem: str) -> None:
    if type(value) is not allowed and (not isinstance(value, str) or value not in list(allowed)):
        raise _invalid(part, f"{field}: one of {', '.join(allowed)}", problem, value)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _invalid(part: str, text: str, *problem: object) -> InvalidTree:
    return InvalidTree(text, part, problem)
