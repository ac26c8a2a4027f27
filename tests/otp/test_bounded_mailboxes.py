"""What OTP does not have: mailboxes that can be full."""

import threading
from typing import Any

import pytest

from secrets_actor.clock import now as clock_now
from secrets_actor.otp import (
    ChildSpec,
    Flags,
    InvalidTree,
    MailboxLimit,
    NamedRef,
    NoProcess,
    Overloaded,
    Pid,
    Supervisor,
    call,
    cast,
)
from secrets_actor.otp.child_spec import check_child
from tests.otp.child_helpers import Gate, pid_of
from tests.otp.conftest import PATIENCE, Echo, TestNode, eventually


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
    begun = clock_now()
    with pytest.raises(Overloaded):
        call(pid, "x", 0.05)
    assert clock_now() - begun >= 0.04
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
