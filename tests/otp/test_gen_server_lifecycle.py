"""How a gen_server starts, is named, waits and ends, beyond what the traces show."""

import threading
from functools import partial
from typing import Any

import pytest

from secrets_actor.otp import (
    IGNORE,
    NOPROC,
    NORMAL,
    TIMEOUT,
    CallFailed,
    CallTimeout,
    Crashed,
    Down,
    Exit,
    GenServer,
    Handled,
    Ignore,
    InitResult,
    NameTaken,
    NoProcess,
    NoReply,
    Ok,
    Reply,
    Shutdown,
    StartError,
    Stop,
    Stopped,
    call,
    cast,
    stop,
)
from tests.otp.conftest import PATIENCE, Echo, Listener, TestNode


def test_init_can_ignore_stop_fail_or_take_too_long(node: TestNode) -> None:
    class Init(GenServer):
        def __init__(self, what: Any) -> None:
            self.what = what

        def init(self) -> InitResult:
            result: InitResult = self.what()
            return result

    release = threading.Event()
    cases: list[tuple[Any, Any]] = [
        (Ignore, IGNORE),
        (lambda: Stop(Stopped("no")), Stopped("no")),
        (lambda: release.wait(PATIENCE), TIMEOUT),
    ]
    for what, reason in cases:
        with pytest.raises(StartError) as refused:
            node.spawn(partial(Init, what), name="taken", timeout=0.05 if reason is TIMEOUT else None)
        assert refused.value.reason == reason
        assert node.registry.whereis("taken") is None
    release.set()
    with pytest.raises(StartError) as refused:
        node.spawn(lambda: 1 / 0)
    assert "ZeroDivisionError" in str(refused.value)
    with pytest.raises(StartError) as refused:
        node.spawn(lambda: "not a behaviour")
    assert isinstance(refused.value.reason, Crashed)


def test_a_name_has_one_live_process(node: TestNode) -> None:
    first = node.spawn(Echo, name="the_name")
    with pytest.raises(NameTaken) as taken:
        node.spawn(Echo, name="the_name")
    assert taken.value.holder is first
    assert call(node.name("the_name"), 1) == 1
    stop(first)
    second = node.spawn(Echo, name="the_name")
    assert node.name("the_name").resolve() is second
    assert "the_name" in repr(node.name("the_name"))


def test_what_init_tells_its_starter_is_on_the_pid(node: TestNode) -> None:
    class Informs(GenServer):
        def init(self) -> InitResult:
            return Ok(info={"port": 1})

    assert node.spawn(Informs).info == {"port": 1}


def test_stop_waits_for_its_turn_and_tells_when_the_server_ended_otherwise(node: TestNode) -> None:
    order: list[str] = []
    pid = node.spawn(Echo)
    cast(pid, lambda me: order.append("first"))
    stop(pid, Shutdown("done"))
    assert order == ["first"]
    assert pid.reason == Shutdown("done")

    class Clumsy(Echo):
        def terminate(self, reason: Any) -> None:
            raise Exit(Stopped("broken"))

    pid = node.spawn(Clumsy)
    with pytest.raises(CallFailed) as failed:
        stop(pid)
    assert failed.value.reason == Stopped("broken")


def test_any_reason_will_do_to_stop_a_server(node: TestNode) -> None:
    pid = node.spawn(Echo)
    stop(pid, NOPROC)
    assert pid.reason == NOPROC
    with pytest.raises(NoProcess):
        stop(pid, NOPROC)


def test_stop_may_give_up_waiting(node: TestNode) -> None:
    gate = threading.Event()
    pid = node.spawn(Echo)
    cast(pid, lambda me: gate.wait(PATIENCE) and None)
    with pytest.raises(CallTimeout):
        stop(pid, NORMAL, 0.02)
    gate.set()
    assert pid.wait(PATIENCE) == NORMAL


def test_silence_becomes_a_timeout_once(node: TestNode) -> None:
    class Quiet(GenServer):
        times = 0

        def init(self) -> InitResult:
            return Ok(timeout=0.01)

        def handle_timeout(self) -> Handled:
            Quiet.times += 1
            return NoReply(timeout=0.01) if Quiet.times < 3 else Stop()

    pid = node.spawn(Quiet)
    assert pid.wait(PATIENCE) == NORMAL
    assert Quiet.times == 3


def test_a_server_asks_another_without_waiting(node: TestNode) -> None:
    listeners: list[Listener] = []

    def make() -> Listener:
        listeners.append(Listener())
        return listeners[0]

    asker, asked = node.spawn(make), node.spawn(Echo)
    call(asker, lambda me, caller: me.call_async(asked, 9, "tag") or Reply(None))
    (done,) = listeners[0].seen(1)
    assert (done.tag, done.done.result()) == ("tag", 9)
    stop(asked)
    call(asker, lambda me, caller: me.call_async(asked, 9, "dead") or Reply(None))
    dead = listeners[0].seen(2)[1]
    with pytest.raises(NoProcess):
        dead.done.result()


def test_a_down_can_be_flushed_and_one_that_is_wanted_comes(node: TestNode) -> None:
    listeners: list[Listener] = []

    def make() -> Listener:
        listeners.append(Listener())
        return listeners[0]

    watcher, watched = node.spawn(make), node.spawn(Echo)

    def watch(me: Any, caller: Any) -> Handled:
        unwanted, wanted, cancelled = me.monitor(watched), me.monitor(watched), me.monitor(watched)
        assert me.demonitor(cancelled)
        watched.kill()
        assert not me.demonitor(unwanted, flush=True)
        return Reply(wanted)

    wanted = call(watcher, watch)
    call(watcher, "all handled")
    (down,) = listeners[0].seen(1)
    assert isinstance(down, Down)
    assert down.ref is wanted
    assert str(down.reason) == "killed"


def test_a_down_that_a_server_made_itself_comes_when_it_waits_and_not_before(node: TestNode) -> None:
    listeners: list[Listener] = []

    def make() -> Listener:
        listeners.append(Listener())
        return listeners[0]

    watcher, other = node.spawn(make), node.spawn(Echo)
    victims = [node.spawn(Echo) for _ in range(4)]
    victims[0].kill()
    victims[1].kill()

    def watch(me: Any, caller: Any) -> Handled:
        dead = me.monitor(victims[0])
        me.demonitor(dead)
        living = me.monitor(victims[2])
        victims[2].kill()
        me.demonitor(living)
        late = [me.monitor(victims[1]), me.monitor(victims[3])]
        victims[3].kill()
        call(other, "waits")
        for ref in late:
            me.demonitor(ref)
        return Reply(late)

    late = call(watcher, watch)
    call(watcher, "all handled")
    downs = listeners[0].seen(2)
    assert [down.ref for down in downs] == late
    assert [str(down.reason) for down in downs] == ["noproc", "killed"]
