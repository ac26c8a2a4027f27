"""Sees to it that workers come. Part of the dispatcher, as `alarms.py` is.

Rule 1: a new actor adopts the workers it finds before it has any started; one that does not answer in time is ended.
Rule 2: a worker announces itself; that one could be started is no news, that none could be is.
Rule 3: where there is no thread for one, the next is tried after a while that grows. Jobs wait as long as they can; if
        there is no worker at all, they are refused while their callers still listen.
Rule 4: workers that have nothing to do for long are let go: connections cost the store something, and threads cost us.
Rule 5: workers that should have come by now, while jobs wait for them, are no longer counted on.
"""

from __future__ import annotations

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
    StartChild,
    StartError,
    TerminatePid,
    WhichChildren,
    cast,
    lacks_thread,
)
from secrets_actor.records import dataclass, field

# Seconds after which a worker that was to come, and did not, is no longer counted on.
PATIENCE: Final = 1.0
# Between two tries to start a worker for which there is no thread, in seconds.
NO_THREAD_WAITS: Final = Backoff(initial=0.02, factor=2.0, maximum=0.25, jitter=0.25)
# A job that cannot wait for the next try is refused so many seconds before its time is up: its caller is to hear why.
HEADROOM: Final = 0.05


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
        self._threadless = 0  # how many starts in a row wanted a thread

    def adopt(self) -> None:
        """Ask the supervisor who is there already."""
        self._pool.hires = False
        self._server.call_async(self._crew.supervisor, WhichChildren(), self._adopt)

    def start(self, workers: int) -> None:
        """Have so many more started."""
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
            self._threadless = 0
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

    def _wait_for_thread(self) -> None:
        if not self._pool.hires:
            return  # one of several that were asked for at once
        self._pool.hires = False
        self._threadless += 1
        delay = NO_THREAD_WAITS.delay(self._threadless, random())  # noqa: S311
        self._server.send_after(delay, HireAgain())
        if self._pool.empty:
            text = f"no thread could be started for a worker: {NO_THREAD_HELP}"
            for job in self._pool.waiting:
                if self._patience(job) <= delay + HEADROOM:
                    self._pool.withdraw(job)
                    self._refuse(job, WorkerCrashed(text, error_type="no thread"))

    def hire_again(self) -> None:
        """The while after a start for which there was no thread is over."""
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
