"""Supervisors of children that come and go, beyond what the traces show."""

import threading
from typing import Any

import pytest

from secrets_actor.otp import (
    SHUTDOWN,
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
    Kind,
    Pid,
    Reply,
    Restart,
    RestartChild,
    StartChild,
    StartError,
    Stop,
    Stopped,
    TerminateChild,
    TerminatePid,
    WhichChildren,
    call,
    cast,
    spawn,
)
from secrets_actor.otp.child_spec import check_child
from secrets_actor.otp.child_table import State
from secrets_actor.otp.events import (
    ChildRestarted,
)
from tests.otp.child_helpers import die
from tests.otp.conftest import PATIENCE, Echo, TestNode


def pool(node: TestNode, **options: Any) -> Pid:
    flags = options.pop("flags", Flags(intensity=2))
    return node.spawn(lambda: DynamicSupervisor(flags, **options), "pool")


def test_a_supervisor_starts_with_its_initial_children_and_so_does_the_next(node: TestNode) -> None:
    def fails() -> GenServer:
        raise ValueError("not this one")

    remembered = [ChildSpec("a", Echo), ChildSpec("bad", fails), ChildSpec("b", Echo), ChildSpec("one too many", Echo)]
    for _ in range(2):
        sup = pool(node, max_children=2, initial=lambda: iter(remembered))

        assert [row.spec.id for row in call(sup, WhichChildren())] == ["a", "b"]
        sup.kill()


def test_children_come_up_to_the_limit_and_go_by_pid(node: TestNode) -> None:
    sup = pool(node, max_children=2)
    one, two = (call(sup, StartChild(ChildSpec("w", Echo))) for _ in range(2))
    with pytest.raises(ChildError, match="max_children"):
        call(sup, StartChild(ChildSpec("w", Echo)))
    call(sup, TerminatePid(one))
    call(sup, TerminatePid(one))  # the dead are gone
    cast(sup, TerminatePid(two))
    cast(sup, TerminatePid(two))
    assert call(sup, WhichChildren()) == ()
    with pytest.raises(ChildError, match="not_found"):
        call(sup, TerminatePid(sup))
    for request in (TerminateChild("w"), RestartChild("w"), DeleteChild("w")):
        with pytest.raises(ChildError, match="simple_one_for_one"):
            call(sup, request)


def test_a_template_is_the_one_spec(node: TestNode) -> None:
    template = ChildSpec("w", Echo, Restart.TEMPORARY, kind=Kind.SUPERVISOR)
    sup = pool(node, template=template)
    assert call(sup, CountChildren()) == Counts(1, 0, 0, 0)
    pid = call(sup, StartChild(template))
    assert call(sup, CountChildren()) == Counts(1, 1, 1, 0)
    assert call(sup, GetChildSpec("w")) == check_child(template) == call(sup, GetChildSpec(pid))
    with pytest.raises(ChildError):
        call(sup, GetChildSpec("x"))
    with pytest.raises(StartError, match="InvalidTree"):
        pool(node, template=ChildSpec("w", Echo, shutdown=-1))
    with pytest.raises(StartError, match="InvalidTree"):
        pool(node, template=ChildSpec("w", Echo, Restart.TEMPORARY, significant=True))


def test_a_permanent_instance_comes_back_as_another_and_a_temporary_one_does_not(node: TestNode) -> None:
    sup = pool(node)
    stays = call(sup, StartChild(ChildSpec("stays", Echo)))
    goes = call(sup, StartChild(ChildSpec("goes", Echo, Restart.TEMPORARY)))
    cast(goes, die)
    goes.wait(PATIENCE)
    cast(stays, die)
    node.recorder.wait_for(ChildRestarted)
    (row,) = call(sup, WhichChildren())
    assert row.spec.id == "stays"
    assert row.pid is not stays
    assert row.restarts == 1
    assert call(sup, CountChildren()) == Counts(1, 1, 0, 1)


def test_an_instance_that_cannot_come_back_uses_the_intensity_up(node: TestNode) -> None:
    gate, starts = threading.Event(), 0

    class Once(Echo):
        def init(self) -> InitResult:
            nonlocal starts
            starts += 1
            return None if starts == 1 else Stop(Stopped("no"))

    sup = pool(node)
    cast(call(sup, StartChild(ChildSpec("once", Once))), die)
    assert sup.wait(PATIENCE) == GaveUp("once", Stopped("boom"), 2, 5.0)
    assert starts == 3
    gate.set()


def test_terminating_the_last_pid_of_a_restarting_instance_ends_its_tries(node: TestNode) -> None:
    asked, gate = threading.Event(), threading.Event()

    class Once(Echo):
        first = True

        def init(self) -> InitResult:
            if Once.first:
                Once.first = False
                return None
            asked.set()
            gate.wait(PATIENCE)
            return Stop(Stopped("no"))

    sup = pool(node, flags=Flags(intensity=100))
    pid = call(sup, StartChild(ChildSpec("once", Once)))
    cast(pid, die)
    assert asked.wait(PATIENCE)
    shown: list[Any] = []
    asker = threading.Thread(
        target=lambda: shown.extend(
            (call(sup, WhichChildren()), call(sup, TerminatePid(pid)), call(sup, CountChildren()))
        )
    )
    asker.start()
    gate.set()
    asker.join(PATIENCE)
    assert shown[0][0].process is State.RESTARTING
    assert shown[2] == Counts(0, 0, 0, 0)
    assert sup.is_alive()


def test_shutdown_is_parallel(node: TestNode) -> None:
    barrier = threading.Barrier(5)

    class Together(Echo):
        trap_exit = True

        def terminate(self, reason: Any) -> None:
            barrier.wait(PATIENCE)  # passes only if all are there at once

    sup = pool(node)
    pids = [call(sup, StartChild(ChildSpec("w", Together, shutdown=PATIENCE))) for _ in range(5)]
    sup.exit(SHUTDOWN)
    assert sup.wait(PATIENCE) == SHUTDOWN
    assert {str(pid.reason) for pid in pids} == {"shutdown"}


def test_a_supervisor_s_start_reaches_the_caller_s_own_process(node: TestNode) -> None:
    class Parent(GenServer):
        def handle_call(self, request: Any, caller: Any) -> Any:
            return Reply(spawn(self.node, Echo, label="child", link=True))

    parent = node.spawn(Parent, "parent")
    child = call(parent, "start")
    assert child.parent is parent
    parent.exit(Stopped("gone"))
    assert child.wait(PATIENCE) == Stopped("gone")
