"""Whatever happens to flights, in whatever order: each caller is answered once, none is lost, and lanes are freed."""

from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from secrets_actor.actor.flights import State
from secrets_actor.actor.messages import (
    CredentialsJob,
    EndIdleWorkers,
    FreshTimeOver,
    JobDone,
    JobFailed,
    StartWorkersAgain,
    StoreJob,
    Waiter,
    WorkersOverdue,
)
from secrets_actor.actor.messages import Job as AnyJob
from secrets_actor.domain.errors import (
    AccessDenied,
    BackendTimeout,
    ExpiredToken,
    SecretNotFound,
    SecretsError,
    StoreFailure,
    Unreachable,
)
from secrets_actor.domain.operations import Get, List
from secrets_actor.domain.ports import Answer
from secrets_actor.domain.tracing import Attempt
from tests.actor.flight_rig import Hands, factory, write
from tests.actor.token_credentials import Token, dated

NAMES = st.sampled_from(["a", "b"])
SECONDS = st.sampled_from([10.0, 1.0, 0.02])
ERRORS: st.SearchStrategy[SecretsError] = st.sampled_from(
    [
        AccessDenied("no"),
        BackendTimeout("no answer"),
        ExpiredToken("too old"),
        SecretNotFound("none"),
        StoreFailure("500"),
        Unreachable("no way"),
    ]
)


ENDPOINTS: Final = [(), ("store:443",), ("one:443", "two:443")]
ORIGINS: Final = st.sampled_from([None, "one:443", "two:443"])


class AnyFlights(RuleBasedStateMachine):
    """Two workers at most, three secrets, and a store that may want credentials, and has no endpoint, one or two."""

    @initialize(
        credentials=st.booleans(),
        endpoints=st.sampled_from(ENDPOINTS),
        failures=st.integers(0, 2),
        memory=st.booleans(),
        stale=st.booleans(),
    )
    def begin(self, credentials: bool, endpoints: tuple[str, ...], failures: int, memory: bool, stale: bool) -> None:
        self.factories = [replace(factory(credentials=one), endpoints=endpoints) for one in (credentials, True)]
        self.hands = Hands(self.factories[0], max_workers=2, failures=failures, memory=memory, stale=stale)
        self.waiters: list[Waiter] = []
        self.workers = 0

    # --- callers --------------------------------------------------------------------------------------------------

    @rule(name=NAMES, seconds=SECONDS, refresh=st.booleans(), age=st.sampled_from([None, 1]))
    def get(self, name: str, seconds: float, refresh: bool, age: float | None) -> None:
        self.waiters.append(self.hands.ask(Get(name, refresh=refresh, max_age=None if refresh else age), seconds))

    @rule(name=NAMES, seconds=SECONDS)
    def set(self, name: str, seconds: float) -> None:
        self.waiters.append(self.hands.ask(write(name), seconds))

    @rule()
    def list_all(self) -> None:
        self.waiters.append(self.hands.ask(List()))

    @rule(data=st.data(), tells=st.booleans())
    def somebody_gives_up(self, data: st.DataObject, tells: bool) -> None:
        waiting = [waiter for waiter in self.waiters if not waiter.gone]
        if waiting:
            self.hands.give_up(data.draw(st.sampled_from(waiting)))
        if tells:
            self.hands.tell_gave_up()

    @rule(seconds=st.sampled_from([0.1, 0.6, 5.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        self.hands.clock += seconds
        for waiter in self.waiters:
            if waiter.deadline <= self.hands.clock and not waiter.gone:
                self.hands.give_up(waiter)

    # --- workers --------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.hands.to_start > 0)
    @rule()
    def a_worker_comes(self) -> None:
        self.workers += 1
        self.hands.ready(f"w{self.workers}")

    @precondition(lambda self: self.hands.to_start > 0)
    @rule(how=st.sampled_from(["no thread", "never again", "mistake"]))
    def a_worker_does_not_come(self, how: str) -> None:
        hands = self.hands
        hands.to_start -= 1
        match how:
            case "mistake":
                hands.carry_out(hands.flights.worker_not_started("StartError", hands.now))
            case _:
                hands.carry_out(hands.flights.no_thread(hands.now, final=how == "never again"))
                hands.carry_out(hands.flights.start_again(hands.now))

    @precondition(lambda self: self.hands.jobs)
    @rule(data=st.data())
    def a_job_is_done(self, data: st.DataObject) -> None:
        job = self._drawn(data)
        ended = data.draw(st.booleans(), "expired") and isinstance(job, CredentialsJob)
        value = Token("x", self.hands.now.wall) if ended else None
        self.hands.answer(job, value)

    @precondition(lambda self: self.hands.jobs)
    @rule(data=st.data(), error=ERRORS, origin=ORIGINS)
    def a_job_fails(self, data: st.DataObject, error: SecretsError, origin: str | None) -> None:
        job, error = self._drawn(data), error.clone()
        error.origin = origin
        self.hands.fail(error, job)

    @precondition(lambda self: any(isinstance(job, StoreJob) for _, job in self.hands.jobs.values()))
    @rule(data=st.data(), outcome=st.sampled_from(["ok", "unreachable", "backend_timeout"]), origin=ORIGINS)
    def a_backend_tries_an_endpoint(self, data: st.DataObject, outcome: str, origin: str | None) -> None:
        jobs = [job for _, job in self.hands.jobs.values() if isinstance(job, StoreJob)]
        now = self.hands.clock
        data.draw(st.sampled_from(jobs)).context.attempts.append(Attempt("get", now - 1.0, now, outcome, origin))

    @precondition(lambda self: self.hands.jobs)
    @rule(data=st.data())
    def a_worker_crashes(self, data: st.DataObject) -> None:
        self.hands.crash(self.hands.jobs[self._drawn(data).number][0])

    @precondition(lambda self: self.hands.jobs)
    @rule(data=st.data(), hangs=st.booleans())
    def a_job_is_overdue(self, data: st.DataObject, hangs: bool) -> None:
        job = self._drawn(data)
        if hangs:
            self.hands.hanging.add(self.hands.jobs[job.number][0])
        self.hands.overdue(job.number)

    @precondition(lambda self: len(self.hands.sent) > len(self.hands.jobs))
    @rule(data=st.data(), well=st.booleans())
    def something_comes_late(self, data: st.DataObject, well: bool) -> None:
        """From a worker that is not on the job any more, as after it was cut off; or a second time."""
        hands = self.hands
        one, job = data.draw(st.sampled_from([each for each in hands.sent if each[1].number not in hands.jobs][-4:]))
        if well:
            answer = dated(Token("x")) if isinstance(job, CredentialsJob) else Answer("late")
            hands.carry_out(hands.flights.job_done(JobDone(one, job, answer), hands.now))
        else:
            hands.carry_out(hands.flights.job_failed(JobFailed(one, job, Unreachable("late")), hands.now))
        hands.overdue(job.number)

    # --- timers, and another store --------------------------------------------------------------------------------

    @precondition(lambda self: self.hands.timers)
    @rule()
    def timers_fire(self) -> None:
        hands = self.hands
        fired, hands.timers = hands.timers, []
        for message in fired:
            match message:
                case FreshTimeOver():
                    hands.carry_out(hands.flights.fresh_time_over(message, hands.now))
                case WorkersOverdue():
                    hands.carry_out(hands.flights.workers_overdue(hands.now))
                case EndIdleWorkers():
                    hands.carry_out(hands.flights.end_idle(hands.now))
                case StartWorkersAgain():
                    hands.carry_out(hands.flights.start_again(hands.now))

    @rule()
    def threads_come_free(self) -> None:
        self.hands.hanging.clear()

    @rule(which=st.integers(0, 1))
    def another_store_comes_into_force(self, which: int) -> None:
        hands = self.hands
        hands.number += 1
        hands.carry_out(hands.flights.backend_changed(self.factories[which], hands.number, hands.now))

    def _drawn(self, data: st.DataObject) -> AnyJob:
        job: AnyJob = data.draw(st.sampled_from([job for _, job in self.hands.jobs.values()]))
        return job

    # --- what always holds ----------------------------------------------------------------------------------------

    @invariant()
    def each_caller_is_answered_once_at_most_and_is_in_one_flight_until_then(self) -> None:
        if not hasattr(self, "hands"):
            return
        flights = list(self.hands.flights)
        waiting = [waiter for flight in flights for waiter in flight.waiters]
        assert len(waiting) == len(set(map(id, waiting))) == self.hands.flights.waiting
        for waiter in self.waiters:
            replies = self.hands.replies[waiter.reply_to]
            assert len(replies) <= 1
            assert replies or waiter in waiting, "lost"

    @invariant()
    def a_flight_is_where_its_state_says(self) -> None:
        if not hasattr(self, "hands"):
            return
        hands = self.hands
        sent = {job.number for _, job in hands.jobs.values()}
        queue = hands.supply.waiting
        for flight in hands.flights:
            assert flight.state not in (State.READY, State.LANDED)
            assert (flight.number in sent) is (flight.state is State.SENT)
            assert (flight in queue) is (flight.state is State.WAITING_FOR_WORKER)

    @invariant()
    def whatever_is_sent_may_go_somewhere(self) -> None:
        if not hasattr(self, "hands"):
            return
        endpoints = set(self.factories[0].endpoints)
        avoided = [job.context.avoid for _, job in self.hands.jobs.values() if isinstance(job, StoreJob)]
        assert all(not endpoints or one < endpoints for one in avoided)

    def teardown(self) -> None:
        """Everything comes to an end: workers come, and do what they are given."""
        if not hasattr(self, "hands"):
            return
        hands = self.hands
        hands.hanging.clear()
        for _ in range(1000):
            if not len(hands.flights):
                break
            if hands.jobs:
                hands.answer()
            else:
                hands.clock += 61.0  # the pause of the breaker, or that after a fetch that hung
                hands.carry_out(hands.flights.start_again(hands.now))
                self.workers += 1
                hands.ready(f"w{self.workers}")
        assert (len(hands.flights), hands.flights.waiting, hands.supply.waiting) == (0, 0, ())
        for waiter in self.waiters:
            assert len(hands.replies[waiter.reply_to]) == 1
        for name in "ab":  # no lane is held: each write starts at once
            assert hands.state(hands.ask(write(name), 1000.0)) is not State.QUEUED


TestAnyFlights = AnyFlights.TestCase
