"""What OTP does not have: backoff, bounded mailboxes, a cap on disowned threads, forks."""

import os
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.otp import (
    Backoff,
    CallTimeout,
    ChildSpec,
    DynamicSupervisor,
    Flags,
    ForkedProcess,
    InitResult,
    InvalidTree,
    MailboxLimit,
    ManualClock,
    NamedRef,
    NoProcess,
    Overloaded,
    Pid,
    Reply,
    Restart,
    RestartChild,
    StartChild,
    Stop,
    Stopped,
    Strategy,
    Supervisor,
    TerminateChild,
    TerminatePid,
    WhichChildren,
    call,
    cast,
    draw,
    snapshot,
    spawn,
    stop,
)
from secrets_actor.otp.child_spec import check_child
from secrets_actor.otp.child_table import State
from secrets_actor.otp.events import ChildRestarted, TooManyDisowned
from tests.otp.conftest import PATIENCE, Echo, TestNode, eventually
from tests.otp.test_supervisor import die, pid_of, serials

BACKOFF = Backoff(initial=1.0, factor=2.0, maximum=3.0, jitter=0.0, stable=10.0)


# --- backoff ------------------------------------------------------------------------------------------------------


@given(st.integers(1, 5000), st.floats(0, 1), st.floats(0, 5), st.floats(1, 10), st.floats(0, 100), st.floats(0, 1))
def test_a_delay_stays_in_its_bounds(
    tries: int, chance: float, initial: float, factor: float, more: float, jitter: float
) -> None:
    backoff = Backoff(initial, factor, initial + more, jitter)
    assert backoff.problem is None
    delay = backoff.delay(tries, chance)
    assert 0 <= delay <= initial + more
    assert delay <= backoff.delay(tries, 0.0) <= backoff.delay(tries + 1, 0.0)


def test_tries_grow_until_a_stable_time() -> None:
    assert [BACKOFF.delay(n, 0.5) for n in (1, 2, 3, 4)] == [1.0, 2.0, 3.0, 3.0]
    assert BACKOFF.next_try(3, 9.9) == 4
    assert BACKOFF.next_try(3, 10.0) == 1
    assert Backoff(jitter=0.5, initial=2.0).delay(1, 1.0) == 1.0


@pytest.mark.parametrize(
    "backoff",
    [
        Backoff(initial=-1),
        Backoff(factor=0.5),
        Backoff(maximum=0.01),
        Backoff(jitter=2),
        Backoff(stable=-1),
        Backoff(initial=float("nan")),
        Backoff(factor="2"),  # type: ignore[arg-type]
    ],
)
def test_a_backoff_that_does_not_hold_is_refused(backoff: Backoff) -> None:
    with pytest.raises(InvalidTree, match="backoff"):
        check_child(ChildSpec("a", Echo, backoff=backoff))


@pytest.mark.parametrize("strategy", list(Strategy))
def test_a_restart_waits_and_the_others_run_on(timed: TestNode, clock: ManualClock, strategy: Strategy) -> None:
    specs = [ChildSpec("a", Echo, backoff=BACKOFF), ChildSpec("b", Echo)]
    sup = timed.spawn(lambda: Supervisor(Flags(strategy, intensity=10), specs), "root")
    before = serials(sup)
    for tries, delay in ((1, 1.0), (2, 2.0), (3, 3.0)):
        pid = pid_of(sup, "a")
        cast(pid, die)
        pid.wait(PATIENCE)
        (row, other) = call(sup, WhichChildren())
        assert (row.process, row.tries) == (State.RESTARTING, tries)
        assert other.pid is not None
        assert "restarting" in draw(snapshot(sup))
        clock.advance(delay - 0.1)
        assert serials(sup)["a"] is None
        clock.advance(0.2)
        timed.recorder.wait_for(ChildRestarted, tries)
    assert (serials(sup)["b"] == before["b"]) is (strategy is Strategy.ONE_FOR_ONE)
    pid = pid_of(sup, "a")
    clock.advance(BACKOFF.stable)
    cast(pid, die)
    pid.wait(PATIENCE)
    assert call(sup, WhichChildren())[0].tries == 1


def test_a_terminate_cancels_the_wait_and_an_old_wait_starts_nothing(timed: TestNode, clock: ManualClock) -> None:
    sup = timed.spawn(lambda: Supervisor(Flags(intensity=10), [ChildSpec("a", Echo, backoff=BACKOFF)]), "root")

    def crash() -> None:
        pid = pid_of(sup, "a")
        cast(pid, die)
        pid.wait(PATIENCE)

    crash()
    call(sup, TerminateChild("a"))
    clock.advance(0.9)  # the first wait has 0.1 s left
    call(sup, RestartChild("a"))
    crash()
    clock.advance(0.5)
    assert serials(sup) == {"a": None}
    assert timed.recorder.of(ChildRestarted) == []
    clock.advance(2.0)
    timed.recorder.wait_for(ChildRestarted)


def test_a_failed_start_waits_too_and_the_window_counts_starts(timed: TestNode, clock: ManualClock) -> None:
    started: list[float] = []

    class Once(Echo):
        def init(self) -> InitResult:
            started.append(self.node.clock.now())
            return None if len(started) == 1 else Stop(Stopped("no"))

    spec = ChildSpec("once", Once, backoff=BACKOFF)
    sup = timed.spawn(lambda: Supervisor(Flags(intensity=2, period=100), [spec]), "root")
    cast(pid_of(sup, "once"), die)
    for number in (1, 2):
        eventually(lambda: len(timed.timers))
        clock.advance(3.0)
        eventually(lambda number=number: len(started) == number + 1)
    eventually(lambda: len(timed.timers))
    clock.advance(3.0)
    assert str(sup.wait(PATIENCE)) == "shutdown"
    assert len(started) == 3


def test_an_instance_waits_too_and_its_last_pid_cancels(timed: TestNode, clock: ManualClock) -> None:
    sup = timed.spawn(lambda: DynamicSupervisor(Flags(intensity=10)), "pool")
    one, two = (call(sup, StartChild(ChildSpec(name, Echo, backoff=BACKOFF))) for name in "ab")
    for pid in (one, two):
        cast(pid, die)
        pid.wait(PATIENCE)
    assert [row.process for row in call(sup, WhichChildren())] == [State.RESTARTING] * 2
    call(sup, TerminatePid(one))
    clock.advance(1.0)
    timed.recorder.wait_for(ChildRestarted)
    (row,) = call(sup, WhichChildren())
    assert (row.spec.id, row.tries) == ("b", 1)


# --- bounded mailboxes --------------------------------------------------------------------------------------------


class Gate(Echo):
    """Lets the test hold it in a cast."""

    def __init__(self, gate: threading.Event, entered: threading.Event) -> None:
        self.gate, self.entered = gate, entered

    def handle_cast(self, message: Any) -> Any:
        self.entered.set()
        self.gate.wait(PATIENCE)


def held(node: TestNode, limit: MailboxLimit) -> tuple[Pid, threading.Event]:
    gate, entered = threading.Event(), threading.Event()
    pid = node.spawn(lambda: Gate(gate, entered), mailbox=limit, name="held")
    cast(pid, "hold")
    assert entered.wait(PATIENCE)
    return pid, gate


def test_a_full_mailbox_refuses_calls_and_takes_what_cannot_be_refused(node: TestNode) -> None:
    pid, gate = held(node, MailboxLimit(2))
    for _ in range(2):
        assert pid.send("info")
    with pytest.raises(Overloaded, match="too many requests"):
        call(pid, "x", PATIENCE)
    with pytest.raises(Overloaded):
        NamedRef(node, "held", lambda error: error).ask("x", timeout=PATIENCE)
    assert pid.send("more")
    assert pid.open_calls == 0
    gate.set()
    eventually(pid.mailbox_idle)
    assert call(pid, "x") == "x"


def test_a_caller_may_wait_for_room_within_his_time(node: TestNode) -> None:
    pid, gate = held(node, MailboxLimit(1, wait=True))
    pid.send("info")
    begun = time.monotonic()
    with pytest.raises(Overloaded):
        call(pid, "x", 0.05)
    assert time.monotonic() - begun >= 0.04
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda n=n: answers.append(call(pid, n, PATIENCE))) for n in range(5)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(answers) == [0, 1, 2, 3, 4]


def test_who_waits_for_room_is_told_of_the_end(node: TestNode) -> None:
    pid, gate = held(node, MailboxLimit(1, wait=True))
    pid.send("info")
    errors: list[Any] = []

    def ask() -> None:
        try:
            call(pid, "x", None)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    pid.kill()
    thread.join(PATIENCE)
    gate.set()
    assert isinstance(errors[0], NoProcess)


def test_a_limit_comes_with_the_spec(node: TestNode) -> None:
    with pytest.raises(InvalidTree, match="mailbox"):
        check_child(ChildSpec("a", Echo, mailbox=MailboxLimit(0)))
    gate, entered = threading.Event(), threading.Event()
    spec = ChildSpec("a", lambda: Gate(gate, entered), mailbox=MailboxLimit(1))
    sup = node.spawn(lambda: Supervisor(Flags(), [spec]), "root")
    pid = pid_of(sup, "a")
    cast(pid, "hold")
    assert entered.wait(PATIENCE)
    pid.send("info")
    with pytest.raises(Overloaded):
        call(pid, "x")
    gate.set()


# --- too many disowned threads ------------------------------------------------------------------------------------


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
            eventually(lambda pid=pid: not pid.mailbox.waiting)
            pid.kill()
        assert str(sup.wait(PATIENCE)) == "too many disowned threads"
        (event,) = node.recorder.of(TooManyDisowned)
        assert (event.disowned, event.allowed) == (2, 1)
        assert not pids[2].is_alive()
    finally:
        gate.set()
        node.close()
    eventually(lambda: not node.disowned)


# --- fork ---------------------------------------------------------------------------------------------------------


def in_child(question: Any) -> str:
    """What *question* says in a forked child, which must not hang."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = str(question())
        except BaseException as error:
            answer = f"raised {type(error).__name__}: {error}"
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    deadline = time.monotonic() + PATIENCE
    try:
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(child, 9)
                os.waitpid(child, 0)
                raise AssertionError("the child hangs")
            time.sleep(0.005)
        return os.read(reader, 10000).decode()
    finally:
        os.close(reader)


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
