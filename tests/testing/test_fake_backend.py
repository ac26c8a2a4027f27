"""The fake's switches, over bare connections: it fails, holds and counts as it is told."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from secrets_actor.clock import now as clock_now
from secrets_actor.domain.errors import BackendTimeout, RequestFailed, SecretDeleted, Throttled
from secrets_actor.domain.operations import Delete, Get, List, Operation, Set
from secrets_actor.domain.ports import Backend, CallContext
from secrets_actor.domain.secret import SecretValue
from secrets_actor.testing import FakeStore, ManualClock

T = TypeVar("T")
NAME = "db/password"
SECONDS = 10.0
TOKEN = "0" * 32


@pytest.fixture
def store() -> FakeStore:
    made = FakeStore()
    made.put(NAME, "hunter2")
    return made


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


def ask(backend: Backend, operation: Operation[T], *, until: float | None = None) -> T:
    return backend.perform(operation, CallContext(clock_now() + SECONDS if until is None else until)).value


def get(store: FakeStore) -> str | bytes:
    return ask(store.factory().connect(), Get(NAME)).reveal()


def test_a_failure_comes_as_often_as_asked_and_each_is_an_error_of_its_own(store: FakeStore) -> None:
    store.fail_next(Throttled("slow down", aws_code="ThrottlingException"), times=2)
    errors = []
    for _ in range(2):
        with pytest.raises(Throttled, match="slow down") as raised:
            get(store)
        errors.append(raised.value)

    assert get(store) == "hunter2"
    assert errors[0] is not errors[1]
    assert {error.aws_code for error in errors} == {"ThrottlingException"}


def test_a_failure_for_one_operation_leaves_the_others_alone(store: FakeStore) -> None:
    store.fail_next(Throttled("slow down"), operation="list")

    assert get(store) == "hunter2"
    with pytest.raises(Throttled):
        ask(store.factory().connect(), List())


def test_failures_come_in_the_order_in_which_they_were_set(store: FakeStore) -> None:
    store.fail_next(Throttled("first"))
    store.fail_next(ZeroDivisionError("second"))

    with pytest.raises(Throttled):
        get(store)
    with pytest.raises(ZeroDivisionError):
        get(store)


def test_an_answer_can_be_lost_after_the_operation_took_effect(store: FakeStore) -> None:
    store.fail_next(RequestFailed("the line broke"), operation="set", when="after")

    with pytest.raises(RequestFailed):
        ask(store.factory().connect(), Set(NAME, SecretValue("changed"), TOKEN))

    assert get(store) == "changed"
    assert store.version_ids(NAME)[-1] == TOKEN


def test_an_outage_lasts_as_long_as_its_with(store: FakeStore) -> None:
    with store.failing(RequestFailed("the line is down"), "get"):
        for _ in range(5):
            with pytest.raises(RequestFailed):
                get(store)
        assert len(ask(store.factory().connect(), List())) == 1

    assert get(store) == "hunter2"


def test_what_is_held_goes_on_when_released(store: FakeStore, pool: ThreadPoolExecutor) -> None:
    with store.hold("get") as gate:
        answers = [pool.submit(get, store) for _ in range(3)]
        gate.wait_until_held(3)
        assert len(gate.holders) == 3
        assert not any(answer.done() for answer in answers)

        gate.release()

        assert [answer.result(SECONDS) for answer in answers] == ["hunter2"] * 3
        assert gate.holders == ()
        assert get(store) == "hunter2"


def test_the_end_of_the_with_releases_even_when_the_test_fails(store: FakeStore, pool: ThreadPoolExecutor) -> None:
    answers: list[Future[Any]] = []

    def fail_while_held() -> None:
        with store.hold() as gate:
            answers.append(pool.submit(get, store))
            gate.wait_until_held()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_while_held()

    assert answers[0].result(SECONDS) == "hunter2"


def test_a_gate_for_one_operation_lets_the_others_pass_and_one_for_the_first_the_second(
    store: FakeStore, pool: ThreadPoolExecutor
) -> None:
    with store.hold("get", times=1) as gate:
        held = pool.submit(get, store)
        gate.wait_until_held()

        assert len(ask(store.factory().connect(), List())) == 1
        assert get(store) == "hunter2"
        assert not held.done()
    assert held.result(SECONDS) == "hunter2"


def test_held_before_nothing_has_happened_and_held_after_it_has(store: FakeStore, pool: ThreadPoolExecutor) -> None:
    for when, seen in (("before", "hunter2"), ("after", "changed")):
        with store.hold("set", when=when) as gate:
            answer = pool.submit(ask, store.factory().connect(), Set(NAME, SecretValue("changed"), TOKEN))
            gate.wait_until_held()
            assert get(store) == seen
        assert answer.result(SECONDS).version_id == TOKEN
        ask(store.factory().connect(), Delete(NAME, force=True))
        store.put(NAME, "hunter2")


def test_a_failure_set_while_an_operation_is_held_is_what_it_meets(store: FakeStore, pool: ThreadPoolExecutor) -> None:
    with store.hold("get") as gate:
        answer = pool.submit(get, store)
        gate.wait_until_held()
        store.fail_next(Throttled("slow down"))

    assert isinstance(answer.exception(SECONDS), Throttled)


def test_a_close_from_another_thread_ends_what_is_held(store: FakeStore, pool: ThreadPoolExecutor) -> None:
    backend = store.factory().connect()
    with store.hold() as gate:
        answer = pool.submit(ask, backend, Get(NAME))
        gate.wait_until_held()

        backend.close()

        assert gate.holders == ()
        error = answer.exception(SECONDS)
    assert type(error) is RequestFailed
    assert error.retryable
    assert "[closed]" in repr(backend)


def test_the_deadline_ends_what_is_held(store: FakeStore) -> None:
    with store.hold(), pytest.raises(BackendTimeout):
        ask(store.factory().connect(), Get(NAME), until=clock_now() + 0.02)


def test_the_deadline_is_that_of_the_clock_given(pool: ThreadPoolExecutor) -> None:
    clock = ManualClock()
    store = FakeStore(clock=clock)
    store.put(NAME, "hunter2")
    with store.hold() as gate:
        answer = pool.submit(lambda: ask(store.factory().connect(), Get(NAME), until=clock.now() + 3600))
        gate.wait_until_held()

        clock.advance(3600)

        assert isinstance(answer.exception(SECONDS), BackendTimeout)


def test_waiting_for_what_never_comes_ends_with_a_count(store: FakeStore) -> None:
    with store.hold() as gate, pytest.raises(TimeoutError, match="0 of 2 operations are held"):
        gate.wait_until_held(2, timeout=0.01)


def test_a_gate_sees_a_holder_that_comes_while_it_waits(store: FakeStore, pool: ThreadPoolExecutor) -> None:
    with store.hold() as gate:
        waiting = pool.submit(gate.wait_until_held, 1, SECONDS)
        answer = pool.submit(get, store)
        waiting.result(SECONDS)
        assert gate.holders[0] is not threading.current_thread()
    assert answer.result(SECONDS) == "hunter2"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"times": 0}, "times: 1 at least, not 0"),
        (
            {"operation": "gett"},
            "operation: associate_replica, cancel_rotation, create, .*, update, .*, or None for any; not 'gett'",
        ),
        ({"when": "later"}, "when: before or after, not 'later'"),
    ],
    ids=["times", "operation", "when"],
)
def test_a_switch_that_could_never_work_is_refused(store: FakeStore, arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match="^" + problem):
        store.fail_next(Throttled("slow down"), **arguments)

    assert get(store) == "hunter2"


def test_calls_are_counted_by_kind_and_what_a_test_puts_is_not(store: FakeStore) -> None:
    store.fail_next(Throttled("slow down"))
    with pytest.raises(Throttled):
        get(store)
    get(store)
    ask(store.factory().connect(), List())

    calls = store.calls
    get(store)

    assert calls == {"get": 2, "list": 1}
    assert store.calls["get"] == 3


def test_it_prints_counts_and_no_value(store: FakeStore) -> None:
    get(store)

    assert repr(store) == "<FakeStore [1 secrets, 1 calls]>"
    assert (store.factory().name, store.factory().connect().name) == ("fake", "fake")
    assert repr(store.factory().connect()) == "<connection to the fake store [open]>"


def test_a_close_on_release_still_ends_what_was_held(store: FakeStore, pool: ThreadPoolExecutor) -> None:
    backend = store.factory().connect()
    with store.hold("get", when="after") as gate:
        answer = pool.submit(ask, backend, Get(NAME))
        gate.wait_until_held()
        backend.close()
    assert isinstance(answer.exception(SECONDS), RequestFailed)
    with pytest.raises(RequestFailed):
        ask(backend, Get(NAME))


def test_what_a_test_puts_obeys_the_rules_too(store: FakeStore) -> None:
    ask(store.factory().connect(), Delete(NAME))

    with pytest.raises(SecretDeleted):
        store.put(NAME, "anew")
