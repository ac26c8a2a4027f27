"""A crowd that gets one answer: each wakes the next, and nobody is left waiting whoever leaves, when, and how."""

import itertools
import random
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from secrets_actor.otp import CallTimeout, From, GenServer, ManualClock, Reply, TimerServer, answer_all, call
from secrets_actor.otp.gen_server import WAKE_ALL_AFTER
from secrets_actor.otp.reply import AWAKE
from tests.otp.conftest import PATIENCE, Echo, TestNode, eventually


class Phantom(From[int]):
    """One whose thread is taken to be in `wait`, as *looks* say, and never comes to wake the next."""

    def __init__(self, looks: Iterator[bool]) -> None:
        self._looks = looks
        super().__init__()

    @property
    def _waits(self) -> bool:  # type: ignore[override]
        return next(self._looks)

    @_waits.setter
    def _waits(self, waits: bool) -> None:
        """As it is."""


class Hit(Exception):
    """What a thread is hit with at the worst of times."""


class Unlucky(From[int]):
    """One whose thread is hit as it leaves, before or after it has said so, and wakes nobody."""

    def __init__(self, *, says_so: bool) -> None:
        self._says_so, self._is_in = says_so, False
        super().__init__()

    @property
    def _waits(self) -> bool:  # type: ignore[override]
        return self._is_in

    @_waits.setter
    def _waits(self, waits: bool) -> None:
        leaves = self._is_in and not waits
        self._is_in = waits or (leaves and not self._says_so)
        if leaves:
            raise Hit


def stuck() -> list[From[int]]:
    """As many as are awake at a time, and none of them comes round."""
    return [Phantom(itertools.repeat(True)) for _ in range(AWAKE)]


def waiting(caller: From[int], answers: list[Any], timeout: float | None = None) -> threading.Thread:
    """A thread that waits for *caller*'s answer."""

    def wait() -> None:
        try:
            answers.append(caller.wait(timeout))
        except (CallTimeout, Hit) as error:
            answers.append(error)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def crowd_of(size: int, answers: list[Any]) -> tuple[list[From[int]], list[threading.Thread]]:
    """So many, all of whom wait."""
    callers: list[From[int]] = [From() for _ in range(size)]
    threads = [waiting(caller, answers) for caller in callers]
    for caller in callers:
        eventually(lambda caller=caller: caller._waits)
    return callers, threads


def joined(threads: list[threading.Thread]) -> None:
    """All have ended."""
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.mark.parametrize("size", [0, 1, AWAKE, AWAKE + 1, 100])
def test_everybody_gets_the_answer_and_wakes_the_next(size: int) -> None:
    answers: list[Any] = []
    callers, threads = crowd_of(size, answers)

    left = answer_all(callers, 7)

    joined(threads)
    assert answers == [7] * size
    assert (left is not None) == (size > AWAKE)


def test_who_does_not_wait_finds_the_answer_and_who_has_one_keeps_it() -> None:
    early, late, watched, twice = From[int](), From[int](), From[int](), From[int]()
    early.reply(1)
    seen: list[int] = []
    watched.on_settled(lambda done: seen.append(done.result()))
    answers: list[Any] = []
    callers, threads = crowd_of(100, answers)

    answer_all([early, late, watched, twice, *callers, twice, *callers], 7)

    joined(threads)
    assert (early.wait(), late.wait(), seen, twice.wait(), answers) == (1, 7, [7], 7, [7] * 100)


def test_one_that_is_watched_and_waited_for_by_two_threads_serves_all() -> None:
    answers: list[Any] = []
    callers, threads = crowd_of(20, answers)
    threads += [waiting(caller, answers) for caller in callers]
    for caller in callers:
        caller.on_settled(lambda done: answers.append(done.result()))

    answer_all(callers, 7)

    joined(threads)
    assert answers == [7] * 60


def test_who_leaves_while_the_crowd_gathers_wakes_nobody_too_late() -> None:
    answers: list[Any] = []
    callers, threads = crowd_of(20, answers)
    gone = [Phantom(iter([True, False])) for _ in range(2 * AWAKE)]

    answer_all([*gone, *callers], 7)

    joined(threads)
    assert answers == [7] * 20


def test_one_callback_that_raises_leaves_nobody_asleep() -> None:
    answers: list[Any] = []
    callers, threads = crowd_of(20, answers)
    callers[10].on_settled(lambda _: next(iter(())))

    with pytest.raises(StopIteration):
        answer_all(callers, 7)

    joined(threads[:11])
    assert answers == [7] * 11
    assert [caller.settled for caller in callers[11:]] == [False] * 9
    answer_all(callers, 8)
    joined(threads)
    assert answers == [7] * 11 + [8] * 9


# --- whoever does not wake the next ---------------------------------------------------------------------------------


def test_those_behind_a_thread_that_does_not_come_round_have_their_answer_a_while_later(
    timed: TestNode, clock: ManualClock
) -> None:
    answers: list[Any] = []
    callers, threads = crowd_of(20, answers)

    def answer(server: GenServer, _: Any) -> Reply:
        server.reply_all([*stuck(), *callers], 7)
        return Reply(None)

    call(timed.spawn(Echo), answer, PATIENCE)
    assert answers == []
    clock.advance(WAKE_ALL_AFTER)

    joined(threads)
    assert answers == [7] * 20


def test_whose_time_is_up_does_not_wait_for_his_turn_and_wakes_the_next() -> None:
    answers: list[Any] = []
    callers: list[From[int]] = [From(), From()]
    threads = [waiting(callers[0], answers, 0.05), waiting(callers[1], answers)]
    for caller in callers:
        eventually(lambda caller=caller: caller._waits or caller.settled)

    answer_all([*stuck(), *callers], 7)

    joined(threads)
    assert answers in ([7, 7], [callers[0].error, 7])


def test_whose_time_is_up_just_as_his_answer_comes_takes_it() -> None:
    caller: From[int] = From()
    caller._outcomes.append((7, None))  # somebody has answered, and is about to wake him

    assert caller.wait(0.0) == 7


def interrupted_by(number: int, caller: From[int], meanwhile: Any) -> threading.Thread:
    """A thread that does *meanwhile* once *caller* is waited for, and then has the main thread interrupted."""

    def interrupt() -> None:
        eventually(lambda: caller._waits)
        meanwhile()
        signal.pthread_kill(threading.main_thread().ident or 0, number)

    thread = threading.Thread(target=interrupt)
    thread.start()
    return thread


def test_who_is_interrupted_wakes_the_next() -> None:
    answers: list[Any] = []
    mine: From[int] = From()
    callers, threads = crowd_of(20, answers)
    interrupting = interrupted_by(signal.SIGINT, mine, lambda: answer_all([*stuck(), mine, *callers], 7))

    with pytest.raises(KeyboardInterrupt):
        mine.wait(PATIENCE)

    joined([*threads, interrupting])
    assert answers == [7] * 20
    assert mine.result() == 7


def test_a_signal_handler_that_waits_for_the_others_of_its_crowd_does_not_wait_in_vain() -> None:
    answers: list[Any] = []
    mine: From[int] = From()
    callers, threads = crowd_of(20, answers)
    handling, handled = threading.Event(), []

    def handle(*_: object) -> None:
        handling.set()
        joined(threads)
        handled.append(len(answers))

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        interrupting = interrupted_by(signal.SIGUSR1, mine, lambda: None)
        answering = threading.Thread(
            target=lambda: handling.wait(PATIENCE) and answer_all([mine, *callers], 7)  # he comes first
        )
        answering.start()
        assert mine.wait(PATIENCE) == 7
    finally:
        signal.signal(signal.SIGUSR1, before)

    joined([*threads, interrupting, answering])
    assert handled == [20]


# --- all at once ----------------------------------------------------------------------------------------------------


def crowd_with_accidents(chance: random.Random, size: int, answer: Any, hits: int = 0) -> None:
    """*size* threads that wait for as long as they like, and some are hit, while *answer* answers. All come back."""
    callers: list[From[int]] = [From() for _ in range(size - hits)]
    callers += [Unlucky(says_so=chance.random() < 0.5) for _ in range(hits)]
    chance.shuffle(callers)
    results: list[Any] = []
    timeouts = [chance.choice([None, 60.0, chance.random() * 0.01, chance.random() * 0.03]) for _ in callers]
    threads = [waiting(caller, results, timeout) for caller, timeout in zip(callers, timeouts, strict=True)]

    answer(callers)

    joined(threads)
    assert all(caller.settled for caller in callers)
    assert len(results) == size
    assert sum(isinstance(result, Hit) for result in results) == hits
    assert all(result == 7 or isinstance(result, (CallTimeout, Hit)) for result in results)


@pytest.mark.parametrize("seed", range(10))
def test_no_crowd_leaves_anybody_asleep_whoever_gives_up(seed: int) -> None:
    """By itself: nobody hurries them."""
    crowd_with_accidents(random.Random(seed), 100, lambda callers: answer_all(callers, 7))


@pytest.mark.parametrize("seed", range(5))
def test_no_crowd_leaves_anybody_asleep_whoever_is_hit(seed: int, node: TestNode) -> None:
    server = hurrying(node)
    crowd_with_accidents(random.Random(seed), 100, lambda callers: call(server, callers, PATIENCE), 30)


@pytest.mark.slow
def test_many_crowds_leave_nobody_asleep(node: TestNode) -> None:
    server = hurrying(node)
    for seed in range(100):
        crowd_with_accidents(random.Random(seed), 200, lambda callers: answer_all(callers, 7))
        crowd_with_accidents(random.Random(seed), 200, lambda callers: call(server, callers, PATIENCE), seed % 20)


class Hurrying(GenServer):
    """Answers whom it is told to."""

    def handle_call(self, callers: Any, caller: From[Any]) -> Reply:
        self.reply_all(callers, 7)
        return Reply(None)


def hurrying(node: TestNode) -> Any:
    node.spawn(TimerServer, "timers")
    return node.spawn(Hurrying)
