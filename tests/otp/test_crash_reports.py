"""A crash report says who, of what and where; what was raised, too, unless the node or the server keeps that to itself:
then it quotes no message, no state and no exception's arguments."""

import logging
from typing import Any

import pytest
from msgspec import to_builtins

from secrets_actor.otp import (
    FORKED,
    NOPROC,
    Backoff,
    CallFailed,
    CallTimeout,
    ChildSpec,
    Crashed,
    DynamicSupervisor,
    Flags,
    ForkedProcess,
    GenServer,
    Handled,
    InitResult,
    InvalidTree,
    Node,
    NoProcess,
    NoTimerServer,
    Ok,
    Reply,
    StartChild,
    StartError,
    Stop,
    Stopped,
    Supervisor,
    TimerServer,
    call,
    cast,
    draw,
    snapshot,
    spawn,
    stop,
)
from secrets_actor.otp.events import AnswerForgotten, ChildRestarted, ProcessCrashed, SupervisorGaveUp
from tests.log_records import fields_of
from tests.otp.conftest import Echo, TestNode, eventually

CANARY = "canary-4711"


class Leaky(GenServer):
    """Holds the canary, and raises it."""

    def init(self) -> InitResult:
        self.state = CANARY
        return Ok()

    def handle_call(self, request: Any, caller: Any) -> Handled:
        try:
            raise KeyError(request)
        except KeyError as error:
            raise ValueError(f"{request} {self.state}") from error

    def handle_cast(self, message: Any) -> Handled:
        raise RuntimeError(message)

    def handle_info(self, message: Any) -> Handled:
        raise RuntimeError(message)


class Closed(Leaky):
    """The same on a node that explains."""

    explains = False


@pytest.mark.parametrize("way", ["call", "cast", "info"])
@pytest.mark.parametrize("server", [Leaky, Closed])
def test_no_content_is_in_events_reasons_or_the_tree(node: TestNode, way: str, server: type[Leaky]) -> None:
    node.explains = server is Closed
    root = node.spawn(lambda: Supervisor(Flags(), [ChildSpec("leaky", server, name="leaky")]), "root")
    for _ in range(2):
        leaky = node.registry.wait_for("leaky", 5.0)
        assert leaky is not None
        if way == "call":
            with pytest.raises(CallFailed) as caught:
                call(leaky, CANARY)
            assert CANARY not in f"{caught.value} {caught.value!r} {caught.value.reason!r}"
        elif way == "cast":
            cast(leaky, CANARY)
        else:
            leaky.send(CANARY)
        reason = leaky.wait(5.0)
        assert isinstance(reason, Crashed)
        error = reason.error
        assert (error.__traceback__, error.__context__, error.__cause__) == (None, None, None)
        assert "test_crash_reports.py" in reason.where
    assert root.wait(5.0) is not None
    told = [to_builtins(event, enc_hook=repr) for event in node.recorder.events]
    assert CANARY not in str(told)
    assert CANARY not in draw(snapshot(root))
    kinds = {type(event) for event in node.recorder.events}
    assert {ProcessCrashed, ChildRestarted, SupervisorGaveUp} <= kinds
    crash = node.recorder.of(ProcessCrashed)[0]
    assert [(one.supervisor, one.restarts) for one in node.recorder.of(ProcessCrashed)] == [("root", 0), ("root", 1)]
    assert (crash.process, crash.last_message) == ("leaky", "str")


class Explicit(GenServer):
    """Says what it means."""

    def __init__(self, fails: str = "") -> None:
        self.fails = fails

    def init(self) -> InitResult:
        if self.fails:
            raise RuntimeError(self.fails)
        return None

    def handle_call(self, request: Any, caller: Any) -> Handled:
        try:
            raise KeyError("the cause")
        except KeyError as error:
            raise RuntimeError("the text that I need") from error

    def handle_info(self, message: Any) -> Handled:
        return message  # type: ignore[no-any-return]


def test_a_program_s_own_process_says_what_it_died_of(node: TestNode) -> None:
    pid = node.spawn(Explicit)
    with pytest.raises(CallFailed, match="the text that I need") as caught:
        call(pid, ("q", 1))
    reason = caught.value.reason
    assert isinstance(reason, Crashed)
    assert (reason.text, reason.error_type) == ("the text that I need", "RuntimeError")
    for part in ("Traceback", "KeyError: 'the cause'", "in handle_call", "RuntimeError: the text that I need"):
        assert part in reason.traceback
    (crash,) = node.recorder.wait_for(ProcessCrashed)
    assert crash.last_message == "tuple"
    assert crash.traceback == reason.traceback
    assert "the text that I need" in crash.reason


def test_so_do_a_start_that_fails_and_a_return_that_is_none(node: TestNode) -> None:
    with pytest.raises(StartError, match="no such file"):
        node.spawn(lambda: Explicit("no such file"))
    with pytest.raises(StartError, match=r"child a failed to start: RuntimeError at .*: no such file"):
        node.spawn(lambda: Supervisor(Flags(), [ChildSpec("a", lambda: Explicit("no such file"))]))
    pid = node.spawn(Explicit)
    pid.send({"what": "is this"})
    assert "a callback returned a dict" in str(pid.wait(5.0))
    silent = node.spawn(GenServer)
    cast(silent, "x")
    assert "handles no casts of type str" in str(silent.wait(5.0))


class Unprintable(Exception):
    """Frozen, and of no help."""

    def __str__(self) -> str:
        raise SystemExit

    __repr__ = __str__

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


def test_what_cannot_be_printed_ends_its_own_process_and_no_other(node: TestNode) -> None:
    def raises(me: Any, caller: Any) -> Handled:
        raise Unprintable

    def stops(me: Any, caller: Any) -> Handled:
        return Stop(Stopped(Unprintable()))

    root = node.spawn(lambda: Supervisor(Flags(intensity=5), [ChildSpec("e", Echo, name="e")]), "root")
    for request in (raises, stops):
        with pytest.raises(CallFailed, match="<Unprintable that cannot be printed>"):
            call(node.name("e"), request)
        assert node.registry.wait_for("e", 5.0) is not None
    assert root.is_alive()


class Unreadable(Exception):
    """Lets nobody read where it came from."""

    @property
    def __cause__(self) -> BaseException | None:  # type: ignore[override]
        raise SystemExit


def test_a_crash_whose_traceback_cannot_be_printed_is_told_without_one(node: TestNode) -> None:
    def raises(me: Any, caller: Any) -> Handled:
        raise Unreadable("the text that I need")

    pid = node.spawn(Echo)
    with pytest.raises(CallFailed, match="the text that I need") as caught:
        call(pid, raises)
    reason = caught.value.reason
    assert isinstance(reason, Crashed)
    assert (reason.error_type, reason.text, reason.traceback) == ("Unreadable", "the text that I need", "")
    assert reason.where.startswith("test_crash_reports.py:")


def test_without_an_observer_a_crash_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    node = Node()
    top = spawn(node, lambda: Supervisor(Flags(intensity=0), [ChildSpec("e", Explicit, name="e")]), label="top")
    with pytest.raises(CallFailed):
        call(node.name("e"), 1)
    assert top.wait(5.0) is not None

    def logged(words: str) -> list[logging.LogRecord]:
        ours = [record for record in caplog.records if record.name == "secrets_actor.otp"]
        return [record for record in ours if words in record.getMessage()]

    # Two threads write them, in no certain order: the one that crashed, and its supervisor's.
    eventually(lambda: logged("crashed over") and logged("gave up on e"))
    (crash,) = logged("crashed over")
    text = crash.getMessage()
    assert "crashed over a message of type int: RuntimeError at test_crash_reports.py" in text
    assert "the text that I need" in text
    assert "Traceback" in text
    facts = fields_of(crash)
    assert (facts["event"], facts["process"], facts["last_message"]) == ("process_crashed", "e", "int")
    (end,) = logged("gave up on e")
    assert (fields_of(end)["event"], fields_of(end)["child"]) == ("supervisor_gave_up", "e")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (NoProcess(NOPROC), "there is no such process: noproc"),
        (NoProcess(NOPROC, "ghost"), "there is no process ghost: noproc"),
        (ForkedProcess(FORKED), "the tree lives in the program that this one was forked from: forked"),
        (ForkedProcess(FORKED, "a"), "the process a lives in the program that this one was forked from: forked"),
    ],
)
def test_the_text_reads_well_whether_a_name_is_known_or_not(error: NoProcess, text: str) -> None:
    assert str(error) == text


def test_who_is_not_there_is_named(node: TestNode) -> None:
    for ask in (lambda: call(node.name("ghost"), 1), lambda: stop(node.name("ghost"))):
        with pytest.raises(NoProcess, match="there is no process ghost: noproc"):
            ask()
    pid = node.spawn(Echo, "spirit")
    stop(pid)
    with pytest.raises(NoProcess, match="there is no process spirit"):
        call(pid, 1)


@pytest.mark.parametrize("needs", [{"backoff": Backoff()}, {"callback_timeout": 1.0}])
def test_what_needs_a_timer_says_at_once_that_there_is_none(node: TestNode, needs: Any) -> None:
    specs = [ChildSpec("a", Echo, name="a"), ChildSpec("b", Echo, **needs)]
    for top in (lambda: Supervisor(Flags(), specs), lambda: DynamicSupervisor(Flags(), template=specs[1])):
        with pytest.raises(StartError, match="InvalidTree at .*: b: .* start a TimerServer") as caught:  # noqa: RUF043
            node.spawn(top)
        assert isinstance(caught.value.reason, Crashed)
        assert isinstance(caught.value.reason.error, InvalidTree)
        assert node.live == ()
    for top in (lambda: Supervisor(Flags(), []), lambda: DynamicSupervisor(Flags())):
        with pytest.raises(InvalidTree, match="TimerServer"):
            call(node.spawn(top), StartChild(specs[1]))

    def delays(me: Any, caller: Any) -> Handled:
        with pytest.raises(NoTimerServer, match="start one first"):
            me.send_after(0.0, "x")
        return Reply("told")

    assert call(node.spawn(Echo), delays) == "told"
    node.spawn(TimerServer)
    assert node.spawn(lambda: Supervisor(Flags(), specs)).is_alive()


def test_an_answer_that_was_forgotten_is_told_and_one_that_is_late_is_not(node: TestNode) -> None:
    kept: list[Any] = []
    pid = node.spawn(Echo)
    for request in (lambda _me, caller: kept.append(caller), lambda _me, _caller: None):
        with pytest.raises(CallTimeout):
            call(pid, request, 0.1)
    (told,) = node.recorder.wait_for(AnswerForgotten)
    assert (told.process, told.serial, told.request) == (pid.label, pid.serial, "function")
    assert len(kept) == 1
