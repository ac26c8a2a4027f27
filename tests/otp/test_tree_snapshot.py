"""The picture of a tree: as data and as text."""

import threading
from typing import Any

from secrets_actor.otp import (
    ChildSpec,
    Flags,
    GenServer,
    ManualClock,
    NoReply,
    Restart,
    Supervisor,
    TerminateChild,
    below,
    call,
    cast,
    draw,
    snapshot,
    stop,
    supervisor_spec,
)
from secrets_actor.otp.events import ChildRestarted
from tests.otp.child_helpers import die, pid_of
from tests.otp.conftest import PATIENCE, Echo, Recorder, TestNode, eventually


def test_a_restart_counts_as_recent_only_while_it_is_in_the_window() -> None:
    clock = ManualClock()
    node = TestNode(Recorder(), clock)
    child = ChildSpec("x", Echo)
    root = node.spawn(lambda: Supervisor(Flags(intensity=3, period=10.0), [child]), "root")
    try:
        cast(pid_of(root, "x"), die)
        node.recorder.wait_for(ChildRestarted)
        clock.advance(9.0)
        shown = snapshot(root).root
        assert (shown.restarts_in_window, shown.restarts_left, shown.children[0].restarts_left) == (1, 2, None)
        clock.advance(2.0)
        assert (snapshot(root).root.restarts_in_window, snapshot(root).root.restarts_left) == (0, 3)
        assert snapshot(root).root.children[0].restarts == 1
    finally:
        node.close()


def test_a_picture_shows_names_states_restarts_and_what_waits(node: TestNode) -> None:
    inner = supervisor_spec("inner", Flags(), [ChildSpec("x", Echo, name="x_name"), ChildSpec("y", Echo)])
    last = ChildSpec("last", Echo, Restart.TRANSIENT)
    root = node.spawn(lambda: Supervisor(Flags(), [inner, ChildSpec("busy", Echo), last]), "root")
    call(root, TerminateChild("last"))
    inner_pid = pid_of(root, "inner")
    cast(pid_of(inner_pid, "x"), die)
    node.recorder.wait_for(ChildRestarted)
    busy, entered, gate = pid_of(root, "busy"), threading.Event(), threading.Event()

    def hold(me: Any) -> Any:
        entered.set()
        gate.wait(PATIENCE)

    cast(busy, hold)
    assert entered.wait(PATIENCE)
    busy.send("waits")
    caller = threading.Thread(target=lambda: call(busy, "x"))
    caller.start()
    eventually(lambda: busy.open_calls == 1)
    picture = snapshot(root)
    found = {one.id: one for one in picture.root.walk()}
    assert list(found) == ["root", "inner", "x", "y", "busy", "last"]
    assert (found["x"].name, found["x"].restarts, found["inner"].restarts_in_window) == ("x_name", 1, 1)
    assert (found["busy"].mailbox, found["busy"].open_calls) == (2, 1)
    assert (found["last"].state, found["last"].serial, found["x"].state) == ("stopped", None, "running")
    assert found["x"].uptime >= 0.0
    lines = str(picture).splitlines()
    assert [line.split("  ")[0].rstrip() for line in lines] == ["root", "├─ inner", "│", "│", "├─ busy", "└─ last"]
    assert "1 lately" in lines[1]
    assert lines[4].endswith("mailbox 2  open calls 1")
    gate.set()
    caller.join(PATIENCE)
    stop(root)
    assert draw(snapshot(root)).startswith("root  one_for_one    stopped")


def test_a_process_that_shows_another_stands_for_the_tree_under_it(node: TestNode) -> None:
    inner = node.spawn(lambda: Supervisor(Flags(), [ChildSpec("leaf", Echo)]), "inner")

    class Door(GenServer):
        def init(self) -> None:
            self.me.published = inner

        def handle_call(self, request: Any, caller: Any) -> Any:
            return NoReply()

    root = node.spawn(lambda: Supervisor(Flags(), [ChildSpec("door", Door)]), "root")
    assert [one.id for one in snapshot(root).root.walk()] == ["root", "door", "leaf"]


class _Talker(Echo):
    """Says how it is, or cannot."""

    said: object = "well"

    def status(self) -> str:
        if isinstance(self.said, Exception):
            raise self.said
        return str(self.said)


def test_a_process_says_how_it_is_and_a_status_that_fails_spoils_no_picture(node: TestNode) -> None:
    pid = node.spawn(_Talker, "talker")
    assert snapshot(pid).root.status == "well"
    assert str(snapshot(pid)).endswith("  well")

    spoilt = type("Spoilt", (_Talker,), {"said": RuntimeError("hunter2")})
    shown = str(snapshot(node.spawn(spoilt, "spoilt")))
    assert "no status: RuntimeError" in shown
    assert "hunter2" not in shown


def test_a_process_is_found_by_the_serial_that_the_picture_shows(node: TestNode) -> None:
    inner = supervisor_spec("inner", Flags(), [ChildSpec("x", Echo)])
    root = node.spawn(lambda: Supervisor(Flags(), [ChildSpec("first", Echo), inner, ChildSpec("last", Echo)]), "root")
    call(root, TerminateChild("last"))

    for shown in list(snapshot(root).root.walk())[1:]:
        found = None if shown.serial is None else below(root, shown.serial)
        assert (found and found.label) == (shown.id if shown.serial is not None else None)
    assert below(root, root.serial) is None
    assert below(root, 10**9) is None
