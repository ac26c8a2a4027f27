"""What OTP need not have: a cap on threads that outlive their processes, and forks."""

import threading
from typing import Any

import pytest

from secrets_actor.otp import (
    CallTimeout,
    ChildSpec,
    Flags,
    ForkedProcess,
    NamedRef,
    NoProcess,
    Reply,
    Restart,
    Supervisor,
    WhichChildren,
    call,
    cast,
    spawn,
    stop,
)
from secrets_actor.otp.events import TooManyDisowned
from tests.forking import in_child
from tests.otp.child_helpers import Gate, pid_of
from tests.otp.conftest import PATIENCE, Echo, TestNode, eventually


def test_one_disowned_thread_too_many_ends_the_supervisor() -> None:
    from tests.otp.conftest import Recorder

    class Capped(TestNode):
        pass

    node = Capped(Recorder())
    node._max_disowned = 1
    gate = threading.Event()
    specs = [ChildSpec(name, lambda: Gate(gate, threading.Event()), Restart.TEMPORARY) for name in "abc"]
    sup = node.spawn(lambda: Supervisor(Flags(), specs), "root")
    pids = [pid_of(sup, name) for name in "abc"]
    try:
        for pid in pids[:2]:
            assert sup.is_alive()
            cast(pid, "hold")
            eventually(lambda pid=pid: not pid.mailbox.waiting)  # type: ignore[misc]
            pid.kill()
        assert str(sup.wait(PATIENCE)) == "too many disowned threads"
        (event,) = node.recorder.of(TooManyDisowned)
        assert (event.disowned, event.allowed) == (2, 1)
        assert not pids[2].is_alive()
    finally:
        gate.set()
        node.close()
    eventually(lambda: not node.disowned)


pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


def outcome(question: Any) -> str:
    try:
        return str(question())
    except Exception as error:
        return type(error).__name__


def test_a_fork_under_load_hangs_nobody_and_the_child_may_start_afresh(node: TestNode) -> None:
    pid = node.spawn(Echo, name="ours")
    sup = node.spawn(lambda: Supervisor(Flags(), [ChildSpec("a", Echo, name="a")]), "root")
    over = threading.Event()

    def load() -> None:
        while not over.is_set():
            call(pid, "x")
            call(sup, WhichChildren())
            node.timers.send_after(10.0, pid, "never")

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()

    def use() -> str:
        ref = NamedRef(node, "ours", lambda error: error)
        said = [outcome(lambda: call(pid, 1)), outcome(lambda: call(node.name("ours"), 1)), outcome(lambda: stop(pid))]
        said += [outcome(lambda: ref.ask(1, timeout=1)), outcome(lambda: spawn(node, Echo, label="x"))]
        cast(pid, 1)
        cast(node.name("ours"), 1)
        said.append(str(pid.is_alive()))
        node.start_afresh()
        said.append(call(spawn(node, Echo, label="x", name="ours"), "fresh"))
        return " ".join(said)

    try:
        for _ in range(10):
            assert in_child(use) == "ForkedProcess " * 5 + "False fresh"
    finally:
        over.set()
        for thread in threads:
            thread.join(PATIENCE)
    assert call(pid, "the parent goes on") == "the parent goes on"
    assert issubclass(ForkedProcess, NoProcess)
    assert not issubclass(ForkedProcess, CallTimeout)
    assert call(pid, lambda me, caller: Reply(node.forked)) is False
