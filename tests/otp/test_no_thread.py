"""Where no thread is to be had, a start has failed, and nothing else has happened."""

import threading
from typing import Any

import pytest

from secrets_actor.otp import (
    NO_THREAD,
    Backoff,
    ChildSpec,
    DynamicSupervisor,
    Flags,
    GenServer,
    Reply,
    Restart,
    StartChild,
    StartError,
    Strategy,
    Supervisor,
    TerminateChild,
    TimerServer,
    WhichChildren,
    call,
    cast,
    lacks_thread,
    snapshot,
    spawn,
    supervisor_spec,
)
from secrets_actor.otp.child_table import State
from secrets_actor.otp.events import ChildStartFailed, SupervisorGaveUp
from tests.otp.child_helpers import pid_of
from tests.otp.conftest import PATIENCE, Echo, TestNode, eventually
from tests.threadless import no_threads


def test_nothing_is_left_of_a_process_for_which_there_was_no_thread(node: TestNode) -> None:
    with no_threads(), pytest.raises(StartError) as caught:
        spawn(node, Echo, label="e", name="e")
    assert caught.value.reason is NO_THREAD
    assert (node.live, node.disowned, node.registry.whereis("e")) == ((), (), None)
    assert call(node.spawn(Echo, name="e"), 1) == 1


def test_who_starts_a_process_outlives_that_there_is_no_thread_for_it(node: TestNode) -> None:
    def starts(me: Any, caller: Any) -> Reply:
        with no_threads(), pytest.raises(StartError):
            spawn(me.node, Echo, label="child", link=True)
        return Reply("lives")

    pid = node.spawn(Echo)
    assert call(pid, starts) == "lives"
    assert call(pid, 1) == 1


def test_a_child_that_is_remembered_outside_is_started_as_soon_as_there_is_a_thread(node: TestNode) -> None:
    flags = Flags(intensity=2)
    node.spawn(TimerServer, "timers")
    forgetful = node.spawn(lambda: DynamicSupervisor(flags), "forgetful")
    wanted: list[ChildSpec] = []
    sup = node.spawn(lambda: DynamicSupervisor(flags, initial=lambda: wanted), "sup")
    with no_threads():
        for supervisor in (forgetful, sup):
            with pytest.raises(StartError) as caught:
                call(supervisor, StartChild(ChildSpec("later", Echo)))
            assert caught.value.reason is NO_THREAD
    eventually(lambda: len(call(sup, WhichChildren())) == 1)

    assert [row.spec.id for row in call(sup, WhichChildren())] == ["later"]
    assert call(forgetful, WhichChildren()) == ()


class Stuck(GenServer):
    """Waits in a callback until its hook lets it go."""

    def __init__(self) -> None:
        self.free, self.let_go = threading.Event(), threading.Event()

    def handle_cast(self, message: threading.Event) -> None:
        message.set()
        self.free.wait(PATIENCE)

    def abandon(self) -> None:
        self.let_go.wait(PATIENCE)  # what it closes hangs, too
        self.free.set()


def test_a_hook_that_hangs_holds_up_nobody_where_there_is_no_thread_for_it_and_is_called_when_there_is(
    node: TestNode,
) -> None:
    stuck, busy = Stuck(), threading.Event()
    pid = node.spawn(lambda: stuck)
    cast(pid, busy)
    assert busy.wait(PATIENCE)
    with no_threads():
        pid.kill()  # comes back
    assert node.disowned == (pid,)
    stuck.let_go.set()
    assert call(node.spawn(Echo), 1) == 1
    assert stuck.free.wait(PATIENCE)


def comes_back(node: TestNode, top: Any, killed: str, there: str) -> None:
    """Kill *killed*, with no thread for the next one, until the tries have been too many for any intensity; then
    *there* answers again, and nobody has given up."""
    pid, failed = node.registry.whereis(killed), len(node.recorder.of(ChildStartFailed))
    assert pid is not None
    with no_threads():
        pid.kill()
        node.recorder.wait_for(ChildStartFailed, failed + 4)
    found = node.registry.wait_for(there, PATIENCE)
    assert found is not None
    eventually(lambda: all(one.state == "running" for one in snapshot(top).root.walk()))
    assert node.recorder.of(SupervisorGaveUp) == []
    assert node.disowned == ()


@pytest.mark.parametrize("timers", [True, False])
@pytest.mark.parametrize("backoff", [None, Backoff(at_once=5)])
@pytest.mark.parametrize("strategy", list(Strategy))
def test_a_child_comes_back_as_soon_as_there_is_a_thread(
    node: TestNode, strategy: Strategy, backoff: Backoff | None, timers: bool
) -> None:
    if timers or backoff is not None:
        node.spawn(TimerServer, "timers")
    specs = [ChildSpec(name, Echo, name=name, backoff=backoff) for name in "abc"]
    top = node.spawn(lambda: Supervisor(Flags(strategy, intensity=1), specs), "top")
    comes_back(node, top, "b", "b")
    assert all(pid_of(top, name).is_alive() for name in "abc")


def test_so_does_a_whole_tree_and_the_timer_server_in_it(node: TestNode) -> None:
    inner = Flags(Strategy.REST_FOR_ONE, intensity=0)
    infra = supervisor_spec("infra", inner, [ChildSpec("timers", TimerServer, name="timers")], name="infra")
    core = supervisor_spec("core", inner, [ChildSpec("a", Echo, name="a"), ChildSpec("b", Echo, name="b")], name="core")
    top = node.spawn(lambda: Supervisor(Flags(Strategy.REST_FOR_ONE, intensity=2), [infra, core]), "top")
    comes_back(node, top, "infra", "b")
    comes_back(node, top, "core", "b")
    timers = node.registry.whereis("timers")
    assert timers is not None
    assert timers.is_alive()


def test_so_does_a_child_that_comes_and_goes(node: TestNode) -> None:
    top = node.spawn(lambda: DynamicSupervisor(Flags(intensity=1)), "top")
    call(top, StartChild(ChildSpec("a", Echo, name="a")))
    comes_back(node, top, "a", "a")
    with no_threads(), pytest.raises(StartError) as caught:
        call(top, StartChild(ChildSpec("b", Echo)))
    assert lacks_thread(caught.value.reason)


def test_a_start_by_request_fails_and_a_child_that_waits_for_a_thread_can_be_stopped(node: TestNode) -> None:
    node.spawn(TimerServer, "timers")
    top = node.spawn(lambda: Supervisor(Flags(), [ChildSpec("a", Echo, name="a", restart=Restart.TRANSIENT)]), "top")
    with no_threads():
        with pytest.raises(StartError):
            call(top, StartChild(ChildSpec("b", Echo)))
        pid_of(top, "a").kill()
        node.recorder.wait_for(ChildStartFailed, 2)
        call(top, TerminateChild("a"))
    (row,) = call(top, WhichChildren())
    assert row.process is State.STOPPED


def test_a_tree_whose_first_start_finds_no_thread_is_not_there_at_all(node: TestNode) -> None:
    def stingy() -> Echo:
        threading.stack_size(1 << 46)
        return Echo()

    specs = [ChildSpec("a", stingy, name="a"), supervisor_spec("inner", Flags(), [ChildSpec("b", Echo)])]
    before = threading.stack_size()
    try:
        with pytest.raises(StartError) as caught:
            spawn(node, lambda: Supervisor(Flags(), specs), label="top")
    finally:
        threading.stack_size(before)
    assert str(caught.value.reason) == "shutdown: child inner failed to start: no thread could be started"
    assert lacks_thread(caught.value.reason)
    assert not lacks_thread(None)
    assert node.live == ()
