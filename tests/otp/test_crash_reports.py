"""A crash report says who, of what and where, and never quotes a message, a state or an exception's arguments."""

from dataclasses import asdict
from typing import Any

import pytest

from secrets_actor.otp import (
    CallFailed,
    ChildSpec,
    Crashed,
    Flags,
    GenServer,
    Handled,
    InitResult,
    Ok,
    Supervisor,
    call,
    cast,
    draw,
    snapshot,
)
from secrets_actor.otp.events import ChildRestarted, ProcessCrashed, SupervisorGaveUp
from tests.otp.conftest import TestNode

CANARY = "canary-4711"


class Leaky(GenServer):
    """Holds the canary, and raises it."""

    def init(self) -> InitResult:
        self.state = CANARY
        return Ok()

    def handle_call(self, request: Any, caller: Any) -> Handled:
        try:
            raise KeyError(request)
        except KeyError as error:
            raise ValueError(f"{request} {self.state}") from error

    def handle_cast(self, message: Any) -> Handled:
        raise RuntimeError(message)

    def handle_info(self, message: Any) -> Handled:
        raise RuntimeError(message)


@pytest.mark.parametrize("way", ["call", "cast", "info"])
def test_no_content_is_in_events_reasons_or_the_tree(node: TestNode, way: str) -> None:
    root = node.spawn(lambda: Supervisor(Flags(), [ChildSpec("leaky", Leaky, name="leaky")]), "root")
    for _ in range(2):
        leaky = node.registry.wait_for("leaky", 5.0)
        assert leaky is not None
        if way == "call":
            with pytest.raises(CallFailed) as caught:
                call(leaky, CANARY)
            assert CANARY not in f"{caught.value} {caught.value!r} {caught.value.reason!r}"
        elif way == "cast":
            cast(leaky, CANARY)
        else:
            leaky.send(CANARY)
        reason = leaky.wait(5.0)
        assert isinstance(reason, Crashed)
        error = reason.error
        assert (error.__traceback__, error.__context__, error.__cause__) == (None, None, None)
        assert "test_crash_reports.py" in reason.where
    assert root.wait(5.0) is not None
    told = [asdict(event) for event in node.recorder.events]
    assert CANARY not in str(told)
    assert CANARY not in draw(snapshot(root))
    kinds = {type(event) for event in node.recorder.events}
    assert {ProcessCrashed, ChildRestarted, SupervisorGaveUp} <= kinds
    crash = node.recorder.of(ProcessCrashed)[0]
    assert [(one.supervisor, one.restarts) for one in node.recorder.of(ProcessCrashed)] == [("root", 0), ("root", 1)]
    assert (crash.process, crash.last_message) == ("leaky", {"call": "Call", "cast": "Cast", "info": "str"}[way])
