"""A log or an observer that blocks holds up neither the actor nor a worker, a supervisor, a fork or a stop. What is
lost is counted, and told when it can be."""

import logging
import logging.config
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from secrets_actor import ConfigurationError, LogSettings, System, Unreachable
from secrets_actor.clock import now as clock_now
from secrets_actor.otp import LifecycleEvent
from secrets_actor.telemetry.audit_process import AuditLogFails, AuditRecordsLost
from secrets_actor.testing import fake_system
from tests.actor.rig import PATIENCE, Watch, eventually, failure, process, settings
from tests.forking import in_child
from tests.log_records import fields_of

LOGGER = "secrets_actor"
# Seconds that no answer may take here, whoever blocks.
AT_ONCE = 5.0
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


class Blocks(logging.Handler):
    """A host's handler, or an observer, that blocks until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go, self.reached = threading.Event(), threading.Event()
        self.events: list[LifecycleEvent] = []
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.reached.set()
        self.go.wait(2 * PATIENCE)
        self.records.append(record)

    def __call__(self, event: LifecycleEvent) -> None:
        self.reached.set()
        self.go.wait(2 * PATIENCE)
        self.events.append(event)


@pytest.fixture
def blocks() -> Iterator[Blocks]:
    one = Blocks()
    yield one
    one.go.set()


@pytest.fixture
def handler(blocks: Blocks) -> Iterator[Blocks]:
    """*blocks* as the host's logging has it."""
    host = logging.getLogger(LOGGER)
    level, propagates = host.level, host.propagate
    host.addHandler(blocks)
    host.setLevel(logging.DEBUG)
    host.propagate = False
    yield blocks
    blocks.go.set()
    host.removeHandler(blocks)
    host.setLevel(level)
    host.propagate = propagates


def outlive(system: System, store: object) -> None:
    """Go through gets, crashes, kills, and an outage, all of which are told; answers come all the same."""
    for _ in range(3):
        assert system.secrets.get("a", refresh=True, timeout=AT_ONCE).reveal() == "v"
    process(system, "secrets").kill()
    assert system.secrets.get("a", refresh=True, timeout=AT_ONCE).reveal() == "v"
    process(system, "workers").kill()
    assert system.secrets.get("a", refresh=True, timeout=AT_ONCE).reveal() == "v"
    store.fail_next(Unreachable("down"))  # type: ignore[attr-defined]
    assert isinstance(failure(lambda: system.secrets.get("b", timeout=AT_ONCE)), Unreachable)
    assert system.secrets.get("a", refresh=True, timeout=AT_ONCE).reveal() == "v"


def test_a_host_s_handler_that_blocks_holds_nobody_up(handler: Blocks) -> None:
    with fake_system(log=LogSettings(output="logging")) as (system, store):
        store.put("a", "v")
        system.secrets.get("a")
        assert handler.reached.wait(PATIENCE)
        outlive(system, store)
        handler.go.set()
    told = [fields_of(record)["event"] for record in handler.records]
    assert {"child_restarted", "process_ended", "audit"} <= set(told)


def test_an_observer_that_blocks_holds_nobody_up_and_hears_all_in_order(blocks: Blocks) -> None:
    with fake_system(observer=blocks) as (system, store):
        store.put("a", "v")
        assert blocks.reached.wait(PATIENCE)
        outlive(system, store)
        blocks.go.set()
    kinds = [type(one).__name__ for one in blocks.events]
    assert {"ChildRestarted", "ProcessEnded"} <= set(kinds)
    serials = [getattr(one, "serial", 0) for one in blocks.events if type(one).__name__ == "ProcessStarted"]
    assert serials.index(min(serials)) < serials.index(max(serials))


def test_a_stop_does_not_wait_for_an_observer_that_blocks(blocks: Blocks) -> None:
    with fake_system(observer=blocks) as (system, store):
        store.put("a", "v")
        assert system.secrets.get("a").reveal() == "v"
        began = clock_now()
        system.stop(AT_ONCE)
        assert clock_now() - began < AT_ONCE
        assert not system.running


def test_an_observer_may_stop_the_system() -> None:
    stopped = threading.Event()

    def observe(event: LifecycleEvent) -> None:
        if type(event).__name__ == "ChildRestarted":
            system.stop()
            stopped.set()

    with fake_system(observer=observe) as (system, _):
        process(system, "secrets").kill()
        assert stopped.wait(PATIENCE)
        assert not system.running


def test_a_fork_while_the_log_and_the_observer_block(handler: Blocks, tmp_path: Path) -> None:
    system = System(settings(tmp_path, log=LogSettings(output="logging")), observer=handler)
    system.start()
    try:
        system.secrets.set("a", "v")
        assert handler.reached.wait(PATIENCE)
        assert in_child(lambda: system.secrets.get("a", timeout=AT_ONCE).reveal()) == "v"
    finally:
        handler.go.set()
        system.stop()


def test_what_was_told_is_written_when_wait_returns(tmp_path: Path) -> None:
    watch = Watch()
    system = System(settings(tmp_path), observer=watch).start()
    process(system, "secrets").kill()
    eventually(lambda: watch.count("ChildRestarted") == 1)
    root = process(system, "secrets").parent
    while root is not None and root.parent is not None:
        root = root.parent
    assert root is not None
    root.kill()
    assert str(system.wait(PATIENCE)) == "killed"
    assert '"child_restarted"' in (tmp_path / "log").read_text()


def test_a_pipe_that_nobody_reads_is_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    error = failure(lambda: System(settings(tmp_path, log=LogSettings(output=str(tmp_path / "pipe")))))
    assert isinstance(error, ConfigurationError)
    assert "it is a pipe, and nobody reads from it" in str(error)


FULL = """
import os, sys, time
from secrets_actor import LogSettings
from secrets_actor.testing import fake_system
os.set_blocking(2, False)
try:
    while True:
        os.write(2, b"x" * 4096)
except BlockingIOError:
    os.set_blocking(2, True)
with fake_system(log=LogSettings(output="stderr")) as (system, store):
    store.put("a", "v")
    for _ in range(3):
        system.secrets.get("a", refresh=True, timeout=3)
        system.whereis("secrets").kill()
    began = time.monotonic()
    system.stop(8)
    print("stopped", time.monotonic() - began < 9)
"""


@pytest.mark.slow
def test_a_standard_error_that_nobody_reads_holds_up_neither_gets_nor_the_end_of_the_program() -> None:
    ours, theirs = os.pipe()
    try:
        ran = subprocess.run(
            [sys.executable, "-c", FULL], stdout=subprocess.PIPE, stderr=theirs, text=True, timeout=60, check=False
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert (ran.returncode, ran.stdout) == (0, "stopped True\n")


# --- a log that takes nothing ----------------------------------------------------------------------------------------


@pytest.fixture
def host() -> Iterator[logging.Logger]:
    """The host's logger as it was, at the end."""
    one, root = logging.getLogger(LOGGER), logging.getLogger()
    before = one.level, one.disabled, one.propagate, one.handlers[:], root.level, root.handlers[:]
    yield one
    level, one.disabled, one.propagate, one.handlers[:], _, root.handlers[:] = before
    one.setLevel(level)
    root.setLevel(before[4])


def test_records_that_a_disabled_logger_swallows_are_counted_and_told(host: logging.Logger) -> None:
    watch, kept = Watch(), Blocks()
    kept.go.set()
    with fake_system(observer=watch) as (system, store), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        logging.config.dictConfig({"version": 1, "root": {"level": "INFO"}})
        assert host.disabled
        store.put("a", "v")
        system.secrets.get("a", refresh=True)
        system.secrets.get("a")
        system.secrets.get("a")
        eventually(lambda: system.metrics().value("secrets_actor_audit_records", "dropped") == 3)
        eventually(lambda: watch.count("AuditLogFails") == 1)
        assert system.metrics().value("secrets_actor_audit_records", "written") == 0

        host.disabled = False
        host.addHandler(kept)
        system.secrets.get("a", refresh=True)
        eventually(lambda: watch.count("AuditRecordsLost") == 1)
        assert system.metrics().value("secrets_actor_audit_records", "written") == 1
    assert ["disable_existing_loggers" in str(one.message) for one in warned] == [True]
    fails, lost = (one for kind in (AuditLogFails, AuditRecordsLost) for one in watch.events if isinstance(one, kind))
    assert isinstance(fails, AuditLogFails)
    assert "disabled" in fails.problem
    assert lost == AuditRecordsLost("audit", 3)
    told = [fields_of(record) for record in kept.records]
    assert [line["count"] for line in told if line["event"] == "audit_records_lost"] == [3]


def test_a_logger_that_wants_records_and_has_no_handler_loses_them(host: logging.Logger) -> None:
    host.propagate, host.handlers[:] = False, []
    host.setLevel(logging.INFO)
    with fake_system() as (system, store), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        store.put("a", "v")
        system.secrets.get("a", refresh=True)
        eventually(lambda: system.metrics().value("secrets_actor_audit_records", "dropped") == 1)
    assert ["has a handler" in str(one.message) for one in warned] == [True]


@pytest.mark.parametrize("how", ["level", "disable", "null handler"])
def test_what_the_host_does_not_want_is_no_loss(host: logging.Logger, how: str) -> None:
    host.propagate = False
    host.handlers[:] = [logging.NullHandler()]
    host.setLevel(logging.ERROR if how == "level" else logging.INFO)
    logging.disable(logging.INFO if how == "disable" else logging.NOTSET)
    watch = Watch()
    try:
        with fake_system(observer=watch) as (system, store):
            store.put("a", "v")
            system.secrets.get("a", refresh=True)
            system.secrets.get("a")
            system.stop()
            assert system.metrics().value("secrets_actor_audit_records", "dropped") == 0
    finally:
        logging.disable(logging.NOTSET)
    assert watch.count("AuditLogFails") == watch.count("AuditRecordsLost") == 0


def test_a_full_disk_is_told_to_the_observer_at_once() -> None:
    watch = Watch()
    with fake_system(observer=watch, log=LogSettings(output="/dev/full")) as (system, store):
        store.put("a", "v")
        system.secrets.get("a", refresh=True)
        eventually(lambda: watch.count("AuditLogFails") == 1)
        assert system.metrics().value("secrets_actor_audit_records", "dropped") == 1
    fails = next(one for one in watch.events if isinstance(one, AuditLogFails))
    assert "No space left" in fails.problem
    assert [one for one in watch.events if isinstance(one, AuditRecordsLost)] == [AuditRecordsLost("audit", 1)]
    assert system.metrics().value("secrets_actor_events_lost", "log") > 0
