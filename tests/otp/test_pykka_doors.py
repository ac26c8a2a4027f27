"""Plain pykka actors of a host program beside ours: they ask ours, and nothing of ours ends them."""

import threading
from typing import Any

import pykka
import pytest

from secrets_actor.otp import Answered, Ask, CallFailed, From, NamedRef, NoProcess, Reply, Stopped, call, stop
from tests.otp.child_helpers import hold
from tests.otp.conftest import PATIENCE, Echo, Listener, TestNode, eventually


class Host(pykka.ThreadingActor):
    """An actor of the host program: runs what it is asked to, keeps what it is told."""

    use_daemon_thread = True

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Any] = []
        self.heard = threading.Semaphore(0)

    def on_receive(self, message: Any) -> Any:
        if callable(message):
            return message()
        self.told.append(message)
        self.heard.release()
        return None


@pytest.fixture
def host() -> Any:
    """A host actor, stopped afterwards."""
    ref = Host.start()
    yield ref
    ref.stop()


class Translated(ValueError):
    """An error of the server's own."""


def translate(error: BaseException) -> BaseException:
    return Translated(type(error).__name__)


def test_a_host_actor_asks_by_name_and_gets_a_deferred_answer(node: TestNode, host: Any) -> None:
    kept: list[From[Any]] = []
    node.spawn(Echo, name="ours")
    ref = NamedRef(node, "ours", translate)
    assert host.ask(lambda: ref.ask("now")) == "now"
    future = ref.ask(lambda me, caller: kept.append(caller), block=False)
    eventually(lambda: kept)
    kept[0].reply("later")
    assert future.get(timeout=PATIENCE) == "later"
    assert "ours" in str(ref)


def test_an_ask_outlives_a_restart_and_fails_in_the_host_s_terms_meanwhile(node: TestNode) -> None:
    ref = NamedRef(node, "ours", translate)
    with pytest.raises(Translated, match="NoProcess"):
        ref.ask("x", timeout=PATIENCE)
    ref.tell("nobody hears")
    for _ in range(2):
        pid = node.spawn(Echo, name="ours")
        assert ref.ask("x", timeout=PATIENCE) == "x"
        stop(pid)


def test_an_error_reaches_the_asker_through_the_server_s_translator(node: TestNode) -> None:
    class Own(Echo):
        def translate(self, error: BaseException) -> BaseException:
            return translate(error)

    pid = node.spawn(Own)

    def fail(me: Any, caller: Any) -> Any:
        raise KeyError("secret")

    with pytest.raises(Translated, match="CallFailed"):
        pid.ref.ask(fail, timeout=PATIENCE)
    plain = node.spawn(Echo)
    with pytest.raises(CallFailed):
        plain.ref.ask(fail, timeout=PATIENCE)


def test_told_an_ask_the_answer_comes_to_the_reply_address(node: TestNode, host: Any) -> None:
    pid = node.spawn(Echo, name="ours")
    ref = NamedRef(node, "ours", translate)
    answers: list[Answered] = []

    class Address:
        def tell(self, message: Any) -> None:
            answers.append(message)

    ref.tell(Ask("x", reply_to=Address(), tag=1))
    eventually(lambda: answers)
    assert answers[0] == Answered(1, "x")
    assert answers[0].result() == "x"
    ref.tell(Ask(lambda me, caller: caller.fail(KeyError("k")) and None, reply_to=Address(), tag=2))
    eventually(lambda: len(answers) == 2)
    with pytest.raises(KeyError):
        answers[1].result()
    stop(pid)
    ref.tell(Ask("x", reply_to=Address(), tag=3))
    assert isinstance(answers[2].error, Translated)
    pid2 = node.spawn(Echo)
    dead = Host.start()
    dead.stop()
    pid2.ref.tell(Ask("x", reply_to=dead))  # nobody is left to hear it
    assert call(pid2, "alive") == "alive"


def test_a_host_actor_tells_and_it_comes_as_info(node: TestNode) -> None:
    listeners: list[Listener] = []

    def make() -> Listener:
        listeners.append(Listener())
        return listeners[0]

    pid = node.spawn(make)
    pid.ref.tell({"any": "thing"})
    assert listeners[0].seen(1) == [{"any": "thing"}]


def test_a_host_may_stop_ours_through_its_ref_and_finds_it_gone(node: TestNode) -> None:
    pid = node.spawn(Echo, name="ours")
    ref = NamedRef(node, "ours", translate)
    ref.stop(timeout=PATIENCE)
    assert pid.wait(PATIENCE) is not None
    ref.stop(timeout=PATIENCE)  # nobody: fine
    assert not pid.is_alive()


def test_attribute_access_from_outside_is_refused(node: TestNode) -> None:
    from pykka.messages import ProxyGetAttr

    pid = node.spawn(Echo)
    with pytest.raises(TypeError, match="takes messages"):
        pid.ref.ask(ProxyGetAttr(attr_path=("node",)), timeout=PATIENCE)
    assert call(pid, 1) == 1


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), MemoryError()])
def test_the_host_s_actors_live_through_whatever_ours_raise(node: TestNode, host: Any, error: BaseException) -> None:
    def fail(*_: Any) -> Any:
        raise error

    class FailsLate(Echo):
        def terminate(self, reason: Any) -> None:
            raise error

    for pid in (node.spawn(Echo), node.spawn(FailsLate)):
        with pytest.raises(CallFailed):
            call(pid, fail)
        assert pid.wait(PATIENCE) is not None
    with pytest.raises(Exception, match="did not start"):
        node.spawn(fail)
    assert host.ask(lambda: "alive", timeout=PATIENCE) == "alive"
    assert len(pykka.ActorRegistry.get_all()) == 1


def test_the_host_s_stop_all_does_not_touch_ours(node: TestNode) -> None:
    pid = node.spawn(Echo)
    Host.start()
    pykka.ActorRegistry.stop_all(timeout=PATIENCE)
    assert call(pid, "alive") == "alive"


def test_every_open_ask_is_answered_when_the_server_is_killed(node: TestNode) -> None:
    entered, gate = threading.Event(), threading.Event()
    pid = node.spawn(Echo)
    futures = [pid.ref.ask(lambda me, caller: hold(entered, gate), block=False)]
    futures += [pid.ref.ask(n, block=False) for n in range(50)]
    assert entered.wait(PATIENCE)
    pid.finish(Stopped("gone"))
    gate.set()
    for future in futures:
        with pytest.raises(CallFailed, match="gone"):
            future.get(timeout=PATIENCE)
    with pytest.raises(pykka.ActorDeadError):
        pid.ref.ask("x", timeout=PATIENCE)
    with pytest.raises(NoProcess):
        call(pid, lambda me, caller: Reply(1))
