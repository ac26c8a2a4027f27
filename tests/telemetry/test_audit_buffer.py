"""Where records wait: how many, for whom, and what happens to one too many."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from secrets_actor.domain.packed_secret import version_text
from secrets_actor.domain.ports import AuditRecord
from secrets_actor.domain.secret import Secret, SecretValue, block_of
from secrets_actor.otp import GenServer, Handled, ManualClock, Node, spawn
from secrets_actor.telemetry.audit_buffer import NOW, SOON, AuditBuffer, AuditRules
from secrets_actor.telemetry.meters import Meters

VERSION = "f0b9c5b8-6a3e-4a53-9a63-5b2c6f6b1c52"
SECRET = Secret("db/password", "arn", SecretValue("hunter2"), VERSION, ("AWSCURRENT",), datetime.now(UTC))
HIT = SECRET.name, block_of(SECRET)
RECORD = AuditRecord("set", "db/password", "ok", "backend", 0.1)
READ = AuditRecord("get", "db/password", "ok", "backend", 0.1)


class Woken(GenServer):
    """Takes down what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def handle_info(self, message: Any) -> Handled:
        self.told.append(message)
        return None


def buffer_of(meter: Meters | None = None, **rules: Any) -> AuditBuffer:
    node = Node(clock=ManualClock(5.0))
    return AuditBuffer(node.name("audit"), node.clock, AuditRules(**rules), meter or Meters())


def versions(made: AuditBuffer) -> list[tuple[str, str, float, str | None]]:
    return [(name, version_text(version), at, caller) for name, version, at, caller in made.take_hits(100)]


def test_a_cached_get_waits_as_its_name_version_time_and_caller() -> None:
    made = buffer_of()
    made.hit(*HIT, 7.0, "billing")

    assert "hunter2" not in repr(made._hits)
    assert versions(made) == [("db/password", VERSION, 7.0, "billing")]
    assert made.take_hits(1) == []


def test_gets_are_taken_up_to_a_time_and_records_keep_theirs() -> None:
    made = buffer_of()
    for at in (1.0, 2.0, 6.0):
        made.hit(*HIT, at, None)
    made.record(RECORD)

    assert made.waiting == (3, 1)
    assert made.take_record() == (RECORD, 5.0)
    assert [at for _, _, at, _ in made.take_hits(9, until=5.0)] == [1.0, 2.0]
    assert [at for _, _, at, _ in made.take_hits(9)] == [6.0]
    assert made.take_record() is None


@contextmanager
def woken(**rules: Any) -> Iterator[tuple[AuditBuffer, Callable[[], list[Any]]]]:
    """A buffer, and what its process has been told by now."""
    node = Node()
    server = Woken()
    pid = spawn(node, lambda: server, label="audit", name="audit")

    def told() -> list[Any]:
        pid.post("now")
        while "now" not in server.told:
            pid.wait(0.001)
        found = server.told[:-1]
        server.told.clear()
        return found

    try:
        yield AuditBuffer(node.name("audit"), node.clock, AuditRules(**rules)), told
    finally:
        pid.kill()


def test_the_process_is_woken_once_for_what_may_wait() -> None:
    with woken() as (made, told):
        for _ in range(10):
            made.hit(*HIT, 1.0, None)
            made.record(READ)
        assert told() == [SOON]

        made.take_hits(100)
        assert not made.may_sleep()  # there are records
        while made.take_record() is not None:
            pass
        made.hit(*HIT, 1.0, None)  # it is awake still
        made.record(READ)
        assert not made.may_sleep()
        made.take_record()
        made.take_hits(1)
        assert made.may_sleep()
        made.record(READ)
        made.record(READ)
        made.hit(*HIT, 1.0, None)
        assert told() == [SOON]


@pytest.mark.parametrize(
    "urgent",
    [
        AuditRecord("set", "s", "ok", "backend", 0.0),
        AuditRecord("delete", "s", "ok", "backend", 0.0),
        AuditRecord("request", None, "ok", "backend", 0.0),
        AuditRecord("somebody's", "s", "ok", "backend", 0.0),
        AuditRecord("get", "s", "access_denied", "backend", 0.0),
    ],
)
def test_the_process_comes_at_once_for_what_was_changed_or_refused(urgent: AuditRecord) -> None:
    with woken() as (made, told):
        made.record(READ)
        made.record(urgent)
        made.record(urgent)  # it has been called, and has not looked
        assert told() == [SOON, NOW]

        assert made.look() == made.waiting == (0, 3)
        made.record(READ)
        made.record(urgent)
        assert told() == [NOW]


def test_a_half_full_buffer_calls_for_the_process_once() -> None:
    with woken(buffer=4) as (made, told):
        for _ in range(6):
            made.hit(*HIT, 1.0, None)
        assert told() == [SOON, NOW]
        assert made.waiting == (4, 0)

    with woken(buffer=4) as (made, told):
        for _ in range(6):
            made.record(READ)
        assert told() == [SOON, NOW]
        assert made.waiting == (0, 4)


def test_past_the_bound_gets_are_counted_and_not_kept() -> None:
    made = buffer_of(buffer=3)
    for _ in range(10):
        made.hit(*HIT, 1.0, None)

    assert made.waiting == (3, 0)
    assert made.take_lost() == 7
    assert made.take_lost() == 0
    assert made.hits == 10
    made.take_hits(1)
    made.hit(*HIT, 1.0, None)
    assert (made.waiting, made.take_lost(), made.hits) == ((3, 0), 0, 11)


def test_records_have_room_of_their_own_and_never_wait_for_it() -> None:
    made = buffer_of(buffer=2, full="block", patience=60.0)
    made.hit(*HIT, 1.0, None)
    made.hit(*HIT, 1.0, None)
    for _ in range(5):
        made.record(RECORD)

    assert made.waiting == (2, 2)
    assert made.take_lost() == 3


def test_with_block_a_get_waits_for_room() -> None:
    made = buffer_of(buffer=1, full="block", patience=60.0)
    made.hit(*HIT, 1.0, None)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(made.hit, *HIT, 2.0, None)
        taken = []
        while len(taken) < 2:
            taken += made.take_hits(1)
        second.result(10)

    assert [hit[2] for hit in taken] == [1.0, 2.0]
    assert made.take_lost() == 0


def test_with_block_a_get_does_not_wait_for_ever() -> None:
    made = buffer_of(buffer=1, full="block", patience=0.001)
    made.hit(*HIT, 1.0, None)
    made.hit(*HIT, 2.0, None)

    assert (made.waiting, made.take_lost()) == ((1, 0), 1)


def test_off_keeps_nothing_and_counts() -> None:
    made = buffer_of(hits="off")
    for _ in range(5):
        made.hit(*HIT, 1.0, None)

    assert (made.waiting, made.hits, made.hits) == ((0, 0), 5, 5)
    made.hit(*HIT, 1.0, None)
    assert made.hits == 6


@pytest.mark.parametrize("hits", ["each", "off"])
def test_a_fork_forgets_what_is_the_parent_s(hits: str) -> None:
    made = buffer_of(hits=hits)
    hit = made.hit
    hit(*HIT, 1.0, None)
    made.record(RECORD)
    made.forget()
    assert (made.waiting, made.hits) == ((0, 0), 0)
    hit(*HIT, 1.0, None)
    assert made.hits == 1


def test_what_nobody_wants_to_read_is_counted_all_the_same() -> None:
    meters = Meters()
    node = Node()
    made = AuditBuffer(node.name("audit"), node.clock, AuditRules(), meters, lambda: False)
    made.record(RECORD)

    assert made.waiting == (0, 0)
    assert meters.snapshot().value("secrets_actor_answers", "set", "ok") == 1


@pytest.mark.parametrize(
    ("operation", "outcome", "source", "metric"),
    [
        ("get", "ok", "cache", "cache_hits"),
        ("get", "secret_not_found", "cache", "cache_negative_hits"),
        ("get", "ok", "stale", "stale_answers"),
        ("get", "ok", "backend", "cache_misses"),
        ("get_many", "ok", "backend", "cache_misses"),
        ("get", "access_denied", "backend", "cache_misses"),
    ],
)
def test_each_answer_is_counted_for_what_it_is(operation: str, outcome: str, source: str, metric: str) -> None:
    meters = Meters()
    buffer_of(meters).record(AuditRecord(operation, "s", outcome, source, 0.0))
    snapshot = meters.snapshot()

    counted = ("cache_hits", "cache_negative_hits", "stale_answers", "cache_misses")
    assert {name: snapshot.value(f"secrets_actor_{name}") for name in counted} == dict.fromkeys(counted, 0) | {
        metric: 1
    }
    assert snapshot.value("secrets_actor_answers", operation, outcome) == 1


def test_a_write_is_no_miss() -> None:
    meters = Meters()
    buffer_of(meters).record(RECORD)

    assert meters.snapshot().value("secrets_actor_cache_misses") == 0


def test_gets_of_many_threads_are_all_there() -> None:
    made = buffer_of()
    taken: list[Any] = []
    done = threading.Event()

    def take() -> None:
        while not (done.is_set() and made.waiting == (0, 0)):
            taken.extend(made.take_hits(50))

    with ThreadPoolExecutor(9) as pool:
        taking = pool.submit(take)
        for hitting in [
            pool.submit(lambda n=n: [made.hit(*HIT, float(turn), f"t{n}") for turn in range(500)]) for n in range(8)
        ]:
            hitting.result(30)
        done.set()
        taking.result(30)

    assert made.take_lost() == 0
    for number in range(8):
        assert [at for _, _, at, caller in taken if caller == f"t{number}"] == [float(turn) for turn in range(500)]
