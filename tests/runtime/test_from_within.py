"""Code of the program that comes to run in a process of ours: it is answered from memory or refused, at once."""

import asyncio
import gc
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import secrets_actor
from secrets_actor import LogSettings, ServerDown, Settings, System
from secrets_actor.errors import CalledFromWithin
from secrets_actor.messages import Get
from secrets_actor.otp import ChildSpec, GenServer
from secrets_actor.testing import FakeStore, ManualClock, fake_system
from tests.actor.rig import eventually, failure, process, supervisor
from tests.client.test_asyncio import comes_about
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


class EndsWhenLet(GenServer):
    """Holds up the end of its tree until it is let end."""

    trap_exit = True

    def __init__(self, go: threading.Event, was_let: list[bool]) -> None:
        self._go, self._was_let = go, was_let

    def terminate(self, reason: Any) -> None:
        self._was_let.append(self._go.wait(SECONDS / 2))


async def stop_blocking(system: System) -> None:
    system.stop()


async def stop_async(system: System) -> None:
    await system.stop_async()


async def stop_in_a_task(system: System) -> None:
    await asyncio.create_task(system.stop_async(drain=SECONDS))


async def leave_the_block(system: System) -> None:
    await system.__aexit__(None, None, None)


@pytest.mark.parametrize("stop", [stop_blocking, stop_async, stop_in_a_task, leave_the_block])
def test_a_stop_in_a_callback_that_is_awaited_returns_before_the_tree_has_ended(
    stop: Callable[[System], Awaitable[None]],
) -> None:
    go, was_let = threading.Event(), list[bool]()

    async def run(system: System) -> None:
        async def changed(_: object) -> None:
            await stop(system)
            go.set()

        system.async_secrets.subscribe("a", changed)
        await system.async_secrets.set("a", "new")
        assert str(await system.wait_async(SECONDS)) == "shutdown"

    children = [ChildSpec("last", lambda: EndsWhenLet(go, was_let), shutdown=SECONDS)]
    with fake_system(children=lambda _: children) as (system, store):
        store.put("a", "v")
        system.secrets.get("a")
        asyncio.run(run(system))
    assert was_let == [True]


class EntersTheBlock(GenServer):
    """Enters the block of its own system while the tree is being started."""

    def __init__(self, systems: list[System]) -> None:
        self._systems = systems

    def init(self) -> None:
        asyncio.run(self._systems[0].__aenter__())


def test_a_process_of_the_tree_enters_the_block_without_waiting_for_the_start_of_the_tree() -> None:
    systems = list[System]()
    children = [ChildSpec("last", lambda: EntersTheBlock(systems))]
    systems.append(System(Settings(), backend=FakeStore().factory(), children=lambda _: children))

    with systems[0] as system:
        assert system.running


def test_a_callback_that_is_awaited_does_not_wait_for_the_end_of_the_tree() -> None:
    found = list[object]()

    async def run(system: System) -> None:
        async def changed(_: object) -> None:
            found.append(failure(lambda: system.wait(SECONDS)))
            found.extend(await asyncio.gather(system.wait_async(SECONDS), return_exceptions=True))

        system.async_secrets.subscribe("a", changed)
        await system.async_secrets.set("a", "new")
        await comes_about(lambda: len(found) == 2)

    with fake_system() as (system, store):
        store.put("a", "v")
        system.secrets.get("a")
        asyncio.run(run(system))
    assert [type(one) for one in found] == [CalledFromWithin] * 2


def test_a_task_that_outlives_the_callback_which_began_it_waits_for_the_end_of_the_tree() -> None:
    async def run(system: System) -> None:
        over, tasks = asyncio.Event(), list[asyncio.Task[object]]()

        async def stop_later() -> object:
            await over.wait()
            await system.stop_async()
            return await system.wait_async(0.0)

        async def changed(_: object) -> None:
            if tasks:
                over.set()  # the callback before is over
            else:
                tasks.append(asyncio.create_task(stop_later()))

        system.async_secrets.subscribe("a", changed)
        for number in range(2):
            await system.async_secrets.set("a", f"new {number}")
            await comes_about(lambda: tasks)
        assert str(await asyncio.wait_for(tasks[0], SECONDS)) == "shutdown"

    with fake_system() as (system, store):
        store.put("a", "v")
        system.secrets.get("a")
        asyncio.run(run(system))


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
