"""What OTP does not have: callbacks whose time is bounded."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from secrets_actor.otp import (
    KILLED,
    TIMEOUT,
    CallFailed,
    ChildSpec,
    DynamicSupervisor,
    Flags,
    From,
    InvalidTree,
    ManualClock,
    Pid,
    Reply,
    Restart,
    StartChild,
    StartError,
    Supervisor,
    TimerServer,
    call,
)
from secrets_actor.otp.child_spec import check_child
from secrets_actor.otp.events import ChildRestarted, ProcessDisowned
from tests.otp.child_helpers import hold, pid_of
from tests.otp.conftest import PATIENCE, Echo, TestNode, eventually


def spec(deadline: Any = 10.0, restart: Restart = Restart.PERMANENT) -> ChildSpec:
    return ChildSpec("child", Echo, restart, callback_timeout=deadline)


def under_supervisor(node: TestNode) -> tuple[Pid, Pid]:
    sup = node.spawn(lambda: Supervisor(Flags(), [spec()]), "root")
    return sup, pid_of(sup, "child")


def under_dynamic_supervisor(node: TestNode) -> tuple[Pid, Pid]:
    sup = node.spawn(lambda: DynamicSupervisor(Flags()), "pool")
    return sup, call(sup, StartChild(spec()))


class Held:
    """A server in the middle of a callback, and whoever waits for its answer."""

    def __init__(self, pid: Pid) -> None:
        self.entered, self.gate = threading.Event(), threading.Event()
        self.answer: From[Any] = From()
        pid.deliver(self._callback, self.answer)
        assert self.entered.wait(PATIENCE)

    def _callback(self, me: Any, caller: Any) -> Any:
        hold(self.entered, self.gate)
        return Reply("late")


@pytest.mark.parametrize("family", [under_supervisor, under_dynamic_supervisor])
def test_a_child_that_hangs_in_a_callback_is_disowned_and_replaced(
    timed: TestNode, clock: ManualClock, family: Callable[[TestNode], tuple[Pid, Pid]]
) -> None:
    _, pid = family(timed)
    held = Held(pid)
    clock.advance(9.9)
    clock.advance(0.2)
    assert pid.wait(PATIENCE) == KILLED
    timed.recorder.wait_for(ChildRestarted)
    with pytest.raises(CallFailed) as failed:
        held.answer.wait(PATIENCE)
    assert failed.value.reason == KILLED
    assert timed.disowned == (pid,)
    assert [event.serial for event in timed.recorder.of(ProcessDisowned)] == [pid.serial]
    held.gate.set()
    eventually(lambda: not timed.disowned)
    assert held.answer.error is failed.value


def test_time_counts_from_each_callback_anew_and_one_timer_serves_them_all(timed: TestNode, clock: ManualClock) -> None:
    _, pid = under_supervisor(timed)
    for number in range(5):
        assert call(pid, number) == number
    assert len(timed.timers) == 1
    clock.advance(6.0)
    late = Held(pid)  # its own time ends at 16, the timer's at 10
    clock.advance(4.0)
    eventually(lambda: [timer.due - clock.now() for _, _, timer in timed.timers._heap] == [6.0], "the next look")
    late.gate.set()
    assert late.answer.wait(PATIENCE) == "late"
    eventually(pid.mailbox_idle)
    clock.advance(6.0)  # the look finds it at rest
    eventually(lambda: len(timed.timers) == 0)
    clock.advance(100.0)
    assert call(pid, "alive") == "alive"
    assert len(timed.timers) == 1
    pid.kill()
    timed.recorder.wait_for(ChildRestarted)

    def no_look_is_left() -> bool:
        clock.advance(10.0)  # a look finds the one dead, and the other at rest
        return len(timed.timers) == 0

    eventually(no_look_is_left)


def test_an_init_that_hangs_is_a_start_that_failed(node: TestNode) -> None:
    gate = threading.Event()

    class Hangs(Echo):
        def init(self) -> None:
            gate.wait(PATIENCE)

    node.spawn(TimerServer, "timers")
    child = ChildSpec("child", Hangs, callback_timeout=0.02)
    sup = node.spawn(lambda: DynamicSupervisor(Flags()), "pool")
    with pytest.raises(StartError) as refused:
        call(sup, StartChild(child))
    assert refused.value.reason == TIMEOUT
    assert len(node.disowned) == 1
    gate.set()
    eventually(lambda: not node.disowned)


def test_who_has_no_supervisor_is_not_watched(timed: TestNode) -> None:
    pid = timed.spawn(Echo, deadline=1.0)
    assert call(pid, 1) == 1
    assert len(timed.timers) == 0


def test_a_terminate_on_request_has_its_shutdown_time(timed: TestNode, clock: ManualClock) -> None:
    entered, gate = threading.Event(), threading.Event()

    class Slow(Echo):
        trap_exit = True

        def terminate(self, reason: Any) -> None:
            hold(entered, gate)

    child = ChildSpec("child", Slow, shutdown=1000.0, callback_timeout=10.0)
    sup = timed.spawn(lambda: Supervisor(Flags(), [child]), "root")
    pid = pid_of(sup, "child")
    sup.exit(KILLED)
    assert entered.wait(PATIENCE)
    clock.advance(20.0)
    assert pid.is_alive()
    gate.set()
    assert str(pid.wait(PATIENCE)) == "shutdown"


@pytest.mark.parametrize("wrong", [0, -1.0, "soon", True])
def test_a_deadline_is_a_number_of_seconds(wrong: Any) -> None:
    with pytest.raises(InvalidTree, match="callback_timeout") as refused:
        check_child(spec(wrong))
    assert refused.value.problem == ("invalid_callback_timeout", wrong)
    assert check_child(spec(0.5)).callback_timeout == 0.5
