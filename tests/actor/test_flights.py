"""One flight for all who ask the same at once."""

from secrets_actor.actor.flights import Flight, Flights, Waiter
from secrets_actor.domain.operations import Get, List
from secrets_actor.otp import From


def waiter(deadline: float = 10.0) -> Waiter:
    return Waiter(From[object](), Get("a"), 0.0, deadline)


def boarded(flights: Flights, *waiters: Waiter, key: object = "key") -> Flight:
    flight = flights.new(Get("a"), "a", 0, key)
    for one in waiters:
        flights.board(flight, one)
    return flight


def test_a_flight_is_joined_by_its_key_until_it_lands() -> None:
    flights = Flights()
    flight = boarded(flights, waiter())

    assert flights.joinable("key", fresh=False) is flight
    assert flights.joinable("other", fresh=False) is None
    flights.land(flight)
    assert flights.joinable("key", fresh=False) is None
    assert (len(flights), flights.waiting, flights.get(flight.id)) == (0, 0, None)


def test_who_insists_on_a_fresh_answer_joins_only_what_has_not_taken_off() -> None:
    flights = Flights()
    flight = boarded(flights, waiter())

    assert flights.joinable("key", fresh=True) is flight
    flight.started = True
    assert flights.joinable("key", fresh=True) is None
    assert flights.joinable("key", fresh=False) is flight


def test_the_latest_of_two_flights_with_one_key_is_the_one_to_join() -> None:
    flights = Flights()
    first, second = boarded(flights, waiter()), boarded(flights, waiter())

    assert (first.superseded, second.superseded) == (True, False)
    flights.land(first)

    assert flights.joinable("key", fresh=False) is second


def test_a_flight_without_a_key_is_nobody_elses() -> None:
    flights = Flights()
    flight = flights.new(List())

    assert flights.joinable(None, fresh=False) is None
    flights.land(flight)
    flights.land(flight)
    assert len(flights) == 0


def test_its_deadline_is_that_of_the_last_who_still_waits() -> None:
    early, late = waiter(5.0), waiter(9.0)
    flight = boarded(Flights(), early, late)
    assert flight.deadline == 9.0

    late.caller.fail(TimeoutError())
    assert flight.deadline == 5.0

    early.caller.reply("x")
    assert flight.deadline is None


def test_those_who_gave_up_disembark_and_count_no_more() -> None:
    flights = Flights()
    gone, there = waiter(), waiter()
    flight = boarded(flights, gone, there)
    gone.caller.fail(TimeoutError())

    assert flights.disembark(flight) == [gone]
    assert flight.waiters == [there]
    assert flights.waiting == 1
    flights.land(flight)
    assert flights.waiting == 0


def test_the_ids_of_two_actors_flights_never_meet() -> None:
    assert boarded(Flights()).id != boarded(Flights()).id
