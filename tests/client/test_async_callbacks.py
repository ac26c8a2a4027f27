"""A coroutine function as a callback is awaited on the loop that subscribed, or refused: never dropped unsaid."""

import asyncio
import gc
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from secrets_actor import InvalidParameter, NewVersion, Secret, System
from secrets_actor.actor.subscriber import SubscriberFailed
from secrets_actor.otp import LifecycleEvent
from secrets_actor.testing import fake_system
from tests.actor.rig import PATIENCE, RigStore, Watch, eventually
from tests.client.test_asyncio import comes_about


class LoginRefused(Exception):
    """What a server says to an old password."""


def test_a_coroutine_function_is_awaited_on_the_loop_that_subscribed_once_for_each_change_and_in_order() -> None:
    async def run(system: System) -> list[tuple[str | None, bool]]:
        loop, heard = asyncio.get_running_loop(), []

        async def reload(change: NewVersion) -> None:
            secret = await system.async_secrets.get("a", refresh=True)
            await asyncio.sleep(0.01)
            heard.append((secret.version_id, asyncio.get_running_loop() is loop))

        with system.async_secrets.subscribe("a", reload):
            for value in ("two", "three"):
                await system.async_secrets.set("a", value)
                seen = len(heard)
                await comes_about(lambda seen=seen: len(heard) > seen)
        return heard

    with fake_system() as (system, store):
        store.put("a", "one")
        system.secrets.get("a")
        heard = asyncio.run(run(system))
        assert heard == [(version, True) for version in store.version_ids("a")[1:]]


class Reloads:
    """Callbacks of every form, which all note what they are told."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    async def method(self, change: object) -> None:
        self.heard.append(change)

    async def __call__(self, change: object) -> None:
        self.heard.append(change)

    async def with_more(self, more: object, change: object) -> None:
        self.heard.append(change)

    def plain(self, change: object) -> None:
        self.heard.append(change)


FORMS: list[Callable[[Reloads], Callable[[object], object]]] = [
    lambda one: one.method,
    lambda one: one,
    lambda one: partial(one.with_more, 1),
    lambda one: lambda change: one.method(change),  # noqa: PLW0108  its code says nothing of a coroutine
    lambda one: one.plain,
]


@pytest.mark.parametrize("form", FORMS, ids=["method", "object", "partial", "lambda", "plain"])
@pytest.mark.filterwarnings("error")
def test_each_form_of_a_callback_is_run(form: Callable[[Reloads], Callable[[object], object]]) -> None:
    async def run(system: System) -> None:
        reloads = Reloads()
        with system.async_secrets.subscribe("a", form(reloads)):
            await system.async_secrets.set("a", "two")
            await comes_about(lambda: reloads.heard)

    with fake_system() as (system, store):
        store.put("a", "one")
        system.secrets.get("a")
        asyncio.run(run(system))


@pytest.mark.parametrize("subscribe", [lambda s: s.secrets.subscribe, lambda s: s.subscribe], ids=["secrets", "system"])
@pytest.mark.parametrize("form", FORMS[:3], ids=["method", "object", "partial"])
def test_where_nobody_would_await_it_it_is_refused_at_once(subscribe: Any, form: Any) -> None:
    with fake_system() as (system, _):
        with pytest.raises(InvalidParameter, match="callback: a plain function"):
            subscribe(system)("a", form(Reloads()))
        with pytest.raises(InvalidParameter, match="a coroutine that a running loop can await"):
            system.async_secrets.subscribe("a", form(Reloads()))  # no loop runs here
        with pytest.raises(InvalidParameter, match="a function of a NewVersion"):
            system.secrets.subscribe("a", "no function")  # type: ignore[arg-type]


@pytest.mark.filterwarnings("error")
def test_a_coroutine_that_a_plain_callback_makes_is_reported_where_nobody_awaits_it() -> None:
    events: list[LifecycleEvent] = []
    with fake_system(observer=events.append) as (system, store):
        store.put("a", "one")
        system.secrets.get("a")
        system.secrets.subscribe("a", lambda change: Reloads().method(change))
        system.secrets.set("a", "two")
        eventually(lambda: [one for one in events if isinstance(one, SubscriberFailed)])

    assert {one.error_type for one in events if isinstance(one, SubscriberFailed)} == {"InvalidParameter"}


def test_what_it_raises_is_reported_and_the_next_change_is_told() -> None:
    events: list[LifecycleEvent] = []

    async def run(system: System) -> None:
        heard: list[object] = []

        async def reload(change: object) -> None:
            heard.append(change)
            raise TimeoutError("the database is slow")

        with system.async_secrets.subscribe("a", reload):
            for number in (1, 2):
                await system.async_secrets.set("a", f"v{number}")
                await comes_about(lambda number=number: len(heard) == number)

    with fake_system(observer=events.append) as (system, store):
        store.put("a", "v0")
        system.secrets.get("a")
        asyncio.run(run(system))
        eventually(lambda: len([one for one in events if isinstance(one, SubscriberFailed)]) == 2)

    assert {one.error_type for one in events if isinstance(one, SubscriberFailed)} == {"TimeoutError"}


@pytest.mark.filterwarnings("error")
def test_a_loop_that_was_closed_is_reported_and_holds_up_nobody(
    system: System, rig_store: RigStore, watch: Watch
) -> None:
    rig_store.put("a", "one")
    system.secrets.get("a")

    async def run() -> None:
        system.async_secrets.subscribe("a", Reloads().method)

    asyncio.run(run())
    system.secrets.set("a", "two")
    eventually(lambda: watch.count("SubscriberFailed"))
    assert system.secrets.get("a").reveal() == "two"


@pytest.mark.filterwarnings("error")
def test_a_coroutine_that_waits_for_a_loop_which_is_closed_instead_is_told_once(
    system: System, rig_store: RigStore, watch: Watch
) -> None:
    made, reloads, loop = threading.Event(), Reloads(), asyncio.new_event_loop()

    def callback(change: NewVersion) -> object:
        made.set()
        return reloads.method(change)

    async def subscribe() -> None:
        system.async_secrets.subscribe("a", callback)

    rig_store.put("a", "one")
    system.secrets.get("a")
    loop.run_until_complete(subscribe())
    system.secrets.set("a", "two")
    assert made.wait(PATIENCE)
    loop.close()
    eventually(lambda: watch.count("SubscriberFailed"))
    gc.collect()  # Python tells of a coroutine that nobody awaited when it is thrown away
    assert reloads.heard == []


def test_a_coroutine_function_is_no_attempt_of_a_thread_and_no_judge_of_errors() -> None:
    async def attempt(secret: Secret) -> str:
        return "in"

    async def login_error(error: BaseException) -> bool:
        return True

    with fake_system() as (system, store):
        store.put("a", "v")
        with pytest.raises(InvalidParameter, match="attempt: a plain function"):
            system.secrets.retry_on_rotation("a", attempt, login_error=LoginRefused)
        for retry in (
            lambda: system.secrets.retry_on_rotation("a", lambda _: "in", login_error=login_error),  # type: ignore[arg-type]
            lambda: asyncio.run(
                system.async_secrets.retry_on_rotation("a", attempt, login_error=login_error)  # type: ignore[arg-type]
            ),
        ):
            with pytest.raises(InvalidParameter, match="login_error: a plain function"):
                retry()
        assert asyncio.run(system.async_secrets.retry_on_rotation("a", attempt, login_error=LoginRefused)) == "in"


def test_an_attempt_of_a_coroutine_may_be_a_plain_function() -> None:
    tried: list[str] = []

    def attempt(secret: Secret) -> str:
        tried.append(str(secret.reveal()))
        if len(tried) == 1:
            store.put("a", "new")
            raise LoginRefused
        return "in"

    with fake_system() as (system, store):
        store.put("a", "old")
        given: Any = attempt
        assert asyncio.run(system.async_secrets.retry_on_rotation("a", given, login_error=LoginRefused)) == "in"
    assert tried == ["old", "new"]


def test_a_subscriber_that_is_cancelled_in_the_middle_of_its_coroutine_lets_it_end() -> None:
    async def run(system: System) -> None:
        begun, go, ended = asyncio.Event(), asyncio.Event(), threading.Event()

        async def reload(change: object) -> None:
            begun.set()
            await go.wait()
            ended.set()

        subscription = system.async_secrets.subscribe("a", reload)
        await system.async_secrets.set("a", "two")
        await asyncio.wait_for(begun.wait(), PATIENCE)
        subscription.cancel()
        go.set()
        await comes_about(ended.is_set)

    with fake_system() as (system, store):
        store.put("a", "one")
        system.secrets.get("a")
        asyncio.run(run(system))
