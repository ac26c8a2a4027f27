"""Cached gets in the log of a whole system: each, summed up, or not at all; and that the lean path writes what the door
would write."""

import json
import logging
import os
import select
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from secrets_actor import Secret, SecretValue
from secrets_actor.domain.packed_secret import version_bytes
from secrets_actor.domain.ports import AuditRecord
from secrets_actor.domain.secret import block_of
from secrets_actor.domain.tracing import CallerFacts, CallerName
from secrets_actor.otp import LifecycleEvent
from secrets_actor.runtime.settings import LogSettings
from secrets_actor.telemetry.audit_log import MAX_TEMPLATES, AuditLog
from secrets_actor.telemetry.audit_process import MAX_SUMS, AuditRecordsLost
from secrets_actor.telemetry.logs import Log, make_logger, stamp
from secrets_actor.testing import FakeStore, ManualClock, fake_system
from tests.actor.rig import eventually
from tests.log_records import fields_of
from tests.telemetry.conftest import Lines

VERSION = "f0b9c5b8-6a3e-4a53-9a63-5b2c6f6b1c52"
AT = datetime(2026, 11, 24, 0, 12, 3, 512_345, UTC).timestamp()
NAMES = ["db/password", 'quo"ted', "line\nend", "uml\u00e4ut", "\x1b[31mred", "lone\ud800", "2026", stamp(AT)]


def hit_of(name: str, caller: CallerName, version_id: str = VERSION) -> tuple[str, bytes, float, CallerName]:
    secret = Secret(name, "arn", SecretValue("hunter2"), version_id, ("AWSCURRENT",), datetime.now(UTC))
    return name, version_bytes(block_of(secret)), 3.5, caller


def record_of(name: str, caller: CallerName, version_id: str = VERSION) -> AuditRecord:
    return AuditRecord("get", name, "ok", "cache", 0.0, version_id, caller=caller)


@pytest.mark.parametrize("format_", ["json", "console"])
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_the_lean_path_writes_what_the_door_writes(format_: Any, name: str, tmp_path: Path) -> None:
    written = []
    facts = CallerFacts("me", (("unit", name), ("pid", 4711)))
    for caller, version_id in ((None, VERSION), ("bill\ning", VERSION), (name, "no-uuid\x07"), (facts, VERSION)):
        for way in ("door", "lean"):
            path = tmp_path / f"{way}{len(written)}"
            audit = AuditLog(make_logger(format=format_, output=str(path)))
            if way == "door":
                audit.record(record_of(name, caller, version_id), AT)
            else:
                audit.hits([hit_of(name, caller, version_id)] * 2, AT - 3.5)
            written.append(path.read_bytes())

    assert written[0].count(b"\n") == 1
    assert "2026-11-24T00:12:03.512" in written[0].decode(errors="backslashreplace")
    assert [one * 2 for one in written[::2]] == written[1::2]
    assert not any(b"hunter2" in one for one in written)


def test_in_the_host_s_logging_both_ways_make_the_same_record(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "secrets_actor")
    audit = AuditLog(make_logger(format="json", output="logging"))
    audit.record(record_of("a", None), AT)
    audit.hits([hit_of("a", None)], AT - 3.5)

    one, other = caplog.records
    assert one.created == AT
    for known in vars(one):
        assert known == "relativeCreated" or vars(one)[known] == vars(other)[known], known
    assert abs(one.relativeCreated - other.relativeCreated) < 0.01, "milliseconds, of another binary fraction each"
    assert fields_of(one)["secret_id"] == "a"


def test_a_hit_that_nobody_wants_is_not_rendered(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "secrets_actor")
    audit = AuditLog(make_logger(format="json", output="logging"))
    audit.hits([hit_of("a", None)], 0.0)
    audit.sum((*hit_of("a", None)[:2], None), 1, 1.0, 2.0)

    assert (caplog.records, audit._templates) == ([], {})


def test_templates_do_not_pile_up(log: Log, lines: Lines) -> None:
    audit = AuditLog(log)
    audit.hits([hit_of(f"s{number}", None) for number in range(MAX_TEMPLATES + 5)], AT)

    assert len(audit._templates) == 5
    assert [line["secret_id"] for line in lines()] == [f"s{number}" for number in range(MAX_TEMPLATES + 5)]


def test_a_handler_that_raises_costs_its_own_record_alone(caplog: pytest.LogCaptureFixture) -> None:
    class Second(logging.Handler):
        calls = 0

        def emit(self, record: logging.LogRecord) -> None:
            self.calls += 1
            if self.calls == 2:
                raise RuntimeError("a host's handler")

    handler, host = Second(), logging.getLogger("secrets_actor")
    caplog.set_level(logging.INFO, "secrets_actor")
    log = make_logger(format="json", output="logging")
    host.addHandler(handler)
    try:
        AuditLog(log).hits([hit_of("a", None)] * 3, 0.0)
    finally:
        host.removeHandler(handler)

    assert (handler.calls, log.dropped) == (3, 1)


def test_hits_that_are_none_raise_nothing(log: Log) -> None:
    AuditLog(log).hits([hit_of("a", None), ("b", b"", 1.0, None), hit_of("c", None)], 0.0)

    assert log.dropped == 2


def test_a_broken_stream_is_counted(log_file: Path) -> None:
    folder = log_file.parent / "logs"
    folder.mkdir()
    log = make_logger(format="json", output=str(folder / "log"))
    folder.rename(log_file.parent / "moved")
    AuditLog(log).hits([hit_of("a", None)] * 3, 0.0)

    assert log.dropped == 3


# --- a whole system -------------------------------------------------------------------------------------------------


def told(path: Path, event: str = "audit") -> list[dict[str, Any]]:
    return [line for line in map(json.loads, path.read_text().splitlines()) if line["event"] == event]


def test_a_write_while_the_process_writes_keeps_its_place(caplog: pytest.LogCaptureFixture) -> None:
    """It has counted 600 cached gets and writes the first: one that comes now, after a set, is not among them."""

    class Late(logging.Filter):  # not a handler, whose lock every process that logs would wait for
        def filter(self, record: logging.LogRecord) -> bool:
            if fields_of(record).get("source") == "cache" and not written:
                written.append(record)
                writes.set()
                done.wait(10)
            return True

    written: list[logging.LogRecord] = []
    writes, done = threading.Event(), threading.Event()
    late, host = Late(), logging.getLogger("secrets_actor")
    caplog.set_level(logging.INFO, "secrets_actor")
    host.addFilter(late)
    try:
        with fake_system() as (system, store):
            store.put("a", "v")
            for _ in range(601):
                system.secrets.get("a")
            assert writes.wait(10)
            system.secrets.set("a", "w")
            system.secrets.get("a")
            done.set()
    finally:
        done.set()
        host.removeFilter(late)

    lines = [fields_of(record) for record in caplog.records]
    told = [(line["operation"], line["source"]) for line in lines if line["event"] == "audit"]
    assert told == [("get", "backend"), *[("get", "cache")] * 600, ("set", "backend"), ("get", "cache")]


def test_each_cached_get_is_told_with_its_time_and_caller_in_order(log_file: Path) -> None:
    before = datetime.now(UTC)
    with fake_system(log=LogSettings(output=str(log_file))) as (system, store):
        store.put("a", "v")
        billing = system.secrets.for_caller("billing")
        found = system.secrets.get("a")
        for _ in range(1200):
            billing.get("a")
        system.secrets.set("a", "w")
        billing.get("a")
    after = datetime.now(UTC)

    lines = told(log_file)
    assert [(line["operation"], line["source"]) for line in lines] == [
        ("get", "backend"),
        *[("get", "cache")] * 1200,
        ("set", "backend"),
        ("get", "cache"),
    ]
    assert {line["version_id"] for line in lines[1:1201]} == {found.version_id}
    assert {line["caller"] for line in lines[1:1201]} == {"billing"}
    assert all(tuple(line) == tuple(lines[0]) for line in lines)
    times = [datetime.fromisoformat(line["timestamp"]) for line in lines]
    assert before <= times[0]
    assert times[-1] <= after
    assert len(set(times)) > 100  # each its own, not that of the writing


def test_a_summary_counts_by_version_and_caller(log_file: Path) -> None:
    clock = ManualClock()
    log = LogSettings(output=str(log_file), audit_hits="summary", audit_summary_seconds=30)
    with fake_system(FakeStore(clock=clock), log=log, ttl_seconds=3600, ttl_jitter=0) as (system, store):
        store.put("a", "v")
        first = system.secrets.get("a")
        for _ in range(7):
            system.secrets.get("a")
        for _ in range(3):
            system.secrets.for_caller("billing").get("a")
        clock.advance(31)
        system.secrets.set("a", "w")
        system.secrets.get("a")

    sums = [line for line in told(log_file) if "count" in line]
    assert [(line["caller"], line["count"]) for line in sums] == [(None, 7), ("billing", 3), (None, 1)]
    assert [line["version_id"] == first.version_id for line in sums] == [True, True, False]
    assert all(line["since"] <= line["timestamp"] for line in sums)
    assert [line["operation"] for line in told(log_file) if "count" not in line] == ["get", "set"]


def test_sums_of_too_many_callers_are_written_early(log_file: Path) -> None:
    log = LogSettings(output=str(log_file), audit_hits="summary", audit_summary_seconds=86_400)
    with fake_system(log=log) as (system, store):
        store.put("a", "v")
        system.secrets.get("a")
        for number in range(MAX_SUMS + 1):
            system.secrets.for_caller(f"c{number}").get("a")
        eventually(lambda: system.metrics().value("secrets_actor_audit_records", "written") >= MAX_SUMS, "records")

    sums = [line for line in told(log_file) if "count" in line]
    assert [line["caller"] for line in sums] == [f"c{number}" for number in range(MAX_SUMS + 1)]
    assert {line["count"] for line in sums} == {1}


def test_with_block_none_is_lost_however_small_the_room_is(log_file: Path) -> None:
    log = LogSettings(output=str(log_file), audit_buffer=3, audit_full="block")
    with fake_system(log=log) as (system, store), ThreadPoolExecutor(4) as pool:
        store.put("a", "v")
        system.secrets.get("a")
        for getting in [pool.submit(lambda: [system.secrets.get("a") for _ in range(100)]) for _ in range(4)]:
            getting.result(60)

    assert [line["source"] for line in told(log_file)] == ["backend", *["cache"] * 400]
    assert system.metrics().value("secrets_actor_audit_records", "dropped") == 0


def test_off_leaves_the_rest(log_file: Path) -> None:
    with fake_system(log=LogSettings(output=str(log_file), audit_hits="off")) as (system, store):
        store.put("a", "v")
        for _ in range(5):
            system.secrets.get("a")

    assert [line["source"] for line in told(log_file)] == ["backend"]


def drained(pipe: int, seconds: float = 0.0) -> bytes:
    """What is in the pipe, and comes within *seconds* of the last that came."""
    came = b""
    while select.select([pipe], [], [], seconds)[0] and (part := os.read(pipe, 1 << 20)):  # nothing: it was closed
        came += part
    return came


def test_what_finds_no_room_is_told_of_by_an_event_and_counted(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # a log whose reader has stopped reading
    pipe = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    events: list[LifecycleEvent] = []
    log = LogSettings(output=str(tmp_path / "pipe"), audit_buffer=10)
    try:
        with fake_system(log=log, observer=events.append) as (system, store):
            store.put("a", "v")
            for _ in range(3000):  # 64 KiB of pipe hold about 300 records
                system.secrets.get("a")
            came = drained(pipe, 0.2)
            for _ in range(3):
                system.secrets.get("a")
        came += drained(pipe)
    finally:
        os.close(pipe)

    lost = [event for event in events if isinstance(event, AuditRecordsLost)]
    lines = [json.loads(line) for line in came.splitlines()]
    audited = [line for line in lines if line["event"] == "audit"]
    assert sum(event.count for event in lost) > 1000
    assert len(audited) + sum(event.count for event in lost) == 3003
    told = [(line["level"], line["count"]) for line in lines if line["event"] == "audit_records_lost"]
    assert told == [("error", event.count) for event in lost]
