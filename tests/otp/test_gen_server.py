"""What a gen_server promises to those who call it, beyond what the traces show."""

import threading
from typing import Any

import pytest

from secrets_actor.otp import (
    SHUTDOWN,
    BadReturn,
    CallFailed,
    CallingSelf,
    CallTimeout,
    Crashed,
    Exit,
    From,
    GenServer,
    Handled,
    InitResult,
    NoProcess,
    Ok,
    Reply,
    StartError,
    Stopped,
    call,
    cast,
    stop,
)
from tests.otp.conftest import PATIENCE, Echo, TestNode, eventually


def test_a_call_returns_the_reply_and_none_is_a_reply(node: TestNode) -> None:
    pid = node.spawn(Echo)
    assert call(pid, "x") == "x"
    assert call(pid, None) is None


def test_a_deferred_reply_may_come_from_any_thread(node: TestNode) -> None:
    kept: list[From[Any]] = []
    pid = node.spawn(Echo)
    waiting = threading.Thread(target=lambda: answers.append(call(pid, lambda me, caller: kept.append(caller))))
    answers: list[Any] = []
    waiting.start()
    eventually(lambda: kept)
    assert pid.open_calls == 1
    assert kept[0].reply(7)
    waiting.join(PATIENCE)
    assert answers == [7]
    assert pid.open_calls == 0


def test_a_call_that_times_out_leaves_the_server_alone_and_drops_the_late_reply(node: TestNode) -> None:
    kept: list[From[Any]] = []
    pid = node.spawn(Echo)
    with pytest.raises(CallTimeout, match="no answer within"):
        call(pid, lambda me, caller: kept.append(caller), 0.02)
    assert not kept[0].reply("late")
    assert call(pid, "next") == "next"


def test_the_dead_the_unknown_and_oneself_are_no_partners_for_a_call(node: TestNode) -> None:
    pid = node.spawn(Echo)
    for question in (lambda me: call(me.me, "inner"), lambda me: stop(me.me)):
        error = call(pid, lambda me, caller, question=question: Reply(_outcome(lambda: question(me))))
        assert isinstance(error, CallingSelf)
    stop(pid)
    for address in (pid, node.name("nobody")):
        with pytest.raises(NoProcess):
            call(address, "x")
        with pytest.raises(NoProcess):
            stop(address)
        cast(address, "x")  # never fails


def _outcome(question: Any) -> Any:
    try:
        return question()
    except Exception as error:
        return error


def test_all_who_wait_get_the_reason_when_the_server_dies(node: TestNode) -> None:
    gate = threading.Event()
    pid = node.spawn(Echo)
    errors: list[Any] = []

    def first(me: Echo, caller: Any) -> Handled:
        gate.wait(PATIENCE)
        raise Exit(Stopped("boom"))

    threads = [
        threading.Thread(target=lambda request=request: errors.append(_outcome(lambda: call(pid, request))))
        for request in (first, "queued", "queued too")
    ]
    for thread in threads:
        thread.start()
    eventually(lambda: pid.open_calls == 3)
    gate.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert [error.reason for error in errors] == [Stopped("boom")] * 3


def test_a_call_to_the_dying_is_answered_with_its_reason(node: TestNode) -> None:
    entered, gate = threading.Event(), threading.Event()

    class Slow(Echo):
        def terminate(self, reason: Any) -> None:
            entered.set()
            gate.wait(PATIENCE)

    pid = node.spawn(Slow)
    pid_stopper = threading.Thread(target=lambda: stop(pid, SHUTDOWN))
    pid_stopper.start()
    assert entered.wait(PATIENCE)
    answers: list[Any] = []
    caller = threading.Thread(target=lambda: answers.append(_outcome(lambda: call(pid, "x"))))
    caller.start()
    eventually(lambda: pid.open_calls == 1)
    gate.set()
    caller.join(PATIENCE)
    pid_stopper.join(PATIENCE)
    assert isinstance(answers[0], CallFailed)
    assert answers[0].reason == SHUTDOWN


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), MemoryError(), ValueError("x")])
def test_whatever_a_callback_raises_ends_this_process_only(node: TestNode, error: BaseException) -> None:
    pid, other = node.spawn(Echo), node.spawn(Echo)

    def fail(me: Echo, caller: Any) -> Handled:
        raise error

    with pytest.raises(CallFailed) as caught:
        call(pid, fail)
    assert isinstance(caught.value.reason, Crashed)
    assert caught.value.reason.error_type == type(error).__name__
    assert call(other, "alive") == "alive"


@pytest.mark.parametrize("callback", ["call", "cast", "info", "continue", "init"])
def test_an_answer_that_is_none_ends_the_server(node: TestNode, callback: str) -> None:
    class Odd(GenServer):
        def init(self) -> Any:
            return {"init": 7, "continue": Ok(then="x")}.get(callback)

        def handle_call(self, request: Any, caller: Any) -> Any:
            return 7

        handle_cast = handle_info = handle_continue = lambda self, message: 7  # type: ignore[assignment,return-value]

    if callback == "init":
        with pytest.raises(StartError) as refused:
            node.spawn(Odd)
        reason = refused.value.reason
    else:
        pid = node.spawn(Odd)
        if callback == "call":
            with pytest.raises(CallFailed):
                call(pid, "x")
        elif callback == "cast":
            cast(pid, "x")
        elif callback == "info":
            pid.send("x")
        reason = pid.wait(PATIENCE)  # type: ignore[assignment]
    assert isinstance(reason, Crashed)
    assert isinstance(reason.error, BadReturn)
    assert reason.error.value == 7
    assert "7" not in str(reason.error)


def test_a_reply_to_nobody_is_a_bad_answer(node: TestNode) -> None:
    pid = node.spawn(Echo)
    cast(pid, lambda me: Reply(1))
    reason = pid.wait(PATIENCE)
    assert isinstance(reason, Crashed)
    assert reason.error_type == "BadReturn"


def test_a_server_without_callbacks_says_which_type_it_did_not_expect(node: TestNode) -> None:
    for send in (lambda pid: _outcome(lambda: call(pid, 5)), lambda pid: cast(pid, 5)):
        pid = node.spawn(GenServer)
        send(pid)
        reason = pid.wait(PATIENCE)
        assert isinstance(reason, Crashed)
        assert "int" in str(reason.error)

    class Continues(GenServer):
        def init(self) -> InitResult:
            return Ok(then=5)

    pid = node.spawn(Continues)
    assert isinstance(pid.wait(PATIENCE), Crashed)
