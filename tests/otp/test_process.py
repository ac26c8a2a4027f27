"""Links, monitors, kills and the threads that outlive their processes."""

import threading
from typing import Any

import pytest

from secrets_actor.otp import (
    KILL,
    KILLED,
    NOPROC,
    NORMAL,
    SHUTDOWN,
    BadReturn,
    Down,
    ExitSignal,
    Node,
    NoProcess,
    Reply,
    StartError,
    Stopped,
    call,
    spawn,
    stop,
)
from secrets_actor.otp.events import ProcessCrashed, ProcessDisowned, ProcessEnded, ProcessStarted
from secrets_actor.otp.pid import current
from tests.log_records import fields_of
from tests.otp.child_helpers import hold
from tests.otp.conftest import PATIENCE, Echo, Listener, TestNode, eventually


def test_a_hung_process_is_dead_to_everybody_and_its_thread_is_counted_until_it_ends(node: TestNode) -> None:
    entered, gate = threading.Event(), threading.Event()
    said: list[bool] = []
    other = node.spawn(Echo)

    def hang(me: Echo, caller: Any) -> Any:
        entered.set()
        gate.wait(PATIENCE)
        said.append(other.send("from the dead"))
        return Reply("too late")

    pid = node.spawn(Echo, name="hangs")
    answers: list[Any] = []
    caller = threading.Thread(target=lambda: answers.append(_error(lambda: call(pid, hang))))
    caller.start()
    assert entered.wait(PATIENCE)
    pid.kill()
    caller.join(PATIENCE)
    assert answers[0].reason == KILLED
    assert node.registry.whereis("hangs") is None
    assert pid in node.disowned
    assert not pid.send("x")
    assert len(pid.mailbox) == 0
    gate.set()
    eventually(lambda: not node.disowned)
    assert said == [False]
    assert [event.process for event in node.recorder.of(ProcessDisowned)] == ["server"]


def _error(question: Any) -> Any:
    try:
        return question()
    except Exception as error:
        return error


def test_the_abandon_hook_cuts_loose_and_may_fail(node: TestNode) -> None:
    gate = threading.Event()

    class Cut(Echo):
        def abandon(self) -> None:
            gate.set()
            raise ValueError("secret")

    pid = node.spawn(Cut)
    entered = threading.Event()
    pid.send("x")
    threading.Thread(target=lambda: _error(lambda: call(pid, lambda me, c: hold(entered, gate)))).start()
    assert entered.wait(PATIENCE)
    pid.kill()
    assert gate.is_set()
    (crash,) = node.recorder.of(ProcessCrashed)
    assert crash.reason == "ValueError in abandon"
    eventually(lambda: not node.disowned)


def test_a_link_carries_death_both_ways_and_an_unlinked_one_none(node: TestNode) -> None:
    one, two, three = node.spawn(Echo), node.spawn(Echo), node.spawn(Echo)
    one.link(two)
    one.link(three)
    one.unlink(three)
    two.exit(Stopped("boom"))
    assert one.wait(PATIENCE) == Stopped("boom")
    assert three.is_alive()


def test_a_trapping_process_gets_an_exit_as_a_message_and_kill_as_itself(node: TestNode) -> None:
    listeners: list[Listener] = []

    def make() -> Listener:
        listeners.append(Listener())
        return listeners[0]

    trapper = node.spawn(make)
    for reason in (NORMAL, KILL, Stopped("x")):
        other = node.spawn(Echo)
        trapper.link(other)
        other.finish(reason)
    dead = node.spawn(Echo)
    stop(dead)
    trapper.link(dead)
    assert [message.reason for message in listeners[0].seen(4)] == [NORMAL, KILL, Stopped("x"), NOPROC]
    assert all(isinstance(message, ExitSignal) for message in listeners[0].inbox)
    trapper.exit(KILL)
    assert trapper.reason == KILLED


def test_exit_kill_through_a_link_is_a_reason_like_any_other(node: TestNode) -> None:
    one, two = node.spawn(Echo), node.spawn(Echo)
    one.link(two)
    two.finish(KILL)
    assert one.reason == KILL  # as in OTP 25: only the signal becomes `killed`


def test_linking_to_the_dead_raises_in_who_does_not_trap(node: TestNode) -> None:
    one, two = node.spawn(Echo), node.spawn(Echo)
    two.kill()
    with pytest.raises(NoProcess):
        one.link(two)
    two.link(one)  # the dead link nobody
    one.kill()


def test_an_exit_signal_of_reason_normal_is_ignored_but_from_oneself(node: TestNode) -> None:
    pid, other = node.spawn(Echo), node.spawn(Echo)
    pid.exit(NORMAL, sender=other)
    assert pid.is_alive()
    pid.exit(NORMAL, sender=pid)
    assert pid.reason == NORMAL


def test_two_monitors_are_two_and_one_on_the_dead_fires_at_once(node: TestNode) -> None:
    pid = node.spawn(Echo)
    downs: list[Down] = []
    refs = [pid.monitor(downs.append), pid.monitor(downs.append), pid.monitor(downs.append)]
    assert pid.demonitor(refs[2])
    stop(pid)
    assert [down.ref for down in downs] == refs[:2]
    assert not pid.demonitor(refs[0])
    pid.monitor(downs.append)
    assert downs[-1].reason == NOPROC


def test_an_end_is_one_event_and_the_waiter_finds_all_done(node: TestNode) -> None:
    pid = node.spawn(Echo)
    assert pid.wait(0.0) is None
    assert not pid.mailbox_idle() or pid.is_alive()
    pid.exit(SHUTDOWN)
    assert pid.wait(PATIENCE) == SHUTDOWN
    assert pid.mailbox_idle()
    assert not pid.finish(NORMAL)
    assert "shutdown" in repr(pid)
    assert [type(event) for event in node.recorder.events] == [ProcessStarted, ProcessEnded]


def test_no_thread_but_a_process_s_own_is_the_current_process(node: TestNode) -> None:
    pid = node.spawn(Echo)
    assert current() is None
    assert call(pid, lambda me, caller: Reply(current())) is pid


def fails(event: Any) -> None:
    raise SystemExit("the text that I need")


def test_an_observer_that_fails_ends_nobody() -> None:
    assert call(spawn(Node(fails), Echo, label="e"), 1) == 1


def test_of_an_observer_s_failures_in_a_row_the_first_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def observer(event: Any) -> None:
        if event.serial != 3:
            fails(event)

    node = Node(observer)
    for serial in range(1, 6):
        node.observe(ProcessStarted("e", serial))

    told = [record for record in caplog.records if record.name == "secrets_actor.otp"]
    assert [fields_of(record)["event"] for record in told] == ["observer_failed"] * 2
    assert "SystemExit at test_process.py" in told[0].getMessage()
    assert "the text that I need" in told[0].getMessage()


async def coroutine_function(event: Any) -> None:
    """Nobody would await it."""


@pytest.mark.filterwarnings("error")
def test_an_observer_that_makes_a_coroutine_is_refused_or_logged(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(BadReturn, match="give a plain function"):
        Node(coroutine_function)  # type: ignore[arg-type]

    def unsuspicious(event: Any) -> Any:
        return coroutine_function(event)

    Node(unsuspicious).observe(ProcessStarted("e", 1))
    (told,) = [record for record in caplog.records if record.name == "secrets_actor.otp"]
    assert "give a plain function" in told.getMessage()


def test_a_dead_process_starts_nothing_and_takes_no_name(node: TestNode) -> None:
    entered, gate, failed = threading.Event(), threading.Event(), threading.Event()

    def start_late(me: Echo, caller: Any) -> Any:
        entered.set()
        gate.wait(PATIENCE)
        try:
            node.spawn(Echo, name="late", link=True)
        except StartError:
            failed.set()

    pid = node.spawn(Echo)
    thread = threading.Thread(target=lambda: _error(lambda: call(pid, start_late)))
    thread.start()
    assert entered.wait(PATIENCE)
    pid.kill()
    gate.set()
    assert failed.wait(PATIENCE)
    assert node.registry.whereis("late") is None
    thread.join(PATIENCE)
