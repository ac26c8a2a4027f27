"""The state of a running system: what it has of secrets, callers and processes, and that nothing new is no news."""

from collections.abc import Iterator

import pytest

from secrets_actor.clock import wall_time
from secrets_actor.faces.control import FileLine, Status
from secrets_actor.faces.live_state import LiveFile, LiveMemory, as_json, changed
from secrets_actor.otp import ManualClock
from secrets_actor.runtime.live_picture import LivePicture
from secrets_actor.runtime.system import parts_of
from secrets_actor.telemetry.caller_tally import CallerTally
from secrets_actor.testing import FakeStore, fake_system

CANARY = "hunter2-canary"
STATUS = Status(
    version="1.0",
    pid=7,
    uptime=3.0,
    status="ok",
    backend="memory",
    configuration="the defaults",
    listeners=(),
    waits_for=(),
    degraded=(),
    files=(FileLine("/etc/x", "rendered", 5.0, ""), FileLine("/etc/y", "failing", None, "no space")),
)


class Rig:
    def __init__(self, picture: LivePicture, store: FakeStore, clock: ManualClock, tally: CallerTally) -> None:
        self.picture, self.store, self.clock, self.tally = picture, store, clock, tally


@pytest.fixture
def rig() -> Iterator[Rig]:
    clock = ManualClock()
    store = FakeStore(clock=clock)
    with fake_system(store, ttl_seconds=100.0) as (system, _):
        parts_of(system).audit_buffer.tally = tally = CallerTally()
        picture = LivePicture(system, LiveMemory(wall_time), tally, lambda: STATUS, 1000.0)
        for name in ("a", "b"):
            store.put(name, CANARY)
            system.secrets.for_caller("unit:web.service").get(name)
        yield Rig(picture, store, clock, tally)


def test_secrets_callers_and_processes_are_there_and_no_value(rig: Rig) -> None:
    before = wall_time()
    state = rig.picture()

    assert {one.name for one in state.secrets} == {"a", "b"}
    assert state.secrets_total == 2
    for one in state.secrets:
        assert abs(one.fetched_at - before) < 5.0
        assert one.fetched_at < one.next_refresh <= one.fetched_at + 100.01
        assert (one.stale, one.stages) == (False, ("AWSCURRENT",))
    assert CANARY.encode() not in as_json(state)
    assert state.tree is not None
    assert [one.id for one in state.tree.children] == ["infra", "core", "background"]
    assert state.files == (LiveFile("/etc/x", "rendered", 5.0), LiveFile("/etc/y", "failing", None, "no space"))
    assert (state.version, state.pid, state.status, state.backend, state.started_at) == ("1.0", 7, "ok", "memory", 1000)


def test_where_nothing_happens_nothing_is_news_though_time_goes_on(rig: Rig) -> None:
    rig.tally.count_hits([("a", b"", rig.clock.now(), "unit:web.service")])
    rig.picture()
    first = rig.picture()

    assert [(one.caller, one.requests) for one in first.callers] == [("unit:web.service", 1)]
    assert not changed(first, rig.picture())


def test_a_secret_whose_time_is_over_is_stale(rig: Rig) -> None:
    first = rig.picture()
    rig.clock.advance(101.0)
    later = rig.picture()

    assert [one.stale for one in later.secrets] == [True, True]
    assert changed(first, later)
