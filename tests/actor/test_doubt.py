"""A write that was sent, and whose worker ended, may have taken effect: no later refusal says that it was not done."""

from pathlib import Path

import pytest

from secrets_actor import CircuitOpen, System, WorkerCrashed
from secrets_actor.errors import RequestFailed
from secrets_actor.messages import Delete, Operation, Set
from secrets_actor.testing import FakeStore, ManualClock
from tests.actor.rig import failure, in_background, running, settings, some_worker

TOKEN = "0" * 32


@pytest.mark.parametrize("operation", [Set("a", "new", TOKEN), Delete("a")], ids=lambda one: one.kind)
def test_a_write_whose_worker_ended_is_not_told_that_nothing_was_sent(
    operation: Operation[object], tmp_path: Path
) -> None:
    store = FakeStore(clock=ManualClock())
    store.put("a", "old")
    system = System(settings(tmp_path, breaker_failures=1), clock=store.clock, backend=store.factory(endpoint="fake"))
    with running(system):
        with store.hold(operation.kind, when="after") as gate:
            answer = in_background(lambda: system.secrets.ask(operation))
            gate.wait_until_held()
            busy = some_worker(system)
            store.fail_next(RequestFailed("the connection broke", endpoint="fake"), operation="get")
            assert isinstance(failure(lambda: system.secrets.get("b")), RequestFailed)
            assert isinstance(failure(lambda: system.secrets.get("b")), CircuitOpen)
            busy.kill()

            error = answer.exception(timeout=15)

    assert isinstance(error, WorkerCrashed)
    assert "a worker ended on this job" in str(error)
    assert error.token == getattr(operation, "token", None)
