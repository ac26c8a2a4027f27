"""Which endpoint an outcome speaks of, and which of them an operation may go to."""

from typing import Any

import pytest

from secrets_actor.actor.breaker import BreakerRules, Circuit
from secrets_actor.actor.endpoint_breakers import EndpointBreakers, Sent, Turn
from secrets_actor.domain.errors import (
    AccessDenied,
    BackendTimeout,
    ConnectionFailed,
    SecretsError,
    StoreFailure,
)
from secrets_actor.domain.tracing import Attempt

ONE, TWO = "one:8200", "two:8200"
RULES = BreakerRules(failures=1, first=1.0, longest=8.0, jitter=0.0)


def two(rules: BreakerRules = RULES) -> EndpointBreakers:
    return EndpointBreakers(rules, lambda: 0.0, (ONE, TWO))


def sent(*attempts: Attempt, operation: int = 1, at: float = 10.0, only: str | None = None) -> Sent:
    """Sent at 10, with time until 20; attempts are met in this sending."""
    return Sent(operation, at, 20.0, only, list(attempts))


def at(origin: str | None, error: SecretsError) -> SecretsError:
    """*error*, met at *origin*."""
    error.origin = origin
    return error


def met(origin: str, outcome: str, began: float = 10.0, ended: float = 11.0) -> Attempt:
    return Attempt("get", began, ended, outcome, origin)


def one_dead() -> EndpointBreakers:
    """The first is left alone from 11 to 12."""
    breakers = two()
    assert breakers.lost(sent(), at(ONE, ConnectionFailed("x")), 11.0) == [Turn(ONE, "connection_failed", 1.0)]
    return breakers


def both_dead() -> EndpointBreakers:
    """The second is left alone from 11.5 to 12.5."""
    breakers = one_dead()
    assert breakers.lost(sent(), at(TWO, ConnectionFailed("x")), 11.5) == [Turn(TWO, "connection_failed", 1.0)]
    return breakers


def test_a_dead_endpoint_does_not_close_the_way_to_the_other() -> None:
    breakers = one_dead()

    assert breakers.admits(2, 11.0)
    assert breakers.avoided(2) == {ONE}
    assert breakers.only(breakers.avoided(2)) == TWO
    assert (breakers.state, breakers.shut(11.0), breakers.goes_ahead(2)) == (Circuit.CLOSED, False, False)


def test_with_both_dead_nothing_goes_and_the_error_names_both_and_the_shorter_pause() -> None:
    breakers = both_dead()

    assert not breakers.admits(2, 11.75)
    assert (breakers.state, breakers.shut(11.75)) == (Circuit.OPEN, True)
    error = breakers.circuit_open(11.75)
    assert (error.endpoint, error.retry_after) == (f"{ONE}, {TWO}", 0.25)


def test_after_its_pause_one_operation_tries_the_dead_endpoint_and_all_others_go_to_the_other() -> None:
    breakers = one_dead()

    assert breakers.admits(2, 12.0)
    assert breakers.admits(3, 12.0)
    assert (breakers.avoided(2), breakers.avoided(3)) == (frozenset(), {ONE})
    assert not breakers.goes_ahead(2), "its callers do not wait for that one alone"
    assert breakers.answered(sent(operation=2), ONE, 12.5) == [Turn(ONE)]
    assert breakers.avoided(4) == frozenset()


def test_of_two_dead_endpoints_the_first_whose_pause_is_over_is_tried() -> None:
    breakers = both_dead()

    assert breakers.admits(2, 12.0)
    assert (breakers.state, breakers.goes_ahead(2), breakers.goes_ahead(3)) == (Circuit.HALF_OPEN, True, False)
    assert (breakers.avoided(2), breakers.only(breakers.avoided(2))) == ({TWO}, ONE)
    assert breakers.circuit_open(12.0).retry_after == 0.0
    assert breakers.answered(sent(operation=2, only=ONE), None, 12.25) == [Turn(ONE)]
    assert breakers.state is Circuit.CLOSED


@pytest.mark.parametrize("ended", ["withdrawn", "answered", "lost"])
def test_a_probe_that_has_not_asked_there_makes_way_for_the_next(ended: str) -> None:
    breakers = one_dead()
    assert breakers.admits(2, 12.0)
    if ended == "withdrawn":
        breakers.withdrawn(2)
    elif ended == "answered":
        assert breakers.answered(sent(operation=2), TWO, 12.5) == []
    else:
        assert breakers.lost(sent(operation=2), at(TWO, AccessDenied("no")), 12.5) == []

    assert breakers.admits(3, 12.5)
    assert breakers.avoided(3) == frozenset()


@pytest.mark.parametrize("origin", [None, "somewhere else"])
def test_an_outcome_that_names_no_endpoint_is_about_the_only_one_it_could_go_to(origin: str | None) -> None:
    breakers = two()

    assert breakers.lost(sent(), at(origin, ConnectionFailed("x")), 11.0) == []
    assert breakers.answered(sent(), origin, 11.0) == []
    assert breakers.lost(sent(only=TWO), at(origin, ConnectionFailed("x")), 11.0) == [
        Turn(TWO, "connection_failed", 1.0)
    ]
    assert breakers.answered(sent(only=TWO), origin, 11.0) == [Turn(TWO)]


def test_what_a_backend_has_passed_over_counts_though_the_other_answers() -> None:
    breakers = two()

    turns = breakers.answered(sent(met(ONE, "request_failed")), TWO, 12.0)

    assert turns == [Turn(ONE, "request_failed", 1.0)]
    assert (breakers.avoided(2), breakers.state) == ({ONE}, Circuit.CLOSED)


@pytest.mark.parametrize(
    ("outcome", "closes"),
    [("ok", True), ("access_denied", True), ("request_failed", False), ("no code of ours", False)],
)
def test_an_attempt_at_an_endpoint_that_was_left_says_whether_it_is_there(outcome: str, closes: bool) -> None:
    breakers = one_dead()
    breakers.admits(2, 12.0)

    turns = breakers.answered(sent(met(ONE, outcome, 12.0, 12.5), operation=2), TWO, 13.0)

    assert ([turn.problem for turn in turns] == [None]) == closes
    assert (breakers.avoided(9) == frozenset()) == closes


def test_an_answer_from_an_endpoint_that_is_well_is_no_news() -> None:
    assert two().answered(sent(met(ONE, "ok")), TWO, 12.0) == []


def test_the_last_attempt_at_an_endpoint_counts_and_where_the_outcome_comes_from_the_outcome_does() -> None:
    attempts = [met(ONE, "request_failed"), met(ONE, "ok", 11.0, 12.0), met(TWO, "request_failed", 12.0, 13.0)]
    worker = Attempt("worker", 10.0, 13.0, "ok")

    assert two().answered(sent(*attempts, worker), TWO, 13.0) == []


@pytest.mark.parametrize(
    "noted",
    ["GET", None, met(["one"], "request_failed"), met(ONE, ["late"]), met(ONE, "request_failed", 1.8e9, 1.8e9)],  # type: ignore[arg-type]
    ids=["text", "none", "origin", "outcome", "date"],
)
def test_what_is_no_attempt_or_was_at_no_time_says_nothing(noted: Any) -> None:
    breakers = two()
    assert breakers.lost(sent(noted), at(TWO, ConnectionFailed("x")), 11.0) == [Turn(TWO, "connection_failed", 1.0)]
    assert breakers.avoided(9) == {TWO}


def test_a_timeout_weighs_as_much_as_the_endpoint_had_time() -> None:
    """Half a second is not fair; the rest of the time was the other one's."""
    late = BackendTimeout.code
    serves_stale, patient = two(), two()

    assert serves_stale.answered(sent(met(ONE, late, 10.0, 10.5)), TWO, 20.0) == []
    assert patient.answered(sent(met(ONE, late, 10.0, 11.0)), TWO, 20.0) == [Turn(ONE, late, 1.0)]

    left_for_two = two()
    turns = left_for_two.lost(sent(met(ONE, late, 10.0, 19.5)), at(TWO, BackendTimeout("late")), 20.0)
    assert turns == [Turn(ONE, late, 1.0)], "the second had half a second"


def test_a_failure_of_the_store_counts_a_quarter_at_each_endpoint() -> None:
    breakers = two()
    for number in range(4):
        turns = breakers.answered(sent(met(ONE, StoreFailure.code), operation=number), TWO, 12.0)

    assert turns == [Turn(ONE, "store_failure", 1.0)]


def test_silence_is_counted_only_where_it_is_clear_whose_it_is() -> None:
    breakers = two()

    assert breakers.silent(11.0)
    assert not breakers.hears_nothing(sent(), 11.0)
    assert breakers.hears_nothing(sent(only=ONE), 11.0)
    assert not breakers.hears_nothing(sent(at=10.5, only=TWO), 11.0)


def test_a_store_without_an_endpoint_is_always_admitted() -> None:
    none = EndpointBreakers(RULES, lambda: 0.0, ())

    assert none.lost(sent(), ConnectionFailed("x"), 11.0) == []
    assert none.answered(sent(), None, 11.0) == []
    assert (none.admits(1, 11.0), none.shut(11.0), none.silent(99.0)) == (True, False, False)
    assert (none.state, none.avoided(1), none.only(frozenset())) == (Circuit.CLOSED, frozenset(), None)
