"""Loops that end before the answer comes, and forks: our processes do not suffer, and a child goes on."""

import asyncio
from pathlib import Path

import pytest

from secrets_actor import Secret, SecretNotFound, System
from secrets_actor.errors import ForkedProcess
from tests.actor.rig import RigStore, Watch, eventually, failure, process, running, settings
from tests.both_clients import loop_thread
from tests.client.test_asyncio import comes_about, open_calls
from tests.forking import in_child

multi_threaded = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


def test_an_answer_for_a_loop_that_is_closed_hurts_nobody(system: System, rig_store: RigStore, watch: Watch) -> None:
    rig_store.put("a", "v")
    actor, hold = process(system, "secrets"), rig_store.hold("get")
    loop = asyncio.new_event_loop()
    task = loop.create_task(system.async_secrets.get("a", timeout=20))
    loop.run_until_complete(comes_about(lambda: hold.workers))
    loop.close()
    assert open_calls(system) == 1

    hold.go.set()
    eventually(lambda: actor.open_calls == 0)

    assert not task.done()
    assert system.secrets.get("a").reveal() == "v"
    assert type(failure(lambda: system.secrets.get("b"))) is SecretNotFound
    assert system.whereis("secrets") is actor
    assert watch.count("ProcessCrashed") == 0


def test_a_loop_that_ends_with_calls_under_way_withdraws_them(system: System, rig_store: RigStore) -> None:
    """As `asyncio.run` does at its end: it cancels what is left."""

    async def leave() -> "asyncio.Task[Secret]":
        hold = rig_store.hold("get")
        task = asyncio.create_task(system.async_secrets.get("a"))
        await comes_about(lambda: hold.workers)
        return task

    assert asyncio.run(leave()).cancelled()
    assert open_calls(system) == 0


@multi_threaded
def test_a_child_goes_on_in_a_loop_of_its_own(tmp_path: Path) -> None:
    system = System(settings(tmp_path))

    async def use() -> str:
        secrets = system.async_secrets
        await secrets.set("of-the-child", "c")
        found = await asyncio.gather(secrets.get("a"), secrets.get("of-the-child", refresh=True))
        return f"{[secret.reveal() for secret in found]} {system.running}"

    async def fork() -> str:
        return in_child(lambda: asyncio.run(use()))

    with running(system):
        asyncio.run(system.async_secrets.set("a", "v"))
        said = [in_child(lambda: asyncio.run(use())), asyncio.run(fork())]
        assert asyncio.run(system.async_secrets.get("a", refresh=True)).reveal() == "v"

    assert said == ["['v', 'c'] True"] * 2


@multi_threaded
def test_a_fork_while_calls_are_under_way_in_the_parents_loop(tmp_path: Path, rig_store: RigStore) -> None:
    rig_store.put("a", "v")
    with running(System(settings(tmp_path), backend=rig_store.factory()), rig_store) as system, loop_thread() as loop:
        hold = rig_store.hold("get")
        asked = [asyncio.run_coroutine_threadsafe(system.async_secrets.get("a"), loop) for _ in range(3)]
        hold.wait()
        said = in_child(lambda: hold.go.set() or asyncio.run(system.async_secrets.get("a")).reveal())
        assert not any(one.done() for one in asked)
        hold.go.set()
        assert [one.result(10).reveal() for one in asked] == ["v"] * 3

    assert said == "v"


@multi_threaded
def test_a_child_that_may_not_start_a_tree_is_told(tmp_path: Path, rig_store: RigStore) -> None:
    with running(System(settings(tmp_path, after_fork="refuse"), backend=rig_store.factory()), rig_store) as system:
        asyncio.run(system.async_secrets.list())

        said = in_child(lambda: type(failure(lambda: asyncio.run(system.async_secrets.get("a")))).__name__)

    assert said == ForkedProcess.__name__
