"""The life of a flight: each row of the table once, and no other pair."""

from collections.abc import Callable
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from msgspec.structs import replace

from secrets_actor.actor.actions import (
    Adopt,
    AskAnew,
    Count,
    Drop,
    Fail,
    Kill,
    NoteGone,
    Observe,
    Refuse,
    Send,
    ServeStale,
    SetTimer,
    Settle,
)
from secrets_actor.actor.endpoint_breakers import BreakerClosed, BreakerOpened
from secrets_actor.actor.flights import (
    MAX_CRASHES,
    RELEASE_TIME,
    TABLE,
    Event,
    ReleaseFailed,
    RenewalFailed,
    State,
    UnexpectedEvent,
)
from secrets_actor.actor.messages import (
    CredentialsJob,
    FreshTimeOver,
    JobDone,
    ReleaseJob,
    RenewCredentials,
    StartWorkersAgain,
    StoreJob,
    Waiter,
    WorkersOverdue,
)
from secrets_actor.domain.errors import (
    BackendTimeout,
    CircuitOpen,
    CredentialsExpired,
    DeadlineExceeded,
    ExpiredToken,
    SecretNotFound,
    SecretsError,
    StoreFailure,
    Unreachable,
    WorkerCrashed,
)
from secrets_actor.domain.operations import Get, List
from secrets_actor.domain.ports import Answer, BackendFactory
from secrets_actor.domain.tracing import Caller, CallTrace
from secrets_actor.otp import From
from tests.actor.flight_rig import CALL_TIMEOUT, START, Hands, factory, worker, write
from tests.actor.token_credentials import Token


def credentials(hands: Hands, seconds: float | None = None) -> Token:
    end = None if seconds is None else START + timedelta(seconds=hands.clock + seconds)
    return Token("secret", end)


def with_credentials(**more: Any) -> Hands:
    return Hands(factory(credentials=True), **more)


def outcome(hands: Hands, waiter: Waiter) -> object:
    """The one reply to *waiter*."""
    (reply,) = hands.replies[waiter.reply_to]
    return reply


def of_type(hands: Hands, kind: type) -> list[Any]:
    return [one for one in hands.done if isinstance(one, kind)]


# --- each row of the table ----------------------------------------------------------------------------------------

ROWS: dict[tuple[State, Event], Callable[[], None]] = {}


def row(state: State, event: Event) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """The test of this row of the table."""

    def keep(test: Callable[[], None]) -> Callable[[], None]:
        assert (state, event) not in ROWS
        ROWS[state, event] = test
        return test

    return keep


def queued() -> tuple[Hands, Waiter, Waiter]:
    """A write is with a worker, and a get waits in its lane."""
    hands = Hands()
    hands.ready()
    first, second = hands.ask(write("a")), hands.ask(Get("a"))
    assert (hands.state(first), hands.state(second)) == (State.SENT, State.QUEUED)
    return hands, first, second


def sent(endpoint: str | None = "store:443") -> tuple[Hands, Waiter]:
    """A get is with a worker."""
    hands = Hands(factory(endpoint=endpoint))
    hands.ready()
    return hands, hands.ask(Get("a"))


def waits_for_worker() -> tuple[Hands, Waiter]:
    hands = Hands()
    return hands, hands.ask(Get("a"))


def waits_for_credentials() -> tuple[Hands, Waiter]:
    hands = with_credentials()
    hands.ready()
    return hands, hands.ask(Get("a"))


@row(State.QUEUED, Event.GRANTED)
def _() -> None:
    hands, waiter = waits_for_worker()
    assert hands.state(waiter) is State.WAITING_FOR_WORKER, "by way of READY"


@row(State.QUEUED, Event.GRANTED_LATER)
def _() -> None:
    hands, _, second = queued()
    hands.answer()
    assert hands.state(second) is State.SENT, "memory had nothing"


@row(State.READY, Event.RECALLED)
def _() -> None:
    hands, _, second = queued()
    hands.memory = True
    hands.answer()
    assert (hands.state(second), outcome(hands, second)) == (State.LANDED, "memory")


@row(State.READY, Event.NOT_RECALLED)
def _() -> None:
    hands, _, second = queued()
    hands.answer()
    hands.answer(value="v")
    assert outcome(hands, second) == Answer("v", "request-1")


@row(State.READY, Event.ABANDONED)
def _() -> None:
    hands, _, second = queued()
    hands.give_up(second)
    hands.answer()
    assert (hands.state(second), len(hands.flights), hands.flights.waiting) == (State.LANDED, 0, 0)
    assert isinstance(outcome(hands, second), TimeoutError)


@row(State.READY, Event.REFUSED)
def _() -> None:
    hands, waiter = sent()
    hands.fail(Unreachable("no way"))
    later = hands.ask(Get("b"))
    assert isinstance(outcome(hands, waiter), Unreachable)
    assert isinstance(outcome(hands, later), CircuitOpen)


@row(State.READY, Event.LACKS_CREDENTIALS)
def _() -> None:
    hands, waiter = waits_for_credentials()
    assert hands.state(waiter) is State.WAITING_FOR_CREDENTIALS
    assert isinstance(hands.job, CredentialsJob)


@row(State.READY, Event.ADMITTED)
def _() -> None:
    hands, waiter = waits_for_worker()
    assert (hands.state(waiter), hands.to_start) == (State.WAITING_FOR_WORKER, 1)


@row(State.WAITING_FOR_CREDENTIALS, Event.CREDENTIALS_CAME)
def _() -> None:
    hands, waiter = waits_for_credentials()
    hands.answer()
    assert hands.state(waiter) is State.SENT
    assert hands.store_job().context.credentials is not None


@row(State.WAITING_FOR_CREDENTIALS, Event.REFUSED)
def _() -> None:
    hands, waiter = waits_for_credentials()
    hands.fail(ExpiredToken("no credentials"))
    assert isinstance(outcome(hands, waiter), ExpiredToken)


@row(State.WAITING_FOR_CREDENTIALS, Event.HURRIED)
def _() -> None:
    hands, first = waits_for_credentials()
    hands.fail(Unreachable("nothing there"))
    hands.stale = True
    second = hands.ask(Get("a"))
    hands.fresh_time_over()
    assert isinstance(outcome(hands, first), Unreachable)
    assert (hands.state(second), outcome(hands, second)) == (State.WAITING_FOR_CREDENTIALS, "stale")


@row(State.WAITING_FOR_WORKER, Event.ASSIGNED)
def _() -> None:
    hands, waiter = waits_for_worker()
    hands.ready()
    assert hands.state(waiter) is State.SENT
    assert hands.store_job().operation == Get("a")


@row(State.WAITING_FOR_WORKER, Event.ANSWERED)
def _() -> None:
    hands, waiter = sent()
    job = hands.store_job()
    hands.crash(worker("w1"))
    assert hands.state(waiter) is State.WAITING_FOR_WORKER
    hands.carry_out(hands.flights.job_done(JobDone(worker("w1"), job, Answer("v")), hands.now))
    assert (hands.state(waiter), outcome(hands, waiter)) == (State.LANDED, Answer("v"))
    hands.ready("w2")
    assert not hands.jobs


@row(State.WAITING_FOR_WORKER, Event.ABANDONED)
def _() -> None:
    hands, waiter = waits_for_worker()
    hands.give_up(waiter)
    hands.ready()
    assert (hands.state(waiter), hands.jobs) == (State.LANDED, {})
    assert of_type(hands, NoteGone)


@row(State.WAITING_FOR_WORKER, Event.REFUSED)
def _() -> None:
    hands, waiter = sent()
    other = hands.ask(Get("b"))
    assert hands.state(other) is State.WAITING_FOR_WORKER
    hands.fail(Unreachable("no way"))
    assert isinstance(outcome(hands, waiter), Unreachable)
    assert isinstance(outcome(hands, other), CircuitOpen)


@row(State.WAITING_FOR_WORKER, Event.LACKS_CREDENTIALS)
def _() -> None:
    hands, waiter = waits_for_credentials()
    other = hands.ask(Get("b"))
    hands.answer(value=credentials(hands, 1000.0))
    assert (hands.state(waiter), hands.state(other)) == (State.SENT, State.WAITING_FOR_WORKER)
    hands.clock += 5.0
    hands.fail(ExpiredToken("too old"))  # the fetch goes first; then a second worker comes
    hands.ready("w2")
    assert (hands.state(waiter), hands.state(other)) == (State.WAITING_FOR_CREDENTIALS,) * 2


@row(State.WAITING_FOR_WORKER, Event.HURRIED)
def _() -> None:
    hands, waiter = sent()
    hands.stale = True
    hands.fail(Unreachable("no way"))
    hands.clock += 60.0
    probe, later = hands.ask(Get("b")), hands.ask(Get("c"))
    assert isinstance(outcome(hands, later), CircuitOpen) or outcome(hands, later) == "stale"
    hands.crash(worker("w1"))
    assert hands.state(probe) is State.WAITING_FOR_WORKER
    hands.fresh_time_over()
    assert (hands.state(probe), outcome(hands, probe)) == (State.WAITING_FOR_WORKER, "stale")
    assert outcome(hands, waiter) is not None


@row(State.SENT, Event.ANSWERED)
def _() -> None:
    hands, waiter = sent()
    hands.answer(value="v")
    assert (hands.state(waiter), outcome(hands, waiter)) == (State.LANDED, Answer("v", "request-1"))
    assert [one.kept for one in of_type(hands, Settle)] == [True]


@row(State.SENT, Event.FAILED)
def _() -> None:
    hands, waiter = sent()
    hands.fail(SecretNotFound("no"))
    assert isinstance(outcome(hands, waiter), SecretNotFound)
    assert [one.kept for one in of_type(hands, Fail)] == [True]


@row(State.SENT, Event.RETURNED)
def _() -> None:
    hands, waiter = sent()
    first = hands.store_job()
    hands.crash(worker("w1"))
    hands.ready("w2")
    second = hands.store_job()
    assert (hands.state(waiter), first.number != second.number) == (State.SENT, True)
    assert (first.context.repeated, second.context.repeated) == (False, True)


@row(State.SENT, Event.HURRIED)
def _() -> None:
    hands, waiter = sent()
    hands.ready("w2")
    hands.stale = True
    other = hands.ask(Get("b"))
    hands.fail(Unreachable("no way"))
    assert outcome(hands, other) is not None
    assert (hands.state(waiter), outcome(hands, waiter)) == (State.SENT, "stale")


PAIRS = [(state, event) for state, events in TABLE.items() for event in events]


def test_each_row_of_the_table_has_its_test_and_each_state_its_place() -> None:
    assert set(ROWS) == set(PAIRS)
    assert set(TABLE) == set(State)


@pytest.mark.parametrize(("state", "event"), PAIRS, ids=str)
def test_a_row_of_the_table(state: State, event: Event) -> None:
    ROWS[state, event]()


def in_state(state: State) -> tuple[Hands, Waiter]:
    """A flight that is there to be looked at."""
    match state:
        case State.QUEUED:
            hands, _, waiter = queued()
            return hands, waiter
        case State.WAITING_FOR_CREDENTIALS:
            return waits_for_credentials()
        case State.WAITING_FOR_WORKER:
            return waits_for_worker()
        case _:
            return sent()


@pytest.mark.parametrize(
    ("state", "event"),
    [(state, event) for state, event in product(State, Event) if event not in TABLE[state]],
    ids=str,
)
def test_a_pair_that_is_not_in_the_table_is_an_error_and_changes_nothing(state: State, event: Event) -> None:
    hands, waiter = in_state(state)
    flight = hands.flight_of(waiter)
    if state is State.LANDED:
        hands.answer()
    elif state is State.READY:  # where no flight is for longer than a moment
        flight.state = State.READY
    before = len(hands.flights), hands.flights.waiting, len(hands.done)

    with pytest.raises(UnexpectedEvent) as raised:
        hands.flights.on(flight, event, None, hands.now)

    assert (raised.value.state, raised.value.event, flight.state) == (state, event, state)
    assert (len(hands.flights), hands.flights.waiting, len(hands.done)) == before


# --- who joins whom -----------------------------------------------------------------------------------------------


def test_gets_of_one_version_share_a_flight_queued_or_sent() -> None:
    hands, first = sent()
    second = hands.ask(Get("a"))

    assert hands.flight_of(first) is hands.flight_of(second)
    assert hands.flights.waiting == 2
    hands.answer(value="v")
    assert outcome(hands, first) == outcome(hands, second)
    assert (len(hands.flights), hands.flights.waiting) == (0, 0)


def test_a_get_behind_a_write_and_a_get_of_another_version_have_flights_of_their_own() -> None:
    hands, first = sent()
    hands.ask(write("a"))
    behind, other = hands.ask(Get("a")), hands.ask(Get("a", stage="AWSPREVIOUS"))

    assert len({id(hands.flight_of(one)) for one in (first, behind, other)}) == 3
    hands.answer()
    assert [one.kept for one in of_type(hands, Settle)] == [False], "a write has come since it was asked for"


def test_a_caller_who_insists_on_a_fresh_answer_joins_only_what_is_not_sent_yet_and_supersedes_the_other() -> None:
    hands = Hands()
    waiting = hands.ask(Get("a"))
    fresh = hands.ask(Get("a", refresh=True))
    assert hands.flight_of(waiting) is hands.flight_of(fresh)
    hands.ready()

    later, last = hands.ask(Get("a", refresh=True)), hands.ask(Get("a"))

    assert hands.flight_of(fresh) is not hands.flight_of(later)
    assert hands.flight_of(last) is hands.flight_of(later)
    hands.answer()
    hands.answer()
    assert [one.kept for one in of_type(hands, Settle)] == [False, True]


def test_a_caller_joins_no_flight_that_was_sent_too_long_ago() -> None:
    hands, first = sent()
    hands.clock += 3.0

    young, patient = hands.ask(Get("a", max_age=2.0)), hands.ask(Get("a", max_age=5.0))

    assert hands.flight_of(young) is not hands.flight_of(first)
    assert hands.flight_of(patient) is hands.flight_of(young)


def test_what_needs_no_order_is_in_no_lane_and_joined_by_nobody() -> None:
    hands = Hands()
    hands.ready()
    hands.ready("w2")
    hands.ask(List())
    hands.ask(List())

    assert len(hands.jobs) == 2
    hands.answer()
    hands.flights.outdate_reads()
    hands.answer()
    assert [one.kept for one in of_type(hands, Settle)] == [True, False]


def test_what_was_sent_before_somebody_elses_change_was_told_is_not_kept_and_not_joined() -> None:
    hands, _ = sent()
    hands.ready("w2")
    hands.flights.invalidated(("a",))
    hands.ask(Get("a"))

    assert len(hands.jobs) == 2
    hands.answer()  # the later one
    hands.answer()
    assert [one.kept for one in of_type(hands, Settle)] == [True, False]


def test_a_caller_for_whom_a_second_flight_would_be_refused_gets_that_at_once() -> None:
    hands, _ = sent()
    hands.ready("w2")
    hands.ask(Get("b"))
    hands.fail(Unreachable("no way"))

    fresh, plain = hands.ask(Get("a", refresh=True)), hands.ask(Get("a"))

    assert isinstance(outcome(hands, fresh), CircuitOpen)
    assert isinstance(outcome(hands, plain), CircuitOpen)
    assert len(of_type(hands, Refuse)) == 2
    assert len(hands.flights) == 1


def test_after_the_pause_a_get_is_the_probe_and_joins_no_flight_that_went_to_the_silent_store() -> None:
    hands, first = sent()
    hands.clock += 1.0
    hands.give_up(first)
    hands.tell_gave_up()
    hands.ready("w2")
    assert isinstance(outcome(hands, hands.ask(Get("a"))), CircuitOpen)
    hands.clock += 0.5  # the first pause

    probe = hands.ask(Get("a"))

    assert hands.state(probe) is State.SENT
    hands.answer(value="v")
    assert outcome(hands, probe).value == "v"
    hands.answer(value="late")
    assert [one.kept for one in of_type(hands, Settle)] == [True, False]


def test_a_flight_that_was_hurried_before_it_was_sent_is_joined_as_any_other() -> None:
    hands, _ = waits_for_credentials()
    hands.fail(Unreachable("nothing there"))
    first = hands.ask(Get("a"), seconds=100.0)
    hands.fresh_time_over()
    hands.clock += 60.0
    hands.ask(Get("b"))  # the next fetch is due
    hands.ready("w2")
    hands.answer()
    assert hands.state(first) is State.SENT

    assert hands.flight_of(hands.ask(Get("a"))) is hands.flight_of(first)


def test_a_caller_who_joins_a_flight_that_waits_for_credentials_in_vain_gets_what_is_stale() -> None:
    hands, _ = waits_for_credentials()
    hands.fail(Unreachable("nothing there"))
    hands.stale = True
    hands.ask(Get("a"))
    hands.fresh_time_over()

    late = hands.ask(Get("a"))

    assert (hands.state(late), outcome(hands, late)) == (State.WAITING_FOR_CREDENTIALS, "stale")


# --- writes -------------------------------------------------------------------------------------------------------


def test_a_write_drops_its_lane_when_it_comes_back_before_its_caller_hears_of_it() -> None:
    hands = Hands()
    hands.ready()
    hands.ask(write("a"))
    hands.fail(SecretNotFound("no"))

    assert [one.lanes for one in of_type(hands, Drop)] == [("a",)]
    done = [type(one) for one in hands.done]
    assert done.index(Send) < done.index(Drop) < done.index(Fail)


def test_an_earlier_actors_write_outdates_what_is_being_read_and_has_it_asked_anew() -> None:
    hands, reader = sent()
    theirs = StoreJob(10**9, 10**9, write("a"), hands.store_job().context, ("a",))
    hands.carry_out(hands.flights.job_done(JobDone(worker("w9"), theirs, Answer(None)), hands.now))

    assert of_type(hands, AskAnew)
    hands.answer(value="v")
    assert (outcome(hands, reader), of_type(hands, Settle)[0].kept) == (Answer("v", "request-1"), False)


# --- what goes wrong ----------------------------------------------------------------------------------------------


def test_a_job_that_ends_workers_is_given_up_after_some() -> None:
    hands, waiter = sent()
    for number in range(MAX_CRASHES - 1):
        hands.crash(worker(f"w{number + 1}"))
        assert hands.state(waiter) is State.WAITING_FOR_WORKER
        hands.ready(f"w{number + 2}")
    hands.crash(worker(f"w{MAX_CRASHES}"))

    assert isinstance(outcome(hands, waiter), WorkerCrashed)


def test_an_idle_workers_end_is_nobodys_failure() -> None:
    hands = Hands()
    hands.crash(hands.ready())

    assert not hands.jobs


def test_an_overdue_job_costs_its_worker_its_life_and_is_sent_again_while_somebody_has_time() -> None:
    hands, first = sent(endpoint=None)
    hands.clock += 8.0
    late = hands.ask(Get("a"))
    number = hands.job.number
    hands.clock += 2.5
    hands.give_up(first)
    hands.overdue(number)

    assert hands.cut_off == [worker("w1")]
    assert (hands.state(first), hands.state(late)) == (State.LANDED, State.WAITING_FOR_WORKER)
    assert [one.waiters for one in of_type(hands, NoteGone)] == [(first,)]
    assert hands.flights.waiting == 1
    hands.overdue(number)
    hands.ready("w2")
    hands.clock += 10.0
    hands.give_up(late)
    hands.overdue(hands.job.number)
    assert (len(hands.flights), len(hands.cut_off)) == (0, 2)


def test_a_job_that_was_cut_short_is_sent_again_for_those_who_joined_later() -> None:
    hands, first = sent(endpoint=None)
    hands.clock += 5.0
    late = hands.ask(Get("a"))
    hands.clock += 5.0
    hands.give_up(first)
    hands.fail(BackendTimeout("no answer"))

    assert (hands.state(late), hands.store_job().context.repeated) == (State.SENT, True)


def test_it_is_not_if_that_has_opened_the_breaker() -> None:
    hands, first = sent()
    hands.clock += 5.0
    late = hands.ask(Get("a"))
    hands.clock += 5.0
    hands.give_up(first)
    hands.fail(BackendTimeout("no answer"))

    assert isinstance(outcome(hands, late), CircuitOpen)


def test_what_comes_back_twice_or_from_a_worker_that_was_cut_off_means_nothing() -> None:
    hands, waiter = sent(endpoint=None)
    job = hands.store_job()
    hands.overdue(job.number)
    hands.ready("w2")
    for stray in (job, StoreJob(0, 0, Get("a"), job.context, ("a",)), CredentialsJob(0, 0.0)):
        hands.carry_out(hands.flights.job_done(JobDone(worker("w1"), stray, Answer("old")), hands.now))

    assert (hands.state(waiter), hands.replies[waiter.reply_to]) == (State.SENT, [])


# --- the breaker --------------------------------------------------------------------------------------------------


def test_a_probe_has_time_enough_and_its_answer_closes_the_breaker() -> None:
    hands, _ = sent()
    hands.fail(Unreachable("no way"))
    hands.clock += 60.0
    probe = hands.ask(Get("a"), seconds=1.0)

    assert hands.store_job().context.deadline > hands.clock + 4.0
    assert [one.message for one in hands.done if hasattr(one, "message") and isinstance(one.message, FreshTimeOver)]
    hands.answer(value="v")

    assert outcome(hands, probe) == Answer("v", "request-1")
    assert [type(one.event) for one in of_type(hands, Observe)] == [BreakerOpened, BreakerClosed]


def test_a_write_as_a_probe_has_no_more_time_than_its_caller() -> None:
    hands, _ = sent()
    hands.fail(Unreachable("no way"))
    hands.clock += 60.0
    hands.ask(write("a"), seconds=1.0)

    assert hands.store_job().context.deadline < hands.clock + 1.0


def test_a_write_that_was_sent_before_is_told_what_became_of_it_then() -> None:
    hands = Hands()
    hands.ready()
    hands.ready("w2")
    sure, doubtful = hands.ask(Get("b")), hands.ask(write("a"))
    job = next(job for _, job in hands.jobs.values() if isinstance(job, StoreJob) and job.operation == sure.operation)
    hands.crash(next(one for one, each in hands.jobs.values() if each is not job))
    hands.fail(Unreachable("no way"), job)

    assert isinstance(outcome(hands, doubtful), WorkerCrashed)


def test_a_read_that_was_sent_before_is_told_that_nothing_goes_now() -> None:
    hands = Hands()
    hands.ready()
    hands.ready("w2")
    sure, other = hands.ask(Get("b")), hands.ask(Get("a"))
    job = next(job for _, job in hands.jobs.values() if isinstance(job, StoreJob) and job.operation == sure.operation)
    hands.crash(next(one for one, each in hands.jobs.values() if each is not job))
    hands.fail(Unreachable("no way"), job)

    assert isinstance(outcome(hands, other), CircuitOpen)


def test_a_failure_of_the_store_counts_for_less_and_a_timer_without_a_reason_hurries_nobody() -> None:
    hands, waiter = sent()
    flight = hands.flight_of(waiter)
    hands.carry_out(hands.flights.fresh_time_over(FreshTimeOver(flight.id), hands.now))
    hands.fail(StoreFailure("500"))
    hands.carry_out(hands.flights.fresh_time_over(FreshTimeOver(flight.id), hands.now))

    assert isinstance(outcome(hands, waiter), StoreFailure)
    assert not of_type(hands, Observe)
    assert not of_type(hands, ServeStale)


def test_what_was_sent_to_the_store_before_says_nothing_of_the_present_one() -> None:
    hands, waiter = sent()
    hands.number = 1
    hands.carry_out(hands.flights.backend_changed(factory(endpoint="other:443"), 1, hands.now))
    hands.fail(Unreachable("no way"))
    hands.ready("w2")
    later = hands.ask(Get("b"))

    assert isinstance(outcome(hands, waiter), Unreachable)
    assert hands.state(later) is State.SENT
    assert not of_type(hands, Observe)
    assert hands.dismissed == [worker("w1")]


def test_an_answer_of_the_store_before_does_not_close_the_breaker_of_the_present_one() -> None:
    hands, waiter = sent()
    old = hands.job
    hands.number = 1
    hands.carry_out(hands.flights.backend_changed(factory(endpoint="other:443"), 1, hands.now))
    hands.ready("w2")
    hands.ask(Get("b"))
    hands.fail(Unreachable("no way"))
    hands.answer(old, "v")

    assert outcome(hands, waiter).value == "v"
    assert isinstance(outcome(hands, hands.ask(Get("c"))), CircuitOpen)


def test_a_caller_who_gives_up_after_long_silence_counts_as_if_its_time_had_passed() -> None:
    hands, patient = sent()
    hasty, waiting = hands.ask(Get("a")), hands.ask(Get("b"))
    hands.clock += 0.5
    hands.give_up(hasty)
    hands.tell_gave_up()
    assert not of_type(hands, Observe), "so little silence says nothing"
    hands.clock += 0.5
    hands.stale = True
    hands.tell_gave_up()

    (opened,) = of_type(hands, Observe)
    assert (opened.event.endpoint, opened.event.problem) == ("store:443", DeadlineExceeded.code)
    assert (hands.state(patient), outcome(hands, patient)) == (State.SENT, "stale"), "its answer may come yet"
    assert isinstance(outcome(hands, waiting), CircuitOpen)
    hands.tell_gave_up()
    assert len(of_type(hands, Observe)) == 1, "it is known already"
    hands.answer(value="v")
    assert isinstance(of_type(hands, Observe)[1].event, BreakerClosed)


@pytest.mark.parametrize("how", ["nobody", "not sent", "no endpoint", "another store", "sent lately"])
def test_silence_says_nothing_where_nobody_gave_up_in_vain(how: str) -> None:
    hands, waiter = waits_for_worker() if how == "not sent" else sent(None if how == "no endpoint" else "store:443")
    if how == "another store":
        hands.number = 1
        hands.carry_out(hands.flights.backend_changed(factory(endpoint="other:443"), 1, hands.now))
    if how != "sent lately":
        hands.clock += 5.0
    if how != "nobody":
        hands.give_up(waiter)
    hands.tell_gave_up()

    assert not of_type(hands, Observe)


# --- credentials --------------------------------------------------------------------------------------------------


def test_all_wait_for_one_fetch_and_go_with_what_it_brings() -> None:
    hands = with_credentials()
    hands.ready()
    hands.ready("w2")
    waiters = [hands.ask(Get(name)) for name in "ab"]
    assert len(hands.jobs) == 1

    hands.answer()

    assert [hands.state(one) for one in waiters] == [State.SENT] * 2


def test_credentials_that_are_due_are_renewed_beside_the_work_and_a_renewal_that_fails_is_nobodys_failure() -> None:
    hands, first = waits_for_credentials()
    hands.answer(value=credentials(hands, 3600.0))
    hands.answer(value="v")
    hands.clock += 3600.0 - 14 * 60.0
    hands.ready("w2")

    second = hands.ask(Get("a"))
    jobs = [job for _, job in hands.jobs.values()]
    assert {type(job) for job in jobs} == {CredentialsJob, StoreJob}
    hands.fail(Unreachable("not today"), next(job for job in jobs if isinstance(job, CredentialsJob)))

    assert hands.state(second) is State.SENT
    assert [type(one.event) for one in of_type(hands, Observe)] == [RenewalFailed]
    assert outcome(hands, first) == Answer("v", "request-1")


def renewable(hands: Hands) -> Token:
    """A token that lives for an hour, and says that it is to be renewed after 40 minutes."""
    now = START + timedelta(seconds=hands.clock)
    return Token("secret", now + timedelta(hours=1), now + timedelta(minutes=40))


def test_credentials_that_say_when_are_renewed_though_nobody_calls() -> None:
    hands, _ = waits_for_credentials()
    assert hands.job == CredentialsJob(hands.job.number, hands.clock + CALL_TIMEOUT, lacks=True)
    hands.answer(value=renewable(hands))
    hands.answer(value="v")
    assert not hands.jobs

    hands.clock += 2400.0
    hands.renewal_due()
    assert isinstance(hands.job, CredentialsJob)
    assert not hands.job.lacks
    hands.fail(Unreachable("not today"))
    assert not hands.jobs

    hands.clock += 1.0
    hands.renewal_due()
    hands.answer(value=renewable(hands))
    assert [one.seconds for one in of_type(hands, SetTimer) if isinstance(one.message, RenewCredentials)] == [
        2400.0,
        1.0,
        2400.0,
    ]


def test_when_credentials_end_and_are_renewed_is_told() -> None:
    hands, _ = waits_for_credentials()
    assert hands.flights.credential_dates == (None, None)
    now = START + timedelta(seconds=hands.clock)

    hands.answer(value=renewable(hands))

    assert hands.flights.credential_dates == (now + timedelta(hours=1), now + timedelta(minutes=40))


def test_a_timer_for_a_renewal_that_comes_too_early_or_too_late_renews_nothing() -> None:
    hands, _ = waits_for_credentials()
    hands.answer(value=renewable(hands))
    hands.answer(value="v")
    hands.clock += 2399.0
    hands.renewal_due()
    assert not hands.jobs, "it is not time yet"

    hands.clock += 1.0
    hands.renewal_due(0)
    assert not hands.jobs, "another timer was set since"
    hands.renewal_due()
    assert isinstance(hands.job, CredentialsJob)
    hands.renewal_due()
    assert len(hands.jobs) == 1, "one is under way"


# --- the end ------------------------------------------------------------------------------------------------------


def logged_in() -> tuple[Hands, Waiter]:
    """A get is with a worker, and the system is being stopped."""
    hands = Hands(factory(release=True))
    hands.ready()
    waiter = hands.ask(Get("a"))
    hands.answer(value=renewable(hands))
    hands.drain()
    assert isinstance(hands.job, StoreJob)
    assert not hands.flights.drained
    return hands, waiter


def release_of(hands: Hands, store: BackendFactory, seconds: float) -> ReleaseJob:
    """The job that gives back the credentials of *store*, with so many *seconds*."""
    assert store.credentials is not None
    return ReleaseJob(hands.job.number, hands.clock + seconds, store.credentials)


def test_credentials_are_given_back_when_all_flights_have_landed_and_then_the_actor_has_drained() -> None:
    hands, _ = logged_in()
    hands.answer(value="v")
    assert hands.job == release_of(hands, hands.factory, RELEASE_TIME)
    assert not hands.flights.drained

    hands.renewal_due()
    hands.answer()

    assert hands.flights.drained
    assert not hands.jobs
    assert not of_type(hands, Observe)


def test_a_drain_of_little_time_gives_the_release_no_more() -> None:
    hands = Hands(factory(release=True))
    hands.ready()
    hands.drain(0.5)

    assert hands.job == release_of(hands, hands.factory, 0.5)


def test_a_fetch_under_way_is_waited_for_so_that_what_it_brings_is_given_back_too() -> None:
    hands = Hands(factory(release=True))
    hands.ready()
    waiter = hands.ask(Get("a"))
    hands.answer(value=renewable(hands))
    hands.answer(value="v")
    hands.clock += 2400.0
    hands.renewal_due()
    hands.drain()
    assert isinstance(hands.job, CredentialsJob)
    timers = len(hands.timers)

    hands.answer(value=renewable(hands))

    assert outcome(hands, waiter) == Answer("v", "request-1")
    assert isinstance(hands.job, ReleaseJob)
    assert len(hands.timers) == timers, "no renewal is planned any more"


@pytest.mark.parametrize("how", ["refused", "hangs", "crashes", "no thread"])
def test_a_release_that_fails_is_told_and_ends_the_drain_all_the_same(how: str) -> None:
    hands = Hands(factory(release=True))
    if how != "no thread":
        hands.ready()
    hands.drain()
    if how == "refused":
        hands.fail(Unreachable("not today"))
    elif how == "hangs":
        hands.overdue(hands.job.number)
    elif how == "crashes":
        hands.crash(worker("w1"))
    else:
        hands.carry_out(hands.flights.no_thread(hands.now, final=True))

    assert hands.flights.drained
    assert [type(one.event) for one in of_type(hands, Observe)] == [ReleaseFailed]
    if how == "hangs":
        hands.carry_out(hands.flights.job_done(JobDone(worker("w1"), hands.sent[-1][1], None), hands.now))
        assert len(of_type(hands, Observe)) == 1


def test_a_release_waits_for_a_thread_as_long_as_it_has_time() -> None:
    hands = Hands(factory(release=True))
    hands.drain()
    hands.carry_out(hands.flights.no_thread(hands.now, final=False))
    assert not hands.flights.drained

    hands.carry_out(hands.flights.start_again(hands.now))
    hands.ready()
    hands.answer()
    assert hands.flights.drained


@pytest.mark.parametrize("takes_credentials", [False, True])
def test_a_source_that_takes_nothing_back_is_not_asked_to(takes_credentials: bool) -> None:
    hands = Hands(factory(credentials=takes_credentials))
    hands.ready()
    hands.drain()

    assert hands.flights.drained
    assert not hands.jobs


@pytest.mark.parametrize("under_way", ["nothing", "a get", "a fetch"])
@pytest.mark.parametrize("takes_credentials", [False, True])
def test_the_store_before_gets_its_credentials_back_when_no_job_of_it_is_under_way(
    takes_credentials: bool, under_way: str
) -> None:
    hands = Hands(factory(release=True))
    hands.ready()
    waiter = hands.ask(Get("a"))
    if under_way != "a fetch":
        hands.answer(value=renewable(hands))
    if under_way == "nothing":
        hands.answer(value="v")
    old = [job for _, job in hands.jobs.values()]
    hands.use(factory(release=takes_credentials))
    hands.ready("new")
    hands.ready("newer")
    if old:
        assert not any(isinstance(job, ReleaseJob) for _, job in hands.jobs.values())
        hands.answer(old[0])

    release = next(job for _, job in hands.jobs.values() if isinstance(job, ReleaseJob))
    assert release.source is hands.factory.credentials
    assert release.deadline == hands.clock + RELEASE_TIME
    hands.drain()
    assert not hands.flights.drained
    hands.answer(release)
    hands.give_up(waiter)
    while hands.jobs:
        hands.answer()
    assert hands.flights.drained
    assert len([job for _, job in hands.sent if isinstance(job, ReleaseJob)]) == 1 + takes_credentials


def test_a_source_that_comes_back_into_force_keeps_what_it_has() -> None:
    first, second = factory(release=True), factory(release=True)
    hands = Hands(first)
    hands.ready()
    hands.ask(Get("a"))
    hands.answer(value=renewable(hands))
    old = hands.job
    hands.use(second)
    hands.use(replace(second, endpoints=("other:443",)))
    hands.use(first)
    hands.ready("new")
    hands.answer(old, "v")
    for name in ("newer", "newest"):
        hands.ready(name)

    assert [job.source for _, job in hands.sent if isinstance(job, ReleaseJob)] == [second.credentials]


def test_the_actor_has_not_drained_while_a_fetch_of_the_store_before_is_under_way() -> None:
    hands = Hands(factory(release=True))
    hands.ready()
    waiter = hands.ask(Get("a"))
    fetch = hands.job
    hands.use(factory())
    hands.ready("new")
    hands.answer(value="v")
    hands.drain()
    assert outcome(hands, waiter) == Answer("v", "request-1")
    assert not hands.flights.drained

    hands.answer(fetch)
    hands.answer()
    assert hands.flights.drained


def test_a_store_that_is_left_while_the_system_drains_is_not_given_its_credentials_back_twice() -> None:
    hands = Hands(factory(release=True))
    hands.ready()
    hands.drain()
    release = hands.job
    hands.use(factory(release=True))
    hands.answer(release)
    hands.ready("new")
    assert isinstance(hands.job, ReleaseJob)
    assert hands.job.source is not hands.factory.credentials
    hands.answer()

    assert hands.flights.drained
    assert len(hands.sent) == 2


def test_a_release_shows_no_source() -> None:
    hands = Hands(factory(release=True))
    assert "LoginSource" not in repr(ReleaseJob(1, 2.0, hands.factory.credentials))  # type: ignore[arg-type]


def test_refused_credentials_are_fetched_anew_once_and_the_flight_goes_by_the_others() -> None:
    hands, waiter = waits_for_credentials()
    hands.answer(value=Token("old"))
    hands.fail(ExpiredToken("too old"))
    assert isinstance(hands.job, CredentialsJob)
    hands.answer(value=Token("new"))

    assert hands.store_job().context.repeated
    hands.fail(ExpiredToken("too old, too"))
    assert isinstance(outcome(hands, waiter), ExpiredToken)


def test_a_flight_is_not_sent_again_by_the_credentials_that_were_refused() -> None:
    hands, waiter = waits_for_credentials()
    same = Token("old")
    hands.answer(value=same)
    hands.fail(ExpiredToken("too old"))
    hands.answer(value=same)

    assert isinstance(outcome(hands, waiter), ExpiredToken)
    assert not hands.jobs


def test_credentials_that_have_ended_already_are_an_error_that_names_the_clock() -> None:
    hands, waiter = waits_for_credentials()
    hands.answer(value=credentials(hands, -1.0))

    error = outcome(hands, waiter)
    assert type(error) is CredentialsExpired
    assert "clock" in str(error)


def test_a_fetch_that_hangs_costs_one_worker_and_the_next_is_not_tried_while_its_thread_is_held() -> None:
    hands, first = waits_for_credentials()
    hands.hanging.add(worker("w1"))
    hands.overdue(hands.job.number)
    hands.ready("w2")

    second = hands.ask(Get("a"))
    assert isinstance(outcome(hands, first), DeadlineExceeded)
    assert isinstance(outcome(hands, second), DeadlineExceeded)
    hands.hanging.clear()
    third = hands.ask(Get("a"))
    assert hands.state(third) is State.WAITING_FOR_CREDENTIALS
    assert isinstance(hands.job, CredentialsJob)


def test_a_fetch_that_ends_workers_is_given_up_after_some() -> None:
    hands, waiter = waits_for_credentials()
    for number in range(MAX_CRASHES):
        hands.crash(worker(f"w{number + 1}"))
        hands.ready(f"w{number + 2}")

    assert isinstance(outcome(hands, waiter), WorkerCrashed)


@pytest.mark.parametrize("how", ["done", "failed", "crashed"])
def test_a_fetch_for_the_store_before_means_nothing(how: str) -> None:
    hands, waiter = waits_for_credentials()
    hands.number = 1
    old = hands.job
    hands.carry_out(hands.flights.backend_changed(factory(credentials=True), 1, hands.now))
    hands.ready("w2")
    assert isinstance(hands.job, CredentialsJob)
    new = hands.job
    assert new is not old
    match how:
        case "done":
            hands.answer(old)
        case "failed":
            hands.fail(Unreachable("no"), old)
        case _:
            hands.crash(worker("w1"))
    assert hands.state(waiter) is State.WAITING_FOR_CREDENTIALS
    hands.answer(new)
    assert hands.state(waiter) is State.SENT


def test_a_fetch_that_waits_for_a_worker_is_forgotten_with_its_store() -> None:
    hands = with_credentials()
    waiter = hands.ask(Get("a"))
    hands.number = 1
    hands.carry_out(hands.flights.backend_changed(factory(), 1, hands.now))
    hands.ready()

    assert hands.state(waiter) is State.SENT


# --- workers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("final", [True, False])
def test_where_there_is_no_thread_for_a_worker_jobs_wait_as_long_as_they_can(final: bool) -> None:
    hands = with_credentials()
    waiter = hands.ask(Get("a"))
    hands.carry_out(hands.flights.no_thread(hands.now, final=final))

    assert (hands.state(waiter) is State.LANDED) is final
    hands.carry_out(hands.flights.start_again(hands.now))
    assert hands.to_start == (1 if final else 2)


def test_without_a_thread_only_those_are_refused_who_cannot_wait_for_the_next_try() -> None:
    hands = Hands(max_workers=1)
    serves_stale, patient = hands.ask(Get("a"), seconds=0.01), hands.ask(Get("b"))
    hands.carry_out(hands.flights.no_thread(hands.now, final=False))

    assert isinstance(outcome(hands, serves_stale), WorkerCrashed)
    assert hands.state(patient) is State.WAITING_FOR_WORKER


def test_while_too_many_hang_none_is_started() -> None:
    hands = Hands(max_workers=1)
    waiter = hands.ask(Get("a"))

    assert hands.flights.hang(1, 1, hands.now) is None
    instead = hands.flights.hang(1, 2, hands.now)
    assert instead is not None
    hands.carry_out(instead)
    assert isinstance(outcome(hands, waiter), WorkerCrashed)


def test_a_start_that_fails_costs_one_job_if_there_is_no_worker() -> None:
    hands = Hands(max_workers=1)
    first, second = hands.ask(Get("a")), hands.ask(Get("b"))
    hands.carry_out(hands.flights.worker_started(hands.now))
    hands.carry_out(hands.flights.worker_not_started("StartError", hands.now))

    assert isinstance(outcome(hands, first), SecretsError)
    assert hands.state(second) is State.WAITING_FOR_WORKER


def test_the_flights_tell_how_they_are() -> None:
    hands, _ = sent()

    assert (len(hands.flights), hands.flights.circuit, hands.flights.supply.workers) == (1, "closed", ("w1",))
    assert of_type(hands, Count) == []


def test_an_event_that_fits_may_be_told_by_itself() -> None:
    hands, waiter = sent()
    hands.stale = True
    hands.carry_out(hands.flights.on(hands.flight_of(waiter), Event.HURRIED, Unreachable("slow"), hands.now))

    assert (hands.state(waiter), outcome(hands, waiter)) == (State.SENT, "stale")


def test_a_traced_call_knows_when_it_was_taken_up_and_what_was_sent_for_it() -> None:
    hands = Hands()
    hands.ready()
    caller: From[Any] = From()
    caller.note = Caller("me", CallTrace("get", "a", "me", 1.0))
    hands.replies[caller] = []
    hands.carry_out(hands.flights.asked(Waiter(caller, Get("a"), hands.clock, hands.clock + 10.0), hands.now))

    trace = caller.note.trace
    assert (trace.admitted, [at for at, _ in trace.sendings]) == (hands.clock, [hands.clock])


def test_a_fetch_that_waits_for_a_worker_goes_though_the_breaker_opens() -> None:
    hands = with_credentials(max_workers=1)
    hands.ready()
    hands.ask(Get("a"))
    hands.answer(value=credentials(hands, 3600.0))
    hands.clock += 3600.0 - 14 * 60.0
    hands.ask(Get("b"))
    hands.fail(Unreachable("no way"), next(job for _, job in hands.jobs.values() if isinstance(job, StoreJob)))

    assert isinstance(hands.job, CredentialsJob)


def test_a_worker_for_the_store_before_is_let_go_as_soon_as_it_announces_itself() -> None:
    hands, waiter = waits_for_worker()
    hands.carry_out(hands.flights.backend_changed(factory(), 1, hands.now))
    hands.ready("old")
    assert (hands.dismissed, hands.state(waiter)) == ([worker("old")], State.WAITING_FOR_WORKER)
    hands.number = 1
    hands.ready("new")

    assert hands.state(waiter) is State.SENT


def test_of_several_starts_without_a_thread_one_sets_the_pause() -> None:
    hands = Hands()
    hands.ask(Get("a"))
    hands.ask(Get("b"))
    for _ in range(2):
        hands.carry_out(hands.flights.no_thread(hands.now, final=False))

    assert [type(one) for one in hands.timers].count(StartWorkersAgain) == 1


def test_workers_of_an_earlier_actor_are_adopted_and_those_that_stay_silent_are_killed() -> None:
    hands = Hands()
    hands.supply.await_adoption()
    waiter = hands.ask(Get("a"))
    assert hands.to_start == 0
    hands.carry_out(hands.flights.adopt([(worker("idle"), False), (worker("busy"), True)], hands.now))
    assert [one.worker for one in of_type(hands, Adopt)] == ["idle", "busy"]
    hands.ready("idle")
    assert hands.state(waiter) is State.SENT

    hands.carry_out(hands.flights.end_unannounced((worker("idle"), worker("busy")), hands.now))
    assert [one.worker for one in of_type(hands, Kill)] == ["busy"]
    hands.carry_out(hands.flights.adopt(None, hands.now))


def test_a_worker_that_has_had_nothing_to_do_for_a_while_is_let_go() -> None:
    hands = Hands()
    hands.ready()
    for _ in range(2):
        hands.carry_out(hands.flights.end_idle(hands.now))

    assert hands.dismissed == ["w1"]


def test_workers_that_do_not_come_are_counted_on_no_more() -> None:
    hands, _ = waits_for_worker()
    assert any(isinstance(one, WorkersOverdue) for one in hands.timers)
    hands.carry_out(hands.flights.workers_overdue(hands.now))
    assert hands.to_start == 2, "another one is asked for"
    hands.ready()
    hands.carry_out(hands.flights.workers_overdue(hands.now))
    hands.carry_out(hands.flights.fresh_time_over(FreshTimeOver(10**9), hands.now))
    hands.ready()

    assert hands.supply.workers == ("w1",)


# --- a store with two endpoints -----------------------------------------------------------------------------------


def over_two() -> tuple[Hands, Waiter]:
    """A get is with one of two workers, and may go to either endpoint."""
    hands = Hands(replace(factory(), endpoints=("one:443", "two:443")))
    hands.ready()
    hands.ready("w2")
    return hands, hands.ask(Get("a"))


def lost_at(origin: str) -> Unreachable:
    error = Unreachable("no way")
    error.origin = origin
    return error


def test_while_one_endpoint_is_dead_what_waits_goes_on_and_is_told_to_avoid_it() -> None:
    hands, waiter = over_two()
    assert hands.store_job().context.avoid == frozenset()
    other = hands.ask(Get("b"))
    hands.fail(lost_at("one:443"), hands.sent[0][1])

    assert isinstance(outcome(hands, waiter), Unreachable)
    assert (hands.state(other), hands.flights.circuit) == (State.SENT, "closed")
    assert not of_type(hands, ServeStale), "nobody is to be hurried: there is another way"
    hands.answer(value="v")
    later = hands.ask(Get("c"))
    assert hands.state(later) is State.SENT
    assert hands.store_job().context.avoid == {"one:443"}
    assert [one.event.endpoint for one in of_type(hands, Observe)] == ["one:443"]


def test_with_both_endpoints_dead_what_waits_is_refused_and_what_is_sent_is_hurried() -> None:
    hands, _ = over_two()
    second, third = hands.ask(Get("b")), hands.ask(Get("c"))
    hands.fail(lost_at("one:443"), hands.sent[0][1])
    assert hands.state(third) is State.SENT, "to the other endpoint"
    fourth = hands.ask(Get("d"))
    hands.fail(lost_at("two:443"), hands.sent[1][1])

    assert isinstance(outcome(hands, second), Unreachable)
    assert isinstance(outcome(hands, fourth), CircuitOpen)
    assert [waiter for one in of_type(hands, ServeStale) for waiter in one.waiters] == [third]
    assert hands.flights.circuit == "open"


def test_silence_with_two_endpoints_is_nobodys_until_only_one_can_be_meant() -> None:
    hands, waiter = over_two()
    hands.clock += 5.0
    hands.give_up(waiter)
    hands.tell_gave_up()
    assert not of_type(hands, Observe)

    hands.fail(lost_at("one:443"))
    other = hands.ask(Get("b"))
    hands.clock += 5.0
    hands.give_up(other)
    hands.tell_gave_up()
    assert [one.event.endpoint for one in of_type(hands, Observe)] == ["one:443", "two:443"]
