"""Sees to it that there are workers, neither too few nor too many. PURE: randomness and what hangs come in.

Rule 1: a new actor adopts the workers that it finds before it has any started; one that does not answer in time is
        ended.
Rule 2: a worker announces itself. So a start that worked is no news; one that failed is.
Rule 3: where there is no thread for a worker, the next is tried after a pause that grows. Jobs wait as long as they
        can; if there is no worker at all, they are refused while their callers still listen.
Rule 4: a worker that hangs is cut off, and another is started when there is something to do. Its thread stays until
        what it waits for ends; when there are MAX_HUNG times as many of those as there may be workers, no more are
        started, and jobs are refused if there is no other worker.
Rule 5: workers that have nothing to do for long are let go: connections cost the store something, and threads cost us.
Rule 6: workers that should have come by now, while jobs wait for them, are no longer counted on.
Rule 7: when another store comes into force, workers of the one before finish what they are on and are let go.
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


class PoolOptions(Struct, frozen=True):
    """Where workers come from: their supervisor, the spec of one, and how many there may be. One that has had nothing
    to do for *idle* seconds, and for twice that at most, is let go; *breaker* rules over what they send."""

    supervisor: Address
    spec: ChildSpec
    max_workers: int
    idle: float = 60.0
    breaker: BreakerRules = field(default_factory=BreakerRules)


class WorkerSupply(Pool[Pid, J]):
    """A pool of workers that knows when to have more of them, and when to let one go. Idle ones go after *idle*
    seconds."""

    def __init__(self, max_workers: int, idle: float) -> None:
        super().__init__(max_workers)
        self._limit, self._idle_seconds = max_workers, idle
        self._nudged = self._looks = False
        self._pauses = 0  # how many in a row, without a worker that was started
        self._pause_length = 0.0
        self._leaving: set[Pid] = set()  # workers of a store that is not in force any more

    # --- who is there already -------------------------------------------------------------------------------------

    def await_adoption(self) -> None:
        """A new actor has asked the supervisor which workers there are: have none started until it answers."""
        self.hires = False

    def adopt_all(self, present: Iterable[tuple[Pid, bool]], patience: float) -> list[Action]:
        """These workers are there, each idle or *busy*. Those that have not announced themselves in *patience* seconds
        are killed then."""
        self.hires = True
        unknown = [(worker, busy) for worker, busy in present if not self.knows(worker)]
        for worker, busy in unknown:
            self.adopt(worker, busy=busy)
        adopted: list[Action] = [Adopt(worker) for worker, _ in unknown]
        return adopted and [*adopted, SetTimer(patience, AdoptionOver(tuple(worker for worker, _ in unknown)))]

    def end_unannounced(self, workers: tuple[Pid, ...]) -> list[Action]:
        """End those of *workers* that have not announced themselves; others, which do, will take their places."""
        return [Kill(worker) for worker in workers if not self.knows(worker)]

    def announced(self, worker: Pid, *, present: bool) -> list[Action]:
        """*worker* has announced itself; *present*: it is for the store that is in force."""
        if not self.ready(worker):
            return []
        if not present:
            self._leaving.add(worker)
        return [Monitor(worker), *self.end_leaving()]

    # --- letting go -----------------------------------------------------------------------------------------------

    def outdate(self) -> list[Action]:
        """The workers that there are, are for a store that is not in force any more."""
        self._leaving.update(self.workers)
        return self.end_leaving()

    def end_leaving(self) -> list[Action]:
        """End those that are to leave, and are idle."""
        if not self._leaving:
            return []
        gone: list[Action] = []
        for worker in self._leaving.intersection(self.idle):
            self.dismiss(worker)
            gone.append(Dismiss(worker))
            self._leaving.discard(worker)
        return gone

    def ended(self, worker: Pid, *, comes_back: bool) -> J | None:
        """*worker* has ended; the job it was on."""
        self._leaving.discard(worker)
        return self.gone(worker, comes_back=comes_back)

    def end_idle(self) -> list[Action]:
        """A while has passed: let those go that have had nothing to do in all of it."""
        self._looks = False
        gone: list[Action] = []
        for worker in self.rested():
            self.dismiss(worker)
            gone.append(Dismiss(worker))
        return gone

    def timers(self) -> list[Action]:
        """Look again in a while, if there are workers, or if jobs wait for nothing but workers that are to come."""
        timers: list[Action] = []
        if not self._looks and self.workers:
            self._looks = True
            timers.append(SetTimer(self._idle_seconds, EndIdleWorkers()))
        if not self._nudged and self.stuck:
            self._nudged = True
            timers.append(SetTimer(PATIENCE, WorkersOverdue()))
        return timers

    def workers_overdue(self) -> None:
        """PATIENCE is over."""
        self._nudged = False
        if self.stuck:
            self.expect_none()

    # --- starts that fail -----------------------------------------------------------------------------------------

    def hang(self, wanted: int, hung: int) -> SecretsError | None:
        """*wanted* workers are to be started while *hung* ones hang: the error, if none is to be (rule 4)."""
        if hung < MAX_HUNG * self._limit:
            return None
        self.expect(-wanted)
        return WorkerCrashed(_HANG.format(hung), error_type="hung")

    def started(self) -> None:
        """The supervisor has started a worker."""
        self._pauses = 0

    def not_started(self, error_type: str) -> list[tuple[J, SecretsError]]:
        """The supervisor could not start a worker; what is refused for that. One job for each start that fails, and
        only if there is no worker, for the next start may work."""
        self.expect(-1)
        if not self.waiting or not self.empty:
            return []
        job = self.waiting[0]
        self.withdraw(job)
        return [(job, WorkerCrashed("no worker could be started; see the log", error_type=error_type))]

    def pause(
        self, error: SecretsError, patience: Callable[[J], float], chance: float, *, final: bool
    ) -> tuple[list[Action], list[tuple[J, SecretsError]]]:
        """Start no worker for a while. If there is none at all, those jobs get *error* that cannot wait for the next
        try, as *patience* says (in seconds); all of them, if no try can help (*final*). *chance* is from 0 to 1."""
        timers: list[Action] = []
        if self.hires:  # else it is one of several that were asked for at once
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
        """The pause is over."""
        self.hires = True


def no_thread() -> WorkerCrashed:
    """The error for a job for which there is no thread."""
    text = f"no thread could be started for a worker: {NO_THREAD_HELP}"
    return WorkerCrashed(text, error_type="no thread")
