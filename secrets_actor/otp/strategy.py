"""What a supervisor does about a child that ended. PURE: table, window and time come in, a plan comes out.

Rule 1: permanent children are always restarted, transient ones after an abnormal end, temporary ones never.
Rule 2: an end that calls for no restart touches no sibling and no window.
Rule 3: a restart, alone or in a group, counts once; one too many is not made: the supervisor gives up.
Rule 4: a group restart stops the others in reverse start order, then starts all but the temporary in start order, also
        those that had stopped before. One that waits for its next try waits no more: its try was for the old group.
Rule 5: a try to start that failed is a restart of its own: under rest_for_one from the child that failed on, under
        one_for_all from the first.
Rule 6: with a backoff the restart, its place in the window and whom it affects are decided when the delay is over.
Rule 7: a try that failed only because no thread was to be had is made again after a while that grows, with a backoff or
        without, and takes no place in the window: the machine is at its limit, and no supervisor above could help.
Rule 8: the end of a significant child that is not restarted can end the supervisor; being stopped cannot, though a
        child so stopped counts as gone.
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
    """The restarts of one supervisor in the last *period* seconds; more than *intensity* are too many."""

    intensity: int
    period: float
    times: tuple[float, ...] = ()

    def record(self, now: float) -> RestartWindow:
        """With one more restart, at *now*, and without those that have left the window."""
        return replace(self, times=(*self.recent(now), now))

    def recent(self, now: float) -> tuple[float, ...]:
        """Those that are in the window at *now*."""
        return tuple(t for t in self.times if now - t <= self.period)

    @property
    def exceeded(self) -> bool:
        """Whether the supervisor must give up."""
        return len(self.times) > self.intensity


# Between two tries to start a process for which there is no thread.
NO_THREAD_WAITS: Final = Backoff(initial=0.02, factor=2.0, maximum=1.0, jitter=0.25)


class RestartPlan(Struct, frozen=True):
    """Stop *stop* in that order, then start *start* in that order; or *give_up*, or *shut_down*, both of which end the
    supervisor; or, all empty, only take note."""

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
    """With a backoff: which try in a row the next start of *child* is, and the seconds until then; else None."""
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
    """The plan for *child*, whose process ended with *reason*."""
    if not wants_restart(child.spec, reason):
        return RestartPlan(window, shut_down=_ends_all(table, child, auto_shutdown))
    return restart(table, child, strategy, window, now)


def restart(
    table: ChildTable, child: Child, strategy: Strategy, window: RestartWindow, now: float, *, counts: bool = True
) -> RestartPlan:
    """The plan for a child that must be started again; *counts*: unless the last try only wanted a thread."""
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
