"""Sees to it that workers come. Part of the dispatcher, as `alarms.py` is.

Rule 1: a new actor adopts the workers it finds before it has any started; one that does not answer in time is ended.
Rule 2: a worker announces itself; that one could be started is no news, that none could be is.
Rule 3: where there is no thread for one, the next is tried after a while that grows. Jobs wait as long as they can; if
        there is no worker at all, they are refused while their callers still listen.
Rule 4: a worker that hangs is cut off, and another is started when there is something to do. Its thread stays until
        what it waits for ends; when there are MAX_HUNG times as many of those as there may be workers, no more are
        started, and jobs are refused if there is no other worker.
Rule 5: workers that have nothing to do for long are let go: connections cost the store something, and threads cost us.
Rule 6: workers that should have come by now, while jobs wait for them, are no longer counted on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import random
from typing import Any, Final

from secrets_actor.actor.breaker import BreakerRules
from secrets_actor.actor.failures import NO_THREAD_HELP
from secrets_actor.actor.jobs import Announce, HireAgain, Nudge, Rest, Unadopted
from secrets_actor.actor.pool import Pool
from secrets_actor.domain.errors import SecretsError, WorkerCrashed
from secrets_actor.otp import (
    Address,
    Backoff,
    ChildSpec,
    GenServer,
    OtpError,
    Pid,
    Shutdown,
    StartChild,
    StartError,
    TerminatePid,
    WhichChildren,
    cast,
    lacks_thread,
    no_more,
)
from secrets_actor.records import dataclass, field

# Seconds after which a worker that was to come, and did not, is no longer counted on.
PATIENCE: Final = 1.0
# Between two tries to start a worker when there is no thread for one, in seconds.
PAUSES: Final = Backoff(initial=0.02, factor=2.0, maximum=0.25, jitter=0.25)
# A job that cannot wait for the next try is refused so many seconds before its time is up: its caller is to hear why.
HEADROOM: Final = 0.05
# See rule 4.
MAX_HUNG: Final = 2
HUNG: Final = Shutdown("its job did not end in time")
_HANG: Final = (
    "{} calls to the store hang, each with a thread that cannot be had back, and no more are begun: see what its disk, "
    "its socket or its helper program waits for. It goes on by itself once some of them end"
)


@dataclass(frozen=True, slots=True)
class Crew:
    """Where workers come from: their supervisor, the spec of one, and how many there may be. One that has had nothing
    to do for *idle* seconds, and for twice that at most, is let go; *breaker* rules over what they send."""

    supervisor: Address
    spec: ChildSpec
    max_workers: int
    idle: float = 60.0
    breaker: BreakerRules = field(default_factory=BreakerRules)


class Staff:
    """Fills *pool* from *crew*. *refuse* is told of a job for which there will be no worker; *patience* says how
    many seconds one can wait yet."""

    def __init__(
        self,
        server: GenServer,
        crew: Crew,
        pool: Pool[Pid],
        call_timeout: float,
        refuse: Callable[[int, SecretsError], object],
        patience: Callable[[int], float],
    ) -> None:
        self._server, self._crew, self._pool = server, crew, pool
        self._call_timeout, self._refuse, self._patience = call_timeout, refuse, patience
        self._nudged = self._looks = False
        self._pauses = 0  # how many in a row, without a worker that was started
        self._pause_length = 0.0

    def adopt(self) -> None:
        """Ask the supervisor who is there already."""
        self._pool.hires = False
        self._server.call_async(self._crew.supervisor, WhichChildren(), self._adopt)

    def start(self, workers: int) -> None:
        """Have so many more started."""
        hung = self._hung() if workers else 0
        if hung >= MAX_HUNG * self._crew.max_workers:
            self._pool.expect(-workers)
            self._pause(math.inf, WorkerCrashed(_HANG.format(hung), error_type="hung"))
            return
        for _ in range(workers):
            self._server.call_async(self._crew.supervisor, StartChild(self._crew.spec), self._started)

    def dismiss(self, worker: Pid) -> None:
        """End an idle *worker*. By its supervisor, which hears of it before the next start: there is room for that."""
        cast(self._crew.supervisor, TerminatePid(worker))

    def rest(self) -> None:
        """A while has passed: let those go who have had nothing to do in all of it."""
        self._looks = False
        for worker in self._pool.rested():
            self._pool.dismiss(worker)
            self.dismiss(worker)

    def watch(self) -> None:
        """Look again in a while, if there are workers, or if jobs wait for nothing but workers that are to come."""
        if not self._looks and self._pool.workers:
            self._looks = True
            self._server.send_after(self._crew.idle, Rest())
        if self._pool.stuck and not self._nudged:
            self._nudged = True
            self._server.send_after(PATIENCE, Nudge())

    def nudge(self) -> None:
        """The while is over."""
        self._nudged = False
        if self._pool.stuck:
            self._pool.expect_none()

    def end_strangers(self, workers: tuple[Pid, ...]) -> None:
        """End those of *workers* that have not announced themselves; others, which do, will take their places."""
        for worker in workers:
            if not self._pool.knows(worker):
                worker.kill()

    def _started(self, done: Any) -> None:
        # No room: those who have it will announce themselves. No supervisor: this actor is about to end with it.
        if done.error is None:
            self._pauses = 0
        if not isinstance(done.error, StartError):
            return
        self._pool.expect(-1)
        if lacks_thread(done.error.reason):
            self._wait_for_thread()
            return
        waiting = self._pool.waiting
        if waiting and self._pool.empty:
            self._pool.withdraw(waiting[0])
            kind = type(done.error).__name__
            self._refuse(waiting[0], WorkerCrashed("no worker could be started; see the log", error_type=kind))

    def cut_off(self, worker: Pid) -> None:
        """End *worker*, which hangs, now: it is not started again by its supervisor."""
        worker.finish(HUNG)

    def _hung(self) -> int:
        label = self._crew.spec.id
        return sum(pid.label == label for pid in self._server.node.disowned)

    def _wait_for_thread(self) -> None:
        text = f"no thread could be started for a worker: {NO_THREAD_HELP}"
        self._pause(math.inf if no_more() else 0.0, WorkerCrashed(text, error_type="no thread"))

    def _pause(self, patience: float, error: SecretsError) -> None:
        """Start nobody for a while. If there is no worker at all, those jobs get *error* that cannot, or are not to,
        wait for longer than *patience* seconds more."""
        if self._pool.hires:  # else it is one of several that were asked for at once
            self._pool.hires = False
            self._pauses += 1
            self._pause_length = PAUSES.delay(self._pauses, random())  # noqa: S311
            self._server.send_after(self._pause_length, HireAgain())
        if self._pool.empty:
            for job in self._pool.waiting:
                if self._patience(job) <= self._pause_length + max(patience, HEADROOM):
                    self._pool.withdraw(job)
                    self._refuse(job, error.clone())

    def hire_again(self) -> None:
        """The pause is over."""
        self._pool.hires = True

    def _adopt(self, done: Any) -> None:
        self._pool.hires = True
        if isinstance(done.error, OtpError):
            return
        present = (child.pid for child in done.result() if child.pid is not None)
        workers = tuple(pid for pid in present if not self._pool.knows(pid))
        for worker in workers:
            self._pool.adopt(worker, busy=not worker.mailbox_idle())
            self._server.monitor(worker)
            cast(worker, Announce())
        if workers:
            self._server.send_after(self._call_timeout, Unadopted(workers))
