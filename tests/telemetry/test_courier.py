"""A courier: nobody waits for who takes what it brings, and nothing is lost in silence."""

import threading
import time

import pytest

from secrets_actor.clock import now as clock_now
from secrets_actor.domain import metrics
from secrets_actor.otp import LifecycleEvent
from secrets_actor.otp.events import ProcessStarted
from secrets_actor.telemetry.courier import Courier, EventsLost
from secrets_actor.telemetry.meters import Meters
from tests.actor.rig import PATIENCE, eventually
from tests.forking import in_child


class Receiver:
    """Keeps what comes; waits at the `door`, and says whether it takes anything."""

    def __init__(self) -> None:
        self.came: list[LifecycleEvent] = []
        self.times: list[float] = []
        self.door, self.reached = threading.Event(), threading.Event()
        self.door.set()
        self.takes = True

    def __call__(self, event: LifecycleEvent, at: float) -> bool:
        self.reached.set()
        assert self.door.wait(PATIENCE)
        if self.takes:
            self.came.append(event)
            self.times.append(at)
        return self.takes


def event(number: int) -> ProcessStarted:
    return ProcessStarted("worker", number)


def numbers(receiver: Receiver) -> list[int]:
    return [one.serial for one in receiver.came if isinstance(one, ProcessStarted)]


def test_what_is_posted_comes_in_order_with_the_time_at_which_it_was() -> None:
    receiver = Receiver()
    courier = Courier("log", receiver)
    receiver.door.clear()
    before = time.time()
    courier.post(event(0))
    assert receiver.reached.wait(PATIENCE)
    for number in range(1, 100):
        courier.post(event(number))
    after = time.time()
    receiver.door.set()

    assert courier.close(PATIENCE)
    assert numbers(receiver) == list(range(100))
    assert before <= min(receiver.times) <= max(receiver.times) <= after


def test_whoever_posts_never_waits_and_what_finds_no_room_is_counted_and_told() -> None:
    receiver, meters = Receiver(), Meters()
    courier = Courier("observer", receiver, meters, room=3)
    receiver.door.clear()
    courier.post(event(0))
    assert receiver.reached.wait(PATIENCE)
    for number in range(1, 11):
        courier.post(event(number))
    assert not courier.close(0.01), "it hangs"
    receiver.door.set()

    assert courier.close(PATIENCE)
    assert numbers(receiver) == [0, 1, 2, 3]
    assert [one for one in receiver.came if isinstance(one, EventsLost)] == [EventsLost("observer", 7)]
    assert meters.snapshot().value(metrics.EVENTS_LOST.name, "observer") == 7


def test_what_could_not_be_delivered_is_told_with_the_first_that_could() -> None:
    receiver, meters = Receiver(), Meters()
    courier = Courier("log", receiver, meters)
    for takes, upto in ((True, 2), (False, 5), (True, 7), (False, 8), (True, 9)):
        receiver.takes = takes
        for number in range(upto - (1 if upto > 7 else 2 if takes else 3), upto):
            courier.post(event(number))
        assert courier.close(PATIENCE)

    assert numbers(receiver) == [0, 1, 5, 6, 8]
    assert [one for one in receiver.came if isinstance(one, EventsLost)] == [
        EventsLost("log", 3),
        EventsLost("log", 1),
    ]
    assert meters.snapshot().value(metrics.EVENTS_LOST.name) == 4


@pytest.mark.parametrize("error", [ValueError("hunter2"), SystemExit(1), KeyboardInterrupt()], ids=repr)
def test_who_raises_is_brought_the_next_one(error: BaseException) -> None:
    came: list[LifecycleEvent] = []

    def raises(one: LifecycleEvent, _at: float) -> bool:
        came.append(one)
        raise error

    courier = Courier("observer", raises)
    courier.post(event(1))
    courier.post(event(2))
    assert courier.close(PATIENCE)
    assert came == [event(1), event(2)]


def test_its_thread_ends_with_a_close_and_the_next_post_starts_another() -> None:
    receiver = Receiver()
    courier = Courier("bench", receiver)
    last: list[str] = []
    for number in range(3):
        courier.post(event(number))
        assert courier.close(PATIENCE, last=lambda: last.append("closed"))
        assert not [thread for thread in threading.enumerate() if thread.name == "bench courier"]
    assert numbers(receiver) == [0, 1, 2]
    assert len(last) == 3


def test_a_receiver_that_closes_it_does_not_wait_for_itself() -> None:
    said: list[bool] = []
    courier = Courier("log", lambda _event, _at: said.append(courier.close(PATIENCE)) or True)
    began = clock_now()
    courier.post(event(1))
    eventually(lambda: said)
    assert said == [False]
    assert clock_now() - began < PATIENCE


def test_many_threads_post_and_all_of_it_comes() -> None:
    receiver = Receiver()
    courier = Courier("log", receiver, room=10_000)
    threads = [
        threading.Thread(target=lambda of=of: [courier.post(event(of * 100 + n)) for n in range(100)])
        for of in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert courier.close(PATIENCE)
    assert sorted(numbers(receiver)) == list(range(800))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_in_a_child_nothing_waits_and_nobody_hangs() -> None:
    receiver = Receiver()
    courier = Courier("log", receiver)
    receiver.door.clear()
    courier.post(event(1))
    assert receiver.reached.wait(PATIENCE)
    courier.post(event(2))

    def use() -> str:
        receiver.door = threading.Event()
        receiver.door.set()
        courier.post(event(3))
        return f"{courier.close(PATIENCE)} {numbers(receiver)}"

    try:
        assert in_child(use) == "True [3]"
    finally:
        receiver.door.set()
    assert courier.close(PATIENCE)
    assert numbers(receiver) == [1, 2]
