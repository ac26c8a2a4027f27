"""What pykka really does. Each of these shaped our door to it; a release that changes one is noticed here."""

import asyncio
import logging
import threading
from typing import Any

import pykka
import pytest
from pykka._envelope import Envelope

from tests.forking import in_child
from tests.otp.conftest import PATIENCE, eventually


class Plain(pykka.ThreadingActor):
    """Runs what it is sent, in its own thread."""

    use_daemon_thread = True

    def on_receive(self, message: Any) -> Any:
        return message() if callable(message) else super().on_receive(message)


@pytest.fixture(autouse=True)
def _no_actor_is_left() -> Any:
    yield
    pykka.ActorRegistry.stop_all(timeout=PATIENCE)


def fail() -> None:
    raise ValueError("a secret")


def test_an_exception_during_ask_goes_to_the_caller_and_the_actor_lives() -> None:
    ref = Plain.start()
    with pytest.raises(ValueError, match="a secret"):
        ref.ask(fail, timeout=PATIENCE)
    assert ref.is_alive()
    ref.tell(fail)
    eventually(lambda: not ref.is_alive(), "only a tell crashes it, which")


def test_a_failing_on_start_calls_no_hook_and_start_has_returned_a_ref() -> None:
    hooks: list[str] = []
    begun, gate = threading.Event(), threading.Event()

    class Fails(Plain):
        def on_start(self) -> None:
            begun.set()
            gate.wait(PATIENCE)
            raise ValueError("x")

        def on_stop(self) -> None:
            hooks.append("stop")

        def on_failure(self, *details: Any) -> None:
            hooks.append("failure")

    ref = Fails.start()
    assert begun.wait(PATIENCE)
    assert ref.is_alive()
    gate.set()
    eventually(lambda: not ref.is_alive())
    assert hooks == []


def test_is_alive_is_false_while_on_stop_still_runs() -> None:
    stopping, gate = threading.Event(), threading.Event()

    class Slow(Plain):
        def on_stop(self) -> None:
            stopping.set()
            gate.wait(PATIENCE)

    ref = Slow.start()
    ref.stop(block=False)
    assert stopping.wait(PATIENCE)
    assert not ref.is_alive()
    gate.set()


def test_told_messages_still_queued_at_stop_vanish() -> None:
    done: list[int] = []
    gate = threading.Event()
    ref = Plain.start()
    ref.tell(lambda: gate.wait(PATIENCE))
    stopped = ref.stop(block=False)
    ref.actor_inbox.put(Envelope(lambda: done.append(1)))
    gate.set()
    stopped.get(timeout=PATIENCE)
    eventually(ref.actor_inbox.empty)
    assert done == []


def test_an_ask_that_loses_the_race_with_stop_is_never_answered() -> None:
    ref = Plain.start()
    ref.stop(timeout=PATIENCE)
    eventually(ref.actor_inbox.empty)
    future = Plain._create_future()
    ref.actor_inbox.put(Envelope("too late", reply_to=future))
    with pytest.raises(pykka.Timeout):
        future.get(timeout=0.05)


def test_system_exit_in_one_actor_stops_every_actor() -> None:
    innocent, guilty = Plain.start(), Plain.start()

    def leave() -> None:
        raise SystemExit

    guilty.tell(leave)
    eventually(lambda: not innocent.is_alive(), "the innocent's end")


def test_awaiting_a_future_blocks_the_event_loop() -> None:
    ref = Plain.start()
    gate = threading.Event()

    async def main() -> int:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while not gate.is_set():
                ticks += 1
                await asyncio.sleep(0)

        future = ref.ask(lambda: gate.wait(PATIENCE), block=False)
        ticking = asyncio.create_task(tick())
        threading.Timer(0.1, gate.set).start()
        await future
        await ticking
        return ticks

    assert asyncio.run(main()) < 5  # an event loop that is not blocked ticks thousands of times


def test_inbox_and_future_are_replaceable_by_hooks() -> None:
    assert isinstance(pykka.ThreadingActor.__dict__["_create_actor_inbox"], staticmethod)
    assert isinstance(pykka.ThreadingActor.__dict__["_create_future"], staticmethod)


def test_it_logs_unexpected_messages_whole(caplog: pytest.LogCaptureFixture) -> None:
    ref = Plain.start()
    with caplog.at_level(logging.WARNING, logger="pykka"):
        ref.ask("a canary", timeout=PATIENCE)
    assert "a canary" in caplog.text


def test_the_thread_is_not_kept_so_nothing_can_be_joined() -> None:
    ref = Plain.start()
    assert not any(isinstance(value, threading.Thread) for value in vars(ref).values())


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_threads_do_not_survive_a_fork_though_the_ref_says_that_it_lives() -> None:
    ref = Plain.start()

    def look() -> str:
        future = ref.ask(threading.get_ident, block=False)
        try:
            future.get(timeout=0.2)
        except pykka.Timeout:
            return f"{threading.active_count()} thread, alive: {ref.is_alive()}, no answer"
        return "it has answered"

    assert ref.ask(threading.get_ident, timeout=PATIENCE) != threading.get_ident()
    assert in_child(look) == "1 thread, alive: True, no answer"
