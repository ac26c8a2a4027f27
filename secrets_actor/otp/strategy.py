"""The decisions of a supervisor about a child that has ended. PURE: takes the table, the window and the time, and
returns a plan.

Rule 1: permanent children are always restarted, transient ones after an abnormal end, temporary ones never.
Rule 2: an end that calls for no restart changes no sibling and no window.
Rule 3: a restart counts once, whether it is of one child or of a group. If it is one too many, it is not made, and the
        supervisor gives up.
Rule 4: the restart of a group first stops the other children in reverse start order. Then it starts all but the
        temporary ones in start order, also those that had stopped before. A child that waited for its next try does not
        wait any more, because that try was for the old group.
Rule 5: when a start fails, the next try is a restart of its own: under rest_for_one it begins with the child that
        failed, under one_for_all with the first.
Rule 6: with a backoff, whether the restart is one too many and which children it affects is decided when the delay is
        over.
Rule 7: a try that failed only because no thread could be started is made again after a wait that grows, with or without
        a backoff. It takes no place in the window: the machine is at its limit, and no supervisor above could help.
Rule 8: the end of a significant child that is not restarted can end the supervisor. Stopping such a child by request
        does not end the supervisor, but the child then counts as gone.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from secrets_actor.otp.backoff import Backoff
from secrets_actor.otp.child_spec import AutoShutdown, ChildSpec, Restart, Strategy
from secrets_actor.otp.child_table import Child, ChildTable, State
from secrets_actor.otp.reasons import ExitReason


class RestartWindow(Struct, frozen=True):
    """The moments (clock seconds) of one supervisor's restarts in the last *period* seconds. More than *intensity* are
    too many."""

    intensity: int
    period: float
    times: tuple[float, ...] = ()

    def record(self, now: float) -> RestartWindow:
        """Return a window with one more restart, at *now*, and without those that are too old by then."""
        return replace(self, times=(*self.recent(now), now))

    def recent(self, now: float) -> tuple[float, ...]:
        """Return the moments of the restarts that are in the window at *now*."""
        return tuple(t for t in self.times if now - t <= self.period)

    @property
    def exceeded(self) -> bool:
        """Whether the supervisor must give up."""
        return len(self.times) > self.intensity


# The waits between two tries to start a process for which no thread could be started (rule 7).
NO_THREAD_WAITS: Final = Backoff(initial=0.02, factor=2.0, maximum=1.0, jitter=0.25)


class RestartPlan(Struct, frozen=True):
    """A plan for a supervisor: stop the children *stop* in that order, then start the children *start* in that
    order. With *give_up* (too many restarts) or *shut_down* (a significant child ended) it ends instead. If all are
    empty, it only notes the end."""

    window: RestartWindow
    stop: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    give_up: bool = False
    shut_down: bool = False


def wants_restart(spec: ChildSpec, reason: ExitReason) -> bool:
    """Whether a child that ended with *reason* is started again."""
    if spec.restart is Restart.TRANSIENT:
        return not reason.expected
    return spec.restart is Restart.PERMANENT


def postpone(child: Child, ran: float, chance: float) -> tuple[int, float] | None:
    """Return the number of the next try to start *child*, from 1, and the seconds to wait before it; None if it has no
    backoff. Its process ran for *ran* seconds; *chance* is a random number, 0 to 1."""
    backoff = child.spec.backoff
    if backoff is None:
        return None
    tries = backoff.next_try(child.tries, ran)
    return tries, backoff.delay(tries, chance)


def on_end(
    table: ChildTable,
    child: Child,
    reason: ExitReason,
    strategy: Strategy,
    window: RestartWindow,
    now: float,
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER,
) -> RestartPlan:
    """Return the plan for *child*, whose process ended with *reason*."""
    if not wants_restart(child.spec, reason):
        return RestartPlan(window, shut_down=_ends_all(table, child, auto_shutdown))
    return restart(table, child, strategy, window, now)


def restart(
    table: ChildTable, child: Child, strategy: Strategy, window: RestartWindow, now: float, *, counts: bool = True
) -> RestartPlan:
    """Return the plan for a child that must be started again. *counts* is False if the last try failed only because no
    thread could be started (rule 7)."""
    if counts:
        window = window.record(now)
        if window.exceeded:
            return RestartPlan(window, give_up=True)
    if strategy is Strategy.ONE_FOR_ONE:
        return RestartPlan(window, start=(child.spec.id,))
    group = table.rows if strategy is Strategy.ONE_FOR_ALL else table.following(child.spec.id)
    return RestartPlan(
        window,
        stop=tuple(row.spec.id for row in reversed(group) if row.process is not State.STOPPED and row is not child),
        start=tuple(row.spec.id for row in group if row.spec.restart is not Restart.TEMPORARY),
    )


def _ends_all(table: ChildTable, child: Child, auto_shutdown: AutoShutdown) -> bool:
    if not child.spec.significant or auto_shutdown is AutoShutdown.NEVER:
        return False
    if auto_shutdown is AutoShutdown.ANY_SIGNIFICANT:
        return True
    return not any(row.spec.significant and row.process is not State.STOPPED for row in table.rows if row is not child)
