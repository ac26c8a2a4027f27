"""Both clients: what they refuse, what they wait for, and what their errors show."""

import math
import threading
import traceback
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from secrets_actor import DeadlineExceeded, InvalidParameter, LogSettings, SecretsError, ServerDown, System
from secrets_actor.clock import now as clock_now
from secrets_actor.domain.secret import SecretValue
from secrets_actor.events import CallerFacts
from secrets_actor.otp import SHUTDOWN
from tests.actor.rig import RigStore, audit_log, eventually, failure, in_background, kill, process, running, settings

VALUE = "hunter2-must-not-show"


@pytest.mark.parametrize("timeout", [-1, math.nan, math.inf, 86_401, "5"], ids=repr)
def test_a_time_that_is_none_is_refused_and_asks_nobody(system: System, rig_store: RigStore, timeout: Any) -> None:
    error = failure(lambda: system.secrets.get("a", timeout=timeout))

    assert type(error) is InvalidParameter
    assert error.parameter == "timeout"
    assert rig_store.seen == []


@pytest.mark.parametrize("timeout", [0, 0.001, 0.2])
def test_a_deadline_is_kept(system: System, rig_store: RigStore, timeout: float) -> None:
    rig_store.hold("get")
    begun = clock_now()

    assert type(failure(lambda: system.secrets.get("a", timeout=timeout))) is DeadlineExceeded
    assert clock_now() - begun < timeout + 0.5


def test_the_longest_time_goes(system: System, rig_store: RigStore) -> None:
    rig_store.put("a", "v")
    hold = rig_store.hold("get")
    getting = in_background(lambda: system.secrets.get("a", timeout=86_400).reveal())
    hold.wait()
    eventually(process(system, "timers").mailbox_idle)
    told = in_background(lambda: failure(lambda: system.secrets.get("b", timeout=0.2)))
    assert type(told.result(5)) is DeadlineExceeded
    hold.go.set()
    assert getting.result(5) == "v"


def test_a_deadline_that_is_also_a_time_out_is_caught_as_either(system: System, rig_store: RigStore) -> None:
    rig_store.hold("get")
    with pytest.raises(TimeoutError):
        system.secrets.get("a", timeout=0.01)


def test_a_value_shows_in_no_frame_of_ours_whatever_is_raised(system: System, rig_store: RigStore) -> None:
    rig_store.hold("set")
    for provoke in (
        lambda: system.secrets.set("a", SecretValue(VALUE), timeout=0.01),
        lambda: system.secrets.set("no spaces", SecretValue(VALUE)),
        lambda: system.secrets.set("a", SecretValue(VALUE), token="short"),
    ):
        error = failure(provoke)
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        ours = [frame for frame in shown.stack if "secrets_actor/" in frame.filename]
        assert ours
        assert VALUE not in "".join(shown.format())
        assert VALUE not in repr(error)


def test_a_raw_value_is_masked_before_anything_is_raised(system: System, rig_store: RigStore) -> None:
    """The caller's own frame has it; ours have not."""
    raw = VALUE
    error = failure(lambda: system.secrets.set("a", raw, token="short"))
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)

    for frame in shown.stack:
        if "secrets_actor/" in frame.filename:
            assert VALUE not in str(frame.locals), frame


def test_each_of_many_threads_gets_an_error_of_its_own_without_the_workers_frames(
    system: System, rig_store: RigStore
) -> None:
    hold = rig_store.hold("get")
    asked = [in_background(lambda: system.secrets.get("missing")) for _ in range(5)]
    hold.wait()
    eventually(lambda: process(system, "secrets").open_calls == 5)
    hold.go.set()
    errors = [one.exception(10) for one in asked]

    assert len({id(error) for error in errors}) == 5
    for error in errors:
        assert isinstance(error, SecretsError)
        assert error.__cause__ is None
        assert error.__context__ is None
        assert "worker.py" not in "".join(traceback.format_exception(error))


def test_a_request_that_finds_nobody_waits_for_the_restart(system: System, rig_store: RigStore) -> None:
    rig_store.put("a", "v")
    killed = process(system, "secrets")
    killed.kill()  # the next is not there at this moment, or hardly

    assert system.secrets.get("a").reveal() == "v"
    assert system.secrets.set("b", "v").created


def test_writes_are_not_repeated_for_the_caller(system: System, rig_store: RigStore) -> None:
    rig_store.put("a", "v")
    hold = rig_store.hold("delete")
    deleting = in_background(lambda: system.secrets.delete("a"))
    hold.wait()
    kill(system, "secrets")
    assert type(deleting.exception(10)) is ServerDown
    hold.go.set()
    assert rig_store.count("delete") == 1


def test_after_stop_every_call_is_refused_at_once(system: System, rig_store: RigStore) -> None:
    rig_store.put("a", "v")
    system.secrets.get("a")
    system.stop()
    begun = clock_now()

    for ask in (
        lambda: system.secrets.get("a"),
        lambda: system.secrets.set("a", "v"),
        lambda: system.secrets.delete("a"),
        lambda: system.secrets.restore("a"),
        system.secrets.list,
    ):
        assert type(failure(ask)) is ServerDown
    assert clock_now() - begun < 1.0
    assert repr(system.secrets) in ("<Secrets of secrets>", "<AsyncSecrets of secrets>")


def test_callers_who_wait_at_stop_are_answered(system: System, rig_store: RigStore) -> None:
    hold = rig_store.hold("get")
    asked = [in_background(lambda k=k: system.secrets.get(k, timeout=60)) for k in "abc"]
    hold.wait()
    stopping = threading.Thread(target=system.stop)
    stopping.start()
    assert {type(one.exception(10)) for one in asked} == {ServerDown}
    hold.go.set()
    stopping.join(10)
    assert not stopping.is_alive()


@pytest.mark.parametrize(
    "label", [["not", "hashable"], {}, 5, b"bytes", frozenset(), "", "x" * 257, "\ud800"], ids=ascii
)
def test_a_label_that_is_none_is_refused_at_once(system: System, label: Any) -> None:
    for client in (system.secrets, system.async_secrets):
        error = failure(lambda client=client: client.for_caller(label))  # type: ignore[misc]
        assert type(error) is InvalidParameter
        assert error.parameter == "label"


@pytest.mark.parametrize(
    "facts", [[("pid",)], [("a b", "x")], [("unit", None)], [("Unit", "x")], [(5, "x")], ["unit"], [("", 1)]], ids=ascii
)
def test_facts_that_are_none_are_refused(facts: Any) -> None:
    error = failure(lambda: CallerFacts("me", facts))
    assert type(error) is InvalidParameter
    assert error.parameter == "facts"
    assert type(failure(lambda: CallerFacts("", ()))) is InvalidParameter


def test_facts_are_kept_as_plain_texts_of_bounded_length() -> None:
    facts = CallerFacts(Odd("me"), ((Odd("unit"), Odd("x" * 300)), ("pid", True)))

    assert (type(facts.label), facts.label) == (str, "me")
    assert facts.facts == (("unit", "x" * 256), ("pid", 1))
    assert hash(facts) == hash(CallerFacts("me", (("unit", "x" * 256), ("pid", 1))))


class Odd(str):
    """A text whose class is of no help to whoever leans on it."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared")

    def __str__(self) -> str:
        raise AssertionError("printed")

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        raise AssertionError("formatted")


@pytest.mark.parametrize("hits", ["each", "summary"])
def test_a_text_of_a_class_of_its_own_is_a_text_like_any_other(tmp_path: Path, rig_store: RigStore, hits: Any) -> None:
    log = LogSettings(output=str(tmp_path / "log"), audit_hits=hits)
    with running(System(replace(settings(tmp_path), log=log), backend=rig_store.factory())) as system:
        system.secrets.set("a", "v")
        mine = system.secrets.for_caller(Odd("me"))
        for _ in range(2):
            assert mine.get(Odd("a"), stage=Odd("AWSCURRENT")).reveal() == "v"
            assert mine.get(Odd("a")).reveal() == "v"
            assert mine.get("a").reveal() == "v"
        assert mine.get_many([Odd("a")]).found["a"].reveal() == "v"
        actor = process(system, "secrets")
        system.stop()
    assert actor.reason is SHUTDOWN
    assert {line["caller"] for line in audit_log(tmp_path) if line["operation"] == "get"} == {"me"}
