"""The worker supply: decides when workers are started, adopted and ended. PURE: random numbers and the count of hung
workers are arguments.

Rule 1: a new actor adopts the workers that are there before it has any started. An adopted worker that does not
        announce itself in time is killed.
Rule 2: a worker announces itself. So the supervisor's word that a start succeeded changes nothing here but the length
        of pauses; a failed start is acted on.
Rule 3: if there is no thread for a worker, the next start is tried after a pause, which grows. Jobs wait as long as
        they can. If there is no worker at all, they are refused while their callers still wait.
Rule 4: a worker that hangs is cut off, and another one is started when there is a job for it. The thread of the hung
        worker stays until the call that it waits for ends. When there are MAX_HUNG times as many such threads as there
        may be workers, no more workers are started, and jobs are refused if there is no other worker.
Rule 5: workers that are idle for long are ended: connections cost the store something, and threads cost us.
Rule 6: if workers that jobs wait for do not announce themselves in time, the supply no longer counts on them.
Rule 7: when another store comes into force, the workers of the store before it finish their jobs and are ended.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct, field

from secrets_actor.actor.actions import Action, Adopt, Dismiss, Kill, Monitor, SetTimer
from secrets_actor.actor.breaker import BreakerRules
from secrets_actor.actor.error_translation import NO_THREAD_HELP
from secrets_actor.actor.messages import AdoptionOver, EndIdleWorkers, StartWorkersAgain, WorkersOverdue
from secrets_actor.actor.pool import J, Pool
from secrets_actor.domain.errors import SecretsError, WorkerCrashed
from secrets_actor.otp import Address, Backoff, ChildSpec, Pid, Shutdown

# Seconds after which the supply no longer counts on a worker that has not announced itself.
PATIENCE: Final = 1.0
# Seconds between two tries to start a worker when there is no thread for one.
PAUSES: Final = Backoff(initial=0.02, factor=2.0, maximum=0.25, jitter=0.25)
# A job whose deadline comes less than this many seconds after the next try is refused now. So its caller gets this
# error, which says the reason, and not a timeout.
HEADROOM: Final = 0.05
# How many threads of hung workers there may be for each worker that is allowed (rule 4).
MAX_HUNG: Final = 2
HUNG: Final = Shutdown("its job did not end in time")
_HANG: Final = (
    "{} calls to the store hang, each with a thread that cannot be had back, and no more are begun: see what its disk, "
    "its socket or its helper program waits for. It goes on by itself once some of them end"
)


class PoolOptions(Struct, frozen=True):
    """The workers' supervisor, the child spec of one worker, and how many there may be. A worker that has been idle for
    *idle* seconds is ended, after twice that at most: the check comes every *idle* seconds. *breaker* has the rules of
    the circuit breaker."""

    supervisor: Address
    spec: ChildSpec
    max_workers: int
    idle: float = 60.0
    breaker: BreakerRules = field(default_factory=BreakerRules)


class WorkerSupply(Pool[Pid, J]):
    """A pool of workers that also decides when to start more of them, and when to end one. A worker is ended when it
    was idle for *idle* seconds."""

    def __init__(self, max_workers: int, idle: float) -> None:
        super().__init__(max_workers)
        self._limit, self._idle_seconds = max_workers, idle
        self._overdue_timer_runs = False  # the timer that sends WorkersOverdue
        self._idle_timer_runs = False  # the timer that sends EndIdleWorkers
        self._pauses = 0  # how many in a row, with no successful start in between
        self._pause_length = 0.0
        self._leaving: set[Pid] = set()  # workers of a store that is not in force any more

    # --- workers that are there already ---------------------------------------------------------------------------

    def await_adoption(self) -> None:
        """A new actor has asked the supervisor which workers there are: start none until the answer comes."""
        self.hires = False

    def adopt_all(self, present: Iterable[tuple[Pid, bool]], patience: float) -> list[Action]:
        """Adopt the workers that are there: *present* has each, and whether it is busy. Those that have not announced
        themselves after *patience* seconds are to be killed then."""
        self.hires = True
        unknown = [(worker, busy) for worker, busy in present if not self.knows(worker)]
        for worker, busy in unknown:
            self.adopt(worker, busy=busy)
        adopted: list[Action] = [Adopt(worker) for worker, _ in unknown]
        return adopted and [*adopted, SetTimer(patience, AdoptionOver(tuple(worker for worker, _ in unknown)))]

    def end_unannounced(self, workers: tuple[Pid, ...]) -> list[Action]:
        """Kill those of *workers* that have not announced themselves. The supervisor starts others, and these announce
        themselves."""
        return [Kill(worker) for worker in workers if not self.knows(worker)]

    def announced(self, worker: Pid, *, present: bool) -> list[Action]:
        """*worker* has announced itself. *present*: its connection is to the store in force."""
        if not self.ready(worker):
            return []
        if not present:
            self._leaving.add(worker)
        return [Monitor(worker), *self.end_leaving()]

    # --- ending workers -------------------------------------------------------------------------------------------

    def outdate(self) -> list[Action]:
        """Another store has come into force: end all present workers, each as soon as it is idle."""
        self._leaving.update(self.workers)
        return self.end_leaving()

    def end_leaving(self) -> list[Action]:
        """End those workers of an earlier store that are idle now."""
        if not self._leaving:
            return []
        gone: list[Action] = []
        for worker in self._leaving.intersection(self.idle):
            self.dismiss(worker)
            gone.append(Dismiss(worker))
            self._leaving.discard(worker)
        return gone

    def ended(self, worker: Pid, *, comes_back: bool) -> J | None:
        """*worker* has ended. Return the job that it had, or None. *comes_back*: its supervisor starts it again."""
        self._leaving.discard(worker)
        return self.gone(worker, comes_back=comes_back)

    def end_idle(self) -> list[Action]:
        """The timer for idle workers has fired: end those that had nothing to do since it was set."""
        self._idle_timer_runs = False
        gone: list[Action] = []
        for worker in self.rested():
            self.dismiss(worker)
            gone.append(Dismiss(worker))
        return gone

    def timers(self) -> list[Action]:
        """Return the timers to set: one for idle workers if there are workers, and one for overdue workers if jobs wait
        and no worker is idle but some are on their way. A timer that is running already is not set again."""
        timers: list[Action] = []
        if not self._idle_timer_runs and self.workers:
            self._idle_timer_runs = True
            timers.append(SetTimer(self._idle_seconds, EndIdleWorkers()))
        if not self._overdue_timer_runs and self.stuck:
            self._overdue_timer_runs = True
            timers.append(SetTimer(PATIENCE, WorkersOverdue()))
        return timers

    def workers_overdue(self) -> None:
        """PATIENCE is over: if jobs still wait for workers on their way, count on these no longer."""
        self._overdue_timer_runs = False
        if self.stuck:
            self.expect_none()

    # --- starts that fail -----------------------------------------------------------------------------------------

    def hang(self, wanted: int, hung: int) -> SecretsError | None:
        """*wanted* workers are to be started while *hung* ones hang. Return the error if none may be started (rule 4),
        else None."""
        if hung < MAX_HUNG * self._limit:
            return None
        self.expect(-wanted)
        return WorkerCrashed(_HANG.format(hung), error_type="hung")

    def started(self) -> None:
        """The supervisor has started a worker."""
        self._pauses = 0

    def not_started(self, error_type: str) -> list[tuple[J, SecretsError]]:
        """The supervisor could not start a worker. Return the jobs to refuse, each with its error: the first one that
        waits if there is no worker at all, else none. The others wait, because the next start may succeed."""
        self.expect(-1)
        if not self.waiting or not self.empty:
            return []
        job = self.waiting[0]
        self.withdraw(job)
        return [(job, WorkerCrashed("no worker could be started; see the log", error_type=error_type))]

    def pause(
        self, error: SecretsError, patience: Callable[[J], float], chance: float, *, final: bool
    ) -> tuple[list[Action], list[tuple[J, SecretsError]]]:
        """Start no worker for a while. Return the timers to set, and the jobs to refuse, each with a copy of *error*.

        Jobs are refused only if there is no worker at all: those that cannot wait for the next try, or all of them if
        no try can help (*final*). *patience* gives the seconds that a job can wait. *chance* is a random number from 0
        to 1."""
        timers: list[Action] = []
        # Several starts that were asked for at once may fail together: only the first failure begins a pause.
        if self.hires:
            self.hires = False
            self._pauses += 1
            self._pause_length = PAUSES.delay(self._pauses, chance)
            timers.append(SetTimer(self._pause_length, StartWorkersAgain()))
        refused: list[tuple[J, SecretsError]] = []
        if self.empty:
            limit = math.inf if final else self._pause_length + HEADROOM
            for job in self.waiting:
                if patience(job) <= limit:
                    self.withdraw(job)
                    refused.append((job, error.clone()))
        return timers, refused

    def start_again(self) -> None:
        """The pause is over: workers may be started again."""
        self.hires = True


def no_thread() -> WorkerCrashed:
    """Return the error for a job whose worker could not have a thread."""
    text = f"no thread could be started for a worker: {NO_THREAD_HELP}"
    return WorkerCrashed(text, error_type="no thread")
