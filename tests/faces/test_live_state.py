"""What the live page shows: moments and not ages, types and not texts, and of everything a bounded number."""

from typing import Any, Final

import msgspec
import pytest
from msgspec.structs import replace

from secrets_actor.actor.endpoint_breakers import BreakerOpened
from secrets_actor.actor.flights import RenewalFailed
from secrets_actor.domain import metrics
from secrets_actor.domain.metrics import Metrics
from secrets_actor.faces.live_state import (
    MOST_CALLERS,
    MOST_EVENTS,
    WINDOW,
    LiveCredentials,
    LiveGauge,
    LiveListener,
    LiveMemory,
    LiveState,
    Moments,
    Rates,
    Tallied,
    as_json,
    callers_of,
    changed,
    credentials_of,
    gauges_of,
    in_words,
    listeners_of,
    started_at,
    tree_of,
    type_in,
)
from secrets_actor.otp import ChildRestarted, LifecycleEvent, ProcessCrashed, ProcessStarted, Tree, TreeNode
from secrets_actor.telemetry.meters import Meters

CANARY: Final = "hunter2-canary"


def state(**given: Any) -> LiveState:
    empty = dict.fromkeys(("waits_for", "degraded", "gauges", "secrets", "callers", "listeners"), ())
    more = dict.fromkeys(("credentials", "files", "events"), ())
    facts = {"version": "1", "pid": 1, "status": "ok", "backend": "memory", "configuration": "x", "tree": None}
    return LiveState(**{"now": 1.0, "started_at": 0.0, "secrets_total": 0, **empty, **more, **facts, **given})


def node(id: str, **given: Any) -> TreeNode:
    return TreeNode(**{"id": id, "kind": "worker", "state": "running", "restart": "permanent", **given})


def counted(*readings: tuple[Any, tuple[str, ...], float]) -> Metrics:
    meters = Meters()
    meters.watch("test", lambda: readings)
    return meters.snapshot()


# --- the state --------------------------------------------------------------------------------------------------------


def test_the_time_alone_is_no_news() -> None:
    assert not changed(state(), state(now=500.0))
    assert changed(state(), state(now=500.0, status="degraded"))


def test_a_state_is_one_line_of_json() -> None:
    written = as_json(state(configuration="a\nb"))

    assert b"\n" not in written
    assert msgspec.json.decode(written, type=LiveState) == state(configuration="a\nb")


# --- what is remembered -----------------------------------------------------------------------------------------------


def remembered(*events: LifecycleEvent) -> LiveMemory:
    memory = LiveMemory(lambda: 12.34567)
    for event in events:
        memory(event)
    return memory


def test_of_a_crash_its_type_and_its_moment_are_kept_and_not_its_text() -> None:
    memory = remembered(
        ProcessCrashed("worker", 7, f"ValueError at x.py:3: {CANARY}", "Job", traceback=CANARY),
        ChildRestarted("workers", "subscriber", "killed", 1, 1),
    )

    assert memory.crashes == {"worker": ("ValueError", 12.346), "subscriber": ("killed", 12.346)}
    assert [(one.at, one.what, one.process, one.detail) for one in memory.events] == [
        (12.346, "process crashed", "worker", "ValueError"),
        (12.346, "child restarted", "workers", "child: subscriber; killed"),
    ]
    assert CANARY not in repr(memory.events)


def test_of_other_events_the_texts_are_left_out() -> None:
    memory = remembered(RenewalFailed("secrets", CANARY), BreakerOpened("secrets", "localhost:443", CANARY, 30.0))

    assert [(one.what, one.detail) for one in memory.events] == [
        ("renewal failed", ""),
        ("breaker opened", "endpoint: localhost:443"),
    ]
    assert CANARY not in repr(memory.events)


def test_routine_is_no_event_and_the_oldest_make_room() -> None:
    memory = remembered(
        ProcessStarted("worker", 1), *[ChildRestarted("s", f"c{number}", "killed", 1, 1) for number in range(600)]
    )

    assert len(memory.events) == MOST_EVENTS
    assert memory.events[-1].detail == "child: c599; killed"
    assert len(memory.crashes) == 500
    assert "c99" not in memory.crashes
    assert "c100" in memory.crashes


@pytest.mark.parametrize(
    ("reason", "found"),
    [("ValueError at a.py:1: text", "ValueError"), ("killed", "killed"), ("a.B at x", "a.B"), ("<odd>", "unknown")],
)
def test_a_reason_is_cut_to_its_first_word(reason: str, found: str) -> None:
    assert type_in(reason) == found


def test_the_name_of_a_class_is_told_in_words() -> None:
    assert in_words("TooManyDisowned") == "too many disowned"


# --- rates and moments ------------------------------------------------------------------------------------------------


def test_a_rate_is_that_of_the_last_seconds_and_comes_to_rest() -> None:
    rates = Rates()

    assert rates.look(0.0, {"a": 5})("a") is None
    assert rates.look(2.0, {"a": 10})("a") == 2.5
    assert rates.look(WINDOW + 1, {"a": 10})("a") == round(5 / (WINDOW + 1), 2)
    assert rates.look(WINDOW + 2, {"a": 10})("a") == 0.0  # 2.0 is the oldest look now
    assert rates.look(WINDOW + 3, {"a": 10, "b": 5})("b") == 0.45


def test_a_number_that_began_anew_does_not_fall() -> None:
    rates = Rates()
    rates.look(0.0, {"a": 5})

    assert rates.look(1.0, {"a": 1})("a") == 0.0


def test_over_a_time_in_which_nobody_looked_no_rate_is_told() -> None:
    rates = Rates()
    rates.look(0.0, {"a": 5})

    assert rates.look(WINDOW + 0.1, {"a": 500})("a") is None


def test_a_moment_is_told_as_before_while_it_is_the_same() -> None:
    moments = Moments()

    assert moments.steady({1: 100.00001, 2: 5.0}) == {1: 100.0, 2: 5.0}
    assert moments.steady({1: 100.3}) == {1: 100.0}
    assert moments.steady({1: 101.0, 2: 5.2}) == {1: 101.0, 2: 5.2}  # a clock has leapt, and 2 was forgotten


# --- the parts --------------------------------------------------------------------------------------------------------


def test_the_tree_has_crashes_beginnings_and_why_something_cannot_be_restarted() -> None:
    root = node(
        "root",
        kind="supervisor",
        serial=1,
        uptime=50.0,
        children=(
            node("a", serial=2, uptime=10.0, status="busy"),
            node("b", serial=3, restart="temporary"),
            node("c", state="restarting"),
            node("d", state="stopped", serial=9, uptime=0.0),
        ),
    )
    tree = Tree(root, ("a#1", "a#7"))

    began = started_at(tree, 1000.0)
    shown = tree_of(tree, began, {"a": ("ValueError", 5.0)})

    assert began == {1: 950.0, 2: 990.0, 3: 1000.0, 9: 1000.0}
    assert "service manager" in (shown.restartable or "")
    assert tree_of(tree, began, {}, {"a"}).children[0].status == ""
    a, b, c, d = shown.children
    assert (a.last_crash, a.last_crash_at, a.disowned, a.restartable) == ("ValueError", 5.0, 2, None)
    assert (a.started_at, a.status, b.last_crash, b.disowned) == (990.0, "busy", None, 0)
    assert "temporary" in (b.restartable or "")
    assert (c.started_at, c.restartable, d.started_at, d.restartable) == (None, c.restartable, None, c.restartable)
    assert "no process" in (c.restartable or "")


def test_the_last_restart_that_a_supervisor_may_make_is_left_for_a_crash() -> None:
    def reason(left: int | None) -> str | None:
        root = node("root", kind="supervisor", serial=1, restarts_left=left, children=(node("a", serial=2),))
        return tree_of(Tree(root), {}, {}).children[0].restartable

    assert [reason(left) for left in (None, 3, 2)] == [None, None, None]
    assert all("wait a minute" in (reason(left) or "") for left in (1, 0))


def test_the_gauges_have_words_numbers_and_rates() -> None:
    rates = Rates()
    gauges_of(counted((metrics.HITS, (), 10)), rates, 0.0)

    found = gauges_of(
        counted((metrics.HITS, (), 30), (metrics.WORKERS, ("busy",), 3), (metrics.BREAKER, ("open",), 1)), rates, 2.0
    )

    assert found == (
        LiveGauge("hits", 30.0, 10.0),
        *[LiveGauge(name, 0.0, 0.0) for name in ("misses", "joined", "stale")],
        LiveGauge("in_flight", 3.0),
        LiveGauge("waiting", 0.0),
        LiveGauge("breaker", "open"),
        LiveGauge("disowned", 0.0),
    )
    assert gauges_of(counted(), Rates(), 0.0)[-2] == LiveGauge("breaker", "closed")


def test_credentials_have_their_end_if_there_are_any() -> None:
    ends = (metrics.CREDENTIALS, ("end",), 500.0)
    renews = (metrics.CREDENTIALS, ("renewal",), 400.0)

    assert credentials_of(counted(), "aws") == ()
    assert credentials_of(counted(ends, renews), "aws") == (LiveCredentials("of the store aws", 500.0, 400.0),)
    assert credentials_of(counted(renews), "aws") == (LiveCredentials("of the store aws", None, 400.0),)


def test_the_busiest_callers_come_first_and_there_is_a_limit() -> None:
    rates = Rates()
    callers_of({"a": Tallied(5, 0, 1.0)}, rates, 0.0)
    many = {f"x{number:03}": Tallied(1, 0, 1.0) for number in range(MOST_CALLERS)}

    found = callers_of({**many, "a": Tallied(9, 2, 4.0)}, rates, 2.0)

    assert len(found) == MOST_CALLERS
    assert (found[0].caller, found[0].requests, found[0].rate, found[0].refusals, found[0].last) == ("a", 9, 2.0, 2, 4)
    assert found[1].caller == "x000"


def test_a_listener_that_is_down_has_no_traffic() -> None:
    rows = [("unix:/x", ("aws",), True, "3 connections, 14 requests"), ("127.0.0.1:1", ("live",), False, "")]

    assert listeners_of(rows) == (
        LiveListener("unix:/x", ("aws",), True, 3, 14),
        LiveListener("127.0.0.1:1", ("live",), False, 0, 0),
    )
    assert replace(listeners_of(rows)[1], up=True).up
