"""Each operation leaves one event of one shape."""

import threading
from datetime import UTC, datetime
from typing import Any, cast

from msgspec.structs import replace

from secrets_actor.domain.names import SecretId
from secrets_actor.domain.ports import AuditRecord
from secrets_actor.domain.secret import Source
from secrets_actor.domain.tracing import CallerFacts
from secrets_actor.telemetry.audit_log import AuditLog, facts_of
from secrets_actor.telemetry.logs import Log
from tests.telemetry.conftest import Lines

RECORD = AuditRecord(
    "get", SecretId("db/password"), "ok", Source.BACKEND, 0.0123456, "v-1", "r-1", "billing", origin="there:443"
)
AT = datetime(2026, 11, 24, 0, 12, 3, 512_000, UTC).timestamp()


def test_a_record_is_one_event_with_all_its_fields(log: Log, lines: Lines) -> None:
    AuditLog(log).record(RECORD, AT)

    (line,) = lines()
    assert line == {
        "timestamp": "2026-11-24T00:12:03.512000Z",
        "level": "info",
        "event": "audit",
        "operation": "get",
        "secret_id": "db/password",
        "outcome": "ok",
        "source": "backend",
        "duration_ms": 12.346,
        "version_id": "v-1",
        "request_id": "r-1",
        "caller": "billing",
        "origin": "there:443",
    }


def test_what_is_known_of_a_caller_is_a_field_each(log: Log, lines: Lines) -> None:
    caller = CallerFacts("unit:a.service (user deploy)", (("unit", "a.service"), ("pid", 4711), ("by", "peer")))
    AuditLog(log).record(replace(RECORD, caller=caller), AT)

    (line,) = lines()
    assert {name: fact for name, fact in line.items() if name.startswith("caller")} == {
        "caller": "unit:a.service (user deploy)",
        "caller_unit": "a.service",
        "caller_pid": 4711,
        "caller_by": "peer",
    }


def test_what_is_not_known_is_null_and_not_left_out(log: Log, lines: Lines) -> None:
    AuditLog(log).record(AuditRecord("list", None, "unreachable", "backend", 1.0), AT)

    (line,) = lines()
    assert line["duration_ms"] == 1000
    assert [line[key] for key in ("secret_id", "version_id", "request_id", "caller", "origin")] == [None] * 5


def test_many_threads_record_each_their_own(log: Log, lines: Lines) -> None:
    sink = AuditLog(log)
    threads = [
        threading.Thread(
            target=lambda n=n: [sink.record(AuditRecord("get", f"s{n}", "ok", "cache", 0), AT) for _ in range(9)]
        )
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(line["secret_id"] for line in lines()) == sorted(f"s{n}" for n in range(8) for _ in range(9))


def test_a_record_that_is_none_is_counted_and_raises_nothing(log: Log, lines: Lines) -> None:
    AuditLog(log).record(cast(Any, None), AT)

    assert log.dropped == 1
    assert lines() == []


def test_a_duration_is_in_milliseconds_to_the_microsecond() -> None:
    assert facts_of(RECORD)["duration_ms"] == 12.346
