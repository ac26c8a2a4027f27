"""What only the client for asyncio can do: be cancelled, and serve many at once without a thread for each."""

import asyncio
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secrets_actor import DeadlineExceeded, ServerDown, System
from secrets_actor.results import Source
from secrets_actor.testing import fake_system
from tests.actor.rig import PATIENCE, RigStore, eventually, kill, process, running, settings, supervisor
from tests.actor.test_races import occupied

VALUE = "hunter2-must-not-show"


async def comes_about(holds: Callable[[], object]) -> None:
    """Return when *holds* is true; the loop goes on meanwhile."""
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.001)


async def turns(loop_turns: int = 20) -> None:
    """Let the loop turn, so that whoever can go on has gone on."""
    for _ in range(loop_turns):
        await asyncio.sleep(0)


def open_calls(system: System) -> int:
    return process(system, "secrets").open_calls


def got(rig_store: RigStore, name: str) -> int:
    """How many gets of *name* reached the store."""
    return sum(one.kind == "get" and one.secret_id == name for one in list(rig_store.seen))  # type: ignore[attr-defined]


# --- many at once -------------------------------------------------------------------------------------------------


def test_a_thousand_that_ask_for_one_missing_key_are_one_call_and_start_no_thread(
    system: System, rig_store: RigStore
) -> None:
    rig_store.put("warm", "v")
    rig_store.put("a", "v")
    secrets = system.async_secrets

    async def ask() -> list[Any]:
        await secrets.get("warm")  # there is a worker now
        before = set(threading.enumerate())
        hold = rig_store.hold("get", "a")
        asked = [asyncio.create_task(secrets.get("a")) for _ in range(1000)]
        await comes_about(lambda: open_calls(system) == 1000)
        hold.wait()
        assert set(threading.enumerate()) == before
        hold.go.set()
        found = await asyncio.gather(*asked)
        assert set(threading.enumerate()) == before
        return found

    assert [one.reveal() for one in asyncio.run(ask())] == ["v"] * 1000
    assert got(rig_store, "a") == 1


def test_a_hit_is_answered_without_a_loop_at_all(system: System, rig_store: RigStore) -> None:
    rig_store.put("a", "v")
    asyncio.run(system.async_secrets.get("a"))
    for hit in (system.async_secrets.get("a"), system.async_secrets.get("a", stage="AWSCURRENT")):
        with pytest.raises(StopIteration) as done:
            hit.send(None)
        assert (done.value.value.reveal(), done.value.value.source) == ("v", Source.CACHE)


def test_any_number_of_loops_share_one(system: System) -> None:
    secrets = system.async_secrets
    found: list[object] = []

    async def work(number: int) -> None:
        for turn in range(20):
            await asyncio.gather(secrets.set(f"of-{number}", f"{turn}"), *(secrets.get("all") for _ in range(5)))
            assert (await secrets.get(f"of-{number}")).reveal() == f"{turn}"
        found.append(number)

    system.secrets.set("all", "v")
    threads = [threading.Thread(target=lambda number=number: asyncio.run(work(number))) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert sorted(found) == [0, 1, 2, 3]
    assert system.async_secrets is secrets
    assert secrets._unanswered == {}


# --- cancellation -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", [lambda s: s.get("a"), lambda s: s.set("a", "v")], ids=["get", "set"])
def test_what_is_cancelled_before_it_was_sent_is_never_sent(tmp_path: Path, rig_store: RigStore, ask: Any) -> None:
    async def cancel(system: System) -> None:
        secrets, hold = system.async_secrets, rig_store.hold("get", "first")
        first = asyncio.create_task(secrets.get("first"))
        await comes_about(lambda: hold.workers)  # the one worker there may be is busy
        waiting = asyncio.create_task(ask(secrets))
        await comes_about(lambda: open_calls(system) == 2)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert open_calls(system) == 1
        hold.go.set()
        await asyncio.gather(first, secrets.list(), return_exceptions=True)

    with running(System(settings(tmp_path, max_workers=1), backend=rig_store.factory()), rig_store) as system:
        asyncio.run(cancel(system))
        eventually(process(system, "secrets").mailbox_idle)

    assert [one.kind for one in rig_store.seen] == ["get", "list"]


def test_one_that_is_cancelled_under_way_takes_nothing_from_the_others(system: System, rig_store: RigStore) -> None:
    rig_store.put("a", "v")

    async def cancel() -> Any:
        hold = rig_store.hold("get")
        one, other = (asyncio.create_task(system.async_secrets.get("a")) for _ in range(2))
        await comes_about(lambda: hold.workers and open_calls(system) == 2)
        one.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one
        hold.go.set()
        return await other

    assert asyncio.run(cancel()).reveal() == "v"
    assert system.secrets.get("a").source == Source.CACHE
    assert got(rig_store, "a") == 1


def test_a_batch_that_is_cancelled_is_withdrawn_whole() -> None:
    async def cancel() -> None:
        with store.hold("get_many") as gate:
            asked = asyncio.create_task(system.async_secrets.get_many([f"s/{number}" for number in range(60)]))
            await comes_about(lambda: gate.holders and open_calls(system) == 3)
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            assert open_calls(system) == 0
        await system.async_secrets.list()

    with fake_system(max_workers=1) as (system, store):
        asyncio.run(cancel())
        assert store.calls == {"get_many": 1, "list": 1}


def test_a_write_that_was_cancelled_is_not_forgotten_by_the_next_get(system: System, rig_store: RigStore) -> None:
    rig_store.put("a", "old")
    secrets = system.async_secrets

    async def cancel() -> Any:
        await secrets.get("a")
        with system._parts.cache._lock:  # the actor cannot drop what it keeps of this secret, or get any further
            writing = asyncio.create_task(secrets.set("a", "new"))
            await turns()
            writing.cancel()
            await turns()
            assert writing.cancelled()
            assert [write.lanes for write in secrets._unanswered.values()] == [("a",)]
            reading = asyncio.create_task(secrets.get("a"))
            await turns()
            assert not reading.done(), "it was answered from memory"
        return await reading

    assert asyncio.run(cancel()).source == Source.BACKEND
    assert secrets._unanswered == {}


@pytest.mark.parametrize(
    "ask",
    [
        lambda secrets: secrets.set("a", VALUE),
        lambda secrets: secrets.create("a", VALUE),
        lambda secrets: secrets.put("a", VALUE),
        lambda secrets: secrets.update("a", VALUE),
        lambda secrets: secrets.request("PutSecretValue", {"SecretString": VALUE}),
    ],
    ids=["set", "create", "put", "update", "request"],
)
def test_one_that_is_cancelled_before_it_began_shows_no_value(system: System, ask: Any) -> None:
    async def cancel() -> asyncio.CancelledError:
        task = asyncio.create_task(ask(system.async_secrets))
        task.cancel()
        try:
            await task
        except asyncio.CancelledError as error:
            return error
        raise AssertionError("it was not cancelled")

    shown = traceback.TracebackException.from_exception(asyncio.run(cancel()), capture_locals=True)

    assert any("secrets_actor/client" in frame.filename for frame in shown.stack)
    assert VALUE not in "".join(shown.format())


# --- time ---------------------------------------------------------------------------------------------------------


def test_the_loop_turns_while_one_waits_until_its_deadline(system: System, rig_store: RigStore) -> None:
    rig_store.hold("set")

    async def ask() -> tuple[BaseException, bool]:
        waiting = asyncio.create_task(system.async_secrets.set("a", "v", timeout=0.05))
        await turns()
        turned = not waiting.done()
        await asyncio.wait([waiting])
        error = waiting.exception()
        assert error is not None
        return error, turned

    error, turned = asyncio.run(ask())

    assert (type(error), turned) == (DeadlineExceeded, True)
    assert error.token  # type: ignore[attr-defined]
    assert [write.lanes for write in system.async_secrets._unanswered.values()] == [("a",)]


def test_a_time_out_of_asyncios_own_withdraws_too(system: System, rig_store: RigStore) -> None:
    async def ask() -> None:
        rig_store.hold("get")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await system.async_secrets.get("a")
        assert open_calls(system) == 0

    asyncio.run(ask())


# --- restarts -------------------------------------------------------------------------------------------------


def test_a_read_whose_actor_dies_is_asked_again_and_a_write_is_not(system: System, rig_store: RigStore) -> None:
    rig_store.put("a", "v")

    async def ask() -> list[Any]:
        holds = [rig_store.hold("get"), rig_store.hold("set")]
        asked = [system.async_secrets.get("a"), system.async_secrets.set("b", "v")]
        outcome = asyncio.gather(*asked, return_exceptions=True)
        await comes_about(lambda: holds[0].workers and holds[1].workers)
        kill(system, "secrets")
        for hold in holds:
            hold.go.set()
        return await outcome

    read, wrote = asyncio.run(ask())

    assert read.reveal() == "v"
    assert type(wrote) is ServerDown
    assert wrote.token


def test_who_asks_between_two_actors_waits_for_the_next_and_the_loop_turns(system: System, rig_store: RigStore) -> None:
    rig_store.put("a", "v")
    cold = system.async_secrets

    async def ask() -> Any:
        killed, restart = process(system, "secrets"), occupied(supervisor(system, "core"))
        killed.kill()
        waiting = [asyncio.create_task(cold.get("a")), asyncio.create_task(cold.set("b", "v"))]
        hasty = asyncio.create_task(cold.get("a", timeout=0.02))
        await asyncio.wait([hasty])
        assert type(hasty.exception()) is DeadlineExceeded
        assert not any(one.done() for one in waiting)
        restart.set()
        return await asyncio.gather(*waiting)

    secret, receipt = asyncio.run(ask())

    assert (secret.reveal(), receipt.created) == ("v", True)
    assert system._parts.node.registry._expected == {}
