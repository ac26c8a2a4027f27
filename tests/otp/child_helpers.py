"""Short ways to look at the children of a supervisor, to end them, and to hold a server."""

import threading
from typing import Any

from secrets_actor.otp import (
    Pid,
    Stop,
    Stopped,
    WhichChildren,
    call,
    cast,
)
from secrets_actor.otp.events import (
    ChildRestarted,
)
from tests.otp.conftest import PATIENCE, Echo, TestNode


def die(me: Any) -> Any:
    return Stop(Stopped("boom"))


def end(me: Any) -> Any:
    return Stop()


def serials(sup: Pid) -> dict[str, int | None]:
    return {row.spec.id: None if row.pid is None else row.pid.serial for row in call(sup, WhichChildren())}


def pid_of(sup: Pid, child: str) -> Pid:
    pid: Pid | None = next(row.pid for row in call(sup, WhichChildren()) if row.spec.id == child)
    assert pid is not None
    return pid


def crash(node: TestNode, sup: Pid, child: str) -> None:
    seen = len(node.recorder.of(ChildRestarted))
    cast(pid_of(sup, child), die)
    node.recorder.wait_for(ChildRestarted, seen + 1)
    call(sup, WhichChildren())  # it is through with it


class Gate(Echo):
    """Lets the test hold it in a cast."""

    def __init__(self, gate: threading.Event, entered: threading.Event) -> None:
        self.gate, self.entered = gate, entered

    def handle_cast(self, message: Any) -> Any:
        self.entered.set()
        self.gate.wait(PATIENCE)


def hold(entered: threading.Event, gate: threading.Event) -> bool:
    """Say that the callback has begun, and wait in it until the test lets go."""
    entered.set()
    return gate.wait(PATIENCE)
