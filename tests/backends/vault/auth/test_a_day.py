"""A day of a process that logs in: how many logins and renewals, through outages, and at whose cost.

The decisions are those of the running system: `Flights` says when to fetch, as it does for the secrets actor, and a
`TokenSource` fetches over HTTP. Only the clocks are ours.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from secrets_actor.actor.actions import SetTimer
from secrets_actor.actor.credential_state import DatedCredentials
from secrets_actor.actor.messages import CredentialsJob, JobDone, RenewCredentials
from secrets_actor.backends.vault.auth.userpass import PasswordLogin
from secrets_actor.backends.vault.vault_credentials import VaultCredentials
from secrets_actor.domain.errors import ExpiredToken, LoginRefused, SecretsError, StoreFailure
from secrets_actor.domain.operations import Get
from secrets_actor.domain.ports import Answer
from tests.actor.flight_rig import Hands, factory
from tests.backends.vault.auth.rig import HOUR, Rig, in_text
from tests.servers.faulty import FaultyServer
from tests.servers.token_server import TokenServer

DAY = 24 * HOUR
MINUTE = 60.0


class Day:
    """A process and its server. `outcomes` counts what callers got, by the name of the error; `fetches` all fetches."""

    def __init__(self, server: TokenServer, rig: Rig) -> None:
        self.server, self.rig = server, rig
        self.hands = Hands(factory(release=True), clock=rig.clock.now)
        self.hands.ready()
        self.outcomes: Counter[str] = Counter()
        self.fetches = 0
        self._timers: list[tuple[float, RenewCredentials]] = []
        self._seen = 0

    def run(
        self, until: float, every: float | None, changes: list[tuple[float, Callable[[], object]]] | None = None
    ) -> None:
        """Live on until *until*, in seconds from the start. A caller comes *every* so many seconds (None: nobody does),
        and each of *changes* happens at its time."""
        start, left = self.rig.clock.now, sorted(changes or [], key=lambda one: one[0])
        next_call = start
        while True:
            moments = [start + until]
            moments += [start + left[0][0]] if left else []
            moments += [next_call] if every is not None else []
            moments += [when for when, _ in self._timers]
            now = self.hands.clock = self.rig.clock.now = max(self.rig.clock.now, min(moments))
            if now >= start + until:
                return
            if left and now >= start + left[0][0]:
                left.pop(0)[1]()
            due = [message for when, message in self._timers if when <= now]
            self._timers = [one for one in self._timers if one[0] > now]
            for message in due:
                self.hands.carry_out(self.hands.flights.renewal_due(message, self.hands.now))
                self._settle()
            if every is not None and now >= next_call:
                next_call += every
                self.call()

    def call(self) -> None:
        """A caller comes."""
        waiter = self.hands.ask(Get("a"))
        self._settle()
        [reply] = self.hands.replies.pop(waiter.reply_to)
        self.outcomes["ok" if isinstance(reply, Answer) else type(reply).__name__] += 1

    def stop(self) -> None:
        """Drain."""
        self.hands.drain()
        self.rig.release()

    def _settle(self) -> None:
        """Do what was decided, until there is nothing to do."""
        while True:
            for action in self.hands.done[self._seen :]:
                if isinstance(action, SetTimer) and isinstance(action.message, RenewCredentials):
                    self._timers.append((self.rig.clock.now + action.seconds, action.message))
            self._seen = len(self.hands.done)
            if not self.hands.jobs:
                return
            self._work()

    def _work(self) -> None:
        job = self.hands.job
        if isinstance(job, CredentialsJob):
            self.fetches += 1
            try:
                found = self.rig.fetch(0.02 if self.server.away else 5.0)
            except SecretsError as error:
                self.hands.fail(error, job)
                return
            dated = DatedCredentials(found, found.expires_at, found.renew_at)
            done = JobDone(self.hands.jobs[job.number][0], job, dated)
            self.hands.carry_out(self.hands.flights.job_done(done, self.hands.now))
            return
        used = self.hands.store_job().context.credentials
        assert isinstance(used, VaultCredentials)
        if self.server.away:
            self.hands.fail(StoreFailure("sealed"), job)
        elif used.token.text() not in self.server.alive:
            self.hands.fail(ExpiredToken("ended"), job)
        else:
            self.hands.answer(job, "v")


@contextmanager
def a_day(lease: float = HOUR, maximum: float = 32 * DAY) -> Iterator[Day]:
    """A server that grants tokens for *lease* seconds, up to *maximum* seconds in all, and a process."""
    clock: list[Rig] = []
    server = TokenServer(lambda: clock[0].clock.now, lease, maximum)
    with FaultyServer(server) as node:
        rig = Rig(PasswordLogin("a", in_text("hunter2")), node.url)
        clock.append(rig)
        yield Day(server, rig)


def away(server: TokenServer, begin: float, seconds: float) -> list[tuple[float, Callable[[], object]]]:
    """The server is sealed from *begin* on, for so many *seconds*."""

    def turn(value: bool) -> Callable[[], object]:
        return lambda: setattr(server, "away", value)

    return [(begin, turn(True)), (begin + seconds, turn(False))]


def test_a_day_takes_one_login_and_a_renewal_each_40_minutes() -> None:
    with a_day() as day:
        day.run(DAY, every=5 * MINUTE)
        day.stop()

    assert day.server.counts == {"login": 1, "refused": 0, "renewal": 35, "lookup": 0, "revocation": 1}
    assert day.outcomes == {"ok": 288}
    assert not day.server.alive


def test_a_day_without_a_caller_keeps_the_token_alive() -> None:
    with a_day() as day:
        day.call()
        day.run(DAY, every=None)
        day.call()

    assert (day.server.counts["login"], day.server.counts["renewal"]) == (1, 36)
    assert day.outcomes == {"ok": 2}


def test_outages_within_the_last_third_of_a_life_cost_no_login() -> None:
    with a_day() as day:
        outages = [moment for hour in (3, 9, 15) for moment in away(day.server, hour * HOUR, 15 * MINUTE)]
        day.run(DAY, every=5 * MINUTE, changes=outages)

    assert day.server.counts["login"] == 1
    assert 30 <= day.server.counts["renewal"] <= 40
    assert day.fetches < 35 + 3 * 20
    assert day.outcomes == {"ok": 288 - 9, "StoreFailure": 9}


def test_an_outage_that_outlasts_the_token_costs_one_login_when_it_is_over() -> None:
    with a_day() as day:
        day.run(DAY, every=5 * MINUTE, changes=away(day.server, 3 * HOUR, 75 * MINUTE))

    assert day.server.counts["login"] == 2
    assert day.outcomes == {"ok": 288 - 15, "StoreFailure": 15}
    assert day.fetches < 35 + 75 + 15 + 10


def test_at_its_maximum_life_a_token_is_replaced_before_it_ends() -> None:
    with a_day(maximum=4 * HOUR) as day:
        day.run(DAY, every=5 * MINUTE)
        assert 1 <= len(day.server.alive) <= 2
        day.stop()

    assert 6 <= day.server.counts["login"] <= 8
    assert day.server.counts["renewal"] <= 60
    assert day.outcomes == {"ok": 288}
    assert not day.server.alive


def test_a_day_of_a_wrong_password_is_a_hundred_logins_however_many_ask() -> None:
    with a_day() as day:
        day.server.good = False
        day.run(DAY, every=MINUTE)
        assert day.outcomes == {LoginRefused.__name__: 1440}
        assert day.server.counts["refused"] <= 2 + DAY / 960
        day.server.good = True
        day.run(20 * MINUTE, every=MINUTE)

    assert day.server.counts["login"] == 1


def test_a_login_that_is_refused_while_the_token_lives_is_nobodys_failure_until_it_ends() -> None:
    with a_day(maximum=HOUR) as day:
        day.run(10 * MINUTE, every=MINUTE)
        day.server.good = False
        day.run(49 * MINUTE, every=MINUTE)
        assert day.outcomes == {"ok": 59}
        day.run(10 * MINUTE, every=MINUTE)

    assert set(day.outcomes) == {"ok", LoginRefused.__name__}
    assert day.server.counts["refused"] <= 3
