"""Loggers of our own: where lines go, what they look like, and what happens when they cannot be written."""

import contextlib
import io
import json
import logging
import os
import pty
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor

from secrets_actor.domain.errors import ConfigurationError
from secrets_actor.telemetry.logs import Log, make_logger
from tests.log_records import fields_of
from tests.telemetry.conftest import Lines

AT = datetime(2026, 11, 24, 0, 12, 3, 512_345, UTC).timestamp()
ESCAPE = "\x1b["


class Broken(io.StringIO):
    """A stream whose other end is gone."""

    def write(self, _text: str) -> int:
        raise BrokenPipeError


class KeptRecords:
    """An exporter of OpenTelemetry that keeps what it gets. Its own has one name in old versions and another in new."""

    def __init__(self) -> None:
        self.records: list[Any] = []

    def export(self, batch: Iterable[Any]) -> None:
        self.records += [one.log_record for one in batch]

    def shutdown(self) -> None:
        pass


class BrokenHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise RuntimeError("a host's handler that raises")


def test_a_json_line_has_time_level_event_and_facts(log: Log, lines: Lines) -> None:
    before = datetime.now(UTC)
    log.info("started", process="secrets", count=2, stages=("a", "b"), nothing=None)
    log.warning("odd")
    log.error("lost")
    after = datetime.now(UTC)

    first, second, third = lines()
    at = datetime.fromisoformat(first.pop("timestamp"))
    assert before <= at <= after
    assert at.utcoffset() == UTC.utcoffset(None)
    assert first == {
        "level": "info",
        "event": "started",
        "process": "secrets",
        "count": 2,
        "stages": ["a", "b"],
        "nothing": None,
    }
    assert [(line["level"], line["event"]) for line in (second, third)] == [("warning", "odd"), ("error", "lost")]
    assert log.dropped == 0


def test_a_planted_value_reaches_no_line(log: Log, log_file: Path) -> None:
    log.info("x", password="canary", note=ValueError("canary"), data={"a": "canary"}, exc_info=ValueError("canary"))

    assert "canary" not in log_file.read_text()
    assert log.dropped == 0


def test_facts_named_as_structlog_s_own_do_not_get_in_its_way(log: Log, lines: Lines) -> None:
    log.info("x", level=7, event="y", self=1, timestamp="never")

    (line,) = lines()
    assert (line["event"], line["level"], line["level_"], line["event_"], line["self_"]) == ("x", "info", 7, "y", 1)
    assert line["timestamp_"] == "never" != line["timestamp"]


def test_a_new_log_file_is_ours_alone_and_an_old_one_is_appended_to(log_file: Path, lines: Lines) -> None:
    for event in ("first", "second"):
        make_logger(format="json", output=str(log_file)).info(event)

    assert log_file.stat().st_mode & 0o777 == 0o600
    assert [line["event"] for line in lines()] == ["first", "second"]


def test_a_log_file_is_followed_when_it_is_moved_away(log: Log, log_file: Path, lines: Lines) -> None:
    log.info("before")
    moved = log_file.rename(log_file.with_suffix(".1"))
    log.info("after")

    assert [json.loads(line)["event"] for line in moved.read_text().splitlines()] == ["before"]
    assert [line["event"] for line in lines()] == ["after"]


def test_a_closed_log_is_opened_anew_by_what_comes_later(log: Log, log_file: Path, lines: Lines) -> None:
    for _ in range(2):
        log.info("before")
        log.close()
        log.close()
    log_file.rename(log_file.with_suffix(".1"))
    log.info("after")

    assert [line["event"] for line in lines()] == ["after"]
    assert log.dropped == 0


@pytest.mark.parametrize("output", ["logging", "stderr"])
def test_a_log_that_holds_nothing_is_closed_all_the_same(output: str, caplog: pytest.LogCaptureFixture) -> None:
    log = make_logger(format="json", output=output)
    log.close()
    log.info("after")

    assert log.dropped == 0


def test_a_log_file_that_cannot_be_made_again_is_counted_and_taken_up_later(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = make_logger(format="json", output=str(folder / "log"))
    folder.rename(tmp_path / "moved")
    log.info("into the void")
    assert log.dropped == 1
    folder.mkdir()
    log.info("back")

    assert json.loads((folder / "log").read_text())["event"] == "back"
    assert log.dropped == 1


def test_a_log_file_that_cannot_be_opened_is_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"log\.output: cannot append to .*allowed: logging, stderr"):
        make_logger(format="json", output=str(tmp_path / "nowhere" / "log"))


def test_home_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    make_logger(format="json", output="~/log").info("x")
    monkeypatch.setenv("HOME", "")
    with pytest.raises(ConfigurationError, match=r"log\.output: begins with ~"):
        make_logger(format="json", output="~/log")

    assert (tmp_path / "log").is_file()


def test_many_threads_write_whole_lines(log: Log, lines: Lines) -> None:
    def write(number: int) -> None:
        for turn in range(50):
            log.info("line", number=number, turn=turn)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted((line["number"], line["turn"]) for line in lines()) == [(n, t) for n in range(8) for t in range(50)]


def test_lines_go_to_standard_error_as_it_is_now(capsys: pytest.CaptureFixture[str]) -> None:
    log = make_logger(format="console", output="stderr")
    log.info("restarted", child="worker 1")
    log.debug("not for operators")

    said = capsys.readouterr()
    assert said.out == ""
    assert "restarted" in said.err
    assert "child='worker 1'" in said.err
    assert len(said.err.splitlines()) == 1
    assert ESCAPE not in said.err  # not a terminal


def test_on_a_terminal_the_console_has_colour() -> None:
    ours, theirs = pty.openpty()
    script = 'from secrets_actor.telemetry.logs import make_logger; make_logger(format="{}", output="stderr").info("x")'
    try:
        for format_ in ("console", "json"):
            subprocess.run([sys.executable, "-c", script.format(format_)], stderr=theirs, check=True, timeout=60)
        said = os.read(ours, 10_000).decode().splitlines()
    finally:
        os.close(ours)
        os.close(theirs)

    assert ESCAPE in said[0]
    assert ESCAPE not in said[1]


@pytest.mark.parametrize("stream", [Broken(), None], ids=["broken", "none"])
def test_a_broken_standard_error_is_counted_and_raises_nothing(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO | None
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    log = make_logger(format="json", output="stderr")

    log.info("x")
    log.error("x")

    assert log.dropped == 2


def test_a_closed_standard_error_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    log = make_logger(format="json", output="stderr")
    log.info("x")
    stream.close()
    log.info("x")

    assert log.dropped == 1


def test_a_full_disk_is_counted_and_later_lines_are_whole(tmp_path: Path) -> None:
    script = """
import resource, sys
from secrets_actor.telemetry.logs import make_logger
log = make_logger(format="json", output=sys.argv[1])
log.info("first", note="x" * 100)
resource.setrlimit(resource.RLIMIT_FSIZE, (300, resource.RLIM_INFINITY))
log.info("torn", note="x" * 200)
log.info("refused", note="x" * 200)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.info("last")
print(log.dropped)
"""
    path = tmp_path / "log"
    ran = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=60, check=False
    )

    assert (ran.returncode, ran.stdout) == (0, "2\n"), ran.stderr
    first, torn, last = path.read_text().splitlines()
    assert (json.loads(first)["event"], json.loads(last)["event"]) == ("first", "last")
    assert "torn" in torn


def test_the_host_s_logging_gets_one_record_a_line_at_its_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "secrets_actor")
    log = make_logger(format="json", output="logging")
    for write in (log.debug, log.info, log.warning, log.error):
        write("percent %s", count=1, process="w", nothing=None, stages=("a", "b"), token="canary")

    assert [record.name for record in caplog.records] == ["secrets_actor"] * 4
    assert [record.levelno for record in caplog.records] == [10, 20, 30, 40]
    facts = {"count": 1, "process": "w", "nothing": None, "stages": ["a", "b"], "token": "****"}
    for record in caplog.records:
        assert fields_of(record) == {"event": "percent %s", **facts}
        assert record.getMessage() == "percent %s count=1 process=w stages=a,b token=****"
        assert record.process == os.getpid(), "logging's own"


def test_the_host_decides_what_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    log = make_logger(format="json", output="logging")
    caplog.set_level(logging.WARNING, "secrets_actor")
    log.info("quiet")
    log.warning("loud")
    caplog.set_level(logging.INFO, "secrets_actor")
    log.info("heard")

    assert [fields_of(record)["event"] for record in caplog.records] == ["loud", "heard"]


@pytest.fixture
def host() -> Iterator[logging.Logger]:
    """The host's logger, at level INFO."""
    host = logging.getLogger("secrets_actor")
    level = host.level
    host.setLevel(logging.INFO)
    yield host
    host.setLevel(level)


@contextlib.contextmanager
def formatted(host: logging.Logger, formatter: logging.Formatter) -> Iterator[io.StringIO]:
    """What a handler of the host with this formatter writes."""
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(formatter)
    host.addHandler(handler)
    try:
        yield handler.stream
    finally:
        host.removeHandler(handler)


def a_get(log: Log) -> None:
    log.log_at(AT, logging.INFO, "audit", operation="get", secret_id="db/pass word", request_id=None, duration_ms=1.5)


def test_a_plain_formatter_of_the_host_shows_the_facts_in_the_message_and_each_by_its_name(
    host: logging.Logger,
) -> None:
    shown = "%(asctime)s.%(msecs)03d %(levelname)s [%(secrets_actor_operation)s] %(message)s"
    plain = logging.Formatter(shown, datefmt="%S")
    with formatted(host, plain) as written:
        a_get(make_logger(format="json", output="logging"))

    # The time is that of the get.
    assert written.getvalue() == '03.512 INFO [get] audit operation=get secret_id="db/pass word" duration_ms=1.5\n'


def test_a_json_formatter_of_the_host_shows_the_facts_as_fields_of_its_own_object(host: logging.Logger) -> None:
    """structlog's, as a program that uses structlog itself sets it up for the records of libraries."""
    extra, json_ = structlog.stdlib.ExtraAdder(), structlog.processors.JSONRenderer()
    with formatted(host, structlog.stdlib.ProcessorFormatter(json_, foreign_pre_chain=[extra])) as written:
        a_get(make_logger(format="json", output="logging"))

    found = json.loads(written.getvalue())
    assert {name: fact for name, fact in found.items() if name.startswith("secrets_actor_")} == {
        "secrets_actor_event": "audit",
        "secrets_actor_operation": "get",
        "secrets_actor_secret_id": "db/pass word",
        "secrets_actor_request_id": None,
        "secrets_actor_duration_ms": 1.5,
    }


def test_a_program_that_marks_its_records_itself_is_not_in_the_way(
    host: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    """logging refuses fields that a record has already."""

    def marks(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = before(*args, **kwargs)
        record.request_id, record.operation = "the program's", "the program's"
        return record

    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(marks)
    try:
        log = make_logger(format="json", output="logging")
        a_get(log)
    finally:
        logging.setLogRecordFactory(before)

    (record,) = caplog.records
    assert log.dropped == 0
    assert (vars(record)["operation"], fields_of(record)["operation"]) == ("the program's", "get")


def test_opentelemetry_gets_the_facts_as_attributes_and_the_time_of_the_event(host: logging.Logger) -> None:
    kept = KeptRecords()
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(kept))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it is moving to another package
        handler = LoggingHandler(logger_provider=provider)
    host.addHandler(handler)
    try:
        a_get(make_logger(format="json", output="logging"))
    finally:
        host.removeHandler(handler)

    (found,) = kept.records
    assert found.attributes is not None
    assert found.attributes["secrets_actor_secret_id"] == "db/pass word"
    assert found.timestamp == int(AT * 1e9)


def test_structlog_is_not_loaded_where_the_host_logs() -> None:
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            "import logging, sys; from secrets_actor.telemetry.logs import make_logger; logging.basicConfig(level=10);"
            "make_logger(format='json', output='logging').info('x', a=1); print('structlog' in sys.modules)",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert (ran.stdout, ran.stderr) == ("False\n", "INFO:secrets_actor:x a=1\n")


def test_a_host_s_handler_that_raises_is_counted() -> None:
    handler, host = BrokenHandler(), logging.getLogger("secrets_actor")
    host.addHandler(handler)
    try:
        log = make_logger(format="json", output="logging")
        log.error("x")
    finally:
        host.removeHandler(handler)

    assert log.dropped == 1


def test_the_host_s_structlog_configuration_is_neither_read_nor_changed(log: Log, lines: Lines) -> None:
    taken: list[object] = []

    def host_s_processor(_logger: object, _method: str, event: object) -> str:
        taken.append(event)
        raise structlog.DropEvent

    try:
        structlog.configure(processors=[host_s_processor], logger_factory=structlog.ReturnLoggerFactory())
        before = structlog.get_config()
        ours = make_logger(format="json", output="stderr")
        log.info("made before")
        ours.debug("made after")
        after = structlog.get_config()
        structlog.get_logger().info("the host's own")
    finally:
        structlog.reset_defaults()

    assert after == before
    assert after["processors"] == [host_s_processor]
    assert taken == [{"event": "the host's own"}]
    assert [line["event"] for line in lines()] == ["made before"]


def test_making_a_logger_configures_nothing() -> None:
    ours = logging.getLogger("secrets_actor")
    before = [*ours.handlers], ours.level, ours.disabled, ours.propagate
    make_logger(format="json", output="logging").warning("told")

    assert not structlog.is_configured()
    assert ([*ours.handlers], ours.level, ours.disabled, ours.propagate) == before


def test_importing_telemetry_does_not_load_structlog() -> None:
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, secrets_actor.telemetry.logs, secrets_actor.telemetry.audit_log;"
            "import secrets_actor.telemetry.lifecycle_log;"
            "print([name for name in ('structlog', 'asyncio', 'rich') if name in sys.modules])",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert ran.stdout == "[]\n"
