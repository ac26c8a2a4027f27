"""The fetch of keys that is under way, and the flights that wait for it. Part of the dispatcher.

Rule 1: keys are fetched by a worker; all who need them wait for the one fetch. A fetch that fails while the old keys
        are good is nobody's failure, and ends early enough for those who wait to go with the old ones.
Rule 2: the fetch is a job like any other, with a number of its own for each store: 0 or below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from secrets_actor.actor.counting import count_refresh
from secrets_actor.actor.failures import workers_crashed
from secrets_actor.actor.flights import Flight
from secrets_actor.actor.jobs import Hurry
from secrets_actor.actor.keyring import Keyring, RenewalFailed
from secrets_actor.actor.pool import Pool
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.errors import DeadlineExceeded, ExpiredToken, SecretsError
from secrets_actor.domain.metrics import NO_METER, Meter
from secrets_actor.otp import ExitReason, GenServer, Pid

# A job that ended this many workers will end the next one, too.
MAX_CRASHES: Final = 3
# A fetch that is to replace good keys has this share of the configured call time.
RENEWAL_SHARE: Final = 0.5
# Seconds for which a caller who takes a stale value waits for something fresh, where the last try came to nothing: what
# is well again has answered by then.
PATIENCE: Final = 0.25
KEYS: Final = 0  # job ids of fetches of credentials: this one, and one less for each store after the first


_HANGS: Final = (
    "no credentials came in time: what they come from (a file, a helper program, a metadata service) hangs. It is asked"
    " again after a while"
)


class Ways(Protocol):
    """What becomes of flights that have waited for keys."""

    def submit(self, flight: Flight) -> None:
        """They may go."""

    def refuse(self, flight: Flight, error: SecretsError) -> None:
        """There are no keys."""


class KeyFetches:
    """Runs in the secrets actor's thread."""

    def __init__(
        self,
        server: GenServer,
        ways: Ways,
        pool: Pool[Any],
        keyring: Keyring,
        call_timeout: float,
        meter: Meter = NO_METER,
    ) -> None:
        self._server, self._ways, self._pool, self._keyring = server, ways, pool, keyring
        self._call_timeout, self._meter = call_timeout, meter
        self.job = KEYS
        self._crashes = 0
        self._lost: Pid | None = None  # the worker whose fetch hung
        self._problem: SecretsError | None = None  # what the last fetch met

    def store_changed(self, number: int) -> None:
        """The keys there are, and the fetch that is under way, are for a store that is not in force any more."""
        self._pool.withdraw(self.job)
        self.job, self._crashes, self._problem = KEYS - number, 0, None
        for flight in self._keyring.start_over():
            self._ways.submit(flight)

    def lock_out(self, flight: Flight) -> None:
        """Let *flight* wait for keys; or refuse it, if a fetch hung and the next is not to be tried yet."""
        if self._problem is not None and self._keyring.rests():
            if self._hangs():
                self._ways.refuse(flight, self._problem.clone())
                return
            self._keyring.go_on()
        self._keyring.lock_out(flight)
        self.start()
        if self.trouble is not None:
            self._server.send_after(PATIENCE, Hurry(flight.id))

    @property
    def trouble(self) -> SecretsError | None:
        """What the last fetch met, if there are no keys."""
        return None if self._problem is None or self._keyring.current() is not None else self._problem

    def waiting(self, flight: int) -> Flight | None:
        """The flight with this id, if it waits for keys."""
        return next((one for one in self._keyring.waiting if one.id == flight), None)

    def start(self) -> None:
        """Have keys fetched, if it is time."""
        if self._keyring.start_fetch():
            self._pool.submit(self.job, first=True)

    def deadline(self, now: float) -> float:
        """By when a fetch that is sent *now* is to be done."""
        return now + self._call_timeout * (1.0 if self._keyring.current() is None else RENEWAL_SHARE)

    def patience(self, now: float) -> float:
        """For how many seconds those who wait for the fetch can wait yet; none if nobody does."""
        return self._keyring.patience(now)

    def done(self, job: int, credentials: Credentials) -> None:
        """New keys are here."""
        if job == self.job:
            self._crashes, self._problem = 0, None
            count_refresh(self._meter, "credentials")
            expired = ExpiredToken("the keys that were fetched have expired already: check this machine's clock")
            self._let_go(self._keyring.fetched(credentials), expired)

    def hung(self, job: int, worker: Pid) -> None:
        """The fetch did not end in time, and *worker*, which was on it, is lost."""
        self._lost = worker
        self.failed(job, DeadlineExceeded(_HANGS), hung=True)

    def failed(self, job: int, error: SecretsError, hung: bool = False) -> None:
        """The fetch came to nothing."""
        if job != self.job:
            return
        self._crashes, self._problem = 0, error
        count_refresh(self._meter, "credentials", error)
        if self._keyring.current() is not None:
            self._server.node.observe(RenewalFailed(self._server.me.label, str(error)))
        self._let_go(self._keyring.failed(hung), error)

    def crashed(self, job: int, reason: ExitReason) -> None:
        """The worker that was on it has ended."""
        if job != self.job:
            return
        self._crashes += 1
        if self._crashes < MAX_CRASHES:
            self._pool.submit(job, first=True)
        else:
            self.failed(job, workers_crashed(reason, MAX_CRASHES))

    def _hangs(self) -> bool:
        return self._lost is not None and self._lost in self._server.node.disowned

    def _let_go(self, waiting: list[Flight], error: SecretsError) -> None:
        """Send *waiting* on their way with the keys there are, new or old; without any, *error* is what they get."""
        go: Callable[[Flight], None] = self._ways.submit
        if self._keyring.current() is None:
            go = lambda flight: self._ways.refuse(flight, error)  # noqa: E731
        for flight in waiting:
            go(flight)
