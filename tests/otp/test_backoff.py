"""What OTP does not have: restarts that wait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from secrets_actor.otp import (
    Backoff,
    ChildSpec,
    DynamicSupervisor,
    Flags,
    GaveUp,
    InitResult,
    InvalidTree,
    ManualClock,
    RestartChild,
    StartChild,
    StartError,
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
)
from secrets_actor.otp.child_spec import check_child
from secrets_actor.otp.child_table import State
from secrets_actor.otp.events import ChildRestarted
from tests.otp.child_helpers import die, pid_of, serials
from tests.otp.conftest import PATIENCE, Echo, TestNode, eventually

BACKOFF = Backoff(initial=1.0, factor=2.0, maximum=3.0, jitter=0.0, stable=10.0)


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
    assert [replace(BACKOFF, at_once=2).delay(n, 0.5) for n in (1, 2, 3, 4, 5)] == [0.0, 0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "backoff",
    [
        Backoff(initial=-1),
        Backoff(at_once=-1),
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
        eventually(lambda wanted=number + 1: len(started) == wanted)  # type: ignore[misc]
    eventually(lambda: len(timed.timers))
    clock.advance(3.0)
    assert sup.wait(PATIENCE) == GaveUp("once", Stopped("no"), 2, 100)
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


def test_a_supervisor_that_keeps_trying_starts_a_child_later_that_cannot_be_started_at_first(
    timed: TestNode, clock: ManualClock
) -> None:
    tries = 0

    class Late(Echo):
        def init(self) -> InitResult:
            nonlocal tries
            tries += 1
            return Stop(Stopped("no")) if tries < 3 else None

    specs = [ChildSpec("late", Late, backoff=BACKOFF), ChildSpec("b", Echo)]
    sup = timed.spawn(lambda: Supervisor(Flags(intensity=2, period=100), specs, keeps_trying=True), "root")
    assert [row.process is State.RESTARTING for row in call(sup, WhichChildren())] == [True, False]
    for number, delay in ((2, 1.0), (3, 2.0)):
        clock.advance(delay)
        eventually(lambda wanted=number: tries == wanted)  # type: ignore[misc]
        call(sup, WhichChildren())
    assert None not in serials(sup).values()


def test_a_child_without_a_backoff_is_not_waited_for(timed: TestNode) -> None:
    class Never(Echo):
        def init(self) -> InitResult:
            return Stop(Stopped("no"))

    with pytest.raises(StartError, match="child never failed to start: stopped: no"):
        timed.spawn(lambda: Supervisor(Flags(), [ChildSpec("never", Never)], keeps_trying=True), "root")
