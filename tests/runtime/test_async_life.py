"""Start, drain and stop from a coroutine: the loop goes on meanwhile."""

import asyncio
import json
import threading
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from secrets_actor import InvalidParameter, LogSettings, ServerDown, Settings, System, start
from secrets_actor.otp import ProcessEnded
from secrets_actor.testing import FakeStore, fake_system
from tests.actor.rig import PATIENCE, RigStore, eventually, supervisor
from tests.client.test_asyncio import comes_about, turns


def made(store: FakeStore, **more: Any) -> System:
    return System(Settings(), backend=store.factory(), **more)


async def longest_silence_of_the_loop(meanwhile: Awaitable[object]) -> float:
    """Seconds between two turns of the loop, at most, while *meanwhile* goes on."""
    loop, longest = asyncio.get_running_loop(), 0.0
    waiting, last = asyncio.ensure_future(meanwhile), loop.time()
    while not waiting.done():
        await asyncio.sleep(0)
        longest, last = max(longest, loop.time() - last), loop.time()
    await waiting
    return longest


def test_the_context_starts_and_stops_it() -> None:
    async def run() -> None:
        store = FakeStore()
        store.put("a", "v")
        async with made(store) as system:
            assert system.running
            assert (await system.async_secrets.get("a")).reveal() == "v"
        assert not system.running
        with pytest.raises(ServerDown):
            await system.async_secrets.get("a")

    asyncio.run(run())


def test_one_that_was_started_before_may_be_entered(tmp_path: Any) -> None:
    async def run() -> None:
        async with start(Settings(local={"path": tmp_path})) as system:  # type: ignore[arg-type]
            await system.async_secrets.set("a", "v")
        assert not system.running

    asyncio.run(run())


def test_a_drain_lets_coroutines_of_the_same_loop_finish() -> None:
    async def run() -> None:
        store = FakeStore()
        store.put("a", "v")
        system = await made(store).start_async()
        with store.hold("get") as gate:
            getting = asyncio.ensure_future(system.async_secrets.get("a"))
            await comes_about(lambda: gate.holders)
            stopping = asyncio.ensure_future(system.stop_async(drain=PATIENCE))
            await comes_about(lambda: "draining" in str(system.tree()))
            with pytest.raises(ServerDown):
                await system.async_secrets.get("b")
            gate.release()
            assert (await getting).reveal() == "v"
            await stopping
        assert not system.running

    asyncio.run(run())


def test_the_loop_goes_on_while_a_stop_waits_for_a_worker_that_hangs(rig_store: RigStore) -> None:
    async def run() -> float:
        system = await System(Settings(), backend=rig_store.factory()).start_async()
        hold = rig_store.hold("get", "a")
        getting = asyncio.ensure_future(system.async_secrets.get("a"))
        await comes_about(lambda: hold.workers)
        silence = await longest_silence_of_the_loop(system.stop_async())  # a worker has two seconds
        hold.go.set()
        assert isinstance((await asyncio.gather(getting, return_exceptions=True))[0], ServerDown)
        assert not system.running
        return silence

    assert asyncio.run(run()) < 1.0


def test_a_stop_that_is_cancelled_is_carried_to_its_end_and_may_be_asked_for_again() -> None:
    async def run() -> None:
        store = FakeStore()
        system = await made(store).start_async()
        with store.hold("get") as gate:
            getting = asyncio.ensure_future(system.async_secrets.get("a"))
            await comes_about(lambda: gate.holders)
            stopping = asyncio.ensure_future(system.stop_async(drain=PATIENCE))
            await comes_about(lambda: "draining" in str(system.tree()))
            stopping.cancel()
            with pytest.raises(asyncio.CancelledError):
                await stopping
            assert system.running
            gate.release()
            await asyncio.gather(getting, return_exceptions=True)
            await comes_about(lambda: not system.running)
        await system.stop_async()
        async with system:
            assert system.running
        assert not system.running

    asyncio.run(run())


def test_who_is_cancelled_within_the_context_has_it_stopped() -> None:
    system = made(FakeStore())

    async def cancel() -> None:
        within = asyncio.Event()

        async def run() -> None:
            async with system:
                within.set()
                await asyncio.sleep(PATIENCE)

        running = asyncio.ensure_future(run())
        await within.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert not system.running

    asyncio.run(cancel())


@pytest.mark.parametrize("times", [1, 2])
def test_who_is_cancelled_on_the_way_into_the_context_has_it_stopped(times: int) -> None:
    """The start goes on meanwhile, and nobody would stop what comes of it."""
    begun, go = threading.Event(), threading.Event()

    def prepare(_deadline: float) -> None:
        begun.set()
        assert go.wait(PATIENCE)

    events: list[object] = []
    system = System(Settings(), backend=replace(FakeStore().factory(), prepare=prepare), observer=events.append)

    async def run() -> None:
        async with system:
            raise AssertionError("it was cancelled before")

    async def cancel() -> None:
        running = asyncio.ensure_future(run())
        await comes_about(begun.is_set)
        for _ in range(times):
            running.cancel()
            await turns()
        assert running.done() is (times == 2), "it waits for the stop, if it may"
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert times == 2 or not system.running

    asyncio.run(cancel())
    eventually(lambda: any(isinstance(one, ProcessEnded) and one.process == "secrets_actor" for one in events))
    eventually(lambda: not system.running)


@pytest.mark.parametrize("name", ["observer", "on_give_up"])
def test_a_coroutine_function_is_no_observer(name: str) -> None:
    async def told(event: object) -> None:
        """Nobody would await it."""

    with pytest.raises(InvalidParameter, match=f"{name}: a plain function"):
        made(FakeStore(), **{name: told})


@pytest.mark.filterwarnings("error")
def test_a_coroutine_that_on_give_up_makes_is_reported() -> None:
    async def told(reason: object) -> None:
        """Nobody would await it."""

    def unsuspicious(reason: object) -> object:
        return told(reason)

    events: list[Any] = []
    system = made(FakeStore(), on_give_up=unsuspicious, observer=events.append).start()
    supervisor(system, "secrets_actor").kill()
    assert system.wait(PATIENCE) is not None
    eventually(lambda: any(type(one).__name__ == "CallbackFailed" for one in events))
    assert [one.error_type for one in events if type(one).__name__ == "CallbackFailed"] == ["InvalidParameter"]
    system.stop()


@pytest.mark.filterwarnings("error")
def test_an_observer_that_makes_coroutines_is_told_of_in_the_log(tmp_path: Path) -> None:
    async def told(event: object) -> None:
        """Nobody would await it."""

    def unsuspicious(event: object) -> Any:
        return told(event)

    log = tmp_path / "log"
    with fake_system(observer=unsuspicious, log=LogSettings(output=str(log))) as (system, store):
        store.put("a", "v")
        assert system.secrets.get("a", refresh=True).reveal() == "v"

    failed = [line for line in map(json.loads, log.read_text().splitlines()) if line["event"] == "callback_failed"]
    assert [(one["callback"], one["error_type"], one["level"]) for one in failed] == [
        ("observer", "InvalidParameter", "warning")
    ], "one event, though every event fails"


def test_an_observer_that_fails_again_after_it_has_worked_is_told_of_again(tmp_path: Path) -> None:
    observed: list[str] = []

    def observer(event: object) -> None:
        observed.append(type(event).__name__)
        if type(event).__name__ != "JobStarted":
            raise SystemExit

    log = tmp_path / "log"
    with fake_system(observer=observer, log=LogSettings(output=str(log))) as (system, store):
        store.put("a", "v")
        for _ in range(2):
            system.secrets.get("a", refresh=True)

    failed = [line for line in map(json.loads, log.read_text().splitlines()) if line["event"] == "callback_failed"]
    rows = "".join("+" if one == "JobStarted" else "-" for one in observed)
    assert {one["error_type"] for one in failed} == {"SystemExit"}
    assert len(failed) == len([row for row in rows.split("+") if row]) > 1
    assert "CallbackFailed" not in observed


def test_a_coroutine_waits_for_the_end_while_the_loop_goes_on() -> None:
    async def run() -> None:
        async with made(FakeStore()) as system:
            assert await system.wait_async(0.0) is None
            waiting = asyncio.ensure_future(system.wait_async(PATIENCE))
            await system.stop_async()
            assert str(await waiting) == "shutdown"

    asyncio.run(run())


def test_a_wait_that_is_cancelled_leaves_the_system_running() -> None:
    async def run() -> None:
        async with made(FakeStore()) as system:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(system.wait_async(), 0.01)
            assert system.running

    asyncio.run(run())


def test_a_coroutine_configures_another_store() -> None:
    async def run() -> None:
        store, other = FakeStore(), FakeStore()
        other.put("a", "from the other")
        async with made(store) as system:
            await system.configure_async(Settings(), backend=other.factory())
            assert (await system.async_secrets.get("a")).text() == "from the other"

    asyncio.run(run())
