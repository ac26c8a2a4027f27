"""The pure modules: specs, table, window, strategy."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from secrets_actor.otp import (
    BRUTAL_KILL,
    INFINITY,
    KILLED,
    NORMAL,
    SHUTDOWN,
    AutoShutdown,
    ChildSpec,
    Flags,
    InvalidTree,
    Kind,
    Restart,
    Shutdown,
    Stopped,
    Strategy,
)
from secrets_actor.otp.child_spec import check_child, check_children, check_flags
from secrets_actor.otp.child_table import Child, ChildTable, State
from secrets_actor.otp.strategy import RestartWindow, on_end, restart, wants_restart
from tests.otp.conftest import Echo

RUNNING: Any = object()  # stands for a pid: the pure modules only compare it


def spec(name: str = "a", **more: Any) -> ChildSpec:
    return ChildSpec(name, Echo, **more)


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (Flags(strategy="all"), ("invalid_strategy", "all")),  # type: ignore[arg-type]
        (Flags(strategy=1), ("invalid_strategy", 1)),  # type: ignore[arg-type]
        (Flags(intensity=-1), ("invalid_intensity", -1)),
        (Flags(intensity=True), ("invalid_intensity", True)),
        (Flags(intensity=1.5), ("invalid_intensity", 1.5)),  # type: ignore[arg-type]
        (Flags(period=0), ("invalid_period", 0)),
        (Flags(period="1"), ("invalid_period", "1")),  # type: ignore[arg-type]
        (Flags(auto_shutdown="often"), ("invalid_auto_shutdown", "often")),  # type: ignore[arg-type]
    ],
)
def test_flags_that_do_not_hold_are_refused_with_what_is_allowed(flags: Flags, problem: tuple[Any, ...]) -> None:
    with pytest.raises(InvalidTree) as refused:
        check_flags(flags)
    assert (refused.value.part, refused.value.problem) == ("flags", problem)
    assert check_flags(Flags()) == Flags()


SIGNIFICANT_ALONE = ("bad_combination", ("auto_shutdown", "never"), ("significant", True))
SIGNIFICANT_PERMANENT = ("bad_combination", ("restart", "permanent"), ("significant", True))


@pytest.mark.parametrize(
    ("child", "auto_shutdown", "problem"),
    [
        (spec(""), "never", ("missing_id",)),
        (replace(spec(), start=7), "never", ("invalid_mfa", 7)),  # type: ignore[arg-type]
        (spec(restart="often"), "never", ("invalid_restart_type", "often")),
        (spec(kind="robot"), "never", ("invalid_child_type", "robot")),
        (spec(shutdown=-0.5), "never", ("invalid_shutdown", -0.5)),
        (spec(shutdown="soon"), "never", ("invalid_shutdown", "soon")),
        (spec(significant=1), "never", ("invalid_significant", 1)),
        (spec(significant=True, restart=Restart.TRANSIENT), "never", SIGNIFICANT_ALONE),
        (spec(significant=True), "any_significant", SIGNIFICANT_PERMANENT),
    ],
)
def test_a_spec_that_does_not_hold_is_refused(child: ChildSpec, auto_shutdown: str, problem: tuple[Any, ...]) -> None:
    with pytest.raises(InvalidTree) as refused:
        check_child(child, AutoShutdown(auto_shutdown))
    assert (refused.value.part, refused.value.problem) == ("child", problem)


def test_a_spec_that_holds_is_completed() -> None:
    assert check_child(spec()).shutdown == 5.0
    assert check_child(spec(kind=Kind.SUPERVISOR)).shutdown == INFINITY
    assert check_child(spec(shutdown=0)).shutdown == 0
    assert repr(check_child(spec(shutdown=BRUTAL_KILL)).shutdown) == "BRUTAL_KILL"
    significant = spec(significant=True, restart=Restart.TEMPORARY)
    assert check_child(significant, AutoShutdown.ALL_SIGNIFICANT).significant
    assert [one.id for one in check_children([spec("a"), spec("b")])] == ["a", "b"]
    with pytest.raises(InvalidTree, match="used twice: b"):
        check_children([spec("b"), spec("b")])


REASONS = [NORMAL, SHUTDOWN, Shutdown("x"), KILLED, Stopped("boom")]


@pytest.mark.parametrize("reason", REASONS, ids=str)
def test_who_is_restarted_is_a_matter_of_type_and_reason(reason: Any) -> None:
    assert wants_restart(spec(restart=Restart.PERMANENT), reason)
    assert not wants_restart(spec(restart=Restart.TEMPORARY), reason)
    assert wants_restart(spec(restart=Restart.TRANSIENT), reason) is (reason in (KILLED, Stopped("boom")))


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.floats(0, 100), min_size=1, max_size=30), st.integers(0, 5), st.floats(0.1, 50))
def test_a_window_holds_the_restarts_of_the_last_period(gaps: list[float], intensity: int, period: float) -> None:
    window, now, times = RestartWindow(intensity, period), 0.0, []
    for gap in gaps:
        now += gap
        times.append(now)
        window = window.record(now)
        assert window.times == tuple(t for t in times if now - t <= period)
        assert window.exceeded is (len(window.times) > intensity)


def test_a_table_keeps_the_order_whatever_happens() -> None:
    table = ChildTable()
    for name in "abc":
        table = table.appended(Child(spec(name, restart=Restart.TEMPORARY if name == "b" else Restart.PERMANENT)))
    table = table.with_process("c", RUNNING).counted("c")
    row = table.get("c")
    assert row is not None
    assert (row.pid, row.restarts) == (RUNNING, 1)
    assert table.by_pid(RUNNING) is row
    assert table.by_pid(object()) is None
    assert table.get("x") is None
    assert [one.spec.id for one in table.following("b")] == ["b", "c"]
    assert table.following("x") == ()
    assert [one.spec.id for one in table.stopped("b").stopped("c").rows] == ["a", "c"]
    assert table.stopped("x") == table
    assert [one.spec.id for one in table.without("a").rows] == ["b", "c"]


PROCESSES = st.sampled_from([State.STOPPED, State.RESTARTING, RUNNING])


@st.composite
def tables(draw: Any) -> ChildTable:
    rows = draw(st.lists(st.tuples(st.sampled_from(list(Restart)), PROCESSES, st.booleans()), min_size=1, max_size=6))
    return ChildTable(
        tuple(
            Child(spec(str(i), restart=kind, significant=significant and kind is not Restart.PERMANENT), process)
            for i, (kind, process, significant) in enumerate(rows)
            if not (kind is Restart.TEMPORARY and process is not RUNNING)
        )
        or (Child(spec("only"), RUNNING),)
    )


@given(
    tables(), st.data(), st.sampled_from(REASONS), st.sampled_from(list(Strategy)), st.sampled_from(list(AutoShutdown))
)
def test_a_plan_keeps_the_rules(table: ChildTable, data: Any, reason: Any, how: Strategy, auto: AutoShutdown) -> None:
    child = data.draw(st.sampled_from(table.rows))
    window = RestartWindow(data.draw(st.integers(0, 1)), 5.0)
    plan = on_end(table, child, reason, how, window, 0.0, auto)
    ids = [row.spec.id for row in table.rows]
    name = child.spec.id
    if not wants_restart(child.spec, reason):
        assert plan.window is window
        assert plan.stop == plan.start == ()
        others = any(r.spec.significant and r.process is not State.STOPPED for r in table.rows if r is not child)
        expected = {
            AutoShutdown.NEVER: False,
            AutoShutdown.ANY_SIGNIFICANT: child.spec.significant,
            AutoShutdown.ALL_SIGNIFICANT: child.spec.significant and not others,
        }
        assert plan.shut_down is expected[auto]
        return
    assert not plan.shut_down
    assert plan.window.times == (0.0,)
    if plan.give_up:
        assert window.intensity == 0
        assert plan.stop == plan.start == ()
        return
    reach = {Strategy.ONE_FOR_ONE: [name], Strategy.ONE_FOR_ALL: ids, Strategy.REST_FOR_ONE: ids[ids.index(name) :]}
    group = [row for row in table.rows if row.spec.id in reach[how]]
    assert plan.start == tuple(row.spec.id for row in group if row.spec.restart is not Restart.TEMPORARY)
    stops = [row.spec.id for row in group if row.process is not State.STOPPED and row is not child]
    assert plan.stop == tuple(reversed(stops))
    assert restart(table, child, how, window, 0.0) == plan
