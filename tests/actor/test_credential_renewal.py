"""Keys are renewed before their end, in the background if there is time; a renewal that fails is nobody's failure."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from secrets_actor import System
from secrets_actor.clock import now as clock_now
from secrets_actor.domain.operations import Operation
from secrets_actor.domain.ports import CallContext
from secrets_actor.errors import ExpiredToken, MetadataServiceError, SecretsError
from secrets_actor.runtime import wiring
from tests.actor.rig import RigStore, eventually, failure, in_background, kill, running, settings
from tests.actor.token_credentials import Token

START = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Clock:
    """The system's wall clock, which a test sets."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


class Source:
    """Gives credentials for an hour by `clock`; `before` may raise or wait."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.fetched = clock, 0
        self.life: timedelta | None = HOUR
        self.before: Callable[[], object] = lambda: None

    def fetch(self, deadline: float) -> Token:
        self.fetched += 1
        number = self.fetched
        self.before()
        end = None if self.life is None else self.clock.now + self.life
        return Token(f"key {number}", end)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(wiring, "utc_now", clock)
    return clock


@pytest.fixture
def source(clock: Clock) -> Source:
    return Source(clock)


def system_with(tmp_path: Path, rig_store: RigStore, source: object, **more: object) -> System:
    rig_store.put("a", "v")
    return System(settings(tmp_path, ttl_seconds=0, **more), backend=rig_store.factory(source))  # type: ignore[arg-type]


def last_key(rig_store: RigStore) -> str:
    credentials = rig_store.contexts[-1].credentials
    assert isinstance(credentials, Token)
    return str(credentials.text.reveal())


def log(folder: Path) -> list[dict[str, object]]:
    """What was written to the log of `settings`."""
    return [json.loads(line) for line in (folder / "log").read_text().splitlines()]


def fail() -> None:
    raise MetadataServiceError("no credentials today")


def test_credentials_that_are_due_are_renewed_once_and_nobody_waits(
    tmp_path: Path, rig_store: RigStore, source: Source, clock: Clock
) -> None:
    go = threading.Event()
    with running(system_with(tmp_path, rig_store, source), rig_store) as system:
        system.secrets.get("a")
        source.before = lambda: go.wait(10)
        clock.now = START + timedelta(minutes=46)
        for _ in range(5):
            assert system.secrets.get("a").reveal() == "v"
            assert last_key(rig_store) == "key 1"
        eventually(lambda: source.fetched == 2)
        go.set()
        eventually(lambda: system.secrets.get("a") and last_key(rig_store) == "key 2")
        assert source.fetched == 2


def test_urgent_credentials_are_waited_for(tmp_path: Path, rig_store: RigStore, source: Source, clock: Clock) -> None:
    go = threading.Event()
    with running(system_with(tmp_path, rig_store, source), rig_store) as system:
        system.secrets.get("a")
        source.before = lambda: go.wait(10)
        clock.now = START + timedelta(minutes=51)
        waiting = [in_background(lambda: system.secrets.get("a", refresh=True).reveal()) for _ in range(4)]
        eventually(lambda: source.fetched == 2)
        assert rig_store.count("get") == 1
        go.set()
        assert [one.result(10) for one in waiting] == ["v"] * 4
        assert last_key(rig_store) == "key 2"
        assert source.fetched == 2


@pytest.mark.parametrize("minutes", [46, 51], ids=["due", "urgent"])
def test_a_renewal_that_fails_is_nobodys_failure_and_not_tried_with_every_call(
    tmp_path: Path, rig_store: RigStore, source: Source, clock: Clock, minutes: int
) -> None:
    with running(system_with(tmp_path, rig_store, source), rig_store) as system:
        system.secrets.get("a")
        source.before = fail
        clock.now = START + timedelta(minutes=minutes)
        for _ in range(50):
            assert system.secrets.get("a").reveal() == "v"
        eventually(lambda: source.fetched == 2)
        clock.now += timedelta(seconds=1)
        eventually(lambda: system.secrets.get("a") and source.fetched == 3)
        for _ in range(50):
            assert system.secrets.get("a").reveal() == "v"
        assert source.fetched == 3
        assert last_key(rig_store) == "key 1"
        told = [line for line in log(tmp_path) if line["event"] == "renewal_failed"]
        assert [(line["level"], line["process"], line["problem"]) for line in told] == [
            ("warning", "secrets", "no credentials today")
        ] * 2

        source.before = lambda: None
        clock.now += timedelta(seconds=2)
        eventually(lambda: system.secrets.get("a") and last_key(rig_store) == "key 4")


def test_a_renewal_that_hangs_leaves_those_who_wait_time_for_the_old_credentials(
    tmp_path: Path, rig_store: RigStore, source: Source, clock: Clock
) -> None:
    go = threading.Event()
    with running(system_with(tmp_path, rig_store, source, call_timeout_seconds=2), rig_store) as system:
        system.secrets.get("a")
        source.before = lambda: go.wait(20)
        clock.now = START + timedelta(minutes=51)
        try:
            assert system.secrets.get("a").reveal() == "v"
            assert last_key(rig_store) == "key 1"
        finally:
            go.set()


def test_when_the_old_credentials_have_ended_the_failure_is_everybodys_and_every_call_asks_again(
    tmp_path: Path, rig_store: RigStore, source: Source, clock: Clock
) -> None:
    with running(system_with(tmp_path, rig_store, source), rig_store) as system:
        system.secrets.get("a")
        source.before = fail
        clock.now = START + HOUR
        for fetches in (2, 3):
            assert type(failure(lambda: system.secrets.get("a"))) is MetadataServiceError
            assert source.fetched == fetches


def test_credentials_that_come_ended_leave_the_old_ones_in_use(
    tmp_path: Path, rig_store: RigStore, source: Source, clock: Clock
) -> None:
    with running(system_with(tmp_path, rig_store, source), rig_store) as system:
        system.secrets.get("a")
        source.life = -HOUR
        clock.now = START + timedelta(minutes=51)
        assert system.secrets.get("a").reveal() == "v"
        assert (source.fetched, last_key(rig_store)) == (2, "key 1")


def test_credentials_without_an_end_are_looked_at_anew_every_minute(
    tmp_path: Path, rig_store: RigStore, source: Source, clock: Clock
) -> None:
    source.life = None
    with running(system_with(tmp_path, rig_store, source), rig_store) as system:
        system.secrets.get("a")
        clock.now += timedelta(seconds=59)
        system.secrets.get("a")
        assert source.fetched == 1
        clock.now += timedelta(seconds=1)
        eventually(lambda: system.secrets.get("a") and last_key(rig_store) == "key 2")
        assert source.fetched == 2


@pytest.mark.parametrize(("gets", "expiries"), [(2000, 4), pytest.param(20_000, 20, marks=pytest.mark.slow)])
def test_many_gets_across_expiries_and_none_fails(
    tmp_path: Path, rig_store: RigStore, gets: int, expiries: int
) -> None:
    """By the real clock: credentials live for a quarter of a second, and the store refuses those that have ended."""
    life, callers = timedelta(seconds=0.25), 8
    ends: dict[str, datetime] = {}

    class ShortLived:
        def fetch(self, deadline: float) -> Token:
            name, end = f"key {len(ends)}", datetime.now(UTC) + life
            ends[name] = end
            return Token(name, end)

    def check(_operation: Operation[object], context: CallContext) -> None:
        assert isinstance(context.credentials, Token)
        if datetime.now(UTC) >= ends[str(context.credentials.text.reveal())]:
            raise ExpiredToken("the store says so")
        rig_store.contexts.clear()
        rig_store.seen.clear()

    rig_store.before = check

    def caller(number: int) -> int:
        name, mine = f"secret-{number}", 0
        while mine < gets // callers or len(ends) <= expiries:
            assert system.secrets.get(name).reveal() == "v"
            mine += 1
        return mine

    for number in range(callers):
        rig_store.put(f"secret-{number}", "v")
    started = clock_now()
    with (
        running(system_with(tmp_path, rig_store, ShortLived()), rig_store) as system,
        ThreadPoolExecutor(callers) as pool,
    ):
        counts = list(pool.map(caller, range(callers)))
    spent = clock_now() - started

    assert sum(counts) >= gets
    assert len(ends) > expiries
    # One fetch a life, and a few more where it was refused at its very end.
    assert len(ends) < 3 * spent / (life.total_seconds() * 0.75) + 3


class LoginSource:
    """Gives tokens that are to be renewed after *seconds*, and takes them back: `released` has each, in that order."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.fetched = seconds, 0
        self.released: list[int] = []
        self.deadlines: list[float] = []
        self.problem: SecretsError | None = None

    def fetch(self, deadline: float) -> Token:
        self.fetched += 1
        now = datetime.now(UTC)
        return Token(f"key {self.fetched}", now + HOUR, now + timedelta(seconds=self.seconds))

    def release(self, deadline: float) -> None:
        self.released.append(self.fetched)
        self.deadlines.append(deadline)
        if self.problem is not None:
            raise self.problem


def test_a_token_that_has_to_be_renewed_is_renewed_though_nobody_calls(tmp_path: Path, rig_store: RigStore) -> None:
    source = LoginSource(1.0)
    with running(system_with(tmp_path, rig_store, source), rig_store) as system:
        system.secrets.get("a")
        eventually(lambda: source.fetched == 2)
        assert rig_store.count("get") == 1


class Held(LoginSource):
    """Has the token that it gave last; `good` says whether it is good still."""

    good = True

    def __init__(self) -> None:
        super().__init__(0.0)
        self.given: list[float] = []

    def fetch(self, deadline: float) -> Token:
        self.given.append(deadline - clock_now())
        if self.problem is not None:
            raise self.problem
        return super().fetch(deadline)

    def held(self) -> Token | None:
        """The token that was given last."""
        now = datetime.now(UTC)
        return Token(f"key {self.fetched}", now + HOUR, now) if self.good and self.fetched else None


@pytest.mark.parametrize("good", [True, False])
def test_an_actor_that_is_started_anew_in_an_outage_uses_the_token_that_its_source_has(
    tmp_path: Path, rig_store: RigStore, good: bool
) -> None:
    source = Held()
    source.good = good
    with running(system_with(tmp_path, rig_store, source, call_timeout_seconds=10), rig_store) as system:
        system.secrets.get("a")
        source.problem = MetadataServiceError("nobody renews it")
        kill(system, "secrets")
        if good:
            assert system.secrets.get("a").reveal() == "v"
            assert last_key(rig_store) == "key 1"
            assert source.given[0] > 9.0
            assert source.given[-1] < 5.0, "time is left for the callers"
        else:
            assert type(failure(lambda: system.secrets.get("a"))) is MetadataServiceError


def test_a_drained_stop_gives_the_credentials_back_after_the_last_call(tmp_path: Path, rig_store: RigStore) -> None:
    source, held = LoginSource(600.0), rig_store.hold("get")
    with running(system_with(tmp_path, rig_store, source), rig_store) as system:
        caller = in_background(lambda: system.secrets.get("a").reveal())
        held.wait()
        begun = clock_now()
        ended = in_background(lambda: system.stop(drain=10))
        eventually(lambda: "draining" in str(system.tree()))
        assert not source.released
        held.go.set()
        ended.result(10)
        assert caller.result(10) == "v"
    assert source.released == [1]
    assert begun < source.deadlines[0] < begun + 10


def test_a_change_to_another_store_gives_the_credentials_back_after_the_last_call(
    tmp_path: Path, rig_store: RigStore
) -> None:
    source, other, held = LoginSource(600.0), LoginSource(600.0), rig_store.hold("get")
    with running(system_with(tmp_path, rig_store, source), rig_store) as system:
        caller = in_background(lambda: system.secrets.get("a").reveal())
        held.wait()
        system.configure(system.settings, backend=rig_store.factory(other))
        system.secrets.set("b", "w")
        assert not source.released
        held.go.set()
        assert caller.result(10) == "v"
        eventually(lambda: source.released == [1])
        assert not other.released
        system.stop(drain=10)
    assert (source.released, other.released) == ([1], [1])


def test_a_stop_without_a_drain_asks_no_store_for_anything(tmp_path: Path, rig_store: RigStore) -> None:
    source = LoginSource(600.0)
    with running(system_with(tmp_path, rig_store, source), rig_store) as system:
        system.secrets.get("a")
        system.stop()
    assert not source.released


def test_a_release_that_fails_is_in_the_log_and_the_stop_goes_on(tmp_path: Path, rig_store: RigStore) -> None:
    source = LoginSource(600.0)
    source.problem = MetadataServiceError("nobody takes it back")
    with running(system_with(tmp_path, rig_store, source), rig_store) as system:
        system.secrets.get("a")
        system.stop(drain=10)
    [line] = [one for one in log(tmp_path) if "nobody takes it back" in str(one)]
    assert line["level"] == "warning"
