"""Supervisors, beyond what the traces show."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from secrets_actor.otp import (
    BRUTAL_KILL,
    SHUTDOWN,
    AutoShutdown,
    CallFailed,
    ChildError,
    ChildSpec,
    CountChildren,
    Counts,
    DeleteChild,
    DynamicSupervisor,
    Flags,
    GaveUp,
    GenServer,
    GetChildSpec,
    InitResult,
    InvalidTree,
    ManualClock,
    Restart,
    RestartChild,
    StartChild,
    StartError,
    Stop,
    Stopped,
    Strategy,
    Supervisor,
    TerminateChild,
    WhichChildren,
    call,
    cast,
    draw,
    snapshot,
    supervisor_spec,
)
from secrets_actor.otp.events import (
    ChildRestarted,
    ChildStartFailed,
    ProcessDisowned,
    SupervisorGaveUp,
    SupervisorShutDown,
)
from tests.otp.child_helpers import crash, die, end, pid_of, serials
from tests.otp.conftest import PATIENCE, Echo, TestNode, eventually


@pytest.mark.parametrize(
    ("strategy", "fresh"),
    [(Strategy.ONE_FOR_ONE, "b"), (Strategy.ONE_FOR_ALL, "abc"), (Strategy.REST_FOR_ONE, "bc")],
)
def test_a_strategy_says_who_is_restarted_with_a_child(node: TestNode, strategy: Strategy, fresh: str) -> None:
    sup = node.spawn(lambda: Supervisor(Flags(strategy), [ChildSpec(name, Echo) for name in "abc"]), "root")
    before = serials(sup)
    crash(node, sup, "b")
    after = serials(sup)
    assert "".join(name for name in "abc" if before[name] != after[name]) == fresh


def test_the_window_slides_on_the_node_s_clock(timed: TestNode, clock: ManualClock) -> None:
    sup = timed.spawn(lambda: Supervisor(Flags(intensity=1, period=5), [ChildSpec("a", Echo)]), "root")
    crash(timed, sup, "a")
    clock.advance(5.1)
    crash(timed, sup, "a")
    assert sup.is_alive()
    clock.advance(5.0)
    cast(pid_of(sup, "a"), die)
    reason = sup.wait(PATIENCE)
    assert reason == GaveUp("a", Stopped("boom"), 1, 5)
    assert reason.expected, "as OTP's reason for it, shutdown"
    assert str(reason) == "gave up on child a (restarts: 1 in 5 s): stopped: boom"
    (gave_up,) = timed.recorder.of(SupervisorGaveUp)
    assert (gave_up.process, gave_up.child, gave_up.intensity) == ("root", "a", 1)


def test_a_child_is_terminated_restarted_and_deleted_by_request(node: TestNode) -> None:
    sup = node.spawn(lambda: Supervisor(Flags(), [ChildSpec("a", Echo, name="a")]), "root")
    for request, problem in ((RestartChild("a"), "running"), (DeleteChild("a"), "running")):
        with pytest.raises(ChildError) as refused:
            call(sup, request)
        assert refused.value.problem == problem
    call(sup, TerminateChild("a"))
    assert serials(sup) == {"a": None}
    assert call(sup, RestartChild("a")).is_alive()
    assert call(sup, GetChildSpec("a")).shutdown == 5.0
    call(sup, TerminateChild("a"))
    call(sup, DeleteChild("a"))
    requests: list[Any] = [TerminateChild("a"), RestartChild("a"), DeleteChild("a"), GetChildSpec("a")]
    for request in requests:
        with pytest.raises(ChildError, match="not_found"):
            call(sup, request)
    assert call(sup, CountChildren()) == Counts(0, 0, 0, 0)


def test_a_child_is_added_once_and_checked_first(node: TestNode) -> None:
    sup = node.spawn(lambda: Supervisor(Flags(), []), "root")
    pid = call(sup, StartChild(ChildSpec("a", Echo)))
    with pytest.raises(ChildError) as refused:
        call(sup, StartChild(ChildSpec("a", Echo)))
    assert (refused.value.problem, refused.value.pid) == ("already_started", pid)
    call(sup, TerminateChild("a"))
    with pytest.raises(ChildError, match="already_present"):
        call(sup, StartChild(ChildSpec("a", Echo)))
    with pytest.raises(InvalidTree):
        call(sup, StartChild(ChildSpec("b", Echo, shutdown=-1)))
    with pytest.raises(StartError):
        call(sup, StartChild(ChildSpec("c", lambda: 1 / 0)))  # type: ignore[arg-type,return-value]
    assert set(serials(sup)) == {"a"}


def test_a_name_that_is_taken_is_a_failed_start(node: TestNode) -> None:
    node.spawn(Echo, name="taken")
    with pytest.raises(StartError, match="the name taken belongs"):
        node.spawn(lambda: Supervisor(Flags(), [ChildSpec("a", Echo, name="taken")]), "root")
    sup = node.spawn(lambda: DynamicSupervisor(Flags()), "pool")
    with pytest.raises(StartError, match="the name taken belongs"):
        call(sup, StartChild(ChildSpec("a", Echo, name="taken")))


def test_a_child_that_hangs_in_terminate_is_disowned_in_its_time(node: TestNode) -> None:
    gate = threading.Event()

    class Hangs(Echo):
        trap_exit = True

        def terminate(self, reason: Any) -> None:
            gate.wait(PATIENCE)

    spec = ChildSpec("hangs", Hangs, shutdown=0.02)
    sup = node.spawn(lambda: Supervisor(Flags(), [spec, ChildSpec("brutal", Hangs, shutdown=BRUTAL_KILL)]), "root")
    call(sup, TerminateChild("hangs"))
    assert [pid.label for pid in node.disowned] == ["hangs"]
    assert "disowned thread: hangs" in draw(snapshot(sup))
    call(sup, TerminateChild("brutal"))
    gate.set()
    eventually(lambda: not node.disowned)
    assert node.recorder.of(ProcessDisowned)


def test_a_failed_restart_is_tried_again_and_each_try_counts(node: TestNode) -> None:
    starts = 0

    class Flaky(Echo):
        def init(self) -> InitResult:
            nonlocal starts
            starts += 1
            return Stop(Stopped("not yet")) if 1 < starts < 4 else None

    sup = node.spawn(lambda: Supervisor(Flags(intensity=3), [ChildSpec("flaky", Flaky)]), "root")
    crash(node, sup, "flaky")
    assert len(node.recorder.of(ChildStartFailed)) == 2
    (row,) = call(sup, WhichChildren())
    assert row.restarts == 3
    cast(pid_of(sup, "flaky"), die)
    assert sup.wait(PATIENCE) == GaveUp("flaky", Stopped("boom"), 3, 5.0)


@pytest.mark.parametrize(("mode", "ends"), [("any_significant", 1), ("all_significant", 2)])
def test_significant_children_end_their_supervisor(node: TestNode, mode: str, ends: int) -> None:
    specs = [
        ChildSpec("a", Echo),
        ChildSpec("b", Echo, Restart.TRANSIENT, significant=True),
        ChildSpec("c", Echo, Restart.TEMPORARY, significant=True),
    ]
    sup = node.spawn(lambda: Supervisor(Flags(auto_shutdown=AutoShutdown(mode)), specs), "root")
    for number, child in enumerate("bc", 1):
        pid = pid_of(sup, child)
        cast(pid, end)
        pid.wait(PATIENCE)
        if number == ends:
            assert sup.wait(PATIENCE) == SHUTDOWN
            break
        call(sup, WhichChildren())
    assert len(node.recorder.of(SupervisorShutDown)) == 1


def test_a_nested_supervisor_that_gives_up_is_restarted_by_its_own(node: TestNode) -> None:
    inner = supervisor_spec("inner", Flags(intensity=0), [ChildSpec("x", Echo, name="x")])
    root = node.spawn(lambda: Supervisor(Flags(), [inner]), "root")
    assert call(root, CountChildren()) == Counts(1, 1, 1, 0)
    first = node.registry.whereis("x")
    assert first is not None
    cast(first, die)
    node.recorder.wait_for(ChildRestarted)
    assert call(node.name("x"), 1) == 1
    assert node.registry.whereis("x") is not first
    text = draw(snapshot(root))
    assert "└─ inner" in text
    assert "restarts 1" in text


def test_an_unknown_request_ends_the_supervisor_as_it_would_any_server(node: TestNode) -> None:
    makers: list[Callable[[], GenServer]] = [lambda: Supervisor(Flags(), []), lambda: DynamicSupervisor(Flags())]
    for make in makers:
        pid = node.spawn(make, "root")
        cast(pid, "x")
        assert "BadReturn" in str(pid.wait(PATIENCE))
        pid = node.spawn(make, "root")
        with pytest.raises(CallFailed, match="BadReturn"):
            call(pid, "x")
        assert "BadReturn" in str(pid.wait(PATIENCE))
