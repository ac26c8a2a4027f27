"""Health: what a probe is told, and what makes it say so."""

import logging
import threading
from pathlib import Path

import pytest

from secrets_actor import LocalSettings, Settings, System
from secrets_actor.actor.flights import RenewalFailed
from secrets_actor.errors import ConnectionFailed, LocalStoreError, SecretNotFound
from secrets_actor.faces.exchange import Response
from secrets_actor.faces.health import DEAD_AFTER, HANGS_AFTER, LATELY, Condition, Degradation, HealthFace, Memory
from secrets_actor.telemetry.audit_process import AuditLogFails, AuditRecordsLost
from secrets_actor.testing import FakeStore, ManualClock, fake_system, kill, settled
from tests.faces.requests import answer, json_of, request
from tests.faces.served import eventually

FINE = Condition(True, (), ())


def asked(condition: Condition, path: str, method: str = "GET") -> Response:
    face = HealthFace(lambda: condition, lambda: condition.alive)
    assert face.takes(request(path))
    return answer(face.answer, request(path, method))


def test_a_daemon_that_is_fine_says_so_on_each_page() -> None:
    assert (asked(FINE, "/health/live").status, asked(FINE, "/health/ready").status) == (200, 200)
    page = asked(FINE, "/health")
    assert (page.status, json_of(page)) == (200, {"status": "ok", "waits_for": [], "degraded": []})
    assert asked(FINE, "/health", "HEAD").status == 200
    assert asked(FINE, "/health", "POST").status == 405
    assert not HealthFace(lambda: FINE, lambda: True).takes(request("/health/"))


def test_what_is_not_ready_lives_and_what_is_degraded_is_ready() -> None:
    waiting = Condition(True, ("the configured prefetch",), ())
    degraded = Condition(True, (), (Degradation("breaker", "open"),))
    dead = Condition(False, (), ())

    assert [asked(waiting, page).status for page in ("/health/live", "/health/ready", "/health")] == [200, 503, 503]
    assert json_of(asked(waiting, "/health/ready")) == {"ready": False, "waits_for": ["the configured prefetch"]}
    assert [asked(degraded, page).status for page in ("/health/live", "/health/ready", "/health")] == [200, 200, 200]
    assert json_of(asked(degraded, "/health"))["degraded"] == [{"what": "breaker", "detail": "open"}]
    assert [asked(dead, page).status for page in ("/health/live", "/health/ready", "/health")] == [503, 503, 503]
    assert [one.status for one in (FINE, waiting, degraded, dead)] == ["ok", "unready", "degraded", "dead"]


def look(memory: Memory, system: System) -> Condition:
    return memory.condition(system.metrics(), settled(system).root, ())


def whats(condition: Condition) -> list[str]:
    return [one.what for one in condition.degraded]


def test_a_store_out_of_reach_degrades_the_daemon_until_it_is_back_and_the_stale_answers_for_a_while_more() -> None:
    clock = ManualClock()
    store = FakeStore(clock=clock)
    memory = Memory(clock.now)
    settings = Settings(ttl_seconds=10, refresh_ahead=0, ttl_jitter=0)
    with System(settings, clock=clock, backend=store.factory(endpoint="store.example:443")) as system:
        store.put("db/password", "one")
        system.secrets.get("db/password")
        assert look(memory, system) == FINE
        clock.advance(11)
        memory.beat()
        with store.failing(ConnectionFailed("away", endpoint="fake")):
            assert system.secrets.get("db/password").stale
            assert whats(look(memory, system)) == ["breaker", "stale"]
        clock.advance(60)
        memory.beat()
        system.secrets.get("db/password", refresh=True)
        assert whats(look(memory, system)) == ["stale"]
        clock.advance(LATELY)
        memory.beat()
        assert look(memory, system) == FINE


def test_a_store_that_cannot_work_degrades_the_daemon_for_a_while_and_a_secret_that_is_not_there_does_not(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    memory = Memory(clock.now)
    (tmp_path / "store").write_text("a file where the store's folder should be")
    settings = Settings(local=LocalSettings(path=tmp_path / "store"))
    with System(settings, clock=clock) as system:
        assert look(memory, system) == FINE
        with pytest.raises(LocalStoreError):
            system.secrets.set("db/password", "one")
        assert whats(look(memory, system)) == ["store"]
        clock.advance(LATELY)
        memory.beat()
        assert look(memory, system) == FINE
        (tmp_path / "store").unlink()
        with pytest.raises(SecretNotFound):
            system.secrets.get("db/password")
        assert look(memory, system) == FINE


class Hanging(logging.Handler):
    """A handler of a program whose log nobody reads, until it is `open`."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.entered = threading.Event(), threading.Event()

    def emit(self, _record: logging.LogRecord) -> None:
        self.entered.set()
        self.open.wait()


def now_of(memory: Memory, system: System) -> Condition:
    """The condition while a process is at work, which `look` would wait for."""
    return memory.condition(system.metrics(), system.tree().root, ())


def test_a_log_that_hangs_degrades_the_daemon_until_it_goes_on() -> None:
    clock = ManualClock()
    memory, handler = Memory(clock.now), Hanging()
    logger = logging.getLogger("secrets_actor")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        with fake_system(FakeStore(clock=clock)) as (system, _):
            system.secrets.set("db/password", "one")
            assert handler.entered.wait(10)
            system.secrets.set("db/password", "two")
            assert now_of(memory, system) == FINE
            clock.advance(HANGS_AFTER + 1)
            assert whats(now_of(memory, system)) == ["audit"]
            handler.open.set()
            assert eventually(lambda: now_of(memory, system) == FINE)
    finally:
        handler.open.set()
        logger.setLevel(logging.NOTSET)
        logger.removeHandler(handler)


def test_a_restart_degrades_the_daemon_for_as_long_as_the_supervisor_counts_it() -> None:
    clock = ManualClock()
    store = FakeStore(clock=clock)
    memory = Memory(clock.now)
    with fake_system(store) as (system, _):
        kill(system, "secrets")
        assert Degradation("restarts", "lately below core") in look(memory, system).degraded
        clock.advance(11)
        assert "restarts" not in whats(look(memory, system))


def test_what_the_events_tell_is_remembered() -> None:
    clock = ManualClock()
    store = FakeStore(clock=clock)
    memory = Memory(clock.now)
    with fake_system(store) as (system, _):
        memory(RenewalFailed("secrets", "the file ~/.aws/credentials has no keys"))
        memory(AuditLogFails("audit", "no space left"))
        assert look(memory, system).degraded == (
            Degradation("credentials", "cannot be renewed: the log says why"),
            Degradation("audit", "records cannot be written"),
        )
        memory(AuditRecordsLost("audit", 3))
        clock.advance(LATELY)
        memory.beat()
        assert look(memory, system) == FINE


def test_a_prefetch_that_missed_something_degrades_the_daemon() -> None:
    clock = ManualClock()
    store = FakeStore(clock=clock)
    memory = Memory(clock.now)
    with fake_system(store, observer=memory) as (system, _):
        system.secrets.prefetch(["no/such"])
        while memory.prefetch is None:
            clock.advance(1)
            settled(system)
        memory.beat()
        assert look(memory, system).degraded == (Degradation("prefetch", "1 secrets could not be fetched"),)


def test_a_tree_that_no_question_goes_through_any_more_is_dead() -> None:
    clock = ManualClock()
    store = FakeStore(clock=clock)
    memory = Memory(clock.now)
    with fake_system(store) as (system, _):
        clock.advance(DEAD_AFTER - 1)
        assert look(memory, system).alive
        clock.advance(1)
        assert not look(memory, system).alive
        assert not memory.beats
        memory.beat()
        assert memory.beats
        assert look(memory, system).alive
        assert not memory.condition(system.metrics(), None, ()).alive
    assert not memory.condition(system.metrics(), system.tree().root, ()).alive
