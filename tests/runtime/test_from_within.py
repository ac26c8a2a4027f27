"""Code of the program that comes to run in a process of ours: it is answered from memory or refused, at once."""

import asyncio
import gc
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import secrets_actor
from secrets_actor import LogSettings, ServerDown, System
from secrets_actor.errors import CalledFromWithin
from secrets_actor.messages import Get
from secrets_actor.testing import FakeStore, ManualClock, fake_system
from tests.actor.rig import eventually, failure, process, supervisor
from tests.log_records import fields_of

SECONDS = 10.0


class Visitor:
    """A message: whoever looks what it is runs *visit* in his own thread, once."""

    def __init__(self, visit: Callable[[], Any]) -> None:
        self._visit, self._came, self.done = visit, False, threading.Event()
        self.found: Any = None

    @property
    def __class__(self) -> Any:  # isinstance looks here
        self._look()
        return object

    def __eq__(self, other: object) -> bool:
        self._look()
        return False

    __hash__ = None  # type: ignore[assignment]

    def _look(self) -> None:
        if self._came:
            return
        self._came = True
        try:
            self.found = self._visit()
        except BaseException as error:
            self.found = error
        self.done.set()


def within(system: System, where: str, visit: Callable[[], Any]) -> Any:
    """What *visit* finds in the process *where*."""
    visitor = Visitor(visit)
    pid = supervisor(system, where) if where in ("core", "infra", "background") else process(system, where)
    began = time.monotonic()
    pid.post(visitor)
    assert visitor.done.wait(SECONDS)
    assert time.monotonic() - began < SECONDS / 2
    return visitor.found


@pytest.mark.parametrize("where", ["secrets", "audit", "core", "infra"])
def test_what_waits_is_refused_and_what_is_in_memory_is_given(where: str) -> None:
    with fake_system() as (system, store):
        store.put("a", "v")
        store.put("b", "v")
        system.secrets.get("a")
        secrets = system.secrets
        refused: list[Callable[[], Any]] = [
            lambda: secrets.get("b"),
            lambda: secrets.get("a", refresh=True),
            lambda: secrets.set("a", "w"),
            secrets.list,
            lambda: secrets.get_many(["b"]),
            lambda: asyncio.run(system.async_secrets.get("b")),
            lambda: system.ref.ask(Get("b"), timeout=SECONDS),
            lambda: system.configure(system.settings, backend=store.factory()),
            system.wait,
        ]
        for call in refused:
            error = within(system, where, call)
            assert type(error) is CalledFromWithin, call
            assert "thread of your own" in str(error)

        assert within(system, where, lambda: secrets.get("a")).source == "cache"
        assert within(system, where, lambda: secrets.get_many(["a"])).found["a"].source == "cache"
        assert within(system, where, system.metrics).value("secrets_actor_cache_hits") > 0
        assert within(system, where, lambda: str(system.tree()))
        subscription = within(system, where, lambda: system.subscribe("a", lambda _: None))
        assert within(system, where, subscription.cancel) is None
        assert secrets.get("b").reveal() == "v", "nobody else waited"


def test_a_value_that_may_be_served_stale_is() -> None:
    clock = ManualClock()
    with fake_system(FakeStore(clock=clock), ttl_seconds=10, ttl_jitter=0, max_stale_seconds=60) as (system, store):
        store.put("a", "v")
        system.secrets.get("a")
        clock.advance(20)

        assert within(system, "secrets", lambda: system.secrets.get("a")).stale


def test_a_finalizer_that_the_collector_runs_in_the_secrets_actor_is_refused() -> None:
    found: list[BaseException] = []

    class Holder:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            found.append(failure(lambda: system.secrets.get("b", timeout=SECONDS)))

    def collect() -> None:
        Holder()
        gc.collect()

    with fake_system() as (system, store):
        store.put("b", "v")
        within(system, "secrets", collect)
        assert [type(one) for one in found] == [CalledFromWithin]
        assert system.secrets.get("b").reveal() == "v"


@pytest.mark.parametrize("where", ["secrets", "audit", "core"])
def test_a_stop_from_within_returns_at_once_and_the_tree_ends(where: str) -> None:
    with fake_system() as (system, _):
        assert within(system, where, system.stop) is None
        assert str(system.wait(SECONDS)) == "shutdown"
        assert type(failure(lambda: system.secrets.get("a"))) is ServerDown


def test_a_callback_may_get_and_may_stop() -> None:
    found: list[str] = []

    def changed(_: object) -> None:
        found.append(system.secrets.get("b", refresh=True).reveal())
        system.stop()
        found.append("returned")

    with fake_system() as (system, store):
        store.put("a", "v")
        store.put("b", "w")
        system.secrets.get("a")
        system.subscribe("a", changed)
        system.secrets.set("a", "new")
        assert str(system.wait(SECONDS)) == "shutdown"
        eventually(lambda: found == ["w", "returned"])


class Sends(logging.Handler):
    """Needs a secret for each record, as a handler that sends them somewhere does."""

    def __init__(self, get: Callable[[], Any]) -> None:
        super().__init__()
        self._get, self.emitted, self.found = get, 0, list[Any]()

    def emit(self, record: logging.LogRecord) -> None:
        if fields_of(record)["event"] != "audit":
            return
        self.emitted += 1
        try:
            self.found.append(self._get().source)
        except BaseException as error:
            self.found.append(type(error))


@pytest.mark.parametrize(("name", "found"), [("webhook", "cache"), ("unknown", CalledFromWithin)])
def test_a_log_handler_that_needs_a_secret_does_not_feed_itself(name: str, found: Any) -> None:
    logger = logging.getLogger("secrets_actor")
    before = logger.level
    with fake_system(log=LogSettings(output="logging")) as (system, store):
        handler = Sends(lambda: system.secrets.get(name, timeout=SECONDS))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        try:
            store.put("webhook", "v")
            store.put("x", "v")
            system.secrets.get("webhook")
            for _ in range(3):
                system.secrets.get("x")
            eventually(lambda: handler.emitted == 4)
            again = system.secrets.for_caller("again")  # comes when whatever was fed before it had been written
            again.get("x", refresh=True)
            eventually(lambda: handler.emitted > 4)
        finally:
            logger.removeHandler(handler)
            logger.setLevel(before)
        assert handler.emitted == 5
        assert set(handler.found) == {found}
        assert system.metrics().value("secrets_actor_audit_records", "omitted") == handler.emitted


def test_the_error_is_public() -> None:
    assert secrets_actor.errors.CalledFromWithin.code == "called_from_within"
