"""Who is told first of an end: the order in which OTP 25 tells the children of a killed supervisor."""

from typing import Any

import pytest

from secrets_actor.otp import (
    KILL,
    KILLED,
    ChildSpec,
    Flags,
    From,
    Pid,
    Restart,
    Supervisor,
    WhichChildren,
    call,
    supervisor_spec,
)
from secrets_actor.otp.exit_order import exit_order
from secrets_actor.otp.reasons import ExitReason
from tests.otp.conftest import Echo, Recorder, TestNode, eventually


# Recorded: supervisors with the children a, b, c ... were killed. The first of the links is the supervisor's parent.
@pytest.mark.parametrize("told", ["a", "ba", "cba", "bdca", "bedca", "bdfeca", "badgfec", "badfhgec", "badfehjlkigc"])
def test_the_linked_are_told_as_on_otp(told: str) -> None:
    assert "".join(exit_order("." + "".join(sorted(told)))).replace(".", "") == told


class Ends(TestNode):
    """A node that keeps the ends in order."""

    def __init__(self) -> None:
        super().__init__(Recorder())
        self.ends: list[str] = []
        self.hears: list[str] = []

    def ended(self, pid: Pid, reason: ExitReason) -> None:
        if reason == KILLED:
            self.ends.append(pid.label)

    def link_heard(self, pid: Pid, ended: Pid) -> None:
        self.hears.append(pid.label)


def test_the_children_of_a_killed_supervisor_have_heard_of_it_before_its_parent_does() -> None:
    node = Ends()
    children = [ChildSpec(name, Echo) for name in "abcd"]
    inner = supervisor_spec("inner", Flags(), children, restart=Restart.TEMPORARY)
    root = node.spawn(lambda: Supervisor(Flags(), [inner]), "root")
    (row,) = call(root, WhichChildren())
    row.pid.exit(KILL)
    assert node.ends == ["inner", "b", "d", "c", "a"]
    assert node.hears[-1] == "root"
    eventually(lambda: call(root, WhichChildren()) == ())
    node.close()


def test_callers_hear_of_an_end_in_the_order_in_which_they_called(node: TestNode) -> None:
    pid = node.spawn(Echo)
    heard: list[int] = []

    def ask(number: int) -> From[Any]:
        caller: From[Any] = From()
        caller.on_settled(lambda _: heard.append(number))
        pid.deliver(lambda me, who: None, caller)
        return caller

    callers = [ask(number) for number in range(50)]
    pid.exit(KILL)
    assert heard == list(range(50))
    assert all(caller.settled for caller in callers)
