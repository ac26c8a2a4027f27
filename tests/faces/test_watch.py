"""Streams of changes: what they tell, to whom, and that nothing of them stays."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest
from msgspec.structs import replace

from secrets_actor.domain.errors import StoreFailure
from secrets_actor.domain.metrics import WATCHES
from secrets_actor.domain.names import SecretId
from secrets_actor.faces.agent_api import AgentApi
from secrets_actor.faces.exchange import Response
from secrets_actor.faces.identity import Identity, Peer
from secrets_actor.faces.policy import Policy, Rule
from secrets_actor.faces.watch import TooManyWait, Watches
from tests.actor.rig import eventually
from tests.faces.asking import UNIX, request
from tests.faces.served import Counted
from tests.faces.served_system import Served, served_system

NAME: Final = "db/password"
WATCH: Final = f"/secretsmanager/watch?secretId={NAME}"
TRIES: Final = 500


class Stream:
    """A client of one stream."""

    def __init__(self, response: Response) -> None:
        assert response.status == 200, response.body
        assert ("content-type", "text/event-stream") in response.headers
        assert response.stream is not None
        self.parts: Any = response.stream
        self.pings = 0

    async def event(self) -> dict[str, str]:
        """The next event. Comments are counted."""
        async for part in self.parts:
            text = part.decode()
            assert text.endswith("\n\n")
            if text == ": ping\n\n":
                self.pings += 1
                assert self.pings < TRIES
            elif not text.startswith("retry: "):
                return dict(line.split(": ", 1) for line in text.splitlines() if line)
        return {"event": "end"}


class Rig:
    """A face, and its streams."""

    def __init__(self, served: Served, most: int = 3) -> None:
        self.served, self.secrets = served, served.system.async_secrets
        self.watches = Watches(served.service, most=most, ping=0.02)
        self.face = AgentApi(served.service, lambda _: None, self.watches)

    async def open(self, target: str = WATCH, heard: str | None = None) -> Response:
        headers = [] if heard is None else [("Last-Event-ID", heard)]
        return await self.face.answer(request(target, *headers, peer=UNIX))

    async def watch(self, target: str = WATCH, heard: str | None = None) -> Stream:
        return Stream(await self.open(target, heard))


@pytest.fixture
def rig() -> Iterator[Rig]:
    with served_system() as served:
        served.store.put(NAME, "hunter2")
        yield Rig(served)
        eventually(lambda: subscribed(served) == 0, "the end of all subscriptions")


def subscribed(served: Served) -> int:
    [subscribers] = [node for node in served.system.tree().root.walk() if node.name == "subscribers"]
    return len(subscribers.children)


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 60))  # type: ignore[arg-type]


def test_a_stream_tells_the_current_version_and_each_that_becomes_it(rig: Rig) -> None:
    async def work() -> None:
        stream = await rig.watch()
        first = await stream.event()
        receipts = [await rig.secrets.set(NAME, "newer")]
        second = await stream.event()
        receipts.append(await rig.secrets.set(NAME, "newest"))
        third = await stream.event()
        await stream.parts.aclose()

        [oldest, *_] = rig.served.store.version_ids(NAME)
        ids = [oldest, *[receipt.version_id for receipt in receipts]]
        assert [first["event"], second["event"], third["event"]] == ["current", "changed", "changed"]
        assert [one["id"] for one in (first, second, third)] == ids
        assert [json.loads(one["data"]) for one in (first, second, third)] == [
            {"SecretId": NAME, "VersionId": version_id} for version_id in ids
        ]

    run(work)


def test_no_event_holds_a_value(rig: Rig) -> None:
    async def work() -> None:
        stream = await rig.watch()
        told = [await stream.event()]
        await rig.secrets.set(NAME, "s3cret")
        told.append(await stream.event())
        await stream.parts.aclose()

        assert "hunter2" not in str(told)
        assert "s3cret" not in str(told)

    run(work)


def test_a_client_that_comes_back_hears_only_what_it_has_not_heard(rig: Rig) -> None:
    async def work() -> None:
        [version_id] = rig.served.store.version_ids(NAME)
        stream = await rig.watch(heard=version_id)
        while stream.pings == 0:
            asking = asyncio.ensure_future(stream.event())
            await asyncio.wait([asking], timeout=0.1)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        receipt = await rig.secrets.set(NAME, "newer")
        told = await stream.event()
        await stream.parts.aclose()
        back = await rig.watch(heard=version_id)
        again = await back.event()
        await back.parts.aclose()
        for one in (told, again):
            assert (one["event"], one["id"]) == ("changed", receipt.version_id)

    run(work)


def test_of_changes_that_come_while_a_client_is_slow_it_hears_of_the_last(rig: Rig) -> None:
    async def work() -> None:
        slow, quick = await rig.watch(), await rig.watch()
        for stream in (slow, quick):
            await stream.event()
        for value in ("1", "2", "3"):
            await rig.secrets.set(NAME, value)
            await quick.event()

        told = await slow.event()

        assert told["id"] == rig.served.store.version_ids(NAME)[-1]
        await slow.parts.aclose()
        await quick.parts.aclose()

    run(work)


def test_all_who_wait_for_a_secret_share_one_subscription(rig: Rig) -> None:
    async def work() -> None:
        streams = [await rig.watch() for _ in range(3)]
        for stream in streams:
            await stream.event()

        assert rig.watches.waiting == 3
        eventually(lambda: subscribed(rig.served) == 1)

        receipt = await rig.secrets.set(NAME, "newer")
        assert [(await stream.event())["id"] for stream in streams] == [receipt.version_id] * 3
        for stream in streams:
            await stream.parts.aclose()
            await stream.parts.aclose()  # which does no harm
        assert rig.watches.waiting == 0

    run(work)


def test_a_change_that_comes_while_the_stream_begins_is_told(rig: Rig) -> None:
    async def work() -> None:
        with ThreadPoolExecutor(1) as other, rig.served.store.hold("get", when="after") as gate:
            opening = asyncio.ensure_future(rig.watch())
            await asyncio.to_thread(gate.wait_until_held)
            setting = other.submit(rig.served.system.secrets.set, NAME, "newer")
            gate.release()
            receipt = setting.result(30)  # the loop stands still meanwhile: the answer to its get waits there
        stream = await opening
        told = [await stream.event(), await stream.event()]
        await stream.parts.aclose()

        assert [one["id"] for one in told] == [rig.served.store.version_ids(NAME)[0], receipt.version_id]

    run(work)


def test_of_too_many_the_next_is_refused_until_one_has_left(rig: Rig) -> None:
    async def work() -> None:
        streams = [await rig.watch() for _ in range(3)]
        assert (await rig.open()).status == 429
        await streams[0].parts.aclose()  # it was never read
        streams[0] = await rig.watch()
        for stream in streams:
            await stream.parts.aclose()

    run(work)


def test_how_many_wait_is_a_metric(rig: Rig) -> None:
    meter = Counted()
    watches = Watches(replace(rig.served.service, meter=meter))

    async def work() -> None:
        stream = await watches.events(Identity(UNIX), SecretId(NAME), None)
        assert list(meter.gauges["watches"]()) == [(WATCHES, (), 1)]
        await stream.aclose()
        assert list(meter.gauges["watches"]()) == [(WATCHES, (), 0)]

    run(work)


def test_one_user_cannot_take_all_places(rig: Rig) -> None:
    watches = Watches(rig.served.service, most=3, most_of_one=2)
    mine, other = (Identity(Peer(uid=uid, user="deploy")) for uid in (1, 2))

    async def work() -> None:
        streams = [await watches.events(mine, SecretId(NAME), None) for _ in range(2)]
        with pytest.raises(TooManyWait):
            await watches.events(mine, SecretId(NAME), None)
        streams.append(await watches.events(other, SecretId(NAME), None))
        with pytest.raises(TooManyWait):
            await watches.events(other, SecretId(NAME), None)
        for stream in streams:
            await stream.aclose()
        again = await watches.events(mine, SecretId(NAME), None)
        await again.aclose()

    run(work)


def test_a_stream_that_cannot_begin_leaves_no_place_taken(rig: Rig) -> None:
    async def work() -> None:
        assert (await rig.open("/secretsmanager/watch?secretId=missing")).status == 400
        with rig.served.store.failing(StoreFailure("down")):
            assert (await rig.open()).status == 500
        assert rig.watches.waiting == 0

    run(work)


def test_when_the_policy_changes_the_stream_ends_before_the_next_event(rig: Rig) -> None:
    async def work() -> None:
        stream = await rig.watch()
        await stream.event()
        rig.served.policy = Policy([Rule(("user:deploy",), ("other/*",), ("get",))])
        await rig.secrets.set(NAME, "newer")

        assert await stream.event() == {"event": "end"}
        assert rig.watches.waiting == 0
        assert (await rig.open()).status == 403

    run(work)


def test_when_its_token_is_gone_the_stream_ends_before_the_next_event(rig: Rig) -> None:
    names = {"ci"}
    watches = Watches(rig.served.service, lambda: frozenset(names))

    async def work() -> None:
        stream = await watches.events(Identity(Peer(address="127.0.0.1:1"), "ci"), SecretId(NAME), None)
        told = [await anext(stream), await anext(stream)]
        names.clear()
        await rig.secrets.set(NAME, "newer")

        assert b"event: current" in told[1]
        assert [part async for part in stream if part != b": ping\n\n"] == []
        assert watches.waiting == 0

    run(work)


def test_a_caller_who_may_only_describe_hears_of_versions_too(rig: Rig) -> None:
    rig.served.policy = Policy([Rule(("user:deploy",), (NAME,), ("describe",))])

    async def work() -> None:
        arn = (await rig.secrets.get(NAME)).arn
        for target in (WATCH, f"/secretsmanager/watch?secretId={arn}"):
            stream = await rig.watch(target)
            told = await stream.event()
            await stream.parts.aclose()
            assert told["id"] == rig.served.store.version_ids(NAME)[-1]

    run(work)
    assert rig.served.store.calls["describe"] > 0


def test_a_client_that_goes_away_while_it_waits_leaves_nothing(rig: Rig) -> None:
    async def work() -> None:
        stream = await rig.watch()
        await stream.event()
        waiting = asyncio.ensure_future(stream.event())
        await asyncio.wait([waiting], timeout=0.05)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await stream.parts.aclose()
        assert rig.watches.waiting == 0

    run(work)


def test_clients_of_several_loops_that_come_at_once_share_one_subscription(rig: Rig) -> None:
    together = threading.Barrier(3)

    async def work() -> None:
        together.wait(30)
        stream = await rig.watch()
        await stream.event()
        together.wait(30)
        told = await stream.event()
        await stream.parts.aclose()
        assert told["event"] == "changed"

    with ThreadPoolExecutor(2) as loops:
        running = [loops.submit(run, work) for _ in range(2)]
        together.wait(30)
        together.wait(30)
        eventually(lambda: subscribed(rig.served) == 1)
        rig.served.system.secrets.set(NAME, "newer")
        for one in running:
            one.result(60)


def test_at_the_end_of_the_daemon_gets_that_wait_are_answered_and_none_begins_to_wait(rig: Rig) -> None:
    async def asked() -> Response:
        version_id = rig.served.store.version_ids(NAME)[0]
        target = f"/secretsmanager/get?secretId={NAME}&wait=60"
        return await rig.face.answer(request(target, ("If-None-Match", f'"{version_id}"'), peer=UNIX))

    async def run() -> None:
        async with asyncio.timeout(20.0):
            waits = asyncio.create_task(asked())
            while not rig.watches.waiting:
                await asyncio.sleep(0)
            rig.watches.release()
            assert (await waits).status == 304
            assert (await asked()).status == 304

    asyncio.run(run())
