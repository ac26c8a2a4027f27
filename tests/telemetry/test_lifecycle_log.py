"""The kernel's events in the log: a name, plain fields, and a level that wakes the right people."""

import json
import logging
import threading
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import fields

from secrets_actor.log_fields import event_name
from secrets_actor.otp import events
from secrets_actor.otp.events import LifecycleEvent
from secrets_actor.telemetry.lifecycle_log import LifecycleReporter, Reports, facts_of, level_of
from secrets_actor.telemetry.logs import Log, make_logger
from tests.log_records import fields_of
from tests.telemetry.conftest import Lines

KINDS = [one for one in vars(events).values() if isinstance(one, type) and issubclass(one, LifecycleEvent)]


class ChildBroken(Struct, frozen=True):
    """An event whose fields are not plain."""

    child: str
    reason: BaseException
    state: object
    token: str


class Spiteful:
    __struct_fields__ = property(lambda self: 1 / 0)


def an_event(kind: type[Any]) -> Any:
    """One of *kind*, its fields filled by their annotations."""
    values = {str: "text", int: 3, float: 1.5}
    return kind(**{field.name: values.get(field.type, "text") for field in fields(kind)})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_event_of_the_kernel_is_told_with_all_its_fields(
    kind: type[Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "secrets_actor")
    event = an_event(kind)

    LifecycleReporter(make_logger(format="json", output="logging"))(event)

    (record,) = caplog.records
    assert fields_of(record) == {"event": event_name(kind.__name__), **facts_of(event)}
    assert record.levelno == level_of(kind.__name__)


@pytest.mark.parametrize(
    ("kind", "name", "level"),
    [
        ("ProcessStarted", "process_started", logging.DEBUG),
        ("ProcessEnded", "process_ended", logging.DEBUG),
        ("ProcessCrashed", "process_crashed", logging.WARNING),
        ("ProcessDisowned", "process_disowned", logging.WARNING),
        ("ChildRestarted", "child_restarted", logging.WARNING),
        ("ChildStartFailed", "child_start_failed", logging.WARNING),
        ("SupervisorGaveUp", "supervisor_gave_up", logging.WARNING),
        ("ReloadRefused", "reload_refused", logging.WARNING),
        ("SupervisorShutDown", "supervisor_shut_down", logging.INFO),
        ("AuditRecordsLost", "audit_records_lost", logging.ERROR),
        ("AWSEvent", "awsevent", logging.INFO),
    ],
)
def test_a_class_name_gives_the_event_s_name_and_level(kind: str, name: str, level: int) -> None:
    assert event_name(kind) == name
    assert level_of(kind) == level


def test_fields_that_are_not_plain_are_redacted(log: Log, lines: Lines) -> None:
    LifecycleReporter(log)(ChildBroken("worker", ValueError("canary"), {"a": "canary"}, "canary"))

    (line,) = lines()
    assert (line["reason"], line["state"], line["token"]) == ("ValueError", "<dict>", "****")
    assert "canary" not in json.dumps(line)


def test_what_is_no_struct_is_told_by_its_name_alone(log: Log, lines: Lines) -> None:
    LifecycleReporter(log)(object())

    (line,) = lines()
    assert set(line) == {"timestamp", "level", "event"}
    assert line["event"] == "object"


def test_an_event_that_cannot_be_read_is_counted_and_raises_nothing(log: Log) -> None:
    LifecycleReporter(log)(Spiteful())

    assert log.dropped == 1


def test_an_event_that_the_log_does_not_want_wakes_nobody() -> None:
    logging.getLogger("secrets_actor").setLevel(logging.NOTSET)  # the root's level, which is WARNING, is in force
    reports = Reports(lambda _event: None, make_logger(format="json", output="logging"), None)

    reports(events.ProcessStarted("worker", 1))
    assert "log courier" not in {thread.name for thread in threading.enumerate()}
    reports.close(1.0)
