"""Children that outlive a killed supervisor for a moment."""

import threading

from secrets_actor.otp import (
    SHUTDOWN,
    ChildSpec,
    ExitReason,
    Flags,
    GenServer,
    Node,
    Supervisor,
    WhichChildren,
    call,
    spawn,
    supervisor_spec,
)
from secrets_actor.otp.events import ChildStartFailed


def test_the_restart_of_a_killed_supervisor_waits_for_the_names_of_its_orphans() -> None:
    """One kill is one restart, even if an orphan takes its time to end."""
    leaving, may_leave, start_failed = threading.Event(), threading.Event(), threading.Event()

    class Slow(GenServer):
        trap_exit = True

        def terminate(self, reason: ExitReason) -> None:
            leaving.set()
            may_leave.wait(5)

    node = Node(lambda event: start_failed.set() if isinstance(event, ChildStartFailed) else None)
    inner = supervisor_spec("inner", Flags(), [ChildSpec("slow", Slow, name="slow")], name="inner")
    root = spawn(node, lambda: Supervisor(Flags(intensity=1, period=60), [inner]), label="root")
    orphan = node.registry.whereis("slow")
    assert orphan is not None

    first = node.registry.whereis("inner")
    assert first is not None
    first.kill()
    assert leaving.wait(5)
    assert not start_failed.wait(0.3)  # it would fail at once, and again, until the root gives up
    may_leave.set()

    assert orphan.wait(5) is not None
    heir = node.registry.wait_for("slow", 5)
    assert heir is not None
    assert heir is not orphan
    assert root.is_alive()
    assert [child.restarts for child in call(root, WhichChildren())] == [1]
    root.exit(SHUTDOWN)
    assert root.wait(5) is not None
