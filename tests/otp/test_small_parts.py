"""From, names, timers, clocks and the mailbox, each by itself."""

import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from secrets_actor.otp import (
    CallTimeout,
    From,
    ManualClock,
    NameTaken,
    NoProcess,
    Reply,
    SystemClock,
    TimerServer,
    call,
    stop,
)
from secrets_actor.otp.timers import TimerTable
from tests.otp.conftest import PATIENCE, Echo, Listener, Recorder, TestNode, eventually


def test_an_answer_settles_once_and_everybody_sees_the_same() -> None:
    caller: From[int] = From()
    seen: list[int] = []
    caller.on_settled(lambda done: seen.append(done.result()))
    caller.on_settled(lambda done: seen.append(done.result()))
    with pytest.raises(RuntimeError):
        caller.result()
    assert not caller.settled
    assert caller.reply(1)
    assert not caller.reply(2)
    assert not caller.fail(ValueError())
    assert (caller.wait(), caller.wait(0.0), caller.error) == (1, 1, None)
    caller.on_settled(lambda done: seen.append(done.result()))
    assert seen == [1, 1, 1]


def test_a_failed_answer_raises_and_one_given_up_stays_given_up() -> None:
    caller: From[int] = From()
    caller.fail(KeyError("k"))
    with pytest.raises(KeyError):
        caller.wait()
    late: From[int] = From()
    with pytest.raises(CallTimeout):
        late.wait(-0.001)
    assert not late.reply(1)
    assert isinstance(late.error, CallTimeout)


def test_many_threads_settle_one_wins() -> None:
    for _ in range(50):
        caller: From[int] = From()
        barrier = threading.Barrier(4)
        wins: list[bool] = []

        def settle(n: int, caller: From[int] = caller, barrier: Any = barrier, wins: Any = wins) -> None:
            barrier.wait(PATIENCE)
            if caller.reply(n):
                wins.append(n)

        threads = [threading.Thread(target=settle, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert wins == [caller.wait()]


def test_open_calls_know_what_they_owe() -> None:
    caller: From[int] = From()
    owed: dict[Any, Any] = {}
    caller.owed_by(owed)
    assert owed == {caller: None}
    caller.reply(1)
    assert owed == {}


LAST_MOMENT = """
import sys, time
from secrets_actor.otp import CallTimeout, From

class Last:
    def __del__(self, ask=From, timeout=CallTimeout, now=time.monotonic, out=sys.stdout):
        begun = now()
        for seconds in (20, None):
            try:
                ask().wait(seconds)
            except timeout as error:
                out.write(f"{error}\\n")
        out.write("at once\\n" if now() - begun < 10 else "in vain\\n")
        out.flush()

sys.modules["last"] = Last()
"""


def test_who_waits_when_no_other_thread_runs_any_more_is_told_at_once() -> None:
    """Python runs this finalizer while it takes itself down. Coverage has written its data by then."""
    command = [sys.executable, "-c", LAST_MOMENT]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE * 3, check=False)
    assert (ran.stdout, ran.stderr) == ("no answer within 0 seconds\n" * 2 + "at once\n", "")


def test_an_answer_stays_the_first_if_somebody_settles_it_in_the_middle_of_settling() -> None:
    seen: list[int] = []

    class CutIn(dict[Any, Any]):
        """What a process owes. It is told that an answer is given, and a signal handler gives up at that moment."""

        def __delitem__(self, caller: Any) -> None:
            assert not caller.fail(CallTimeout("given up"))
            assert seen == [1], "the one who comes later does the rest"
            super().__delitem__(caller)

    caller: From[int] = From()
    owed = CutIn()
    caller.owed_by(owed)
    caller.on_settled(lambda done: seen.append(done.result()))
    assert caller.reply(1)
    assert (caller.wait(0.0), caller.error, owed, seen) == (1, None, {}, [1])


def test_a_name_passes_on_and_can_be_waited_for(node: TestNode) -> None:
    name = node.name("n")
    assert name.resolve() is None
    assert not name.send("x")
    assert not name.post("x")
    failed: From[Any] = From()
    name.deliver("x", failed)
    assert isinstance(failed.error, NoProcess)
    found: list[Any] = []
    waiter = threading.Thread(target=lambda: found.append(node.registry.wait_for("n", PATIENCE)))
    waiter.start()
    first = node.spawn(Echo, name="n")
    waiter.join(PATIENCE)
    assert found == [first]
    assert node.registry.wait_for("other", 0.001) is None
    assert not node.registry._expected["other"], "who has given up is not kept"
    with pytest.raises(NameTaken):
        node.registry.register("n", first)
    node.registry.unregister("n", node.spawn(Echo))  # not its name
    assert name.resolve() is first
    stop(first)
    assert name.resolve() is None


def listening(node: TestNode) -> tuple[Any, Listener]:
    made: list[Listener] = []

    def make() -> Listener:
        made.append(Listener())
        return made[0]

    return node.spawn(make, name="listener"), made[0]


def test_timers_fire_in_order_when_the_clock_says_so(timed: TestNode, clock: ManualClock) -> None:
    pid, listener = listening(timed)
    for delay, target in ((3.0, pid), (1.0, timed.name("listener")), (2.0, pid)):
        timed.timers.send_after(delay, target, delay)
    assert len(timed.timers) == 3
    clock.advance(2.0)
    assert listener.seen(2) == [1.0, 2.0]
    assert len(timed.timers) == 1
    clock.advance(10.0)
    assert listener.seen(3)[2] == 3.0


class SleepingClock:
    """A clock that goes on while the machine sleeps, and nobody is told when it wakes up."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def on_jump(self, callback: Callable[[], None]) -> None:
        """It tells nobody."""


def test_a_timer_whose_time_came_while_the_machine_slept_fires_soon_after() -> None:
    clock = SleepingClock()
    node = TestNode(Recorder(), clock)
    try:
        node.spawn(TimerServer, "timers")
        pid, listener = listening(node)
        node.timers.send_after(8 * 3600.0, pid, "late")
        assert call(pid, "through") == "through"
        clock.seconds = 9 * 3600.0
        assert listener.seen(1) == ["late"]
    finally:
        node.close()


def test_a_cancelled_timer_says_what_it_had_left_and_a_fired_one_nothing(timed: TestNode, clock: ManualClock) -> None:
    pid, listener = listening(timed)
    timer, fired = timed.timers.send_after(5.0, pid, "never"), timed.timers.send_after(1.0, pid, "fired")
    clock.advance(2.0)
    assert listener.seen(1) == ["fired"]
    assert timed.timers.read(timer) == pytest.approx(3.0)
    assert timed.timers.cancel(timer) == pytest.approx(3.0)
    assert timed.timers.cancel(timer) is None
    assert timed.timers.read(fired) is None
    assert timed.timers.cancel(fired) is None
    clock.advance(10.0)
    assert call(pid, "through") == "through"
    assert listener.inbox == ["fired"]


def test_cancelled_timers_do_not_pile_up() -> None:
    table = TimerTable(ManualClock())
    timers = [table.send_after(1.0, None, n) for n in range(1000)]  # type: ignore[arg-type]
    for timer in timers[:990]:
        table.cancel(timer)
    assert len(table) == 10
    assert len(table._heap) < 200


def test_a_timer_outlives_the_process_that_keeps_it(timed: TestNode, clock: ManualClock) -> None:
    pid, listener = listening(timed)
    timed.timers.send_after(1.0, pid, "kept")
    keeper = timed.timers.keeper
    assert keeper is not None
    keeper.kill()
    clock.advance(2.0)
    timed.spawn(TimerServer, "timers")
    assert listener.seen(1) == ["kept"]


def test_the_system_clock_grows_and_never_jumps() -> None:
    clock = SystemClock()
    clock.on_jump(lambda: pytest.fail("it jumped"))
    assert clock.now() <= clock.now()


def test_a_process_that_was_handed_a_message_and_has_not_looked_at_it_is_not_idle(node: TestNode) -> None:
    interval = sys.getswitchinterval()
    pid = node.spawn(Echo)
    eventually(pid.mailbox_idle)
    sys.setswitchinterval(60.0)  # the reader, which may have it already, cannot come round
    try:
        pid.send(1)
        assert (pid.mailbox_idle(), len(pid.mailbox)) == (False, 1)
    finally:
        sys.setswitchinterval(interval)
    eventually(pid.mailbox_idle)
    assert len(pid.mailbox) == 0


def test_the_mailbox_counts_what_waits(node: TestNode) -> None:
    gate = threading.Event()
    pid = node.spawn(Echo)
    threading.Thread(target=lambda: call(pid, lambda me, caller: gate.wait(PATIENCE) and Reply(1))).start()
    eventually(lambda: not pid.mailbox.waiting)
    pid.send(1)
    pid.send(2)
    assert len(pid.mailbox) == 2
    assert not pid.mailbox_idle()
    gate.set()
    eventually(pid.mailbox_idle)
